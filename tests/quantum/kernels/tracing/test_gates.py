import numpy as np
import pytest
from qiskit.circuit import library
from qiskit.quantum_info import Operator

from shoal.quantum.kernels.tracing import NAMES, Gate, gate_matrices

ANGLES = np.array([[0.3, -1.1, 2.7], [1.9, 0.4, -0.2]])
CLASSES = {
    "h": library.HGate,
    "x": library.XGate,
    "y": library.YGate,
    "z": library.ZGate,
    "s": library.SGate,
    "sdg": library.SdgGate,
    "t": library.TGate,
    "tdg": library.TdgGate,
    "sx": library.SXGate,
    "sxdg": library.SXdgGate,
    "cx": library.CXGate,
    "cy": library.CYGate,
    "cz": library.CZGate,
    "swap": library.SwapGate,
    "ccx": library.CCXGate,
    "ccz": library.CCZGate,
    "rx": library.RXGate,
    "ry": library.RYGate,
    "rz": library.RZGate,
    "p": library.PhaseGate,
    "u": library.UGate,
    "cp": library.CPhaseGate,
    "crx": library.CRXGate,
    "cry": library.CRYGate,
    "crz": library.CRZGate,
    "rxx": library.RXXGate,
    "ryy": library.RYYGate,
    "rzz": library.RZZGate,
}


def test_every_name_has_a_matrix_here():
    assert {*CLASSES, "multirz", "unitary"} == set(NAMES)


@pytest.mark.parametrize("name", CLASSES)
def test_matrices_are_those_of_qiskit(name):
    count = NAMES[name]
    made = CLASSES[name](*ANGLES[0, :count])
    gate = Gate(name, tuple(range(made.num_qubits)), tuple(range(count)))
    matrices = gate_matrices(gate, ANGLES)
    assert len(matrices) == (len(ANGLES) if count else 1)
    for matrix, angles in zip(matrices, ANGLES, strict=False):
        np.testing.assert_allclose(
            matrix, Operator(CLASSES[name](*angles[:count])).data, atol=1e-14
        )


def test_multirz_is_the_exponential_of_a_product_of_z():
    signs = np.array([1, -1, -1, 1, -1, 1, 1, -1])
    [matrix, _] = gate_matrices(Gate("multirz", (0, 1, 2), (0,)), ANGLES)
    np.testing.assert_allclose(np.diag(matrix), np.exp(-0.15j * signs))


def test_a_unitary_is_its_own_matrix():
    matrix = np.eye(4)[[0, 2, 1, 3]]
    np.testing.assert_array_equal(
        gate_matrices(Gate("unitary", (0, 1), (), matrix), ANGLES)[0], matrix
    )
