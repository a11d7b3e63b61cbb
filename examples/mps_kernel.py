"""A kernel of 784 qubits, one for each pixel of an image, by matrix product states.

Run it as ``python examples/mps_kernel.py``; ``--help`` lists the options. The images are the digits
that come with scikit-learn, enlarged to 28 by 28 pixels. Each pixel is one angle, and the circuit
is that of K.-C. Chen et al., arXiv:2405.02630: turns of every qubit, a chain of CX gates, one more
turn. Its states have 2**784 amplitudes, and are chains of small matrices all the same, because each
qubit is joined to the next by a single gate. A support vector machine with this kernel stands
beside the usual Gaussian one: no advantage is claimed. It needs shoal with the extras ``kernels``
and ``qiskit``.
"""

import argparse
import time

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from sklearn.datasets import load_digits
from sklearn.svm import SVC

from shoal.quantum import kernel_matrix


def images(side, samples):
    """Digits of `side` by `side` pixels from 0 to 1, one a row, and what they show."""
    digits = load_digits()
    chosen = np.random.default_rng(0).permutation(len(digits.images))[:samples]
    places = np.linspace(0, 7, side)
    low = np.minimum(places.astype(int), 6)
    weights = np.zeros((side, 8))
    weights[np.arange(side), low] = 1 - (places - low)
    weights[np.arange(side), low + 1] = places - low
    enlarged = weights @ (digits.images[chosen] / 16) @ weights.T
    return enlarged.reshape(len(chosen), -1), digits.target[chosen]


def embedding(qubits):
    """The feature map: one angle for each qubit, used three times."""
    angles = ParameterVector("x", qubits)
    circuit = QuantumCircuit(qubits)
    circuit.h(range(qubits))
    for qubit in range(qubits):
        circuit.rz(angles[qubit], qubit)
        circuit.ry(angles[qubit], qubit)
    for qubit in range(qubits - 1):
        circuit.cx(qubit, qubit + 1)
    for qubit in range(qubits):
        circuit.rz(angles[qubit], qubit)
    return circuit


def accuracy(train, test, labels, **options):
    """Of a support vector machine that learns from `train` and is asked about `test`."""
    machine = SVC(C=10, **options).fit(train, labels[: len(train)])
    return machine.score(test, labels[len(train) :])


def main(arguments=None):
    """Computes the kernel, says how, and classifies with it.

    Args:
        arguments: The command line's words; those of this process when not given.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=28, help="pixels of an edge (28)")
    parser.add_argument("--samples", type=int, default=1000, help="images (1000)")
    parser.add_argument("--bandwidth", type=float, default=0.1, help="angle of a full pixel (0.1)")
    options = parser.parse_args(arguments)

    pixels, labels = images(options.side, options.samples)
    circuit = embedding(options.side**2)
    started = time.perf_counter()
    kernel, report = kernel_matrix(
        options.bandwidth * pixels, feature_map=circuit, method="mps", return_report=True
    )
    seconds = time.perf_counter() - started
    print(report)
    pairs = len(kernel) * (len(kernel) - 1) // 2
    print(f"{pairs} pairs of {circuit.num_qubits} qubits in {seconds:.1f} s")
    if circuit.num_qubits <= 12:
        exact = kernel_matrix(
            options.bandwidth * pixels, feature_map=circuit, method="statevectors"
        )
        print(f"state vectors agree to {np.abs(kernel - exact).max():.0e}")

    half = len(labels) // 2
    quantum = accuracy(kernel[:half, :half], kernel[half:, :half], labels, kernel="precomputed")
    gaussian = accuracy(pixels[:half], pixels[half:], labels)
    print(f"accuracy of this kernel {quantum:.3f}, of a Gaussian {gaussian:.3f}")


if __name__ == "__main__":
    main()
