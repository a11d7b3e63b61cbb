"""shoal.sweep: a function over named axes, as a labelled dataset."""

from __future__ import annotations

import importlib
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from numbers import Real
from time import monotonic
from typing import TYPE_CHECKING, Any, Literal

from shoal.sweeps import stored
from shoal.sweeps.axes import check_takes, grid_of
from shoal.sweeps.grid import Grid
from shoal.sweeps.labelled.dataset import checked_coords, dataset_of
from shoal.sweeps.labelled.provenance import Live, record_of
from shoal.sweeps.outputs import check_names, outputs_of
from shoal.sweeps.results import Results
from shoal.sweeps.running import Running
from shoal.sweeps.vectorized import Sizing
from shoal.sweeps.verification import Check, failed, verify
from shoal.tasks import (
    available_cores,
    check_options,
    check_seed,
    failure,
    memory_budget,
    shorten,
)

if TYPE_CHECKING:
    import os

    import xarray as xr

BLOCKS_FOR_CHECKPOINTS = 8


class PointsFailed(UserWarning):
    """Some points of a sweep failed: NaN in the dataset, and listed in its ``shoal.errors``."""


def sweep(
    f: Callable[..., Any],
    axes: Any,
    *,
    constants: Mapping[str, Any] | None = None,
    outputs: Any = None,
    coords: Mapping[str, Any] | None = None,
    over: Any = None,
    executor: str | Executor | None = None,
    max_workers: int | None = None,
    batch_size: int | Literal["auto"] = "auto",
    timeout_seconds: float | None = None,
    retries: int = 0,
    worker_death_retries: int = 2,
    threads_per_task: int = 1,
    on_error: Literal["raise", "return"] = "return",
    progress: bool | None = None,
    seed: Any = None,
    checkpoint: str | os.PathLike[str] | None = None,
    on_change: Literal["refuse", "accept"] = "refuse",
    vectorized: bool = False,
    memory_bytes: int | None = None,
    reference: Callable[..., Any] | None = None,
    verify_points: int = 16,
    rtol: float = 1e-6,
    atol: float = 1e-9,
) -> xr.Dataset:
    """Calls `f` at every point of a grid, in parallel, and labels what it returns.

    ``shoal.sweep(f, {"a": a_values, "b": b_values})`` holds what the nested loop
    ``for a in a_values: for b in b_values: f(a=a, b=b)`` would have computed, bit for bit.

    Args:
        f: Any callable; called by keyword. What it returns may be a number (complex too), text or
            any object, an array, an `xarray.DataArray`; or several of these, as a tuple
            (named by `outputs`), a dict, a named tuple or an `xarray.Dataset`.
        axes: What varies. A dict from name to values: each its own dimension, the last one fastest.
            Values given as ``(dimension, values)`` run along a dimension they share: zipped axes. A
            list of dicts, or a `pandas.DataFrame`: explicit points, along the dimension
            ``"point"``. An `xarray.Dataset`: its variables and coordinates, as far as `f` takes
            them, at each place of its dimensions.
        constants: Further keyword arguments, the same at every point; large arrays travel once.
        outputs: The name of what `f` returns, or a list of names, or a dict from name to the
            dimensions an output has of its own. By default one output is named after `f`, and the
            dimensions of arrays are named after the output. Labelled arrays bring their own, with
            their coordinates; those without a dimension are left out.
        coords: Coordinates along the outputs' own dimensions, as in `xarray.Dataset`.
        over: For a Dataset: the dimensions to sweep over; `f` gets the others whole. None: all.
        executor: As for `shoal.map`, like the arguments up to `threads_per_task`.
        max_workers: How many points are computed at once, from 1. None: as many as cores.
        batch_size: Points per message, or per block when vectorised.
        timeout_seconds: Longest time of one point, or of one block when vectorised.
        retries: How often a point that raised, or ran too long, is run again.
        worker_death_retries: How often a point that ended its worker is run again.
        threads_per_task: Threads that numerical libraries use in each worker.
        on_error: ``"return"`` makes failed points NaN, lists them in ``dataset.shoal.errors`` and
            warns. ``"raise"`` raises the first error in the order of the grid.
        progress: True shows a bar, False none; None: in terminals and notebooks, after half a
            second.
        seed: With a seed, `f` gets a keyword ``rng``, a `numpy.random.Generator` that depends on
            the seed and the point's number in the grid alone. Not with `vectorized`.
        checkpoint: A file in which finished points are kept. The same call, made again, runs only
            the points that are missing or failed. Like a pickle: open only your own.
        on_change: What to do where the function, the grid or a version is not the one that the
            checkpoint was made with. ``"refuse"`` raises and shows the difference. ``"accept"``
            keeps the points that are in the grid still, and goes on.
        vectorized: Whether `f` takes many points at once: each parameter as an array of shape
            (n,), the constants as they are; it returns arrays with n along their first axis.
        memory_bytes: What all blocks together may use while they are computed. None: a quarter of
            what is free. The first block is measured, and the others made to fit.
        reference: For a vectorised `f`, the same function of one point. Every corner of the grid
            and `verify_points` random points are computed with it and compared. Without it, random
            points are compared with themselves in a block of another make-up, which says that
            blocks agree and no more.
        verify_points: How many random points are compared, from 0.
        rtol: Relative tolerance of that comparison.
        atol: Absolute tolerance of that comparison.

    Returns:
        A dataset. Dimensions are the axes, in their order, then each output's own; variables are
        the outputs. A point that failed is NaN; integers and truth values are objects where points
        failed, never silently floats. ``attrs["shoal"]`` tells how it was made, as JSON;
        ``dataset.shoal`` has the errors, and plots. The same for any executor, number of workers,
        batching, and whether it was resumed.

    Raises:
        TypeError: For arguments of the wrong kind, or that `f` does not take, before any work.
        ValueError: For arguments out of range, an empty axis or unequal lengths, before any work;
            for an output that `f` has given the name of an axis.
        shoal.errors.CheckpointError: If the checkpoint cannot be used as asked, or written. What
            is in it is safe.
        shoal.errors.VerificationFailed: If a vectorised `f` differs from its reference.
        shoal.errors.ShoalError: With ``on_error="raise"``, as for `shoal.map`.

    Example:
        >>> import shoal
        >>> def area(width, height):
        ...     return width * height
        >>> dataset = shoal.sweep(area, {"width": [1.0, 2.0], "height": [3.0, 4.0, 5.0]})
        >>> dataset.area.sel(width=2.0).values
        array([ 6.,  8., 10.])
    """
    options = {
        "executor": executor,
        "max_workers": max_workers,
        "batch_size": batch_size,
        "timeout_seconds": timeout_seconds,
        "retries": retries,
        "worker_death_retries": worker_death_retries,
        "threads_per_task": threads_per_task,
        "on_error": on_error,
        "progress": progress,
        "seed": seed,
    }
    check_options(f, **options)
    if memory_bytes is not None:
        memory_budget(memory_bytes)
    grid = grid_of(f, axes, constants, over)
    check_takes(f, grid, seeded=seed is not None)
    names = [*dict.fromkeys([*grid.sizes, *(each.name for each in grid.parameters), *grid.coords])]
    labels, sizes = checked_coords(coords, grid)
    named = replace(outputs_of(outputs, f, names), sizes=sizes)
    check_names(named.names or [named.default], {}, labels)
    request = _Request(
        f,
        grid,
        Results(named, len(grid), names),
        labels,
        options,
        _sizing_of(options, memory_bytes, many=checkpoint is not None) if vectorized else None,
        _check_of(vectorized, seed, reference, verify_points, rtol=rtol, atol=atol),
    )
    return request.dataset(checkpoint, on_change)


@dataclass(frozen=True)
class _Request:
    """A sweep that was asked for, with everything checked."""

    f: Callable[..., Any]
    grid: Grid
    results: Results
    coords: dict[str, Any]
    options: dict[str, Any]
    sizing: Sizing | None
    check: Check | None

    def dataset(self, checkpoint: Any, on_change: Literal["refuse", "accept"]) -> xr.Dataset:
        """Runs what the checkpoint has not, and labels it all."""
        begun, started = monotonic(), datetime.now(UTC)
        differing = []
        with (
            stored.opened(
                checkpoint, self.grid, self.f, on_change=on_change, options=self._identity()
            ) as kept,
            _importing("shoal.sweeps.labelled.accessor"),
        ):
            running = self._run(kept)
            self.results.finish()
            self._raise_first()
            if self.check is not None:
                differing = verify(self.check, running)
        details = {
            "started": started.isoformat(timespec="seconds"),
            "wall_seconds": round(monotonic() - begun, 6),
            "vectorized": self.sizing is not None,
            **running.details(),
        }
        live = Live(self.f, self.grid, self.results.errors, check_seed(self.options["seed"]))
        dataset = dataset_of(self.grid, self.results, self.coords, record_of(live, details))
        if self.check is not None and differing:
            raise failed(self.check, differing, dataset)
        if self.results.errors:
            _warn(self.results.errors, self.grid)
        return dataset

    def _run(self, kept: stored.Stored) -> Running:
        """Runs what is missing."""
        workers = self.options["max_workers"] or available_cores()
        running = Running(self.f, self.grid, self.results, kept, self.options, workers)
        todo = kept.load(self.results)
        if self.sizing is not None:
            if self.check is not None and self.check.reference is None:
                running.repeat = self.check.points
            running.run_blocks(todo, replace(self.sizing, points=len(todo)))
            return running
        try:
            running.run_points(todo)
        except Exception as error:
            if _failed_index(error) is not None:
                self.results.finish()
                self._raise_first()  # what a point before it returned may not go with the others
            raise
        return running

    def _raise_first(self) -> None:
        """Raises the error of the first point that failed, where errors are to be raised."""
        errors = self.results.errors
        if self.options["on_error"] != "raise" or not errors:
            return
        first = min(errors)
        if _failed_index(errors[first]) is None:
            errors[first].add_note(f"shoal: at the point {_named(self.grid, first)}")
        raise errors[first]

    def _identity(self) -> dict[str, Any]:
        """What, besides function and grid, the values in a checkpoint depend on."""
        outputs = self.results.outputs
        return {
            "outputs": (outputs.names, dict(outputs.dims)),
            "seed": self.options["seed"],
            "threads_per_task": self.options["threads_per_task"],
            "vectorized": self.sizing is not None,
        }


def _sizing_of(options: Mapping[str, Any], memory_bytes: Any, *, many: bool) -> Sizing:
    """How large blocks are: `many` small ones where a checkpoint is to gain by each."""
    return Sizing(
        points=0,
        workers=options["max_workers"] or available_cores(),
        memory_bytes=memory_budget(memory_bytes),
        per_worker=BLOCKS_FOR_CHECKPOINTS if many else 1,
        fixed=None if options["batch_size"] == "auto" else int(options["batch_size"]),
        strict=memory_bytes is not None,
    )


def _check_of(
    vectorized: Any, seed: Any, reference: Any, points: Any, *, rtol: Any, atol: Any
) -> Check | None:
    """How to check a vectorised sweep; None for any other."""
    if not isinstance(vectorized, bool):
        raise TypeError(f"vectorized={shorten(vectorized)}: expected True or False")
    if not vectorized:
        if reference is not None:
            raise ValueError(
                "reference= is for vectorized=True; a function of one point needs none"
            )
        return None
    if seed is not None:
        raise ValueError("seed= with vectorized=True: random numbers would depend on the blocks")
    if reference is not None and not callable(reference):
        raise TypeError(f"reference={shorten(reference)} is not callable: expected a function")
    for name, value in (("verify_points", points), ("rtol", rtol), ("atol", atol)):
        number = isinstance(value, Real) and not isinstance(value, bool)
        if not number or not float(value) >= 0:
            raise ValueError(f"{name}={shorten(value)}: expected a number from 0")
    return Check(reference, int(points), float(rtol), float(atol))


@contextmanager
def _importing(module: str) -> Iterator[None]:
    """Imports what takes long while workers compute; it is there when the body has ended."""
    if module in sys.modules:
        yield
        return
    thread = threading.Thread(target=importlib.import_module, args=(module,), name="shoal-import")
    thread.start()
    try:
        yield
    finally:
        thread.join()  # nothing may race with it: not an exit, not the next sweep


def _failed_index(error: Exception) -> int | None:
    """The number of the point that raised an error; None for what no point has raised."""
    try:
        return failure(error).index
    except LookupError:
        return None


def _named(grid: Grid, index: int) -> str:
    return ", ".join(f"{name}={shorten(value)}" for name, value in grid.point(index).items())


def _warn(errors: Mapping[int, Exception], grid: Grid) -> None:
    first = min(errors)
    warnings.warn(
        f"{len(errors):,} of {len(grid):,} points failed, the first at {_named(grid, first)}: "
        f"{type(errors[first]).__name__}: {errors[first]}. They are listed in dataset.shoal.errors",
        PointsFailed,
        stacklevel=4,
    )
