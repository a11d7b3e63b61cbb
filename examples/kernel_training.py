"""A quantum kernel trained to fit labels: numbers of PennyLane's tutorial, without its circuits.

Run it as ``python examples/kernel_training.py``; ``--help`` lists the options. PennyLane's tutorial
"Training and evaluating quantum kernels" aligns the kernel of a circuit of 5 qubits and 60 weights
with the labels of two nested rings of sectors. Here the same circuit, start and draws are trained
with `shoal.quantum.KernelAlignment`, which goes back through the product of the states, in place
of circuits for every pair. It needs shoal with the extras ``kernels`` and ``pennylane``.
"""

import argparse

import numpy as np
import pennylane as qml
from sklearn.svm import SVC

from shoal.quantum import FidelityKernel, KernelAlignment, target_alignment

QUBITS, LAYERS, SECTORS = 5, 6, 3
SEED = 1359  # the tutorial's


def double_cake():
    """Two rings of sectors, labelled by turns, the inner one the other way round."""
    angles = (np.arange(SECTORS) + 0.5) * 2 * np.pi / SECTORS
    ring = 0.7 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    labels = 2 * (np.arange(SECTORS) % 2) - 1
    return np.concatenate([ring, 0.5 * ring]), np.concatenate([labels, -labels])


def ansatz(x, weights):
    """Layers that embed the features again and again, between trainable rotations.

    Args:
        x: One row of features.
        weights: Of shape (layers, 2, qubits).
    """
    for number, (own, ring) in enumerate(weights):
        for wire in range(QUBITS):
            qml.Hadamard(wire)
            qml.RZ(x[(number * QUBITS + wire) % len(x)], wire)
            qml.RY(own[wire], wire)
        for wire in range(QUBITS):
            qml.CRZ(ring[wire], [wire, (wire + 1) % QUBITS])


def score(x, labels, weights, rng):
    """Alignment of the kernel on all samples, and the accuracy of a classifier on them."""
    kernel = FidelityKernel(ansatz, weights=weights)
    matrix = kernel(x, x)
    classifier = SVC(kernel="precomputed", random_state=rng).fit(matrix, labels)
    return target_alignment(matrix, labels), classifier.score(matrix, labels)


def main(arguments=None):
    """Trains, and prints the alignment on the way.

    Args:
        arguments: The command line's words; those of this process when not given.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=500, help="steps of the ascent (500)")
    options = parser.parse_args(arguments)

    x, labels = double_cake()
    rng = np.random.RandomState(SEED)  # the tutorial's stream of random numbers
    weights = rng.uniform(0, 2 * np.pi, (LAYERS, 2, QUBITS))
    alignment, accuracy = score(x, labels, weights, rng)
    print(f"  at the start    alignment {alignment:.3f}   accuracy {accuracy:.3f}")
    objective = KernelAlignment(ansatz, x, labels)
    for step in range(1, options.steps + 1):
        _, slopes = objective(weights, rng.choice(len(x), 4))
        weights = weights + 0.2 * slopes
        if step % 50 == 0:
            alignment = target_alignment(FidelityKernel(ansatz, weights=weights)(x, x), labels)
            print(f"  step {step:4}       alignment {alignment:.3f}")
    alignment, accuracy = score(x, labels, weights, rng)
    print(f"  at the end      alignment {alignment:.3f}   accuracy {accuracy:.3f}")


if __name__ == "__main__":
    main()
