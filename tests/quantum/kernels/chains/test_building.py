import numpy as np
import pytest

from shoal.quantum.kernels.chains import prepare_chains
from shoal.quantum.kernels.chains.building import terms
from shoal.quantum.kernels.tracing import Gate, GateTable
from tests.quantum.kernels.chains.vectors import vectors
from tests.quantum.kernels.tables import PAIRS, THREES, rows_of, states, table_of


@pytest.mark.parametrize("name", [*PAIRS, *THREES])
@pytest.mark.parametrize("wires", [(0, 1, 2), (4, 1, 3), (2, 4, 0), (3, 0, 4)])
def test_every_gate_acts_on_neighbours_and_across_others(name, wires):
    k = 3 if name in THREES else 2
    start = [(turn, [q]) for q in range(5) for turn in ("ry", "rz")]
    table = table_of(5, [*start, (name, wires[:k])])
    rows = rows_of(0, 4)
    assert np.allclose(vectors(prepare_chains(table, rows)), states(table, rows), atol=1e-13)


@pytest.mark.parametrize("name", PAIRS)
def test_controlled_gates_and_rotations_double_a_bond_and_no_more(name):
    found = terms(table_of(2, [(name, (0, 1))]).gates[0], rows_of(0, 3))
    assert len(found) == (4 if name == "swap" else 2)


def test_a_matrix_of_the_users_own_is_taken_apart():
    rng = np.random.default_rng(0)
    matrix = np.linalg.qr(rng.normal(size=(4, 4)) + 1j * rng.normal(size=(4, 4)))[0]
    before = table_of(3, [("ry", [0]), ("rx", [2])])
    own = (Gate("unitary", (2, 0), (), matrix), Gate("unitary", (1, 2), (), np.eye(4)))
    table = GateTable(3, before.n_features, before.gates + own, before.formulas)
    rows = rows_of(1, 3)
    assert np.allclose(vectors(prepare_chains(table, rows)), states(table, rows), atol=1e-13)
