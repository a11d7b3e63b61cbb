"""Whether values are the same, bit for bit; integers that became objects, as integers again."""

from __future__ import annotations

from typing import Any

import numpy as np


def same_values(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """For each row of two arrays, whether all in it is the same: NaN is, 0.0 and -0.0 are not."""
    if one.shape != two.shape:
        return np.zeros(len(one), bool)
    same: np.ndarray
    if one.dtype == two.dtype and one.dtype != object:
        same = _same_natives(one, two)
    else:
        pairs = zip(one.ravel().tolist(), two.ravel().tolist(), strict=True)
        same = np.array([_same(*pair) for pair in pairs], bool).reshape(one.shape)
    return np.asarray(np.all(same, axis=tuple(range(1, same.ndim))))


def _same_natives(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    if one.dtype.kind == "c":
        parts = _same_natives(one.real, two.real), _same_natives(one.imag, two.imag)
        return np.asarray(parts[0] & parts[1])
    if one.dtype.kind == "f":
        signs = np.signbit(one) == np.signbit(two)
        return np.asarray((one == two) & signs | np.isnan(one) & np.isnan(two))
    if one.dtype.kind in "mM":
        return np.asarray(one.view(np.int64) == two.view(np.int64))
    return np.asarray(one == two)


def _same(one: Any, two: Any) -> bool:
    """The same for two Python values, or numpy's own where Python has none such."""
    if one is two:
        return True
    if type(one) is not type(two):
        return {type(one), type(two)} <= {int, float, complex} and bool(one == two)
    if isinstance(one, np.ndarray | np.generic):
        arrays = np.asarray(one)[np.newaxis], np.asarray(two)[np.newaxis]
        same = arrays[0].dtype == arrays[1].dtype and bool(same_values(*arrays).all())
    elif isinstance(one, float):
        same = one.hex() == two.hex()
    elif isinstance(one, list | tuple):
        same = len(one) == len(two) and all(map(_same, one, two))
    elif isinstance(one, dict):
        same = [*one] == [*two] and all(map(_same, one.values(), two.values()))
    else:
        try:
            same = bool(one == two)
        except Exception:  # comparing the user's objects may raise anything  # noqa: BLE001
            same = False
    return same


def plain(array: np.ndarray, like: np.dtype[Any] | None) -> np.ndarray:
    """Objects that are all integers, or all truth values, as an array of them; else as it is.

    Args:
        array: Of any dtype.
        like: The dtype that it had without failed points, where that is known.
    """
    if array.dtype != object or not array.size:
        return array
    values = array.ravel().tolist()
    kinds = {type(value) for value in values}
    if kinds not in ({int}, {bool}):
        return array
    dtype = np.dtype(bool if kinds == {bool} else np.int64)
    if like is not None and like.kind in ("b" if kinds == {bool} else "iu"):
        dtype = like
    try:
        native = np.array(values, dtype)
    except OverflowError:
        return array
    return native.reshape(array.shape)
