"""What became of each point, packed into text, and found again by the labels of a dataset."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from shoal.sweeps.grid import Grid
from shoal.sweeps.values import as_array, hashable
from shoal.tasks import shorten

if TYPE_CHECKING:
    import xarray as xr

DONE, FAILED, MISSING = range(3)
NAMES = np.array(["done", "failed", "missing"], object)
MOST_LABELS = 20_000
KEY_BYTES = 6
LABEL_KINDS = "biufcMm"


def packed(array: np.ndarray) -> str:
    """The bytes of an array as short text."""
    return base64.b85encode(zlib.compress(array.tobytes(), 9)).decode()


def unpacked(text: str, dtype: Any) -> np.ndarray:
    """The array, along one axis, of which `packed` made the text."""
    return np.frombuffer(zlib.decompress(base64.b85decode(text)), dtype)


def told_states(states: np.ndarray, labels: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The states of all points as JSON can hold them, with what finds them after a selection.

    Args:
        states: One of `DONE`, `FAILED` and `MISSING` for each point, in the grid's order.
        labels: For each dimension, the coordinates that run along it alone.
    """
    dims = {}
    for dim, columns in labels.items():
        size = len(next(iter(columns.values()))) if columns else 0
        known = 0 < size <= MOST_LABELS
        keys = packed(np.array(keys_of([*columns.values()]))) if known else None
        dims[dim] = {"names": [*columns], "keys": keys}
    return {"map": packed(states.astype(np.uint8)), "labels": dims}


def grid_labels(grid: Grid) -> dict[str, dict[str, Any]]:
    """For each dimension of a grid, the coordinates that the dataset has along it alone."""
    labels: dict[str, dict[str, Any]] = {dim: {} for dim in grid.sizes}
    for parameter in grid.parameters:
        array = as_array(parameter.values)
        if len(parameter.dims) > 1 or array.ndim > 1 or parameter.name in grid.coords:
            continue
        if array.dtype.kind in LABEL_KINDS or hashable(array):
            labels[parameter.dims[0]][parameter.name] = array
    for name, (dims, values) in grid.coords.items():
        if len(dims) == 1:
            labels[dims[0]][name] = values
    return labels


def label_values(array: np.ndarray) -> list[Any]:
    """The labels in a form that is equal for equal labels of any dtype, and can be looked up."""
    if array.dtype.kind in "mM":
        unit = f"{array.dtype.kind}8[ns]"
        return [(unit, value) for value in array.astype(unit).astype(np.int64).tolist()]
    values = [each.item() if isinstance(each, np.generic) else each for each in array.tolist()]
    return ["nan" if isinstance(value, float) and value != value else value for value in values]  # noqa: PLR0124 (NaN alone differs from itself)


def keys_of(columns: Sequence[Any]) -> list[bytes]:
    """A few bytes for each place along a dimension, equal where all its labels are equal."""
    texts = zip(*(map(_text, label_values(np.asarray(each))) for each in columns), strict=True)
    return [
        blake2b("\0".join(text).encode("utf-8", "replace"), digest_size=KEY_BYTES).digest()
        for text in texts
    ]


def _text(value: Any) -> str:
    if type(value) is float:
        return str(int(value)) if value.is_integer() else repr(value)
    return repr(value) if type(value) in (int, str, complex) else shorten(value)


def places_along(dim: str, record: Mapping[str, Any], dataset: xr.Dataset) -> np.ndarray:
    """The number that each place along a dimension had in the sweep; -1 where it had none.

    Of a dimension that a selection has dropped, the one place that its scalar coordinate names.

    Raises:
        LookupError: If that cannot be told.
    """
    size = record["dims"][dim]
    told = (record.get("states") or {}).get("labels", {}).get(dim, {"names": [], "keys": None})
    same = np.arange(size) if dataset.sizes.get(dim) == size else None
    wanted = (dim,) if dim in dataset.sizes else ()
    columns = [
        np.atleast_1d(dataset.coords[name].values)
        for name in told["names"]
        if name in dataset.coords and dataset.coords[name].dims == wanted
    ]
    if told["keys"] is None or len(columns) < len(told["names"]):
        if same is not None:
            return same
        raise LookupError(
            f"which points of the sweep these are cannot be told: its dimension {dim!r} had "
            f"{size} places and no labels that tell them apart; select by coordinates"
        )
    now, blob = keys_of(columns), unpacked(told["keys"], np.uint8).tobytes()
    keys = [blob[start : start + KEY_BYTES] for start in range(0, len(blob), KEY_BYTES)]
    if now == keys and same is not None:
        return same
    numbers = {key: number for number, key in enumerate(keys)}
    if len(numbers) < size:
        raise LookupError(
            f"which points of the sweep these are cannot be told: labels along {dim!r} stand twice"
        )
    return np.array([numbers.get(key, -1) for key in now], np.int64)


def numbers_in(record: Mapping[str, Any], dataset: xr.Dataset) -> tuple[list[str], np.ndarray]:
    """The dimensions of a sweep that are left, and each point's number in it; -1 for none.

    Raises:
        LookupError: If the dataset is from no sweep, or which points it has cannot be told.
    """
    sizes = record.get("dims")
    if not sizes:
        raise LookupError("this dataset does not come from a sweep")
    numbers, known, stride = np.zeros((), np.int64), np.ones((), bool), prod(sizes.values())
    for dim, size in sizes.items():
        stride //= size
        if record.get("states") is None and dataset.sizes.get(dim, size + 1) <= size:
            along = np.zeros(dataset.sizes[dim], np.int64)  # all are done: no matter which
        elif record.get("states") is None and dim not in dataset.sizes and dim in dataset.coords:
            along = np.zeros(1, np.int64)
        else:
            along = places_along(dim, record, dataset)
        numbers = numbers[..., np.newaxis] + along * stride
        known = known[..., np.newaxis] & (along >= 0)
    numbers = np.where(known, numbers, -1)
    left = [dim for dim in sizes if dim in dataset.sizes]
    return left, numbers.reshape([dataset.sizes[dim] for dim in left])


def states_in(record: Mapping[str, Any]) -> np.ndarray:
    """What became of each point, in the order of the sweep."""
    told = record.get("states")
    if told is None:
        return np.zeros(prod(record["dims"].values()), np.uint8)
    return unpacked(told["map"], np.uint8)


def states_of(record: Mapping[str, Any], dataset: xr.Dataset) -> tuple[list[str], np.ndarray]:
    """The dimensions of a sweep that are left in a dataset, and the state of each of its points.

    Raises:
        LookupError: As `numbers_in`.
    """
    dims, numbers = numbers_in(record, dataset)
    states = states_in(record)
    return dims, np.where(numbers < 0, MISSING, states[numbers])
