"""What kernel_matrix is given, checked before any work."""

from __future__ import annotations

from typing import Any

import numpy as np

from shoal.quantum.kernels.tracing import GateTable
from shoal.tasks import shorten

DTYPES = ("complex64", "complex128")
SHOWN = 3
ANGLES_AT_ONCE = 1 << 21


def checked_rows(values: Any, name: str, *, like: np.ndarray | None = None) -> np.ndarray:
    """Samples as a float64 array of shape (n_rows, n_features), a copy in C order.

    Args:
        values: Anything numpy makes an array of: lists, data frames, arrays.
        name: What messages call them.
        like: Other samples, which must have as many features.

    Raises:
        TypeError: If they are not real numbers.
        ValueError: If they are not two-dimensional, empty, not finite, or of another width.
    """
    try:
        given = np.asarray(values)
        if given.dtype == object:
            given = given.astype(float)
    except (TypeError, ValueError) as error:
        raise type(error)(
            f"{name}={shorten(values)}: expected numbers, shape (n_samples, n_features): {error}"
        ) from None
    if given.dtype.kind not in "biuf":
        raise TypeError(f"{name} of dtype {given.dtype}: expected real numbers")
    if given.ndim != 2:
        raise ValueError(
            f"{name} of shape {given.shape}: expected (n_samples, n_features); a single sample is "
            f"{name}[None, :], a single feature {name}[:, None]"
        )
    if 0 in given.shape:
        raise ValueError(f"{name} of shape {given.shape}: expected at least one sample and feature")
    if like is not None and given.shape[1] != like.shape[1]:
        raise ValueError(
            f"{name} has {given.shape[1]} features, x has {like.shape[1]}: expected the same"
        )
    rows = np.array(given, np.float64, order="C")
    wrong = np.argwhere(~np.isfinite(rows))
    if len(wrong):
        places = ", ".join(f"{name}[{i}, {j}] = {rows[i, j]}" for i, j in wrong[:SHOWN])
        more = f" and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        raise ValueError(f"{name}: expected finite numbers, got {places}{more}")
    return rows


def checked_dtype(dtype: Any) -> np.dtype[Any]:
    """complex64 or complex128.

    Raises:
        ValueError: For any other.
    """
    try:
        found: np.dtype[Any] = np.dtype(dtype)
    except TypeError:
        found = np.dtype(object)
    if found.name not in DTYPES:
        raise ValueError(f"dtype={shorten(dtype)}: expected 'complex64' or 'complex128'")
    return found


def checked_count(value: Any, name: str, *, least: int, optional: bool = False) -> Any:
    """A whole number, or None where that is allowed.

    Raises:
        TypeError: If it is no integer.
        ValueError: If it is below `least`.
    """
    if value is None and optional:
        return None
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name}={shorten(value)}: expected an integer from {least}")
    number = int(value.__index__())
    if number < least:
        raise ValueError(f"{name}={number}: expected at least {least}")
    return number


def check_angles(table: GateTable, rows: np.ndarray, name: str) -> None:
    """Raises ValueError for a row of which the feature map makes an angle that is not finite."""
    size = max(ANGLES_AT_ONCE // max(len(table.formulas.steps), 1), 1)
    for start in range(0, len(rows), size):
        with np.errstate(all="ignore"):
            angles = table.angles(rows[start : start + size])
        wrong = np.argwhere(~np.isfinite(angles))
        if len(wrong):
            row, column = start + wrong[0][0], wrong[0][1]
            gate = next(gate for gate in table.gates if column in gate.angles)
            raise ValueError(
                f"{name}[{row}] = {shorten(rows[row])}: the feature map turns it into an angle of "
                f"{angles[row - start, column]}, in the gate {gate.label or gate.name} on "
                f"{list(gate.wires)}"
            )


def check_what(feature_map: Any, kernel: Any, noise: Any) -> None:
    """Exactly one of a feature map and a kernel; what only goes with a feature map.

    Raises:
        TypeError: If both or neither are given, or the kernel is no function.
        ValueError: If noise is given for a kernel.
    """
    if (feature_map is None) == (kernel is None):
        both = "both" if kernel is not None else "neither"
        raise TypeError(f"expected either feature_map= or kernel=, got {both}")
    if kernel is None:
        return
    if not callable(kernel):
        raise TypeError(f"kernel={shorten(kernel)}: expected a function k(x1, x2)")
    if noise is not None:
        raise ValueError("noise= goes with feature_map=: a kernel brings noise of its own")
