from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.quantum.kernels.tiling.layout import Layout, tile_bytes, tile_edge
from tests.quantum.kernels.tiling.plans import Products


@given(
    st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 2, 4, 8, 16]), st.integers(2, 20)
)
def test_every_entry_is_in_exactly_one_tile(n_x, n_y, edge, kept):
    layout = Layout(n_x, n_y, edge, half=False)
    seen = [
        (i, j)
        for number in layout.order(kept)
        for i, j in product(
            range(n_x)[layout.rows(layout.tile(number)[0])],
            range(n_y)[layout.columns(layout.tile(number)[1])],
        )
    ]
    assert sorted(seen) == list(product(range(n_x), range(n_y)))


@given(st.integers(1, 60), st.sampled_from([1, 2, 4, 8]), st.integers(2, 20))
def test_half_of_a_symmetric_matrix_is_the_tiles_above_the_diagonal(n, edge, kept):
    layout = Layout(n, n, edge, half=True)
    blocks = range(layout.row_blocks)
    tiles = [layout.tile(number) for number in layout.order(kept)]
    assert sorted(tiles) == [(i, j) for i in blocks for j in blocks if i <= j]


@given(st.integers(1, 30), st.integers(3, 12), st.booleans())
def test_blocks_that_fit_are_encoded_once_for_each_panel(n_blocks, kept, half):
    layout = Layout(n_blocks, n_blocks, 1, half=half)
    held, encoded = [], 0
    for number in layout.order(kept):
        row, column = layout.tile(number)
        for block in [("x", row), ("x" if half else "y", column)]:
            if block in held:
                held.remove(block)
            else:
                encoded += 1
            held.append(block)
            del held[:-kept]
    panels = -(-n_blocks // (kept - 2))
    assert encoded <= n_blocks + panels * n_blocks


def test_tiles_are_as_large_as_their_work_and_the_memory_allow():
    plan = Products()
    assert tile_edge(plan, 1 << 30, 1000) == 128
    assert tile_edge(plan, tile_bytes(plan, 32), 1000) == 32
    assert tile_edge(plan, tile_bytes(plan, 1), 1000) == 1
    assert tile_edge(Products(row_bytes=1 << 27), 1 << 60, 1000) == 2


def test_memory_for_less_than_one_entry_is_refused():
    with pytest.raises(ValueError, match=r"memory_bytes=207: a tile .* needs 208 bytes"):
        tile_edge(Products(), 207, 1000)
