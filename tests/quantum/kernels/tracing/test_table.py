import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from qiskit.circuit.library import zz_feature_map

from shoal.quantum.kernels.states import prepare
from shoal.quantum.kernels.tracing import trace
from tests.quantum.kernels.maps import fidelities


def names(table):
    return [gate.name for gate in table.gates]


def circuit():
    x = ParameterVector("x", 2)
    made = QuantumCircuit(3)
    made.rx(x[0], 0)
    made.cx(0, 1)
    made.ry(x[1], 1)
    made.rx(0.3, 0)
    made.cz(1, 2)
    made.h(2)
    return made


def test_the_core_ends_with_gates_that_depend_on_the_sample():
    table = trace(circuit(), 2)
    assert names(table.core()) == ["rx", "cx", "ry"]
    assert names(trace(zz_feature_map(2, 1), 2).core()) == ["h", "h", "p", "p", "cx", "p"]


def test_the_core_has_the_same_fidelities():
    table = trace(circuit(), 2)
    rows = np.random.default_rng(0).normal(size=(5, 2))
    np.testing.assert_allclose(
        fidelities(prepare(table, rows)), fidelities(prepare(table.core(), rows)), atol=1e-13
    )


def test_constant_angles_are_known():
    table = trace(circuit(), 2)
    assert table.constant.tolist() == [False, False, True]
    assert table.follows_features
