"""Quantum kernels on three data sets, each beside the ordinary Gaussian kernel.

Run it as ``python examples/kernel_datasets.py``; ``--help`` lists the options. Handwritten digits,
breast cancer and wine, which scikit-learn brings along, are reduced to ten features, embedded in
ten qubits and classified by a support vector machine. The bandwidth of each kernel is found by
cross validation. The accuracies differ from those of the Gaussian kernel, which needs no circuit,
by a few samples this way or that: no advantage is to be seen. It needs shoal with the extras
``kernels`` and ``pennylane``.
"""

import argparse
from time import perf_counter

import numpy as np
import pennylane as qml
from sklearn import datasets
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from shoal.quantum import FidelityKernel, ProjectedKernel

DATASETS = {
    "breast_cancer": datasets.load_breast_cancer,
    "wine": datasets.load_wine,
    "digits": datasets.load_digits,
}
BANDWIDTHS = [0.1, 0.3, 0.6, 1.0]


def embedding(x):
    """A rotation for each feature, and a chain of entangling gates."""
    for wire in range(len(x)):
        qml.RY(x[wire], wire)
    for wire in range(len(x) - 1):
        qml.CZ([wire, wire + 1])


def classifiers():
    """Each kernel's classifier, and the values that its bandwidth is sought among."""
    fidelity = SVC(kernel=FidelityKernel(embedding, reps=2), C=10)
    projected = SVC(kernel=ProjectedKernel(embedding, reps=2), C=10)
    gaussian = SVC(kernel="rbf", C=10)
    return {
        "fidelity": (fidelity, {"svc__kernel__bandwidth": BANDWIDTHS}),
        "projected": (projected, {"svc__kernel__bandwidth": BANDWIDTHS}),
        "Gaussian": (gaussian, {"svc__gamma": [value**2 / 2 for value in BANDWIDTHS]}),
    }


def compare(name, most):
    """Prints the accuracy of each kernel on samples that were not trained with.

    Args:
        name: Of a data set.
        most: Samples to use at most.
    """
    x, labels = DATASETS[name](return_X_y=True)
    chosen = np.random.default_rng(0).permutation(len(x))[:most]
    split = train_test_split(
        x[chosen], labels[chosen], test_size=0.3, random_state=0, stratify=labels[chosen]
    )
    x, x_test, labels, labels_test = split
    for kernel, (classifier, grid) in classifiers().items():
        reduced = make_pipeline(StandardScaler(), PCA(10), StandardScaler(), classifier)
        begun = perf_counter()
        search = GridSearchCV(reduced, grid, cv=3).fit(x, labels)
        accuracy = search.score(x_test, labels_test)
        [chosen_value] = search.best_params_.values()
        print(
            f"  {name:14} {len(x):5} {len(x_test):5}   {kernel:10} {chosen_value:9.3g}"
            f" {accuracy:9.3f} {perf_counter() - begun:9.1f}"
        )


def main(arguments=None):
    """Compares the kernels on each data set.

    Args:
        arguments: The command line's words; those of this process when not given.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--datasets", nargs="+", choices=DATASETS, default=[*DATASETS])
    parser.add_argument("--samples", type=int, default=2000, help="at most so many (2000)")
    options = parser.parse_args(arguments)

    print("  data set       train  test   kernel     bandwidth  accuracy   seconds")
    for name in options.datasets:
        compare(name, options.samples)


if __name__ == "__main__":
    main()
