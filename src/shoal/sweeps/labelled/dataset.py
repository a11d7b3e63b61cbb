"""Results out: arrays over the grid as a labelled `xarray.Dataset`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from shoal.sweeps.grid import Grid, Parameter
from shoal.sweeps.labelled.provenance import ATTRIBUTE, Record
from shoal.sweeps.outputs import OutputMismatch
from shoal.sweeps.results import Results
from shoal.sweeps.values import as_array, hashable
from shoal.tasks import shorten

if TYPE_CHECKING:
    import xarray as xr

COORDINATE_KINDS = "biufcMm"


def checked_coords(coords: Any, grid: Grid) -> tuple[dict[str, Any], dict[str, int]]:
    """The coordinates that the argument of a sweep gives, and the sizes of their dimensions.

    Raises:
        TypeError: If it is no dict of names.
        ValueError: If one has an axis's name, or does not fit.
    """
    if coords is None:
        return {}, {}
    if not isinstance(coords, Mapping) or not all(isinstance(name, str) for name in coords):
        raise TypeError(f"coords={shorten(coords)}: expected a dict of names and coordinates")
    taken = {*grid.sizes, *grid.coords, *(each.name for each in grid.parameters)} & set(coords)
    if taken:
        raise ValueError(f"coords: {min(taken)!r} is an axis, which has its coordinates already")
    import xarray as xr

    try:
        made = xr.Dataset(coords=coords)
    except (ValueError, TypeError) as error:
        raise ValueError(f"coords={shorten(coords)}: {error}") from error
    sizes = {str(dim): size for dim, size in made.sizes.items()}
    for dim, size in grid.sizes.items():
        if sizes.pop(dim, size) != size:
            raise ValueError(f"coords: {made.sizes[dim]} along {dim!r}, which has {size} values")
    return {str(name): coord for name, coord in made.coords.items()}, sizes


def dataset_of(
    grid: Grid, results: Results, coords: Mapping[str, Any], record: Record
) -> xr.Dataset:
    """The results with their labels: dimensions are the grid's, then each output's own.

    Args:
        grid: The points.
        results: Finished results for all of them.
        coords: Coordinates along the outputs' own dimensions, as in `xarray.Dataset`.
        record: How they came to be.

    Raises:
        OutputMismatch: If the labels contradict each other; what was computed is its value.
    """
    import xarray as xr

    names = list(results.columns) or list(results.outputs.names or (results.outputs.default,))
    labels: dict[str, Any] = {}
    for parameter in grid.parameters:
        if parameter.name not in grid.coords:
            labels.update(_coordinate(parameter))
    labels |= grid.coords
    labels |= {name: coord for name, coord in results.coords.items() if name not in labels}
    labels |= coords
    taken = {*grid.sizes, *names, *labels}
    variables = {}
    for name in names:
        column = results.columns.get(name)
        data = np.full(len(grid), np.nan) if column is None else column.finished()
        own = results.dims.get(name) or _free_dims(name, data.ndim - 1, taken)
        own = own[: data.ndim - 1]  # nothing is known of their sizes where all points have failed
        dims, data = (*grid.sizes, *own), data.reshape(*grid.shape, *data.shape[1:])
        # The fast path keeps objects as they are: no None becomes NaN, no date a number.
        variables[name] = xr.Variable(dims, data, fastpath=data.dtype.hasobject)
    try:
        return xr.Dataset(variables, labels, {ATTRIBUTE: record})
    except ValueError as error:
        arrays = {name: variable.values for name, variable in variables.items()}
        raise OutputMismatch(
            f"the results make no dataset: {error}. They are in this error's .value", arrays
        ) from error


def _free_dims(name: str, count: int, taken: set[str]) -> tuple[str, ...]:
    """Names for the dimensions of one point's value, which has named none."""
    while any(f"{name}_{axis}" in taken for axis in range(count)):
        name += "_"
    return tuple(f"{name}_{axis}" for axis in range(count))


def _coordinate(parameter: Parameter) -> dict[str, Any]:
    """The labels along a dimension; positions where the values are no labels.

    Numbers, dates, truth values and text label a dimension as they are. Arrays with more axes and
    objects that cannot be looked up, such as lists, do not: their dimension counts from 0.
    """
    values = parameter.values
    if isinstance(values, np.ndarray) and values.ndim > len(parameter.dims):
        return {}
    array = _labels(as_array(values))
    if array.ndim > len(parameter.dims):
        return {}
    if array.dtype.kind in COORDINATE_KINDS or hashable(array):
        return {parameter.name: (parameter.dims, array)}
    return {}


def _labels(array: np.ndarray) -> np.ndarray:
    """The array in a dtype that can label a dimension, with the same values."""
    if array.dtype == np.float16:
        return array.astype(np.float32)
    if array.dtype.kind in "Mm" and np.datetime_data(array.dtype)[0] == "generic":
        return array.astype(f"{array.dtype.kind}8[s]")
    return array
