import numpy as np
import pennylane as qml
import pytest
from pennylane import numpy as pnp
from qiskit.circuit import Parameter, ParameterVector, QuantumCircuit

from shoal.quantum.kernels.learning.alignment import (
    KernelAlignment,
    target_alignment,
    train_kernel,
)

RNG = np.random.default_rng(0)
x = RNG.uniform(-1, 1, (7, 2))
labels = np.array([1, 1, -1, 1, -1, -1, -1])
weights = RNG.uniform(0, 2 * np.pi, (2, 3))


def ansatz(row, own):
    for layer in own:
        for wire in range(3):
            qml.RX(row[wire % 2] * layer[0], wire)
            qml.RY(layer[wire], wire)
        qml.CNOT([0, 1])
        qml.CRZ(layer[1] * layer[2], [1, 2])


def by_pennylane(given, rows=x, of=labels, rescale=True):
    @qml.qnode(qml.device("default.qubit", wires=3), diff_method="backprop")
    def circuit(a, b):
        ansatz(a, given)
        qml.adjoint(ansatz)(b, given)
        return qml.probs(wires=range(3))

    return qml.kernels.target_alignment(
        rows, of, lambda a, b: circuit(a, b)[0], rescale_class_labels=rescale
    )


def circuit_of_qiskit():
    features, own = ParameterVector("x", 2), [Parameter("a"), Parameter("z")]
    circuit = QuantumCircuit(2)
    circuit.ry(features[0] * own[1], 0)
    circuit.rx(features[1] + own[0], 1)
    circuit.cx(0, 1)
    circuit.ry(own[0], 1)
    circuit.rx(features[0], 1)
    return circuit


@pytest.mark.parametrize("rescale", [True, False])
def test_value_and_derivative_are_those_of_pennylane(rescale):
    few, own = x[:4], labels[:4]
    value, slopes = KernelAlignment(ansatz, few, own, rescale=rescale)(weights)
    assert value == pytest.approx(by_pennylane(weights, few, own, rescale), abs=1e-12)
    traced = pnp.array(weights, requires_grad=True)
    expected = qml.grad(lambda given: by_pennylane(given, few, own, rescale))(traced)
    assert slopes.shape == weights.shape
    assert np.abs(slopes - expected).max() < 1e-12


def test_some_samples_are_looked_at_as_if_they_were_all():
    chosen = [0, 2, 3, 3]
    value, _ = KernelAlignment(ansatz, x, labels)(weights, chosen)
    assert value == pytest.approx(by_pennylane(weights, x[chosen], labels[chosen]), abs=1e-12)


def test_samples_of_one_class_align_with_ones():
    value, _ = KernelAlignment(ansatz, x, labels)(weights, [0, 1])
    assert value == pytest.approx(by_pennylane(weights, x[:2], labels[:2]), abs=1e-12)


def test_parameters_of_a_circuit_that_are_not_given_are_the_features():
    objective = KernelAlignment(circuit_of_qiskit(), x, labels, reps=2)
    given = {"z": 0.7, "a": 0.2}
    _, slopes = objective(given)
    assert list(slopes) == ["z", "a"]
    for name in given:
        ahead, behind = (objective({**given, name: given[name] + h})[0] for h in (1e-6, -1e-6))
        assert slopes[name] == pytest.approx((ahead - behind) / 2e-6, abs=1e-7)


@pytest.mark.parametrize("batch_size", [None, 4])
def test_training_raises_the_alignment(batch_size):
    options = {"steps": 40, "learning_rate": 0.1, "batch_size": batch_size}
    trained = train_kernel(ansatz, x, labels, weights, **options)
    objective = KernelAlignment(ansatz, x, labels)
    assert objective(trained.weights)[0] > objective(weights)[0] + 0.05
    assert len(trained.alignments) == 40
    again = train_kernel(ansatz, x, labels, weights, **options)
    assert np.array_equal(trained.weights, again.weights)


def test_training_takes_names_of_parameters_too():
    trained = train_kernel(circuit_of_qiskit(), x, labels, {"a": 0.2, "z": 0.7}, steps=5)
    assert set(trained.weights) == {"a", "z"}


def test_the_alignment_of_more_than_two_classes_is_1_where_the_kernel_tells_them_apart():
    classes = np.repeat(["a", "b", "c"], 2)
    perfect = np.where(classes[:, None] == classes, 1.0, -0.5)
    assert target_alignment(perfect, classes) == pytest.approx(1)
    assert target_alignment(np.eye(6), classes) == pytest.approx(
        6 / np.sqrt(6 * (12 * 1 + 24 * 0.25))
    )


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: target_alignment(np.eye(3), [1, -1]), ValueError, r"shape \(3, 3\).*\(2, 2\)"),
        (lambda: target_alignment(np.eye(2), [[1], [2]]), ValueError, "one for each sample"),
        (lambda: KernelAlignment(ansatz, x, [1, -1]), ValueError, "2 labels: expected 7"),
        (lambda: KernelAlignment(ansatz, x[:0], []), ValueError, "expected"),
        (lambda: KernelAlignment(ansatz, x * np.nan, labels), ValueError, r"x\[0, 0\] = nan"),
        (lambda: train_kernel(ansatz, x, labels, weights, steps=0), ValueError, "steps=0"),
        (lambda: train_kernel(ansatz, x, labels, weights, batch_size=1), ValueError, "batch_size"),
        (
            lambda: train_kernel(ansatz, x, labels, weights, learning_rate=0),
            ValueError,
            "learning_rate=0",
        ),
        (
            lambda: train_kernel(circuit_of_qiskit(), x, labels, [0.2, 0.7]),
            TypeError,
            "mapping of the circuit's parameters",
        ),
        (lambda: KernelAlignment(ansatz, x, labels, reps=0)(weights), ValueError, "reps=0"),
        (lambda: train_kernel(ansatz, x, labels, weights, seed="a"), TypeError, "seed"),
    ],
)
def test_bad_arguments_are_refused(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_a_map_that_looks_at_its_features_is_refused():
    def looking(row, own):
        qml.RX(own[0] if row[0] > 0 else row[1], 0)

    with pytest.raises(ValueError, match="looks at the values"):
        KernelAlignment(looking, x, labels)(np.array([0.1]))
