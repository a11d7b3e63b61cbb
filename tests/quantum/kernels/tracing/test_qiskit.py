import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Gate, Parameter, ParameterVector
from qiskit.circuit.library import ZZFeatureMap, zz_feature_map

from shoal.quantum.kernels.states import prepare
from shoal.quantum.kernels.tracing import GateTable, LibraryStates, trace
from tests.quantum.kernels.maps import circuits, statevectors


def agree(circuit, traced, rows):
    overlaps = np.sum(prepare(traced, rows).conj() * statevectors(circuit, rows), 1)
    np.testing.assert_allclose(np.abs(overlaps), 1, atol=1e-12)


@pytest.mark.parametrize("name", circuits())
def test_the_table_prepares_the_states_of_the_circuit(name):
    circuit = circuits()[name]
    rows = np.random.default_rng(0).uniform(-2, 2, (3, circuit.num_parameters))
    traced = trace(circuit, circuit.num_parameters)
    assert isinstance(traced, GateTable)
    agree(circuit, traced, rows)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::PendingDeprecationWarning")
def test_the_older_class_of_feature_maps_is_traced():
    circuit = ZZFeatureMap(3, reps=1)
    assert isinstance(trace(circuit, 3), GateTable)


def test_features_are_the_parameters_in_qiskits_order():
    second, first = Parameter("b"), Parameter("a")
    circuit = QuantumCircuit(2)
    circuit.rx(second, 0)
    circuit.rx(first, 1)
    table = trace(circuit, 2)
    assert table.angles(np.array([[1.0, 2.0]])).tolist() == [[2.0, 1.0]]
    long = ParameterVector("x", 12)
    circuit = QuantumCircuit(12)
    for qubit in range(12):
        circuit.ry(long[qubit], qubit)
    rows = np.arange(12.0)[None]
    assert trace(circuit, 12).angles(rows).tolist() == rows.tolist()


def test_parameters_that_were_replaced_by_expressions_are_understood():
    theta, x = Parameter("theta"), ParameterVector("x", 2)
    inner = QuantumCircuit(1)
    inner.rx(theta.sin() + theta**2, 0)
    circuit = QuantumCircuit(2)
    circuit.h(0)
    for qubit in range(2):
        circuit.compose(inner.assign_parameters({theta: 2 * x[qubit]}), [qubit], inplace=True)
    circuit.cx(0, 1)
    circuit.ry(x[0] / x[1], 1)
    agree(circuit, trace(circuit, 2), np.array([[0.3, 0.5], [1.1, -0.7]]))


def test_measurements_at_the_end_are_left_out():
    circuit = zz_feature_map(2)
    circuit.measure_all()
    assert isinstance(trace(circuit, 2), GateTable)


def test_a_gate_with_a_name_of_ours_and_another_meaning_is_taken_by_its_definition():
    theta = Parameter("t")
    definition = QuantumCircuit(1)
    definition.ry(theta, 0)

    class Odd(Gate):
        def _define(self):
            self.definition = definition.assign_parameters({theta: self.params[0]})

    circuit = QuantumCircuit(1)
    circuit.append(Odd("rx", 1, [Parameter("x")]), [0])
    [gate] = trace(circuit, 1).gates
    assert gate.name == "ry"


def test_a_gate_without_definition_leaves_the_states_to_qiskit():
    class Matrix(Gate):
        def __array__(self, dtype=None, copy=None):
            angle = float(self.params[0])
            return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])

    circuit = QuantumCircuit(1)
    circuit.append(Matrix("strange", 1, [Parameter("x")]), [0])
    traced = trace(circuit, 1)
    assert isinstance(traced, LibraryStates)
    assert "'strange' has no definition" in traced.why
    np.testing.assert_allclose(prepare(traced, [[0.3]]), [[np.cos(0.3), np.sin(0.3)]])


def test_a_gate_of_which_nothing_is_known_is_refused():
    circuit = QuantumCircuit(1)
    circuit.append(Gate("opaque", 1, [Parameter("x")]), [0])
    with pytest.raises(ValueError, match="Qiskit prepares no state: .*opaque"):
        prepare(trace(circuit, 1), [[0.3]])


def test_a_circuit_may_begin_with_a_state():
    circuit = QuantumCircuit(2)
    circuit.initialize([0.6, 0, 0, 0.8j], [0, 1])
    circuit.rx(Parameter("x"), 0)
    rows = np.array([[0.3], [1.7]])
    table = trace(circuit, 1, rows)
    assert isinstance(table, GateTable)
    agree(circuit, table, rows)
    late = QuantumCircuit(1)
    late.rx(Parameter("x"), 0)
    late.initialize([0.6, 0.8], [0])
    with pytest.raises(ValueError, match="'reset' on qubits .* is no gate"):
        trace(late, 1)


@pytest.mark.parametrize(
    ("n_features", "text"), [(2, "3 parameters .* x has 2 features"), (4, "x has 4 features")]
)
def test_another_number_of_features_is_refused(n_features, text):
    with pytest.raises(ValueError, match=text):
        trace(zz_feature_map(3), n_features)


def test_circuits_that_are_no_feature_maps_are_refused():
    fixed = QuantumCircuit(1)
    fixed.h(0)
    with pytest.raises(ValueError, match="no parameters"):
        trace(fixed, 1)
    x = Parameter("x")
    measured = QuantumCircuit(1, 1)
    measured.rx(x, 0)
    measured.measure(0, 0)
    measured.h(0)
    with pytest.raises(ValueError, match="'h' on qubits .* measured before"):
        trace(measured, 1)
    reset = QuantumCircuit(1)
    reset.rx(x, 0)
    reset.reset(0)
    with pytest.raises(ValueError, match="'reset' on qubits .* is no gate"):
        trace(reset, 1)
    branching = QuantumCircuit(1, 1)
    branching.rx(x, 0)
    with branching.if_test((branching.clbits[0], True)):
        branching.x(0)
    with pytest.raises(ValueError, match="if_else.* is no gate"):
        trace(branching, 1)
