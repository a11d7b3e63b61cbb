"""The classifier of a question in PennyLane's forum, with the kernel function it was asked about.

Run it as ``python examples/forum_qsvm.py``; ``--help`` lists the options. "Parallelization of
circuit executions" trained a support vector machine with a kernel of one circuit for each pair of
samples: 41 seconds, 4 with lightning, and half a million circuits for a thousand samples. Here the
same function is the kernel. shoal finds the inversion test in it, prepares one state for each
sample instead, and compares some entries with the function itself. It needs shoal with the extras
``kernels`` and ``pennylane``; ``--picture kernel.png`` also ``plots``.
"""

import argparse
from time import perf_counter

import numpy as np
import pennylane as qml
from sklearn.datasets import make_moons
from sklearn.model_selection import train_test_split
from sklearn.svm import SVC

from shoal.quantum import FidelityKernel, kernel_matrix, plot_kernel


def forum_kernel(n_qubits):
    """The kernel of the forum: embedding, entangling chain, its inverse, inverse embedding.

    Args:
        n_qubits: From 2.
    """
    projector = np.zeros((2**n_qubits, 2**n_qubits))
    projector[0, 0] = 1

    @qml.qnode(qml.device("lightning.qubit", wires=n_qubits))
    def kernel(x1, x2):
        for i in range(n_qubits):
            qml.RX(x1[i % len(x1)], wires=[i])
        for i in range(n_qubits - 1):
            qml.CNOT(wires=[i, i + 1])
        for i in range(n_qubits - 2, -1, -1):
            qml.CNOT(wires=[i, i + 1])
        for i in range(n_qubits - 1, -1, -1):
            qml.RX(-1 * x2[i % len(x2)], wires=[i])
        return qml.expval(qml.Hermitian(projector, wires=range(n_qubits)))

    return kernel


def main(arguments=None):
    """Times the function pair by pair and the matrix at once, and trains the classifier.

    Args:
        arguments: The command line's words; those of this process when not given.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=1000, help="samples to train with (1000)")
    parser.add_argument("--qubits", type=int, default=8, help="qubits of the circuit (8)")
    parser.add_argument("--picture", help="file for a picture of the kernel matrix")
    options = parser.parse_args(arguments)

    kernel = forum_kernel(options.qubits)
    x, labels = make_moons(options.samples + 200, noise=0.15, random_state=0)
    x, x_test, labels, labels_test = train_test_split(x, labels, test_size=200, random_state=0)

    kernel(x[0], x[1])  # the first call is longer
    begun = perf_counter()
    some = [kernel(a, b) for a, b in zip(x[:20], x[20:40], strict=False)]
    each = (perf_counter() - begun) / len(some)
    pairs = len(x) * (len(x) - 1) // 2
    print(f"  one pair        {each * 1e3:9.3f} ms, so {each * pairs:.0f} s for {pairs} pairs")

    begun = perf_counter()
    matrix, report = kernel_matrix(x, kernel=kernel, return_report=True)
    print(f"  the matrix      {(perf_counter() - begun) * 1e3:9.0f} ms")
    print(f"  how             {report.method}: {report.why}")
    assert np.allclose(some, [matrix[i, 20 + i] for i in range(len(some))], rtol=0, atol=1e-10)

    begun = perf_counter()
    classifier = SVC(kernel=FidelityKernel(kernel=kernel)).fit(x, labels)
    accuracy = classifier.score(x_test, labels_test)
    print(f"  fit and score   {(perf_counter() - begun) * 1e3:9.0f} ms, accuracy {accuracy:.3f}")
    if options.picture:
        plot_kernel(matrix, labels).figure.savefig(options.picture)


if __name__ == "__main__":
    main()
