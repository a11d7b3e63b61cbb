"""Values as arrays are what they were."""

import numpy as np
import pytest

from shoal.sweeps.values import as_array

TODAY = np.datetime64("2026-01-01")


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([1, 2.5], "f8"),
        ([0.0, np.float64(1)], "f8"),
        ([0, np.int64(1)], "i8"),
        ([-1, 2**63], "O"),
        ([0.5, 2**53 + 1], "O"),
        ([True, 1], "O"),
        ([True, False], "?"),
        (["a", "b"], "O"),
        ([TODAY, TODAY], "M8[D]"),
        ([1, None], "O"),
        (range(3), "i8"),
        ([[1], [2]], "O"),
        ([np.zeros(2), np.zeros(3)], "O"),
    ],
    ids=repr,
)
def test_labels_are_arrays_that_hold_each_value_exactly(values, dtype):
    array = as_array(values)
    assert array.dtype == dtype
    assert len(array) == len(values)
    assert all(np.array_equal(one, two) for one, two in zip(array, values, strict=True))
