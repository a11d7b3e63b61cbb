import numpy as np
import pennylane as qml
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit.circuit import ParameterVector, QuantumCircuit

from shoal.quantum.kernels.learning.gradients import (
    DERIVATIVES,
    by_angles,
    by_features,
    states_of,
)
from shoal.quantum.kernels.tracing import Formulas, trace
from shoal.quantum.kernels.tracing.formulas import FUNCTIONS

STEP = 1e-6


def every_gate(row):
    """All gates that take angles, and some that take none."""
    angles = iter(row)
    for wire in range(3):
        qml.Hadamard(wire)
    qml.RX(next(angles), 0)
    qml.RY(next(angles), 1)
    qml.RZ(next(angles), 2)
    qml.PhaseShift(next(angles), 0)
    qml.CNOT([0, 2])
    qml.CRX(next(angles), [0, 1])
    qml.CRY(next(angles), [1, 2])
    qml.CRZ(next(angles), [2, 0])
    qml.CPhase(next(angles), [0, 1])
    qml.IsingXX(next(angles), [0, 2])
    qml.IsingYY(next(angles), [1, 0])
    qml.IsingZZ(next(angles), [1, 2])
    qml.Toffoli([2, 0, 1])
    qml.MultiRZ(next(angles), [0, 1, 2])
    qml.U3(next(angles), next(angles), next(angles), 1)
    qml.SX(2)


def measured(table, rows, vector):
    """A number for each row: how near its state is to a vector."""
    return np.abs(states_of(table, table.angles(rows)) @ vector.conj()) ** 2


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10_000))
def test_the_derivative_by_every_kind_of_gate_is_that_of_differences(seed):
    rng = np.random.default_rng(seed)
    table = trace(every_gate, 15)
    rows, vector = rng.uniform(-3, 3, (2, 15)), rng.normal(size=(8, 2)) @ [1, 1j]
    angles = table.angles(rows)
    states = states_of(table, angles)
    cotangents = 2 * (states @ vector.conj())[:, None] * vector
    found = by_features(table.formulas, rows, by_angles(table, angles, states, cotangents))
    for column in range(15):
        shift = STEP * (np.arange(15) == column)
        ahead, behind = (measured(table, rows + sign * shift, vector) for sign in (1, -1))
        assert np.allclose(found[:, column], (ahead - behind) / (2 * STEP), atol=1e-7)


def test_states_are_those_of_pennylane():
    row = np.random.default_rng(0).uniform(-3, 3, 15)
    tape = qml.tape.make_qscript(every_gate)(row)
    script = qml.tape.QuantumScript(tape.operations, [qml.state()])
    [expected] = qml.execute([script], qml.device("default.qubit", wires=[2, 1, 0]))
    table = trace(every_gate, 15)
    [found] = states_of(table, table.angles(row[None]))
    assert abs(np.vdot(found, expected)) ** 2 == pytest.approx(1, abs=1e-12)


def test_states_are_those_of_qiskit():
    from qiskit.quantum_info import Statevector

    x = ParameterVector("x", 2)
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.u(x[0], 0.3, x[1], 1)
    circuit.cp(x[0] * x[1], 0, 1)
    table = trace(circuit, 2)
    [found] = states_of(table, table.angles(np.array([[0.4, 0.9]])))
    expected = Statevector(circuit.assign_parameters([0.4, 0.9])).data
    assert abs(np.vdot(found, expected)) ** 2 == pytest.approx(1, abs=1e-12)


def test_every_function_that_a_formula_may_hold_has_a_derivative():
    assert set(DERIVATIVES) == set(FUNCTIONS)


@pytest.mark.parametrize("name", sorted(set(DERIVATIVES) - {"floor_divide"}))
def test_the_derivative_of_a_function_is_that_of_differences(name):
    places = len(DERIVATIVES[name])
    points = {"arccosh": 1.7}.get(name, 0.6)
    rows = np.array([[points, 0.45][:places]])
    steps = (*(("feature", column) for column in range(places)), (name, *range(places)))
    formulas = Formulas(steps, (places,))
    found = by_features(formulas, rows, np.ones((1, 1)))
    for column in range(places):
        shift = STEP * (np.arange(places) == column)
        ahead, behind = formulas(rows + shift), formulas(rows - shift)
        assert found[0, column] == pytest.approx((ahead - behind).item() / (2 * STEP), abs=1e-7)


def test_a_constant_in_a_formula_costs_no_derivative():
    formulas = Formulas((("feature", 0), ("number", -2.0), ("power", 0, 1)), (2, 0))
    found = by_features(formulas, np.array([[-0.5]]), np.array([[1.0, 3.0]]))
    assert found == pytest.approx(-2 * (-0.5) ** -3 + 3)
