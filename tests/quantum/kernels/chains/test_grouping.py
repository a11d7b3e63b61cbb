import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.quantum.kernels.chains.grouping import Group, grouped
from shoal.quantum.kernels.tracing import GateTable
from tests.quantum.kernels.tables import rows_of, states, table_of, tables


def flat(table):
    """The table with its gates in the order of the groups."""
    gates = [
        gate
        for entry in grouped(table)
        for gate in (entry.gates if isinstance(entry, Group) else [entry])
    ]
    return GateTable(table.n_qubits, table.n_features, tuple(gates), table.formulas)


@settings(max_examples=40, deadline=None)
@given(table=tables(most=40), seed=st.integers(0, 1000))
def test_no_gate_is_lost_and_the_order_gives_the_same_states(table, seed):
    ordered = flat(table)
    assert sorted(map(id, ordered.gates)) == sorted(map(id, table.gates))
    rows = rows_of(seed, 2)
    assert np.allclose(states(ordered, rows), states(table, rows), atol=1e-13)


@settings(max_examples=40, deadline=None)
@given(table=tables(names=("cx", "ry", "cp", "h"), largest=2), seed=st.integers(0, 1000))
def test_the_matrices_of_a_group_are_the_product_of_its_gates(table, seed):
    rows = rows_of(seed, 2)
    for entry in grouped(table):
        if isinstance(entry, Group):
            alone = GateTable(2, table.n_features, entry.gates, table.formulas)
            turned = entry.matrices(table.angles(rows))[:, :, 0]
            if entry.wires == (1, 0):
                turned = turned[:, [0, 2, 1, 3]]
            assert np.allclose(turned, states(alone, rows), atol=1e-13)


def test_two_controlled_nots_about_a_phase_are_one_gate():
    gates = [("h", [1]), ("cx", (0, 1)), ("p", [1]), ("cx", (0, 1)), ("h", [1]), ("cx", (1, 2))]
    names = [
        [gate.name for gate in entry.gates] if isinstance(entry, Group) else entry.name
        for entry in grouped(table_of(3, gates))
    ]
    assert names == ["h", ["cx", "p", "cx"], "h", "cx"]
