import multiprocessing
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pennylane as qml
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from qiskit.circuit.library import z_feature_map, zz_feature_map

from shoal.quantum import MPS, KernelFallback, KernelReport, StateVectors, kernel_matrix
from tests.quantum.kernels.maps import (
    circuits,
    embedding,
    fidelities,
    states_of,
    statevectors,
)

RNG = np.random.default_rng(0)
X, Y = RNG.uniform(-1, 1, (12, 4)), RNG.uniform(-1, 1, (5, 4))
ZZ = zz_feature_map(4)


def angles(gate, n=4):
    circuit, x = QuantumCircuit(n), ParameterVector("x", n)
    for qubit in range(n):
        getattr(circuit, gate)(x[qubit], qubit)
    return circuit


# --- what the entries are -------------------------------------------------------------------------


@pytest.mark.parametrize("name", circuits())
def test_entries_are_fidelities_of_qiskits_own_states(name):
    circuit = circuits()[name]
    n = circuit.num_parameters
    x, y = RNG.uniform(-2, 2, (7, n)), RNG.uniform(-2, 2, (4, n))
    one, other = statevectors(circuit, x), statevectors(circuit, y)
    np.testing.assert_allclose(kernel_matrix(x, feature_map=circuit), fidelities(one), atol=1e-12)
    np.testing.assert_allclose(
        kernel_matrix(x, y, feature_map=circuit), fidelities(one, other), atol=1e-12
    )


def test_entries_are_those_of_qiskit_machine_learning():
    from qiskit_machine_learning.kernels import FidelityStatevectorKernel

    peer = FidelityStatevectorKernel(feature_map=ZZ)
    np.testing.assert_allclose(kernel_matrix(X, feature_map=ZZ), peer.evaluate(X), atol=1e-12)
    np.testing.assert_allclose(kernel_matrix(X, Y, feature_map=ZZ), peer.evaluate(X, Y), atol=1e-12)


def test_entries_are_those_of_pennylanes_kernel_matrix():
    @qml.qnode(qml.device("default.qubit", wires=4))
    def k(x1, x2):
        embedding(x1)
        qml.adjoint(embedding)(x2)
        return qml.probs()

    expected = qml.kernels.kernel_matrix(X[:4], Y[:3], lambda a, b: k(a, b)[0])
    np.testing.assert_allclose(
        kernel_matrix(X[:4], Y[:3], feature_map=embedding), expected, atol=1e-12
    )


@pytest.mark.parametrize("gate", ["rx", "ry"])
def test_rotations_give_products_of_cosines(gate):
    expected = np.prod(np.cos((X[:, None] - Y[None]) / 2) ** 2, -1)
    for method in ("auto", "statevectors", "products", "mps"):
        found = kernel_matrix(X, Y, feature_map=angles(gate), method=method)
        np.testing.assert_allclose(found, expected, atol=1e-13)


def test_a_z_feature_map_gives_products_of_cosines():
    expected = np.prod(np.cos(X[:, None] - X[None]) ** 2, -1)
    found = kernel_matrix(X, feature_map=z_feature_map(4, 1))
    np.testing.assert_allclose(found, expected, atol=1e-13)


def test_basis_states_are_equal_or_orthogonal():
    bits = np.array([[0, 1, 0], [1, 1, 0], [0, 1, 0], [1, 1, 1]])
    found = kernel_matrix(np.pi * bits, feature_map=angles("rx", 3), method="statevectors")
    expected = (bits[:, None] == bits[None]).all(-1)
    np.testing.assert_allclose(found, expected, atol=1e-15)


@settings(max_examples=10, deadline=None)
@given(st.integers(2, 20), st.integers(0, 999), st.sampled_from(["auto", "mps"]))
def test_a_matrix_is_symmetric_positive_and_one_on_the_diagonal(count, seed, method):
    x = np.random.default_rng(seed).uniform(-3, 3, (count, 3))
    found = kernel_matrix(x, feature_map=circuits()["mixed" if method == "auto" else "paulis"])
    np.testing.assert_array_equal(found, found.T)
    np.testing.assert_allclose(np.diagonal(found), 1, atol=1e-13)
    assert np.linalg.eigvalsh(found).min() > -1e-12


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 999))
def test_the_order_of_samples_is_the_order_of_rows(seed):
    order = np.random.default_rng(seed).permutation(len(X))
    found = kernel_matrix(X[order], feature_map=ZZ)
    whole = kernel_matrix(X, feature_map=ZZ)
    np.testing.assert_allclose(found, whole[np.ix_(order, order)], atol=1e-13)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 999))
def test_a_unitary_that_is_common_to_all_changes_nothing(seed):
    rng = np.random.default_rng(seed)
    unitary = np.linalg.qr(rng.normal(size=(8, 8)) + 1j * rng.normal(size=(8, 8)))[0]
    circuit = ZZ.copy()
    circuit.unitary(unitary, [2, 0, 3])
    circuit.rx(0.3, 1)
    np.testing.assert_allclose(
        kernel_matrix(X, feature_map=circuit), kernel_matrix(X, feature_map=ZZ), atol=1e-12
    )


def test_equal_samples_have_equal_rows_and_kernel_1():
    twice = np.concatenate([X, X[:3]])
    found = kernel_matrix(twice, feature_map=ZZ)
    np.testing.assert_allclose(found[:3], found[-3:], atol=1e-13)
    np.testing.assert_allclose(found[[0, 1, 2], [12, 13, 14]], 1, atol=1e-13)


def test_one_sample_is_enough():
    np.testing.assert_allclose(kernel_matrix(X[:1], feature_map=ZZ), [[1.0]])
    assert kernel_matrix(X[:1], Y, feature_map=ZZ).shape == (1, 5)


# --- options --------------------------------------------------------------------------------------


def test_methods_agree():
    exact = kernel_matrix(X, feature_map=ZZ, method=StateVectors())
    np.testing.assert_allclose(kernel_matrix(X, feature_map=ZZ, method=MPS()), exact, atol=1e-12)


def test_single_precision_is_single_and_tells_its_error():
    found, report = kernel_matrix(X, feature_map=ZZ, dtype="complex64", return_report=True)
    assert found.dtype == np.float32
    assert 0 < report.precision_error < 1e-5
    np.testing.assert_allclose(found, kernel_matrix(X, feature_map=ZZ), atol=1e-5)


def test_shots_are_symmetric_repeatable_and_near_the_exact_values():
    exact = kernel_matrix(X, feature_map=ZZ)
    one, again, other = (
        kernel_matrix(X, feature_map=ZZ, shots=1000, seed=seed, max_workers=workers)
        for seed, workers in ((1, 1), (1, 2), (2, 1))
    )
    np.testing.assert_array_equal(one, one.T)
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()
    np.testing.assert_array_equal(np.diagonal(one), 1)
    assert np.abs(one - exact).max() < 0.1
    with_no_seed = [kernel_matrix(X, feature_map=ZZ, shots=1000) for _ in range(2)]
    assert (with_no_seed[0] != with_no_seed[1]).any()


def test_noise_is_not_symmetric_and_less_than_1():
    damping = [np.diag([1, np.sqrt(0.9)]), np.array([[0, np.sqrt(0.1)], [0, 0]])]
    found, report = kernel_matrix(
        X[:, :2], feature_map=zz_feature_map(2), noise=damping, return_report=True
    )
    assert report.method == "densities"
    assert report.precision_error is None
    assert np.diagonal(found).max() < 1
    assert (found != found.T).any()


@pytest.mark.parametrize("executor", ["serial", "threads", "processes"])
def test_executors_and_workers_do_not_change_the_bits(executor):
    x = RNG.uniform(-1, 1, (150, 4))
    alone = kernel_matrix(x, feature_map=ZZ, memory_bytes=200_000, executor="serial")
    found = kernel_matrix(x, feature_map=ZZ, memory_bytes=200_000, executor=executor, max_workers=2)
    np.testing.assert_array_equal(found, alone)


def test_states_that_do_not_fit_are_prepared_again():
    x = RNG.uniform(-1, 1, (200, 4))
    found, report = kernel_matrix(
        x, feature_map=ZZ, memory_bytes=40_000, return_report=True, max_workers=2
    )
    assert report.tile_edge < 64
    assert report.states > 200
    np.testing.assert_allclose(found, kernel_matrix(x, feature_map=ZZ), atol=1e-13)


def test_a_checkpoint_goes_on_and_refuses_another_circuit(tmp_path):
    from shoal.errors import CheckpointChanged

    path = tmp_path / "kernel"
    first = kernel_matrix(X, feature_map=ZZ, checkpoint=path)
    again, report = kernel_matrix(X, feature_map=ZZ, checkpoint=path, return_report=True)
    np.testing.assert_array_equal(first, again)
    assert (report.tiles, report.from_checkpoint) == (0, 1)
    with pytest.raises(CheckpointChanged, match="feature map"):
        kernel_matrix(X, feature_map=zz_feature_map(4, 1), checkpoint=path)


def test_shots_go_on_from_a_checkpoint_as_if_nothing_had_been_between(tmp_path):
    drawn = {"feature_map": ZZ, "shots": 50, "seed": 3}
    kernel_matrix(X[:8], **drawn, checkpoint=tmp_path / "kernel")
    found = kernel_matrix(X, **drawn, checkpoint=tmp_path / "kernel")
    np.testing.assert_array_equal(found, kernel_matrix(X, **drawn))


def test_a_matrix_has_the_same_bits_from_whichever_thread_it_is_asked_for():
    asked = {"x": RNG.uniform(-1, 1, (300, 8)), "feature_map": zz_feature_map(8, 2, "linear")}
    alone = kernel_matrix(**asked, memory_bytes=4_000_000, executor="serial")
    with ThreadPoolExecutor(3) as pool:
        for found in pool.map(lambda _: kernel_matrix(**asked, memory_bytes=4_000_000), range(3)):
            np.testing.assert_array_equal(found, alone)


def test_a_feature_map_that_looks_at_values_needs_no_device_that_threads_can_share():
    @qml.qnode(qml.device("lightning.qubit", wires=2))
    def branching(x):
        qml.RX(x[1], 0 if x[0] > 0 else 1)
        return qml.state()

    found, report = kernel_matrix(X, feature_map=branching, return_report=True)
    assert "looks at the values" in report.feature_map
    np.testing.assert_allclose(found, fidelities(np.array([branching(x) for x in X])), atol=1e-12)


def test_a_report_tells_what_was_done():
    found, report = kernel_matrix(X, Y, feature_map=ZZ, return_report=True)
    assert isinstance(report, KernelReport)
    assert (report.method, report.n_qubits, report.shape) == ("statevectors", 4, (12, 5))
    assert (report.states, report.tiles) == (17, 1)
    assert report.flops == 8 * 12 * 5 * 16
    assert set(report.seconds) == {"trace", "plan", "encode", "multiply", "total"}
    assert "traced from qiskit" in report.feature_map
    assert "gates and angles of 3 rows" in report.verification
    assert found.shape == (12, 5)


# --- functions k(x1, x2) --------------------------------------------------------------------------


def inversion_test(second=embedding):
    @qml.qnode(qml.device("default.qubit", wires=4))
    def k(x1, x2):
        embedding(x1)
        qml.adjoint(second)(x2)
        return qml.probs()

    return lambda a, b: k(a, b)[0]


def test_an_inversion_test_is_computed_from_states():
    found, report = kernel_matrix(X, kernel=inversion_test(), return_report=True)
    assert report.method == "statevectors"
    assert "inversion test" in report.why
    assert "3 pairs, by the kernel itself" in report.verification
    np.testing.assert_allclose(found, fidelities(states_of(embedding, X, 4)), atol=1e-12)
    drawn = kernel_matrix(X, kernel=inversion_test(), shots=100, seed=1)
    np.testing.assert_array_equal(drawn, drawn.T)


def gaussian(x1, x2):
    return float(np.exp(-np.sum((x1 - x2) ** 2)))


def test_any_other_function_is_called_for_each_pair():
    found, report = kernel_matrix(X[:4], Y, kernel=gaussian, return_report=True, executor="serial")
    assert (report.method, report.pairs) == ("pairs", 20)
    assert (report.executor, report.workers) == ("serial in this process", 1)
    np.testing.assert_array_equal(found, [[gaussian(a, b) for b in Y] for a in X[:4]])
    for option in ({"shots": 10}, {"method": "mps"}):
        with pytest.raises(ValueError, match="needs a feature map"):
            kernel_matrix(X, kernel=gaussian, **option)


def test_a_kernel_that_is_not_what_it_looks_like_is_called_for_each_pair_with_a_warning():
    k = inversion_test()

    class Shifting:
        def __call__(self, a, b):
            return k(a, b) ** 2

        @property
        def qnode(self):
            return k

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = kernel_matrix(X[:3], Y[:3], kernel=Shifting(), executor="serial")
    expected = fidelities(states_of(embedding, X[:3], 4), states_of(embedding, Y[:3], 4)) ** 2
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert all(each.category is KernelFallback for each in caught)


# --- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"x": np.full((2, 4), np.nan)}, r"x\[0, 0\] = nan"),
        ({"y": np.full((2, 4), np.inf)}, r"y\[0, 0\] = inf"),
        ({"x": np.full((1, 4), 1e200)}, "cannot take the features"),
        ({"x": np.ones((2, 3))}, "4 parameters .* x has 3 features"),
        ({"y": np.ones((2, 3))}, "y has 3 features, x has 4"),
        ({"x": np.ones((0, 4))}, "at least one sample"),
        ({"x": np.ones(4)}, "single sample"),
        ({"feature_map": QuantumCircuit(2)}, "no parameters"),
        ({"shots": 0}, "shots=0"),
        ({"verify": -1}, "verify=-1"),
        ({"dtype": "float32"}, "dtype="),
        ({"method": "magic"}, "method='magic'"),
        ({"method": "products"}, "entangles"),
        ({"method": "projected", "shots": 10}, "no probabilities"),
        ({"memory_bytes": 100}, "memory_bytes=100: a tile of one row and one column needs"),
        ({"memory_bytes": 0}, "memory_bytes=0"),
        ({"executor": "magic"}, "executor='magic'"),
        ({"max_workers": 0}, "max_workers=0"),
        ({"seed": -1}, "seed=-1"),
        ({"shots": 10, "checkpoint": "kernel"}, "seed=None with shots and a checkpoint"),
    ],
)
def test_values_that_make_no_sense_are_refused(options, text):
    with pytest.raises(ValueError, match=text):
        kernel_matrix(**{"x": X, "feature_map": ZZ, **options})


@pytest.mark.parametrize(
    "options",
    [
        {"feature_map": None},
        {"kernel": len},
        {"feature_map": 3},
        {"x": X + 1j},
        {"shots": 1.5},
        {"noise": "strong"},
        {"seed": "a"},
        {"progress": 3},
        {"memory_bytes": "much"},
        {"method": 3},
    ],
)
def test_arguments_of_the_wrong_kind_are_refused(options):
    with pytest.raises(TypeError):
        kernel_matrix(**{"x": X, "feature_map": ZZ, **options})


def test_samples_are_not_changed():
    x = X.copy()
    kernel_matrix(x, feature_map=ZZ)
    np.testing.assert_array_equal(x, X)


def test_no_process_is_started_unless_asked():
    before = {child.pid for child in multiprocessing.active_children()}
    kernel_matrix(X, feature_map=ZZ)
    assert {child.pid for child in multiprocessing.active_children()} <= before


@pytest.mark.slow
def test_a_matrix_of_thousands_of_rows_is_symmetric_and_exact_where_it_is_looked_at():
    x = RNG.uniform(-1, 1, (3000, 8))
    circuit = zz_feature_map(8, 2, "linear")
    found = kernel_matrix(x, feature_map=circuit, memory_bytes=1 << 24)
    np.testing.assert_array_equal(found, found.T)
    chosen = RNG.choice(3000, 20)
    expected = fidelities(statevectors(circuit, x[chosen]))
    np.testing.assert_allclose(found[np.ix_(chosen, chosen)], expected, atol=1e-12)
