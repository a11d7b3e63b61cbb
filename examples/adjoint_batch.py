"""Training on a batch of data: adjoint gradients of all samples at once, on every core.

Run it as ``python examples/adjoint_batch.py``; ``--help`` lists the options. One adjoint gradient
cannot be split, but the samples of a batch are independent. A small classifier learns whether a
point lies in a circle; each step maps the gradient of one sample's loss over the batch with
`shoal.map`, and averages. It needs shoal with the extra ``pennylane``.
"""

import argparse

import numpy as np
import pennylane as qml
from pennylane import numpy as pnp

import shoal


def samples(count, rng):
    """Points in a square, of shape (count, 2), and +1 or -1 for inside or outside the circle."""
    points = rng.uniform(-1, 1, (count, 2))
    return points, np.where((points**2).sum(axis=1) < 2 / np.pi, 1.0, -1.0)


def main(arguments=None):
    """Trains and prints the loss and the share of points that are classified right.

    Args:
        arguments: The command line's words; those of this process when not given.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--qubits", type=int, default=4, help="qubits of the classifier (4)")
    parser.add_argument("--batch", type=int, default=32, help="samples in a step (32)")
    parser.add_argument("--steps", type=int, default=15, help="steps of the training (15)")
    options = parser.parse_args(arguments)

    device = qml.device("lightning.qubit", wires=options.qubits)

    @qml.qnode(device, diff_method="adjoint")
    def classify(weights, point):
        for layer in weights:
            for wire in range(options.qubits):
                qml.RX(np.pi * point[wire % 2], wires=wire)
                qml.Rot(*layer[wire], wires=wire)
            for wire in range(options.qubits):
                qml.CNOT(wires=[wire, (wire + 1) % options.qubits])
        return qml.expval(qml.Z(0))

    def loss(weights, point, label):
        return (classify(weights, point) - label) ** 2

    rng = np.random.default_rng(1)
    weights = pnp.array(rng.normal(0, 0.5, (3, options.qubits, 3)), requires_grad=True)
    optimiser = qml.AdamOptimizer(0.1)
    for step in range(options.steps):
        points, labels = samples(options.batch, rng)
        gradient = gradient_of(loss, weights)
        gradients = shoal.map(gradient, points, labels)
        weights = optimiser.apply_grad([np.mean(gradients, axis=0)], [weights])[0]
        weights = pnp.array(weights, requires_grad=True)
        if step % 5 == 0 or step == options.steps - 1:
            report(step, classify, weights, *samples(64, np.random.default_rng(2)))


def gradient_of(loss, weights):
    """A function of one sample: the gradient of its loss with respect to the weights."""
    return lambda point, label: qml.grad(loss, argnums=0)(weights, point, label)


def report(step, classify, weights, points, labels):
    """Prints how well points are classified that the training has not seen."""
    outputs = np.array(shoal.map(lambda point: classify(weights, point), points), dtype=float)
    right = np.mean(np.sign(outputs) == labels)
    print(f"  step {step:3}   loss {np.mean((outputs - labels) ** 2):.3f}   right {right:.0%}")


if __name__ == "__main__":
    main()
