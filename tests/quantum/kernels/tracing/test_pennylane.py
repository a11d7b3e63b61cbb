from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pennylane as qml
import pytest

from shoal.quantum.kernels.states import prepare
from shoal.quantum.kernels.tracing import GateTable, LibraryStates, trace
from tests.quantum.kernels.maps import embedding, fidelities, states_of

ROWS = np.random.default_rng(0).uniform(0.1, 1.2, (4, 4))


def branching(x):
    if x[0] > 0.5:
        qml.Hadamard(0)
    qml.RX(x[1], 0)


def amplitudes(x):
    qml.AmplitudeEmbedding(x, wires=[0, 1], normalize=True)


def through_math(x):
    qml.RX(float(x[0]) ** 2, 0)
    qml.RY(x[1], 1)


def with_matrix(x):
    qml.RX(x[0], 1)
    qml.QubitUnitary(np.linalg.qr(np.arange(16).reshape(4, 4) ** 1.5 + 1j)[0], wires=[1, 0])
    qml.RY(x[1], 0)


def rotations(x):
    for wire, name in enumerate("XYZ"):
        qml.Hadamard(wire)
        getattr(qml, f"R{name}")(x[wire], wires=wire)


def test_templates_and_arithmetic_are_traced():
    traced = trace(embedding, 4)
    assert isinstance(traced, GateTable)
    np.testing.assert_allclose(
        fidelities(prepare(traced, ROWS)), fidelities(states_of(embedding, ROWS, 4)), atol=1e-12
    )


@pytest.mark.parametrize("function", [branching, amplitudes, through_math, with_matrix, rotations])
def test_states_are_right_whatever_prepares_them(function):
    traced = trace(function, 4, ROWS)
    n = traced.n_qubits
    assert isinstance(traced, LibraryStates) == (function in (branching, amplitudes, through_math))
    np.testing.assert_allclose(
        fidelities(prepare(traced, ROWS)), fidelities(states_of(function, ROWS, n)), atol=1e-12
    )


def test_amplitudes_are_prepared_in_blocks_and_branches_one_by_one():
    assert "blocks of samples" in trace(amplitudes, 4, ROWS).library
    traced = trace(branching, 4, ROWS)
    assert "sample by sample" in traced.library
    assert "looks at the values" in traced.why


def jumping(x):
    qml.RX(x[1], "a" if x[0] > 0.5 else "b")


def test_wires_may_depend_on_the_sample_where_the_samples_tell_or_a_device():
    found = trace(jumping, 4, np.array([[0.9, 1.0, 0, 0], [0.1, 1.0, 0, 0]]))
    qnode = trace(qml.QNode(jumping, qml.device("lightning.qubit", wires=["a", "b"])), 4, ROWS)
    for traced in (found, qnode):
        assert traced.n_qubits == 2
        one, other = fidelities(prepare(traced, [[0.9, 1.0, 0, 0], [0.1, 1.0, 0, 0]]))[0]
        np.testing.assert_allclose([one, other], [1, np.cos(0.5) ** 4])
    short = trace(jumping, 4, np.array([[0.9, 1.0, 0, 0]]))
    with pytest.raises(ValueError, match=r"acts on wires \['b'\], for others on \['a'\] alone"):
        prepare(short, [[0.1, 1.0, 0, 0]])


def test_the_device_of_a_qnode_is_not_kept_for_states_it_does_not_prepare():
    traced = trace(qml.QNode(branching, qml.device("lightning.qubit", wires=1)), 4, ROWS)
    assert traced.states._function is branching


def test_the_states_have_wire_0_as_the_least_significant_bit():
    def one(x):
        qml.RX(np.pi * (1 + 0 * x[0]), 0)
        amplitudes_are_not_gates(x)

    def amplitudes_are_not_gates(x):
        qml.RY(0.0 * float(x[0]), 1)

    [state] = prepare(trace(one, 1), [[0.0]])
    assert np.abs(state).round(12).tolist() == [0, 1, 0, 0]


def test_a_qnode_is_taken_without_its_measurement_and_with_the_wires_of_its_device():
    @qml.qnode(qml.device("default.qubit", wires=["b", "a", "c"]))
    def circuit(x):
        qml.AngleEmbedding(x, wires=["a", "b"])
        return qml.probs(wires="a")

    table = trace(circuit, 2)
    assert table.n_qubits == 3
    assert [gate.wires for gate in table.gates] == [(1,), (0,)]


def test_what_is_no_pure_state_is_refused():
    def noisy(x):
        qml.RX(x[0], 0)
        qml.DepolarizingChannel(0.1, wires=0)

    def measuring(x):
        qml.RX(x[0], 0)
        qml.measure(0)
        qml.RX(x[0], 0)

    def nothing(x):
        return None

    with pytest.raises(ValueError, match=r"DepolarizingChannel on wires \[0\] is a channel"):
        trace(noisy, 1)
    with pytest.raises(ValueError, match="is no gate"):
        trace(measuring, 1)
    with pytest.raises(ValueError, match="applies no gates"):
        trace(nothing, 1)


def test_an_error_of_the_users_function_is_the_users():
    def broken(x):
        qml.RX(x[7], 0)

    with pytest.raises(IndexError):
        trace(broken, 2)


def test_threads_do_not_get_into_each_others_circuits():
    traced = trace(through_math, 4, ROWS)
    rows = np.random.default_rng(1).uniform(0.1, 1.2, (30, 4))
    alone = traced.states(rows)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(traced.states, [rows] * 4):
            np.testing.assert_array_equal(found, alone)
