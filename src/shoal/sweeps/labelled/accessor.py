"""``dataset.shoal``: what a sweep knows about its dataset, beside the numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from shoal.sweeps.labelled.provenance import (
    DETAILS,
    Joined,
    Live,
    live_in,
    record_in,
    types_in,
)
from shoal.sweeps.labelled.states import (
    FAILED,
    NAMES,
    numbers_in,
    places_along,
    states_in,
    states_of,
)

if TYPE_CHECKING:
    import os

    import pandas as pd
    from matplotlib.figure import Figure

COLUMNS = ("error", "message", "traceback", "attempts", "worker", "replay")
NOT_KEPT = "not kept: of a sweep with many failed points, a dataset from a file has only the first"


@xr.register_dataset_accessor("shoal")  # type: ignore[no-untyped-call]
class SweepAccessor:
    """How the dataset of a sweep came to be, its errors, and its pictures.

    Attributes of the dataset travel with it, into NetCDF and Zarr files and back: what needs the
    live function, which is `replay` and the exceptions themselves, is there in the process that
    ran the sweep.

    What is said of points is found by their labels, so it is still right after `sel` and `isel`.
    """

    def __init__(self, dataset: xr.Dataset) -> None:
        """Called by xarray."""
        self._dataset = dataset

    @property
    def provenance(self) -> dict[str, Any]:
        """What made the dataset, as function, seed, versions and seconds; empty if unknown.

        It is that of the whole sweep, also for a part of its dataset. After `merge` the list under
        ``"merged"`` has one such dict for each sweep.
        """
        record = record_in(self._dataset.attrs)
        return {key: value for key, value in record.items() if key not in DETAILS}

    @property
    def errors(self) -> pd.DataFrame:
        """The points that failed, one in a row, in the order of the grid.

        Columns: each parameter; ``error`` (the exception, or the name of its type where the dataset
        comes from a file), ``message``, ``traceback`` (the worker's, as text), ``attempts``,
        ``worker``, and ``replay`` (call it to run the point again in this process; None where the
        dataset comes from a file). A file keeps messages and tracebacks of the first 1,000.

        After a selection, only points whose labels are still in the dataset; along a dimension that
        is gone or has no labels, all.
        """
        import pandas as pd

        record, live = record_in(self._dataset.attrs), live_in(self._dataset.attrs)
        names = list(record.get("parameters", []))
        failed = np.flatnonzero(states_in(record) == FAILED) if record else np.array([], int)
        types = dict(zip(failed.tolist(), types_in(record), strict=True))
        left = _still_there(record, self._dataset, failed)
        lively = live.errors if live is not None else {}
        told = {each["index"]: each for each in record.get("errors", [])}
        heads = record.get("tracebacks", [])
        labels = _labels_at(record, self._dataset, left)
        rows = [
            _live_row(live, index, lively[index])
            if live is not None and index in lively
            else _told_row(told.get(index), own, heads, types.get(index))
            for index, own in zip(left.tolist(), labels, strict=True)
        ]
        return pd.DataFrame(rows, columns=[*names, *COLUMNS])

    @property
    def status(self) -> xr.DataArray:
        """What became of each point, as ``"done"``, ``"failed"`` or ``"missing"``.

        Over the dimensions of the sweep that are left. Points are missing where `merge`, or
        xarray's `reindex`, made places that no sweep has computed.

        Raises:
            LookupError: If the dataset does not come from a sweep, or if which points it has cannot
                be told, because a dimension without labels was cut or one was summed over.
        """
        record = record_in(self._dataset.attrs)
        dims, states = states_of(record, self._dataset)
        coords = {
            name: each for name, each in self._dataset.coords.items() if {*each.dims} <= {*dims}
        }
        return xr.DataArray(NAMES[states], coords, dims, name="status")

    def merge(self, other: xr.Dataset) -> xr.Dataset:
        """This sweep together with another one of the same function, over all labels of both.

        Where both have a value, the two must be the same, bit for bit. A value comes before a
        failure, a failure before nothing. Places that neither has are NaN, or NaT; integers and
        truth values become objects there, as where points failed. A dimension is in ascending
        (descending) order if it is in both, else in the order in which labels appear.

        Args:
            other: The dataset of another sweep, with the same parameters, constants and outputs.

        Returns:
            A new dataset. Its errors are those of both, with their `replay`.

        Raises:
            TypeError: If `other` is no dataset.
            LookupError: If one does not come from a sweep, or which points it has cannot be told.
            ValueError: If values differ, naming the first such points; if parameters, constants,
                outputs or their dimensions differ; if a label stands twice along a dimension.
        """
        from shoal.sweeps.labelled.merging import merged

        return merged(self._dataset, other)

    def plot(self, name: str | None = None, *, errors: bool = False, **options: Any) -> Figure:
        """A picture of one output over one or two dimensions.

        Lines over one dimension (a second one with at most five places gives a line each), a colour
        map over two; explicit points of two parameters as coloured dots. Complex values as modulus
        and phase. Axes that are spaced logarithmically are drawn so. Points that failed are marked.
        Labels of axes are names, or ``attrs["long_name"]``, with ``attrs["units"]``.

        Args:
            name: The output; not needed where there is only one.
            errors: Whether to draw where points failed, as `plot_errors`.
            options: ``x``: the coordinate along the horizontal axis. ``kind``: ``"lines"`` or
                ``"map"``, for two dimensions. ``figsize``: in inches. ``cmap``: of the values.

        Returns:
            The figure, which a notebook shows and ``figure.savefig("name.pdf")`` keeps.

        Raises:
            TypeError: If the values are no numbers.
            ValueError: If there are more than two dimensions, or several outputs and no name.
            shoal.errors.MissingExtra: If matplotlib is not installed.
        """
        from shoal.sweeps.pictures.plots import plot, plot_errors

        return plot_errors(self._dataset) if errors else plot(self._dataset, name, **options)

    def plot_errors(self, **options: Any) -> Figure:
        """Where points failed, with a colour for each type of error; see `plot`."""
        from shoal.sweeps.pictures.plots import plot_errors

        return plot_errors(self._dataset, **options)

    def to_netcdf(self, path: str | os.PathLike[str], *, pickle_objects: bool = False) -> None:
        """Writes a NetCDF file that `shoal.sweeps.read` gives back bit for bit.

        Beside what xarray can write: complex values, objects (integers with failed points among
        them, text with any characters, None, lists, dicts, arrays), float16 and long doubles.

        Args:
            path: The file; one that is there is replaced.
            pickle_objects: Whether objects of other classes are kept as pickles.

        Raises:
            TypeError: For objects of other classes, without `pickle_objects`.
            shoal.errors.MissingExtra: If netCDF4 is not installed.
        """
        from shoal.sweeps.labelled.export import to_netcdf

        to_netcdf(self._dataset, path, pickle_objects=pickle_objects)

    def to_zarr(self, path: str | os.PathLike[str], *, pickle_objects: bool = False) -> None:
        """Writes a Zarr store, a folder; otherwise as `to_netcdf`."""
        from shoal.sweeps.labelled.export import to_zarr

        to_zarr(self._dataset, path, pickle_objects=pickle_objects)


def _labels_at(
    record: Mapping[str, Any], dataset: xr.Dataset, points: np.ndarray
) -> list[dict[str, Any]]:
    """The parameters' values at some points of the sweep, as far as coordinates tell them."""
    rows: list[dict[str, Any]] = [{} for _ in points]
    try:
        dims, numbers = numbers_in(record, dataset)
    except LookupError:
        return rows
    at = {number: place for place, number in enumerate(numbers.ravel().tolist())}
    known = [(row, at[point]) for row, point in enumerate(points.tolist()) if point in at]
    places = np.unravel_index(np.array([place for _, place in known], int), numbers.shape)
    along = dict(zip(dims, places, strict=True))
    for name in record["parameters"]:
        if name not in dataset.coords or not {*dataset.coords[name].dims} <= {*dims}:
            continue
        variable = dataset.coords[name].variable
        index = tuple(along[str(dim)] for dim in variable.dims)
        values = np.broadcast_to(variable.values[index], len(known))
        listed = values.tolist() if values.dtype.kind in "biufc" else list(values)
        for (row, _), value in zip(known, listed, strict=True):
            rows[row][name] = value
    return rows


def _still_there(record: Mapping[str, Any], dataset: xr.Dataset, failed: np.ndarray) -> np.ndarray:
    """Those failed points whose place along every dimension may still be in the dataset."""
    if not failed.size:
        return failed
    sizes = record["dims"]
    kept = np.ones(len(failed), bool)
    for dim, places in zip(sizes, np.unravel_index(failed, [*sizes.values()]), strict=True):
        try:
            kept &= np.isin(places, places_along(dim, record, dataset))
        except LookupError:
            continue
    return np.asarray(failed[kept])


def _live_row(live: Live | Joined, index: int, error: Exception) -> dict[str, Any]:
    known = live.failure(index)
    return {
        **live.point(index),
        "error": error,
        "message": str(error),
        "traceback": known.traceback,
        "attempts": known.attempts,
        "worker": known.worker,
        "replay": known.replay,
    }


def _told_row(
    told: Mapping[str, Any] | None, labels: Mapping[str, Any], heads: list[str], kind: str | None
) -> dict[str, Any]:
    """A failed point as the text of the record tells of it, with the labels of the dataset."""
    if told is None:
        row = {"error": kind, "message": NOT_KEPT, "traceback": "", "attempts": 0}
        return {**labels, **row, "worker": "", "replay": None}
    return {
        **told["input"],
        **labels,
        "error": told["type"],
        "message": told["message"],
        "traceback": heads[told["traceback"]] + told["end"],
        "attempts": told["attempts"],
        "worker": told["worker"],
        "replay": None,
    }
