"""The values of a parameter as one array, each exactly as it was."""

from __future__ import annotations

from typing import Any

import numpy as np

LARGEST = 2**63


def as_array(values: Any) -> np.ndarray:
    """An array with one entry for each value, of objects where the values are no plain numbers."""
    if isinstance(values, np.ndarray):
        return values
    if isinstance(values, range):
        return np.arange(values.start, values.stop, values.step)
    kinds = {type(value) for value in values}
    alike = len(kinds) == 1 and issubclass(next(iter(kinds)), bool | np.generic)
    if kinds == {np.ndarray}:
        alike = len({(value.shape, value.dtype) for value in values}) == 1
    if alike or all(kind in (int, float, complex) or _is_number(kind) for kind in kinds):
        array = np.array(values)
        if array.dtype != object and len(array) == len(values) and _exact(array, values, kinds):
            return array
    array = np.empty(len(values), object)
    for place, value in enumerate(values):
        array[place] = value
    return array


def _is_number(kind: type) -> bool:
    return issubclass(kind, np.number) and not issubclass(kind, np.timedelta64)


def _exact(array: np.ndarray, values: Any, kinds: set[type]) -> bool:
    """Whether the integers among numbers of several kinds are what they were."""
    whole = {kind for kind in kinds if kind is int or issubclass(kind, np.integer)}
    if not whole or array.dtype.kind in "iumM":
        return True
    if whole == kinds:
        return False  # no integer is made a float for another's size
    integers = [int(value) for value in values if type(value) in whole]
    return all(abs(value) < LARGEST and int(float(value)) == value for value in integers)


def hashable(array: np.ndarray) -> bool:
    """Whether every entry can be looked up, as a label must be."""
    try:
        for value in array.flat:
            hash(value)
    except TypeError:
        return False
    return True
