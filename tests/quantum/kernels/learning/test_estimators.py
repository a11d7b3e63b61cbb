import pickle

import numpy as np
import pennylane as qml
import pytest
from qiskit.circuit import Parameter
from qiskit.circuit.library import zz_feature_map
from qiskit_machine_learning.kernels import FidelityStatevectorKernel
from sklearn.base import clone
from sklearn.datasets import make_moons
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR
from sklearn.utils.estimator_checks import check_estimator

from shoal.quantum import FidelityKernel, ProjectedKernel, kernel_matrix
from shoal.quantum.kernels.learning import estimators

x, labels = make_moons(40, noise=0.1, random_state=0)
x_test, labels_test = make_moons(20, noise=0.1, random_state=1)


def rotations(row, weights=(0.3, 0.4)):
    for wire in range(2):
        qml.RY(row[wire], wire)
    qml.CNOT([0, 1])
    for wire in range(2):
        qml.RZ(row[wire] * weights[0], wire)
        qml.RX(weights[1], wire)


def by_hand(a, b):
    return FidelityKernel(rotations)(a, b)


def one_wire_a_feature(row):
    for wire in range(len(row)):
        qml.RY(row[wire], wire)


KERNELS = [
    FidelityKernel(rotations, bandwidth=0.7, reps=2),
    FidelityKernel(zz_feature_map(2), bandwidth=0.3),
    ProjectedKernel(rotations, gamma=0.5),
]


@pytest.fixture
def computed(monkeypatch):
    """The shapes of all matrices that are computed; None in place of y for square ones."""
    shapes = []

    def noted(a, b=None, **options):
        shapes.append((len(a), None if b is None else len(b)))
        return kernel_matrix(a, b, **options)

    monkeypatch.setattr(estimators, "kernel_matrix", noted)
    return shapes


@pytest.mark.parametrize("kernel", KERNELS)
def test_callable_and_transformer_make_the_same_classifier(kernel):
    direct = SVC(kernel=kernel).fit(x, labels)
    through = make_pipeline(clone(kernel), SVC(kernel="precomputed")).fit(x, labels)
    assert np.array_equal(direct.predict(x_test), through.predict(x_test))
    assert direct.score(x_test, labels_test) > 0.6


def test_the_matrix_is_that_of_qiskit_machine_learning():
    circuit = zz_feature_map(2, reps=2)
    theirs = FidelityStatevectorKernel(feature_map=circuit)
    ours = FidelityKernel(circuit)
    assert np.abs(ours(x, x_test) - theirs.evaluate(x, x_test)).max() < 1e-12
    assert np.abs(ours(x) - theirs.evaluate(x)).max() < 1e-12


def test_the_matrix_is_that_of_pennylane():
    @qml.qnode(qml.device("default.qubit", wires=2))
    def circuit(a, b):
        rotations(a)
        qml.adjoint(rotations)(b)
        return qml.probs(wires=range(2))

    theirs = qml.kernels.kernel_matrix(x[:6], x_test[:5], lambda a, b: circuit(a, b)[0])
    assert np.abs(FidelityKernel(rotations)(x[:6], x_test[:5]) - theirs).max() < 1e-12
    assert np.abs(FidelityKernel(kernel=circuit)(x[:6], x_test[:5]) - theirs).max() < 1e-12


def test_bandwidth_scales_and_reps_repeat():
    twice = FidelityKernel(lambda row: (rotations(row), rotations(row)))
    assert np.allclose(FidelityKernel(rotations, reps=2)(x), twice(x), atol=1e-12)
    assert np.allclose(
        FidelityKernel(rotations, bandwidth=0.5)(x), FidelityKernel(rotations)(0.5 * x), atol=1e-12
    )
    circuit = zz_feature_map(2, reps=1)
    assert np.allclose(
        FidelityKernel(circuit, reps=2)(x), FidelityKernel(zz_feature_map(2, reps=2))(x), atol=1e-12
    )


def test_weights_go_to_a_function_as_its_second_argument_and_to_a_circuit_by_name():
    other = FidelityKernel(lambda row: rotations(row, (0.9, 0.1)))
    assert np.allclose(FidelityKernel(rotations, weights=[0.9, 0.1])(x), other(x), atol=1e-12)
    circuit = zz_feature_map(2)
    scale = Parameter("scale")
    circuit.crz(scale * circuit.parameters[0], 0, 1)
    circuit.h(1)
    circuit.ry(circuit.parameters[1], 1)
    bound = circuit.assign_parameters({scale: 0.4})
    for weights in ({"scale": 0.4}, {scale: 0.4}):
        found = FidelityKernel(circuit, weights=weights)(x)
        assert np.allclose(found, FidelityKernel(bound)(x), atol=1e-12)


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_matrix_of_the_training_data_is_symmetric_and_computed_once(kernel, computed):
    kernel = clone(kernel)
    matrix = kernel.fit_transform(x)
    again = kernel.transform(x.copy())
    block = kernel.transform(x_test)
    assert computed == [(40, None), (20, 40)]
    assert np.array_equal(matrix, matrix.T)
    assert np.array_equal(matrix, again)
    assert block.shape == (20, 40)
    matrix[:] = 0
    assert kernel.transform(x)[0, 0] != 0
    kernel.set_params(bandwidth=0.2).transform(x)
    assert computed[2:] == [(40, None)]
    kernel.fit(x_test).transform(x_test)
    assert computed[3:] == [(20, None)]


def test_equal_rows_make_a_symmetric_matrix_however_they_are_given(computed):
    kernel = FidelityKernel(rotations)
    kernel(x, x), kernel(x, x.copy()), kernel(x), kernel(x.tolist(), x)
    assert computed == [(40, None)] * 4


def test_parameters_are_seen_set_and_cloned():
    kernel = FidelityKernel(rotations, bandwidth=0.5, reps=2, weights=[0.1, 0.2])
    params = kernel.get_params()
    assert (params["bandwidth"], params["reps"], params["weights"]) == (0.5, 2, [0.1, 0.2])
    twin = clone(kernel.fit(x)).set_params(bandwidth=0.7)
    assert (kernel.bandwidth, twin.bandwidth) == (0.5, 0.7)
    assert not hasattr(twin, "x_fit_")
    classifier = SVC(kernel=kernel)
    assert classifier.get_params()["kernel__bandwidth"] == 0.5
    assert clone(classifier).set_params(kernel__reps=3).kernel.reps == 3


@pytest.mark.parametrize("n_jobs", [None, pytest.param(2, marks=pytest.mark.slow)])
def test_a_grid_search_finds_what_cross_validation_says(n_jobs):
    pipeline = make_pipeline(StandardScaler(), FidelityKernel(rotations), SVC(kernel="precomputed"))
    bandwidths = [0.01, 0.5, 8.0]
    search = GridSearchCV(
        pipeline, {"fidelitykernel__bandwidth": bandwidths}, cv=3, n_jobs=n_jobs
    ).fit(x, labels)
    scores = [
        cross_val_score(
            clone(pipeline).set_params(fidelitykernel__bandwidth=value), x, labels, cv=3
        ).mean()
        for value in bandwidths
    ]
    assert search.cv_results_["mean_test_score"].tolist() == scores
    direct = GridSearchCV(
        SVC(kernel=FidelityKernel(rotations)),
        {"kernel__bandwidth": bandwidths, "kernel__reps": [1, 2]},
        cv=3,
        n_jobs=n_jobs,
    ).fit(x, labels)
    assert direct.best_score_ > 0.7


@pytest.mark.parametrize("kind", [FidelityKernel, ProjectedKernel])
def test_scikit_learns_own_checks_pass(kind):
    check_estimator(kind(one_wire_a_feature), on_skip=None)


def test_a_fitted_kernel_travels_without_its_matrix():
    kernel = FidelityKernel(rotations).fit(x)
    matrix = kernel.transform(x)
    sent = pickle.dumps(kernel)
    assert len(sent) < matrix.nbytes
    assert np.array_equal(pickle.loads(sent).transform(x), matrix)


def test_other_estimators_take_it_too():
    fitted = SVR(kernel=FidelityKernel(rotations)).fit(x, x[:, 0])
    assert fitted.score(x, x[:, 0]) > 0.5
    fitted = SVC(kernel=by_hand).fit(x, labels)
    assert fitted.score(x, labels) > 0.7


@pytest.mark.parametrize("repair", ["clip", "nearest"])
def test_the_square_matrix_alone_is_repaired(repair):
    counted = FidelityKernel(rotations, shots=10, seed=1)
    repaired = clone(counted).set_params(repair=repair)
    assert np.array_equal(counted(x), counted(x).T)
    assert np.linalg.eigvalsh(counted(x))[0] < -0.1
    assert np.linalg.eigvalsh(repaired(x))[0] > -1e-9
    assert np.array_equal(repaired(x, x_test), counted(x, x_test))


def test_fit_trains_the_weights_where_it_is_asked_to():
    kernel = FidelityKernel(rotations, weights=[0.3, 0.4], train_steps=20, learning_rate=0.1)
    start = clone(kernel).set_params(train_steps=0).fit_transform(x)
    trained = kernel.fit_transform(x, labels)
    from shoal.quantum import target_alignment

    assert target_alignment(trained, labels) > target_alignment(start, labels)
    assert kernel.weights == [0.3, 0.4]
    assert not np.allclose(kernel.weights_, kernel.weights)


@pytest.mark.parametrize(
    ("kernel", "text"),
    [
        (FidelityKernel(), "a feature_map or a kernel"),
        (FidelityKernel(rotations, kernel=by_hand), "not both"),
        (FidelityKernel(kernel=by_hand, reps=2), "for a feature_map"),
        (FidelityKernel(rotations, bandwidth=0), "bandwidth=0"),
        (FidelityKernel(rotations, bandwidth=np.nan), "bandwidth=nan"),
        (FidelityKernel(rotations, bandwidth=None), "bandwidth=None"),
        (FidelityKernel(rotations, reps=0), "reps=0"),
        (FidelityKernel(rotations, repair="eig"), "repair='eig'"),
        (FidelityKernel(rotations, train_steps=3), "without weights to start from"),
        (FidelityKernel(rotations, weights=[0.1, 0.2], train_steps=3), "without labels"),
        (ProjectedKernel(), "feature_map=None"),
        (ProjectedKernel(rotations, gamma=-1), "gamma=-1"),
    ],
)
def test_bad_parameters_are_refused_when_there_are_data(kernel, text):
    with pytest.raises(ValueError, match=text):
        kernel.fit(x)


@pytest.mark.parametrize("kernel", KERNELS)
def test_bad_data_are_refused(kernel):
    kernel = clone(kernel)
    with pytest.raises(NotFittedError, match="call fit first"):
        kernel.transform(x)
    with pytest.raises(ValueError, match="NaN"):
        kernel.fit([[np.nan, 1.0]])
    with pytest.raises(ValueError, match="2D array"):
        kernel(x[0])
    with pytest.raises(ValueError, match="3 features, but .*Kernel is expecting 2 features"):
        kernel.fit(x).transform(np.ones((2, 3)))
