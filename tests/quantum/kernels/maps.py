"""Feature maps of both libraries, and their states by the libraries' own simulators."""

import numpy as np
import pennylane as qml
from qiskit.circuit import ParameterVector, QuantumCircuit
from qiskit.circuit.library import pauli_feature_map, z_feature_map, zz_feature_map
from qiskit.quantum_info import Statevector


def circuits():
    mixed = QuantumCircuit(3)
    x = ParameterVector("x", 3)
    mixed.h(range(3))
    mixed.append(inner(x[0], x[1]), [2, 0])
    mixed.u(x[2].sin(), x[0] * x[1], 0.3, 1)
    mixed.unitary(np.linalg.qr(np.arange(16).reshape(4, 4) ** 1.5 + 1j)[0], [0, 2])
    mixed.cx(0, 1, ctrl_state=0)
    mixed.rzx(1 - x[2] / 2, 1, 2)
    mixed.barrier()
    mixed.ccx(0, 1, 2)
    return {
        "z": z_feature_map(3),
        "zz": zz_feature_map(4),
        "zz linear": zz_feature_map(5, 2, "linear"),
        "paulis": pauli_feature_map(3, paulis=["Z", "XX", "YZZ"]),
        "mixed": mixed,
    }


def inner(theta, phi):
    circuit = QuantumCircuit(2, name="inner")
    circuit.cry(2 * theta, 0, 1)
    circuit.cp(theta**2 + phi, 1, 0)
    return circuit.to_instruction()


def statevectors(circuit, rows):
    return np.array([Statevector(circuit.assign_parameters([*row])).data for row in rows])


def embedding(x):
    """Of PennyLane, for four features: templates, arithmetic, adjoints, controls."""
    qml.AngleEmbedding(x, wires=range(4))
    for wire in range(3):
        qml.CNOT([wire, wire + 1])
    qml.adjoint(qml.AngleEmbedding)(2 * x, wires=range(4), rotation="Y")
    qml.RZ(np.sin(x[0]) * x[1] ** 2, 0)
    qml.IQPEmbedding(x, wires=range(4), n_repeats=2)
    qml.Rot(x[0], x[1], np.pi * x[2], wires=1)
    qml.ctrl(qml.RY, control=0)(x[2], wires=2)
    qml.PauliRot(x[3] / 3, "XYZ", wires=[0, 1, 3])
    qml.adjoint(qml.S)(2)


def states_of(function, rows, n_wires):
    """States by default.qubit; wire 0 is the most significant bit."""
    device = qml.device("default.qubit", wires=n_wires)

    @qml.qnode(device)
    def state(x):
        function(x)
        return qml.state()

    return np.array([state(row) for row in rows])


def fidelities(left, right=None):
    right = left if right is None else right
    return np.abs(left.conj() @ right.T) ** 2
