"""A grid looks its points up by number, however many there are."""

import pickle
from time import monotonic

import cloudpickle
import numpy as np
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from shoal.sweeps.axes import grid_of


def anything(**parameters):
    return parameters


def points_of(grid):
    return [grid[index] for index in range(len(grid))]


def same(one, two):
    return type(one) is type(two) and (one is two or np.array_equal(one, two))


@given(st.lists(st.integers(1, 4), min_size=1, max_size=3), st.integers(0, 2**32 - 1))
def test_blocks_of_points_hold_what_the_points_hold(sizes, seed):
    axes = {f"a{at}": np.arange(size) * 1.5 for at, size in enumerate(sizes)}
    grid = grid_of(anything, axes, {"c": 1})
    chosen = np.random.default_rng(seed).integers(0, len(grid), 6)
    arrays = grid.arrays(chosen)
    for position, index in enumerate(chosen):
        assert {name: array[position] for name, array in arrays.items()} == grid.point(index)


def test_numbers_of_numpy_reach_the_function_as_the_loop_would_pass_them():
    for given_ in (np.arange(3, dtype="i4"), np.linspace(0, 1, 3), np.array(["a", "b"]), [1, 2.5]):
        got = [point["a"] for point in points_of(grid_of(anything, {"a": given_}, None))]
        assert all(map(same, got, given_))


def test_a_huge_grid_is_made_at_once_and_looked_up_anywhere():
    begun = monotonic()
    axes = {"a": range(10_000), "b": np.arange(1000.0), "c": range(10**7)}
    grid = grid_of(anything, axes, None)
    assert len(grid) == 10**14
    assert grid[len(grid) - 1] == {"a": 9999, "b": 999.0, "c": 10**7 - 1}
    assert len(cloudpickle.dumps(grid)) < 50_000
    assert grid.arrays(np.array([10**13]))["c"].tolist() == [0]
    assert monotonic() - begun < 20


def test_variables_along_distant_dimensions_are_looked_up_without_being_spread_out():
    dataset = xr.Dataset({"u": (("x", "z"), np.arange(6).reshape(2, 3)), "v": ("y", range(10**6))})
    grid = grid_of(anything, dataset, None)
    index = 1 * 3 * 10**6 + 12_345 * 3 + 2
    assert list(grid.sizes) == ["x", "z", "y"]
    grid = grid_of(anything, dataset, None, ["x", "y", "z"])
    assert grid[index] == {"u": 5, "v": 12_345}


def test_a_grid_travels():
    grid = grid_of(anything, {"a": np.arange(3), "b": [1, 2]}, {"c": "x"})
    expected = points_of(grid)
    assert points_of(pickle.loads(pickle.dumps(grid))) == expected
