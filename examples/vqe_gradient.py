"""A variational eigensolver whose parameter-shift gradients run in worker processes.

Run it as ``python examples/vqe_gradient.py``; ``--help`` lists the options. It looks for the lowest
energy of a chain of spins in a transverse field, by gradient descent. Every step needs two circuits
for each parameter; PennyLane hands them to the device ``shoal.parallel`` as one batch. The line
that makes the device is the only one that differs from an ordinary program. It needs shoal with the
extra ``pennylane``.
"""

import argparse

import numpy as np
import pennylane as qml
from pennylane import numpy as pnp


def chain(qubits, field):
    """The Ising chain in a transverse field, -sum Z Z - field * sum X, open at its ends."""
    bonds = [qml.Z(wire) @ qml.Z(wire + 1) for wire in range(qubits - 1)]
    fields = [qml.X(wire) for wire in range(qubits)]
    return qml.Hamiltonian([-1.0] * len(bonds) + [-field] * qubits, bonds + fields)


def main(arguments=None):
    """Descends and prints the energies on the way.

    Args:
        arguments: The command line's words; those of this process when not given.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--qubits", type=int, default=6, help="spins in the chain (6)")
    parser.add_argument("--layers", type=int, default=2, help="layers of the circuit (2)")
    parser.add_argument("--steps", type=int, default=30, help="steps of the descent (30)")
    options = parser.parse_args(arguments)

    energy_operator = chain(options.qubits, field=0.8)
    device = qml.device("shoal.parallel", wires=options.qubits, base="lightning.qubit")

    @qml.qnode(device, diff_method="parameter-shift")
    def energy(weights):
        for layer in weights:
            for wire, angle in enumerate(layer):
                qml.RY(angle, wires=wire)
            for wire in range(options.qubits - 1):
                qml.CNOT(wires=[wire, wire + 1])
        return qml.expval(energy_operator)

    start = np.random.default_rng(0).normal(0, 0.1, (options.layers, options.qubits))
    weights = pnp.array(start, requires_grad=True)
    optimiser = qml.AdamOptimizer(0.05)
    with qml.Tracker(device) as tracker:
        for step in range(options.steps):
            weights, before = optimiser.step_and_cost(energy, weights)
            if step % 5 == 0:
                print(f"  step {step:3}   energy {before:+.6f}")
        last = energy(weights)
    exact = np.linalg.eigvalsh(qml.matrix(energy_operator, wire_order=range(options.qubits)))[0]
    print(f"  at the end {last:+.6f}   exact {exact:+.6f}")
    print(f"  {tracker.totals['executions']} circuits in {tracker.totals['batches']} batches")


if __name__ == "__main__":
    main()
