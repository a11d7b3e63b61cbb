"""Data that a quantum kernel separates by construction, after Havlíček et al.

Run it as ``python examples/ad_hoc_data.py``; ``--help`` lists the options. "Supervised learning
with quantum-enhanced feature spaces" (Nature 567, 209, 2019; arXiv 1804.11326) makes labels from
the very states that its kernel compares: by the expectation value of a random observable in the
state of a sample, and of samples only where it is far from 0. The kernel of these states
classifies samples that it has not seen without an error; a Gaussian kernel of the two features
does not. It needs shoal with the extras ``kernels`` and ``qiskit``; ``--picture kernel.png`` also
``plots``.
"""

import argparse

import numpy as np
from qiskit.circuit.library import zz_feature_map
from sklearn.svm import SVC

from shoal.quantum import FidelityKernel, plot_kernel

QUBITS = 2


def states(x):
    """The states of the paper, exp(i Σ φ Z) H⊗H twice over, for rows of two angles.

    Here φ is the angle itself for each Z and (π - x₀)(π - x₁) for the product of both.

    Args:
        x: Of shape (n, 2), in radians.

    Returns:
        Of shape (n, 4).
    """
    signs = np.array([[1, 1, 1], [-1, 1, -1], [1, -1, -1], [-1, -1, 1]])  # of Z₀, Z₁, Z₀Z₁
    angles = np.column_stack([x, (np.pi - x[:, 0]) * (np.pi - x[:, 1])])
    phases = np.exp(1j * angles @ signs.T)
    hadamards = np.array([[1, 1], [1, -1]]) / np.sqrt(2)
    return phases * ((phases / 2) @ np.kron(hadamards, hadamards))


def ad_hoc_data(count, gap, rng):
    """Samples of both classes, in turns, with a gap between the classes.

    Args:
        count: Samples of each class.
        gap: The least distance of the expectation value from 0; no two values lie within.
        rng: Draws the observable and the samples.

    Returns:
        The samples, of shape (2 * count, 2), and their labels ±1.
    """
    normal = rng.normal(size=(2, 4, 4))
    unitary, _ = np.linalg.qr(normal[0] + 1j * normal[1])
    observable = unitary.conj().T @ np.diag([1, -1, -1, 1]) @ unitary  # parity, in a random basis
    found = {1: [], -1: []}
    while min(map(len, found.values())) < count:
        x = rng.uniform(0, 2 * np.pi, (1000, 2))
        psi = states(x)
        values = np.einsum("ni,ij,nj->n", psi.conj(), observable, psi).real
        for sample, value in zip(x, values, strict=True):
            if abs(value) > gap:
                found[int(np.sign(value))].append(sample)
    pairs = zip(found[1][:count], found[-1][:count], strict=True)
    return np.array([sample for pair in pairs for sample in pair]), np.tile([1, -1], count)


def main(arguments=None):
    """Trains on some of the data, and prints the accuracy on the rest.

    Args:
        arguments: The command line's words; those of this process when not given.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=40, help="samples of each class (40)")
    parser.add_argument("--gap", type=float, default=0.3, help="between the classes (0.3)")
    parser.add_argument("--seed", type=int, default=3, help="of observable and samples (3)")
    parser.add_argument("--picture", help="file for a picture of the kernel matrix")
    options = parser.parse_args(arguments)

    x, labels = ad_hoc_data(options.samples, options.gap, np.random.default_rng(options.seed))
    half = options.samples
    kernel = FidelityKernel(zz_feature_map(QUBITS, reps=2))
    for name, each in (("quantum", kernel), ("Gaussian", "rbf")):
        classifier = SVC(kernel=each, C=100).fit(x[:half], labels[:half])
        accuracy = classifier.score(x[half:], labels[half:])
        print(f"  {name:9} kernel   accuracy on {len(x) - half} unseen samples {accuracy:.3f}")
    if options.picture:
        plot_kernel(kernel(x), labels).figure.savefig(options.picture)


if __name__ == "__main__":
    main()
