import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.quantum.kernels.chains import bond_bounds, prepare_chains
from shoal.quantum.kernels.tracing import Gate, GateTable
from tests.quantum.kernels.tables import rows_of, table_of, tables


@settings(max_examples=40, deadline=None)
@given(table=tables(), seed=st.integers(0, 1000))
def test_no_chain_needs_more_than_the_bound(table, seed):
    chains = prepare_chains(table, rows_of(seed, 2), cutoff=1e-26)
    bonds = [1, *(site.shape[2] for site in chains.sites)]
    assert (np.array(bonds) <= bond_bounds(table)).all()


def test_bonds_are_counted_by_the_gates_across_them():
    gates = [("cx", (0, 1)), ("swap", (1, 3)), ("ccx", (5, 3, 4)), ("rx", (2,))]
    assert bond_bounds(table_of(8, gates)).tolist() == [1, 2, 4, 4, 3, 3, 1, 1, 1]


def test_no_bond_is_larger_than_its_smaller_side():
    everything = [("cp", (a, b)) for a in range(9) for b in range(a)]
    assert bond_bounds(table_of(9, everything)).tolist() == [1, 2, 4, 8, 16, 16, 8, 4, 2, 1]
    assert bond_bounds(table_of(200, [("cx", (0, 199)), ("cx", (1, 199))] * 150)).max() == 2**62


def test_a_gate_that_is_no_sum_of_a_few_products_is_named():
    gate = Gate("unitary", (0, 1, 2), (), np.eye(8), "mine")
    assert bond_bounds(GateTable(3, 1, (gate,))) == "mine acts on 3 wires at once"


def test_a_rotation_made_of_two_controlled_nots_counts_once():
    rotation = [("cx", (0, 1)), ("p", [1]), ("cx", (0, 1))]
    table = table_of(4, [("h", [0]), *rotation, ("cx", (1, 3))])
    assert bond_bounds(table).tolist() == [1, 2, 2, 2, 1]
