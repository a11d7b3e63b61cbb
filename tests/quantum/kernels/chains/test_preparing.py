import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.quantum.kernels.chains import prepare_chains
from tests.quantum.kernels.chains.vectors import vectors
from tests.quantum.kernels.tables import rows_of, states, table_of, tables

LADDER = [("h", [q]) for q in range(6)] + [
    gate
    for k in range(3)
    for q in range(5)
    for gate in (("rx", [q]), ("cp", [q, q + 1]), ("ry", [q + 1]))
]


@settings(max_examples=40, deadline=None)
@given(table=tables(), seed=st.integers(0, 1000), n_rows=st.integers(1, 3))
def test_chains_are_the_states_of_the_table(table, seed, n_rows):
    rows = rows_of(seed, n_rows)
    chains = prepare_chains(table, rows)
    assert np.allclose(vectors(chains), states(table, rows), atol=1e-12)
    assert np.array_equal(chains.lost, np.zeros(n_rows))


@pytest.mark.parametrize("max_bond", [1, 2, 3])
def test_losses_on_the_way_add_up_to_a_bound(max_bond):
    table, rows = table_of(6, LADDER * 2), rows_of(2, 5)
    chains = prepare_chains(table, rows, cutoff=1e-28, max_bond=max_bond)
    away = np.linalg.norm(vectors(chains) - states(table, rows), axis=1)
    assert (away <= chains.lost + 1e-12).all()


def test_what_a_sample_becomes_does_not_depend_on_the_others():
    table, rows = table_of(6, LADDER), rows_of(3, 6)
    rows[2] = 0
    whole = prepare_chains(table, rows, cutoff=1e-10)
    alone = prepare_chains(table, rows[2:3], cutoff=1e-10)
    assert alone.largest_bond < whole.largest_bond
    assert np.allclose(vectors(alone)[0], vectors(whole)[2], rtol=0, atol=1e-14)
    assert np.isclose(alone.lost[0], whole.lost[2], rtol=1e-6, atol=1e-14)


def test_a_chain_of_controlled_gates_on_a_product_has_bonds_of_two_without_compression():
    gates = [("ry", [q]) for q in range(40)] + [("cx", [q, q + 1]) for q in range(39)]
    chains = prepare_chains(table_of(40, gates), rows_of(0, 2))
    assert {site.shape[2] for site in chains.sites} == {1, 2}
