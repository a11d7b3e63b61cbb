"""A batch of noisy circuits on a fake backend: how an echo fades with the number of layers.

Run it as ``python examples/noisy_backend.py``; ``--help`` lists the options. An echo is a random
circuit followed by its inverse: without noise every shot ends in zeros, where it began. The backend
is Qiskit's `GenericBackendV2` with the noise that its properties tell, simulated by Aer; all
echoes, of all lengths, are one list, which `ParallelBackend` splits over the cores. It needs shoal
with the extra ``qiskit``, and takes some seconds.
"""

import argparse

import numpy as np
from qiskit import QuantumCircuit, transpile
from qiskit.providers.fake_provider import GenericBackendV2
from qiskit_aer import AerSimulator

from shoal.quantum import ParallelBackend


def echo(qubits, layers, rng):
    """A random circuit, a barrier that keeps the transpiler from seeing through it, the way back.

    Args:
        qubits: How many.
        layers: Layers of the way there: a rotation of each qubit, and CNOTs between random pairs.
        rng: A `numpy.random.Generator`.
    """
    there = QuantumCircuit(qubits)
    for _ in range(layers):
        for qubit in range(qubits):
            there.u(*rng.uniform(0, 2 * np.pi, 3), qubit)
        order = rng.permutation(qubits).tolist()
        for control, target in zip(order[::2], order[1::2], strict=False):
            there.cx(control, target)
    circuit = there.copy()
    circuit.barrier()
    circuit.compose(there.inverse(), inplace=True)
    circuit.measure_all()
    return circuit


def main(arguments=None):
    """Runs the echoes and prints how many shots came back, for each number of layers.

    Args:
        arguments: The command line's words; those of this process when not given.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--qubits", type=int, default=5, help="qubits of the backend (5)")
    parser.add_argument("--circuits", type=int, default=20, help="echoes of each length (20)")
    parser.add_argument("--shots", type=int, default=1000, help="shots of each echo (1000)")
    options = parser.parse_args(arguments)

    fake = GenericBackendV2(options.qubits, seed=1)
    rng = np.random.default_rng(2)
    lengths = [layers for layers in (1, 2, 4, 8, 16) for _ in range(options.circuits)]
    circuits = [echo(options.qubits, layers, rng) for layers in lengths]
    circuits = transpile(circuits, fake, seed_transpiler=3, num_processes=1)

    noisy = AerSimulator.from_backend(fake)
    backend = ParallelBackend(noisy)
    result = backend.run(circuits, shots=options.shots, seed_simulator=4).result()

    zeros = "0" * options.qubits
    back = np.array([counts.get(zeros, 0) for counts in result.get_counts()]) / options.shots
    print(f"{len(circuits)} echoes of {options.qubits} qubits\n\nlayers   came back")
    for layers in dict.fromkeys(lengths):
        print(f"{layers:6}   {back[np.array(lengths) == layers].mean():.3f}")
    plain = noisy.run(circuits[:5], shots=options.shots, seed_simulator=4).result()
    same = plain.get_counts() == result.get_counts()[:5]
    print(f"\nthe first 5 are those of Aer alone: {same}")


if __name__ == "__main__":
    main()
