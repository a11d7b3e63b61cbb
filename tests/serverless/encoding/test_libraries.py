"""Values of Qiskit and SciPy are read back as themselves."""

import json

import numpy as np
import pytest
import scipy.sparse
from qiskit import QuantumCircuit, QuantumRegister
from qiskit.circuit import Parameter, ParameterVector
from qiskit.circuit.library import CXGate, HGate, Measure, RXGate
from qiskit.circuit.random import random_circuit
from qiskit.primitives import StatevectorEstimator, StatevectorSampler
from qiskit.primitives.containers.bindings_array import BindingsArray
from qiskit.primitives.containers.observables_array import ObservablesArray
from qiskit.quantum_info import Operator, Pauli, PauliLindbladMap, PauliList, SparsePauliOp
from qiskit.transpiler import CouplingMap

from shoal.serverless.encoding import decode, encode

PHI = Parameter("φ")


def parametrised():
    circuit = QuantumCircuit(QuantumRegister(2, "first"), name="named")
    circuit.rx(PHI + 2 * ParameterVector("v", 3)[1], 0)
    circuit.metadata = {"z": 1j, "of": {"rows": np.arange(2.0)}}
    circuit.measure_all()
    return circuit


@pytest.mark.parametrize("seed", range(5))
def test_circuits_are_read_back(seed):
    circuit = random_circuit(3, 4, measure=True, conditional=seed == 0, seed=seed)
    assert decode(encode([circuit])) == [circuit]


def test_a_circuit_keeps_its_name_parameters_and_metadata():
    circuit = parametrised()
    found = decode(encode(circuit))
    assert found == circuit
    assert found.name == "named"
    assert found.metadata["z"] == 1j
    np.testing.assert_array_equal(found.metadata["of"]["rows"], np.arange(2.0))
    assert set(found.parameters) == set(circuit.parameters)


def test_a_parameter_is_still_the_one_of_its_circuit():
    circuit, phi = decode(encode([parametrised(), PHI]))
    assert phi in circuit.parameters
    assert decode(encode(parametrised().parameters))[0].name in ("v[1]", "φ")


@pytest.mark.parametrize(
    "value",
    [
        HGate(),
        CXGate(),
        RXGate(0.25),
        Measure(),
        Pauli("XYZ"),
        PauliList(["XX", "ZI"]),
        SparsePauliOp(["XX", "ZI"], [0.5, 1j]),
        Operator(np.diag([1, 1j])),
        PauliLindbladMap.from_list([("IXZ", 0.5), ("YYX", 0.25)]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_instructions_and_operators_are_read_back(value):
    found = decode(encode({"of": value}))["of"]
    assert type(found) is type(value)
    assert found == value


@pytest.mark.parametrize("kind", ["csr_matrix", "coo_matrix", "csr_array"])
def test_sparse_matrices_are_read_back(kind):
    matrix = getattr(scipy.sparse, kind)(np.eye(3))
    found = decode(encode(matrix))
    assert (found != matrix).nnz == 0


def test_results_of_samplers_are_read_back():
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.measure_all()
    result = StatevectorSampler(seed=1).run([circuit, (circuit, None, 5)]).result()
    found = decode(encode(result))
    assert found.metadata == result.metadata
    for ours, theirs in zip(found, result, strict=True):
        assert type(ours) is type(theirs)
        assert ours.data.meas == theirs.data.meas
        assert ours.metadata == theirs.metadata


def test_results_of_estimators_are_read_back():
    circuit = QuantumCircuit(1)
    circuit.rx(PHI, 0)
    pub = (circuit, [[SparsePauliOp("Z")], [SparsePauliOp("X")]], [[0.1, 0.2]])
    result = StatevectorEstimator().run([pub]).result()
    found = decode(encode(result))
    np.testing.assert_array_equal(found[0].data.evs, result[0].data.evs)
    assert found[0].data.shape == result[0].data.shape


def test_containers_are_read_back():
    bindings = BindingsArray({("a", "b"): np.arange(6.0).reshape(3, 2)})
    found = decode(encode(bindings))
    assert found.shape == bindings.shape
    np.testing.assert_array_equal(found.data["a", "b"], bindings.data["a", "b"])
    observables = ObservablesArray([{"ZZ": 1.0}, {"XI": 0.5}])
    assert decode(encode(observables)).tolist() == observables.tolist()


def test_what_has_no_form_of_its_own_becomes_lists():
    assert decode(encode(CouplingMap.from_line(3))) == [[0, 1], [1, 0], [1, 2], [2, 1]]


def test_a_circuit_is_written_so_that_older_clients_read_it():
    from base64 import b64decode
    from zlib import decompress

    data = decompress(b64decode(json.loads(encode(QuantumCircuit(1)))["__value__"]))
    assert data[:6] == b"QISKIT"
    assert data[6] <= 17
