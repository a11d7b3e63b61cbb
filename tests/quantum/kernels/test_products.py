import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.quantum.kernels.products import Products
from shoal.quantum.kernels.tracing import LibraryStates
from tests.quantum.kernels.tables import (
    N_FEATURES,
    SINGLE,
    asked,
    computed,
    kernel,
    rows_of,
    table_of,
    tables,
)


@settings(max_examples=40, deadline=None)
@given(table=tables(names=SINGLE), seed=st.integers(0, 1000))
def test_the_kernel_is_that_of_the_state_vectors(table, seed):
    x, y = rows_of(seed, 4), rows_of(seed + 1, 3)
    assert np.allclose(computed(Products(), table, x, y), kernel(table, x, y), rtol=0, atol=1e-13)


@pytest.mark.parametrize("turn", ["rx", "ry"])
def test_rotations_give_the_product_of_squared_cosines(turn):
    n = 300
    table = table_of(n, [(turn, [q]) for q in range(n)])
    x, y = rows_of(0, 40) / 10, rows_of(1, 300) / 10
    cosines = np.cos((x[:, None] - y[None]) / 2) ** 2
    expected = np.prod(cosines ** (n // N_FEATURES), axis=2)
    got = computed(Products(), table, x, y)
    assert np.allclose(got, expected, rtol=1e-11, atol=0)


def test_a_matrix_of_x_is_symmetric_with_unit_diagonal_and_a_permutation_permutes_it():
    table = table_of(6, [(turn, [q]) for q in range(6) for turn in ("rx", "rz", "ry")])
    x = rows_of(2, 270)
    got = computed(Products(), table, x)
    assert np.array_equal(got, got.T)
    assert np.allclose(np.diag(got), 1, rtol=0, atol=1e-14)
    order = np.random.default_rng(0).permutation(len(x))
    moved = computed(Products(), table, x[order])
    assert np.allclose(moved, got[np.ix_(order, order)], rtol=0, atol=1e-14)


def test_an_entry_has_the_same_bits_whatever_else_is_in_the_tile():
    table = table_of(6, [(turn, [q]) for q in range(6) for turn in ("rx", "rz", "ry")])
    x, y = rows_of(2, 37), rows_of(3, 270)
    whole = computed(Products(), table, x, y)
    assert np.array_equal(computed(Products(), table, x[5:9], y[3:264]), whole[5:9, 3:264])
    assert np.array_equal(computed(Products(), table, x[36:], y[255:260]), whole[36:, 255:260])


def test_a_constant_end_may_entangle_as_it_cancels():
    turns = [("rx", [q]) for q in range(4)]
    ends = [("cx", [q, q + 1]) for q in range(3)] + [("h", [0])]
    bare, ended = table_of(4, turns), table_of(4, turns + ends)
    x, y = rows_of(0, 3), rows_of(1, 4)
    assert Products().why_not(asked(ended)) is None
    assert np.array_equal(computed(Products(), ended, x, y), computed(Products(), bare, x, y))


def test_orthogonal_states_have_the_value_zero():
    table = table_of(3, [("rx", [q]) for q in range(3)])
    x = np.array([[0.0, 0.3, 1.0], [np.pi, 0.3, 1.0]])
    got = computed(Products(), table, x)
    assert got[0, 1] < 1e-30
    assert got[0, 1] >= 0


def test_what_it_cannot_do_is_said():
    entangled = table_of(2, [("cx", (0, 1)), ("rx", [1])])
    assert Products().why_not(asked(entangled)) == "cx entangles wires [0, 1]"
    assert "noise" in Products().why_not(asked(table_of(1, [("rx", [0])]), noise=object()))
    library = LibraryStates(1, 1, "Aer", "it is strange", np.asarray)
    assert Products().why_not(asked(library)) == "the gates are known to Aer alone"


def test_its_estimates_cover_what_it_holds():
    table = table_of(7, [("rx", [q]) for q in range(7)])
    plan = Products().plan(asked(table))
    assert plan.encode(rows_of(0, 10), "x").nbytes == plan.encoded_bytes(10)
    assert plan.working_bytes(10, 20) > 8 * 200
    assert Products().seconds(asked(table, 10_000, 10_000)) > Products().seconds(asked(table))
