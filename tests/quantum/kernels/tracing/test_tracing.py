import pickle

import cloudpickle
import numpy as np
import pennylane as qml
import pytest
from qiskit.circuit.library import zz_feature_map

from shoal.quantum.kernels.tracing import GateTable, LibraryStates, trace


@pytest.mark.parametrize("wrong", [None, 3, "zz", np.eye(2)])
def test_what_is_no_feature_map_is_refused(wrong):
    with pytest.raises(TypeError, match="expected a Qiskit circuit"):
        trace(wrong, 2)


def test_gates_that_depend_on_the_values_in_a_hidden_way_are_found_out():
    def hidden(x):
        qml.RX(x[0], 0)
        if hidden.first != repr(x):
            qml.RX(x[1], 0)

    hidden.first = "nothing"
    assert isinstance(trace(hidden, 2), GateTable)

    def by_type(x):
        angle = x[0] if x.dtype == object else 2 * x[0]
        qml.RX(angle, 0)

    traced = trace(by_type, 2)
    assert isinstance(traced, LibraryStates)
    assert "cannot be recorded" in traced.why


def test_tables_travel():
    table = trace(zz_feature_map(3), 3)
    rows = np.random.default_rng(0).normal(size=(4, 3))
    again = pickle.loads(pickle.dumps(table))
    assert [gate.name for gate in again.gates] == [gate.name for gate in table.gates]
    np.testing.assert_array_equal(again.angles(rows), table.angles(rows))


def test_states_of_a_library_travel():
    def branching(x):
        qml.RX(x[0] if x[0] > 0 else 0.0, 0)

    traced = trace(branching, 1)
    again = cloudpickle.loads(cloudpickle.dumps(traced))
    rows = np.array([[0.4], [-0.4]])
    np.testing.assert_array_equal(again.states(rows), traced.states(rows))
