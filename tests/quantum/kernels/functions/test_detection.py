import functools
import pickle
from itertools import pairwise

import cloudpickle
import numpy as np
import pennylane as qml
import pytest

from shoal.quantum import kernel_matrix
from shoal.quantum.kernels.functions.detection import (
    KernelFallback,
    differing,
    fallback_warning,
    find_feature_map,
)

QUBITS = 3
ZEROS = np.zeros((2**QUBITS, 2**QUBITS))
ZEROS[0, 0] = 1
RNG = np.random.default_rng(0)
x = RNG.uniform(-2, 2, (4, 2))


def angles(a):
    for wire in range(QUBITS):
        qml.RX(a[wire % 2], wires=wire)
    for wire in range(QUBITS - 1):
        qml.CNOT([wire, wire + 1])


def products(a):
    for wire in range(QUBITS):
        qml.Hadamard(wire)
        qml.RZ(a[wire % 2], wires=wire)
    for wire in range(QUBITS - 1):
        qml.IsingZZ(a[0] * a[1], wires=[wire, wire + 1])
    qml.S(1)
    qml.Rot(a[0], 0.3, a[1], wires=2)


def templates(a):
    qml.AngleEmbedding(a, wires=range(2), rotation="Y")
    qml.IQPEmbedding(a, wires=range(1, 3), n_repeats=2)
    qml.QubitUnitary(np.array([[0.6, 0.8], [0.8, -0.6]]), wires=0)


MEASURED = {
    "probs": lambda: qml.probs(wires=range(QUBITS)),
    "all probs": qml.probs,
    "hermitian": lambda: qml.expval(qml.Hermitian(ZEROS, wires=range(QUBITS))),
    "projector": lambda: qml.expval(qml.Projector([0] * QUBITS, wires=range(QUBITS))),
    "state projector": lambda: qml.expval(qml.Projector(ZEROS[0], wires=range(QUBITS))),
    "product": lambda: qml.expval(qml.prod(*(qml.Projector([0], wires=w) for w in range(QUBITS)))),
}


def inversion_test(embedding, measured=MEASURED["probs"], device="lightning.qubit", **options):
    @qml.qnode(qml.device(device, wires=QUBITS), **options)
    def test(a, b):
        embedding(a)
        qml.adjoint(embedding)(b)
        return measured()

    return test


def value_of_states(feature_map, a, b):
    states = []
    for row in (a, b):
        tape = qml.tape.make_qscript(feature_map)(row)
        script = qml.tape.QuantumScript(tape.operations, [qml.state()])
        states.append(qml.execute([script], qml.device("default.qubit", wires=QUBITS))[0])
    return abs(np.vdot(*states)) ** 2


def is_found(kernel):
    found = find_feature_map(kernel, 2)
    if found.feature_map is None:
        return False
    assert found.simulator
    for a, b in pairwise(x):
        expected = found.kernel(a, b)
        assert value_of_states(found.feature_map, a, b) == pytest.approx(expected, abs=1e-12)
    return True


@pytest.mark.parametrize("embedding", [angles, products, templates])
@pytest.mark.parametrize("measured", MEASURED)
def test_an_inversion_test_is_found_and_its_feature_map_gives_its_values(embedding, measured):
    assert is_found(inversion_test(embedding, MEASURED[measured]))


@pytest.mark.parametrize("device", ["default.qubit", "reference.qubit", "shoal.parallel"])
def test_it_is_found_on_any_simulator_of_states(device):
    assert find_feature_map(inversion_test(angles, device=device), 2).feature_map is not None


def test_the_kernel_of_the_forum_is_found_as_it_was_written():
    @qml.qnode(qml.device("lightning.qubit", wires=QUBITS))
    def kernel(x1, x2):
        for i in range(QUBITS):
            qml.RX(x1[i % 2], wires=[i])
        for i in range(QUBITS - 1):
            qml.CNOT(wires=[i, i + 1])
        for i in range(QUBITS - 2, -1, -1):
            qml.CNOT(wires=[i, i + 1])
        for i in range(QUBITS - 1, -1, -1):
            qml.RX(-1 * x2[i % 2], wires=[i])
        return qml.expval(qml.Hermitian(ZEROS, wires=range(QUBITS)))

    assert is_found(kernel)


def test_gates_may_be_undone_in_another_order_where_they_commute():
    @qml.qnode(qml.device("lightning.qubit", wires=QUBITS))
    def kernel(a, b):
        for wire in range(QUBITS):
            qml.Hadamard(wire)
        for sign, row in ((1, a), (-1, b)):  # diagonal gates, in the same order both times
            for wire in range(QUBITS):
                qml.RZ(sign * row[wire % 2], wires=wire)
            for wire in range(QUBITS - 1):
                qml.IsingZZ(sign * row[0] * row[1], wires=[wire, wire + 1])
        for wire in range(QUBITS):
            qml.Hadamard(wire)
        return qml.probs(wires=range(QUBITS))

    assert is_found(kernel)


probabilities = inversion_test(angles)
state = inversion_test(angles, qml.state)
SCALE = 0.5


def scaled(a, b):
    return helper(SCALE * a, SCALE * b)


def helper(a, b):
    return probabilities(a, b)[0]


class Owner:
    def __init__(self):
        self.qnode = inversion_test(products)

    def kernel(self, a, b):
        return self.qnode(a, b)[0]

    __call__ = kernel


@pytest.mark.parametrize(
    "kernel",
    [
        lambda a, b: probabilities(a, b)[0],
        lambda a, b: float(probabilities(a, b)[0]),
        lambda a, b: abs(state(a, b)[0]) ** 2,
        lambda a, b, qnode=probabilities: qnode(a, b)[0],
        scaled,
        functools.partial(scaled),
        Owner(),
        Owner().kernel,
    ],
)
def test_a_function_around_a_qnode_is_looked_into(kernel):
    assert is_found(kernel)


def test_looking_runs_no_circuit_and_changes_nothing():
    class Refusing(qml.devices.DefaultQubit):
        name = "default.qubit"

        def execute(self, circuits, execution_config=None):
            raise AssertionError("a circuit was run")

    qnode = qml.QNode(probabilities.func, Refusing(wires=QUBITS))

    def kernel(a, b):
        return qnode(a, b)[0]

    before = dict(vars(qnode)), kernel.__closure__[0].cell_contents
    assert find_feature_map(kernel, 2).feature_map is not None
    assert (dict(vars(qnode)), kernel.__closure__[0].cell_contents) == before


def both(a, b):
    angles(a)
    angles(b)
    return qml.probs(wires=range(QUBITS))


def one_sided(a, b):
    angles(a + b)
    qml.adjoint(angles)(a + b)
    return qml.probs(wires=range(QUBITS))


def between(a, b):
    angles(a)
    qml.RY(0.1, wires=0)
    qml.RY(0.1, wires=0)
    qml.adjoint(angles)(b)
    return qml.probs(wires=range(QUBITS))


def with_noise(a, b):
    angles(a)
    qml.AmplitudeDamping(0.1, wires=0)
    qml.AmplitudeDamping(0.1, wires=0)
    qml.adjoint(angles)(b)
    return qml.probs(wires=range(QUBITS))


def on_one_wire(a, b):
    angles(a)
    qml.adjoint(angles)(b)
    return qml.probs(wires=0)


def of_ones(a, b):
    angles(a)
    qml.adjoint(angles)(b)
    return qml.expval(qml.Projector([1] * QUBITS, wires=range(QUBITS)))


def odd(a, b):
    angles(a)
    qml.adjoint(angles)(b)
    qml.RX(0.1, wires=0)
    return qml.probs(wires=range(QUBITS))


def constant(a, b):
    qml.RX(0.4, wires=0)
    qml.RX(-0.4, wires=0)
    return qml.probs(wires=range(QUBITS))


def looking(a, b):
    if a[0] > b[0]:
        raise RuntimeError("only in order")
    return on_one_wire(a, b)


@pytest.mark.parametrize(
    ("circuit", "why"),
    [
        (both, "does not undo the first"),
        (one_sided, "depends on x2"),
        (between, "does not undo"),
        (with_noise, "AmplitudeDamping cannot be undone"),
        (on_one_wire, "not all that it uses"),
        (of_ones, "not the probability that all qubits are 0"),
        (odd, "not two halves"),
        (constant, "does not depend on x1"),
        (looking, "RuntimeError: only in order"),
    ],
)
def test_what_is_no_inversion_test_is_not_taken_for_one(circuit, why):
    found = find_feature_map(qml.QNode(circuit, qml.device("default.qubit", wires=QUBITS)), 2)
    assert found.feature_map is None
    assert why in found.why


@pytest.mark.parametrize(
    ("kernel", "why"),
    [
        (lambda a, b: 1 - probabilities(a, b)[0], "something else"),
        (lambda a, b: probabilities(a, b)[0] ** 2, "something else"),
        (lambda a, b: probabilities(a, b)[1], "something else"),
        (lambda a, b: sum(probabilities(a, b)), "something else"),
        (functools.partial(probabilities), "something else"),
        (lambda a, b: probabilities(a, b)[0] * probabilities(b, a)[0], "runs 2 circuits"),
        (lambda a, b: 0.5 if a[0] > 0 else probabilities(a, b)[0], "runs 0 circuits"),
        (lambda a, b: np.exp(-np.sum((a - b) ** 2)), "no QNode"),
        (max, "no QNode"),
        (state, "returns a state"),
        (inversion_test(angles, device="default.mixed"), "default.mixed"),
        (qml.set_shots(probabilities, 100), "counts shots"),
    ],
)
def test_a_function_that_is_something_else_is_left_alone(kernel, why):
    found = find_feature_map(kernel, 2)
    assert found.feature_map is None
    assert why in found.why
    assert found.kernel is kernel


def test_a_qnode_that_returns_all_probabilities_is_a_kernel_by_the_first():
    found = find_feature_map(probabilities, 2)
    assert found.kernel(x[0], x[1]) == probabilities(x[0], x[1])[0]


def test_the_feature_map_and_the_kernel_travel():
    found = find_feature_map(inversion_test(angles, device="default.qubit"), 2)
    feature_map, kernel = pickle.loads(cloudpickle.dumps((found.feature_map, found.kernel)))
    assert value_of_states(feature_map, x[0], x[1]) == pytest.approx(kernel(x[0], x[1]), abs=1e-12)


def test_a_matrix_with_other_values_is_told_and_a_right_one_is_not():
    found = find_feature_map(probabilities, 2)
    matrix = np.array([[found.kernel(a, b) for b in x] for a in x])
    assert differing(found.kernel, x, None, matrix, pairs=20) == []
    lines = differing(found.kernel, x, None, matrix + 1e-3, pairs=2)
    assert len(lines) == 2
    assert all("by its feature map" in line for line in lines)
    warning = fallback_warning(lines)
    assert isinstance(warning, KernelFallback)
    assert lines[0] in str(warning)
    assert differing(found.kernel, x, None, np.full((4, 4), np.nan), pairs=1)


def test_a_kernel_in_single_precision_may_differ_by_as_much():
    matrix = np.array([[probabilities(a, b)[0] for b in x] for a in x])

    def single(a, b):
        return np.float32(probabilities(a, b)[0])

    assert differing(single, x, None, matrix + 1e-5, pairs=5) == []
    assert differing(single, x, None, matrix + 1e-3, pairs=5)


def loop(kernel, rows, columns):
    return np.array([[kernel(a, b) for b in columns] for a in rows])


def test_the_matrix_of_an_inversion_test_is_computed_from_its_states():
    matrix, report = kernel_matrix(x, kernel=probabilities, return_report=True)
    assert report.method != "pairs"
    assert "inversion test" in report.why
    assert np.abs(matrix - loop(lambda a, b: probabilities(a, b)[0], x, x)).max() < 1e-12
    block = kernel_matrix(x, x[:2], kernel=scaled)
    assert np.abs(block - loop(scaled, x, x[:2])).max() < 1e-12


def extra_gate_where(condition):
    """An inversion test but for the rows that meet a condition."""

    @qml.qnode(qml.device("lightning.qubit", wires=QUBITS))
    def kernel(a, b):
        angles(a)
        if condition(a):
            qml.RY(0.5, wires=0)
            qml.RY(0.7, wires=1)
        qml.adjoint(angles)(b)
        return qml.expval(qml.Projector([0] * QUBITS, wires=range(QUBITS)))

    return kernel


@pytest.mark.parametrize("verify", [0, 3])
def test_a_kernel_that_only_looks_like_one_is_computed_pair_by_pair_with_a_warning(verify):
    rows = np.concatenate([RNG.uniform(0, 2, (6, 2)), [[5.5, 1.0]]])
    kernel = extra_gate_where(lambda a: a[0] > 5)
    with pytest.warns(KernelFallback, match="Every pair is computed by the kernel itself"):
        matrix, report = kernel_matrix(
            rows, rows[::-1], kernel=kernel, verify=verify, return_report=True
        )
    assert report.method == "pairs"
    assert np.array_equal(matrix, loop(kernel, rows, rows[::-1]))


def test_a_device_that_computes_something_else_is_noticed():
    class Wrong(qml.devices.DefaultQubit):
        name = "default.qubit"

        def execute(self, circuits, execution_config=None):
            found = super().execute(circuits, execution_config or qml.devices.ExecutionConfig())
            return tuple(0.9 * np.asarray(each) for each in found)

    kernel = inversion_test(angles, MEASURED["projector"])
    kernel = qml.QNode(kernel.func, Wrong(wires=QUBITS))
    with pytest.warns(
        KernelFallback, match=r"kernel\(x\[\d\], x\[\d\]\) is .*, by its feature map"
    ):
        matrix = kernel_matrix(x, kernel=kernel)
    assert np.allclose(matrix.diagonal(), 0.9)


@pytest.mark.slow
def test_a_qnode_that_is_no_inversion_test_runs_in_workers_too():
    kernel = extra_gate_where(lambda a: True)
    options = {"kernel": kernel, "executor": "processes", "max_workers": 2}
    matrix, report = kernel_matrix(x, x[:2], return_report=True, **options)
    assert report.method == "pairs"
    assert np.abs(matrix - loop(kernel, x, x[:2])).max() < 1e-14


@pytest.mark.slow
def test_a_qnode_compiled_by_jax_is_looked_into():
    jax = pytest.importorskip("jax")
    compiled = jax.jit(inversion_test(angles, MEASURED["hermitian"], "default.qubit"))
    for kernel in (compiled, lambda a, b: float(compiled(a, b))):
        matrix, report = kernel_matrix(x, kernel=kernel, return_report=True)
        assert report.method != "pairs"
        assert np.abs(matrix - loop(kernel, x, x)).max() < 1e-5


def test_threads_are_refused_for_a_function_that_calls_a_lightning_device():
    with pytest.raises(ValueError, match="executor='threads' with <function twice.*lightning"):
        kernel_matrix(x, kernel=twice, executor="threads")


def twice(a, b):
    return helper(a, b) * helper(b, a)
