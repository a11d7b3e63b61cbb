"""A thousand random circuits through a sampler, on all cores, with a progress bar.

Run it as ``python examples/random_circuits.py``; ``--help`` lists the options. Every circuit is
measured, and it is counted how often two shots of one circuit agree: random circuits deep enough to
scramble do so twice as often as coins would. The line that makes the `ParallelSampler` is the only
one that differs from an ordinary program. It needs shoal with the extra ``qiskit``, and takes about
half a minute on two cores.
"""

import argparse
import time

import numpy as np
from qiskit.circuit.random import random_circuit
from qiskit.primitives import StatevectorSampler

from shoal.quantum import ParallelSampler


def agreement(samples):
    """How often two shots agree, in units of how often coins would.

    Args:
        samples: A `qiskit.primitives.BitArray` of one circuit.
    """
    shots = samples.num_shots
    counts = np.array(list(samples.get_int_counts().values()))
    pairs = (counts * (counts - 1)).sum() / (shots * (shots - 1))
    return 2**samples.num_bits * pairs


def main(arguments=None):
    """Samples the circuits and prints what was found.

    Args:
        arguments: The command line's words; those of this process when not given.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--circuits", type=int, default=1000, help="how many circuits (1000)")
    parser.add_argument("--qubits", type=int, default=8, help="qubits of each (8)")
    parser.add_argument("--depth", type=int, default=12, help="layers of random gates (12)")
    parser.add_argument("--shots", type=int, default=1000, help="shots of each (1000)")
    options = parser.parse_args(arguments)

    pubs = [
        (random_circuit(options.qubits, options.depth, measure=True, seed=seed),)
        for seed in range(options.circuits)
    ]
    plain = StatevectorSampler(seed=7)
    sampler = ParallelSampler(plain, progress=True)
    begun = time.perf_counter()
    results = sampler.run(pubs, shots=options.shots).result()
    seconds = time.perf_counter() - begun

    found = [agreement(result.join_data()) for result in results]
    print(f"{len(results)} circuits of {options.qubits} qubits in {seconds:.1f} s")
    print(f"two shots agree {np.median(found):.1f} times as often as coins, in the median")
    few = plain.run(pubs[:5], shots=options.shots).result()
    pairs = zip(results[:5], few, strict=True)
    same = all(ours.join_data() == theirs.join_data() for ours, theirs in pairs)
    print(f"the first {len(few)} are those of Qiskit's own sampler: {same}")


if __name__ == "__main__":
    main()
