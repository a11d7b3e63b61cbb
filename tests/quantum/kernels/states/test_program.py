import numpy as np
from qiskit.circuit.library import zz_feature_map

from shoal.quantum.kernels.states.program import DIAGONAL, ROTATE, program
from shoal.quantum.kernels.tracing import trace
from tests.quantum.kernels.tables import rows_of, table_of


def kinds(made):
    """The passes of a program of rotations and diagonals alone."""
    code, found, at = made.code.tolist(), [], 0
    while at < len(code):
        found.append(code[at])
        if code[at] == ROTATE:
            at += 2 + 2 * code[at + 1]
        else:
            at += 1
            for _ in range(made.n_qubits):
                at += 2 + 2 * code[at + 1]
    return found


def test_a_zz_feature_map_is_two_diagonals_and_a_layer_of_rotations():
    for entanglement in ("linear", "full"):
        made = program(trace(zz_feature_map(5, 2, entanglement), 5), core=True)
        assert kinds(made) == [DIAGONAL, ROTATE, DIAGONAL]
        assert not made.real


def test_gates_of_other_wires_do_not_part_a_layer():
    gates = [(name, [wire]) for wire in range(4) for name in ("ry", "rz", "ry")]
    assert kinds(program(table_of(4, gates), core=False)) == [DIAGONAL, ROTATE]


def test_rotations_of_one_wire_are_multiplied():
    made = program(table_of(1, [("ry", [0]), ("h", [0]), ("ry", [0])]), core=False)
    assert kinds(made) == []
    assert made.numbers(np.zeros((4, 3))).shape == (4, 2)


def test_there_is_a_row_of_numbers_for_each_sample():
    table = table_of(2, [("ry", [0]), ("h", [1]), ("crz", [0, 1]), ("ry", [0]), ("ry", [1])])
    made = program(table, core=False)
    assert len(made.numbers(table.angles(rows_of(0, 7)))) == 7
    assert not program(table_of(1, [("rx", [0])]), core=False).real
