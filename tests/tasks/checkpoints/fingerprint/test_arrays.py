"""Arrays and tables count by what they hold, not by how it lies in memory."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from shoal.tasks.checkpoints.fingerprint.digests import digest

grid = np.arange(12.0).reshape(3, 4)
holes = np.zeros(2, np.dtype({"names": ["a", "b"], "formats": ["i1", "i8"], "offsets": [0, 8]}))
other_holes = np.full(32, 255, "u1").view(holes.dtype)
other_holes["a"] = other_holes["b"] = 0

EQUAL = [
    (grid, np.asfortranarray(grid)),
    (grid[::2], grid[::2].copy()),
    (grid.T, grid.T.copy()),
    (holes, other_holes),
    (np.array(["a", "bc"]), np.array(["a", "bc"])),
    (np.array(["a", {1, 2}], object), np.array(["a", {2, 1}], object)),
    (np.array(["2026-01-01"], "M8[D]"), np.array(["2026-01-01"], "M8[D]")),
    (np.empty((0, 3)), np.zeros((0, 3))),
    (np.array(["", ""]), np.array(["", ""])),
    (pd.DataFrame({"a": [1, 2]}), pd.DataFrame({"a": [0, 1, 2]})[1:].reset_index(drop=True)),
    (pd.Series([1.0]), pd.DataFrame({"a": [1.0]})["a"].rename(None)),
    (xr.DataArray(grid, dims=("a", "b")), xr.DataArray(grid.copy(), dims=("a", "b"))),
    (np.ma.masked_array([1, 2], [0, 1]), np.ma.masked_array([1, 7], [0, 1])),
]
DIFFERENT = [
    (grid, grid.T),
    (grid, grid.ravel()),
    (grid, grid.astype("f4")),
    (grid, grid + 1e-12),
    (np.array(1.0), np.float64(1.0)),
    (np.zeros(3), -np.zeros(3)),
    (np.array([1], ">i8"), np.array([1], "<i8")),
    (np.empty((0, 3)), np.empty((3, 0))),
    (np.array([1]), np.ma.masked_array([1], [False])),
    (np.array([1, 2], "m8[s]"), np.array([1, 2], "m8[ms]")),
    (pd.DataFrame({"a": [1]}), pd.DataFrame({"b": [1]})),
    (pd.DataFrame({"a": [1]}), pd.DataFrame({"a": [1]}, index=[5])),
    (pd.Series([1], name="a"), pd.Series([1], name="b")),
    (pd.Series(pd.Categorical(["a"])), pd.Series(pd.Categorical(["a"], ["a", "b"]))),
    (xr.DataArray([1], dims="a"), xr.DataArray([1], dims="b")),
    (xr.DataArray([1], dims="a"), xr.DataArray([1], dims="a", attrs={"unit": "m"})),
    (xr.Dataset({"v": ("x", [1])}), xr.Dataset({"v": ("x", [1])}, {"x": [1]})),
]


@pytest.mark.parametrize(("one", "other"), EQUAL)
def test_equal_arrays_and_tables_have_one_digest(one, other):
    assert digest(one) == digest(other)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_different_arrays_and_tables_have_different_digests(one, other):
    assert digest(one) != digest(other)


@pytest.mark.skipif(not hasattr(np.dtypes, "StringDType"), reason="needs numpy 2")
def test_strings_of_any_length_count_by_their_text():
    def texts(*words):
        return np.array(words, np.dtypes.StringDType())

    long = "a long text that is not kept in the array itself " * 3
    assert digest(texts("a", long)) == digest(texts("a", long)) != digest(texts("b", long))
