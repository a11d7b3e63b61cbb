"""The same circuits on Ray, through a backend and through Aer's documented options.

Run it as ``python examples/circuits_on_ray.py``, which starts a Ray on this machine, or with
``--executor ray://head:10001`` on a cluster that is there; ``--help`` lists the options. The
results are compared with those of Aer in this process, bit for bit. It needs shoal with the extras
``qiskit`` and ``ray``, on the cluster too.
"""

import argparse

import numpy as np
import qiskit_aer
from qiskit import QuantumCircuit

import shoal
from shoal.quantum import AerSimulator, ParallelBackend


def layered(qubits, layers, seed):
    """Layers of random rotations, and a chain of CNOTs after each.

    Args:
        qubits: How many.
        layers: How many.
        seed: Of the angles.
    """
    rng = np.random.default_rng(seed)
    circuit = QuantumCircuit(qubits)
    for _ in range(layers):
        for qubit in range(qubits):
            circuit.ry(rng.uniform(0, 2 * np.pi), qubit)
        for qubit in range(qubits - 1):
            circuit.cx(qubit, qubit + 1)
    circuit.measure_all()
    return circuit


def main(arguments=None):
    """Runs the circuits in three ways and prints what became of them.

    Args:
        arguments: The command line's words; those of this process when not given.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--executor", default="ray", help="a Ray, by address (ray: one of our own)")
    parser.add_argument("--circuits", type=int, default=100, help="how many circuits (100)")
    parser.add_argument("--qubits", type=int, default=12, help="qubits of each (12)")
    options = parser.parse_args(arguments)
    circuits = [layered(options.qubits, 4, seed) for seed in range(options.circuits)]
    plain = qiskit_aer.AerSimulator().run(circuits, seed_simulator=1).result()

    with shoal.executor(options.executor) as executor:
        backend = ParallelBackend(qiskit_aer.AerSimulator(), executor=executor)
        report("a backend", backend.run(circuits, seed_simulator=1).result(), plain)

        simulator = AerSimulator(executor=executor, max_job_size=10)
        report("Aer's options", simulator.run(circuits, seed_simulator=1).result(), plain)


def report(way, result, plain):
    """Prints one line about a result.

    Args:
        way: How it was computed.
        result: What came out.
        plain: What Aer itself gives, for comparison.
    """
    same = result.get_counts() == plain.get_counts()
    chunks = result.metadata["shoal"]["chunks"]
    print(f"{way:<14} {len(result.results)} circuits in {chunks} chunks, equal to Aer's: {same}")


if __name__ == "__main__":
    main()
