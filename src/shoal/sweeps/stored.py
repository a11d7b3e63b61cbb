"""The checkpoint of a sweep: what is put into it, and what of it still holds."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import prod
from typing import Any, Literal

import cloudpickle
import numpy as np

from shoal.errors import (
    CheckpointDamaged,
    CheckpointError,
    CheckpointUnreadable,
    ResultNotReturned,
)
from shoal.sweeps.grid import Grid, Parameter
from shoal.sweeps.results import Results
from shoal.tasks import Checkpoint, Record, function_parts, part, shorten, version_parts

Place = Callable[[np.ndarray], np.ndarray]

MOST_CHARACTERS = 4000
NUMBERS = frozenset(np.dtype(code).type for code in "?bhilqBHILQdD")


class Stored:
    """The finished points of a sweep on disk; does nothing where there is no checkpoint.

    Attributes:
        taken_over: How many points it held when the sweep began.
    """

    def __init__(self, checkpoint: Checkpoint | None, grid: Grid, *, seeded: bool = False) -> None:
        """With `seeded`, values belong to a point's number, and not to its parameters alone."""
        self._checkpoint = checkpoint
        self._grid = grid
        self._seeded = seeded
        self.taken_over = 0

    def load(self, results: Results) -> list[int] | range:
        """Fills the results with what is stored; returns the points that are yet to run."""
        if self._checkpoint is None:
            return range(len(self._grid))
        for record, positions, indices in self._newest():
            _take(results, record, positions, indices)
        results.forget_failed()
        done = results.filled()
        self.taken_over = int(done.sum())
        if not self.taken_over:
            return range(len(self._grid))
        return [int(index) for index in np.flatnonzero(~done)]

    def _newest(self) -> Iterator[tuple[Record, np.ndarray, np.ndarray]]:
        """The records that have the last word on points: positions in them, and the points.

        The file is read twice, so that one record at a time is in memory.
        """
        sections = [] if self._checkpoint is None else self._checkpoint.sections
        placings = [_placing(each.layout, self._grid, seeded=self._seeded) for each in sections]
        last = np.full(len(self._grid), -1)
        for _, number, _, indices in _placed(sections, placings):
            last[indices] = number
        for record, number, positions, indices in _placed(sections, placings):
            mine = last[indices] == number
            if mine.any():
                yield record, positions[mine], indices[mine]

    def keep(self, indices: Sequence[int], values: Any, failed: Mapping[int, Exception]) -> None:
        """Appends what has ended: values of `indices`, and why others failed.

        Raises:
            ResultNotReturned: If the values cannot be pickled.
            shoal.errors.CheckpointNotWritten: If the disk is full, or broken.
        """
        if self._checkpoint is None:
            return
        texts = {at: _text(error) for at, error in failed.items()}
        try:
            self._checkpoint.append(indices, _compact(values), texts)
        except CheckpointError:
            raise
        except Exception as error:  # pickling the user's results may raise anything
            raise ResultNotReturned(
                f"the result cannot be kept in the checkpoint: {_text(error)}"
            ) from error


def _compact(values: Any) -> Any:
    """Many numbers of numpy's, of one type, as one array: pickled ten times as fast."""
    if isinstance(values, list) and len(kinds := set(map(type, values))) == 1:
        kind = kinds.pop()
        if kind in NUMBERS:
            return np.array(values, kind)
    return values


def _text(error: Exception) -> str:
    """The error in words, where its `str` gives any."""
    try:
        return f"{type(error).__name__}: {error}"[:MOST_CHARACTERS]
    except Exception:  # a user's __str__ may raise anything  # noqa: BLE001
        return f"{type(error).__name__}, whose str() fails"


@contextmanager
def opened(
    path: Any,
    grid: Grid,
    f: Callable[..., Any],
    *,
    on_change: Literal["refuse", "accept"],
    options: Mapping[str, Any],
) -> Iterator[Stored]:
    """The checkpoint at `path`, locked while the body runs; an empty one where `path` is None.

    Raises:
        shoal.errors.CheckpointError: If it belongs to another function, grid or version; if another
            process uses it; if it is none.
    """
    if on_change not in ("refuse", "accept"):
        raise ValueError(f"on_change={shorten(on_change)}: expected 'refuse' or 'accept'")
    if path is None:
        yield Stored(None, grid)
        return
    parts = [*function_parts(f), *_grid_parts(grid)]
    parts += [part(name, value) for name, value in options.items()] + version_parts()
    seeded = options.get("seed") is not None
    with Checkpoint(
        path, parts, layout=_layout(grid), total=len(grid), on_change=on_change
    ) as checkpoint:
        yield Stored(checkpoint, grid, seeded=seeded)


def _grid_parts(grid: Grid) -> list[Any]:
    parts = [part("dimensions", [*grid.sizes.items()])]  # their order is that of the points
    parts += [part(f"axis {p.name}", (p.dims, p.values)) for p in grid.parameters]
    return parts + [part(f"constant {name}", value) for name, value in grid.constants.items()]


def _layout(grid: Grid) -> bytes:
    """What tells which point a number means; the values, of any classes, are a pickle in it."""
    values = cloudpickle.dumps([each.values for each in grid.parameters])
    return pickle.dumps(
        ([*grid.sizes.items()], [(p.name, p.dims) for p in grid.parameters], values)
    )


def _grid_in(layout: bytes) -> Grid | None:
    """The grid that `_layout` was made of; None, with a warning, where its values are lost."""
    sizes, names, pickled = pickle.loads(layout)
    try:
        values = pickle.loads(pickled)
    except Exception as error:  # unpickling runs what the classes of the values say  # noqa: BLE001
        text = "the axes in the checkpoint cannot be unpickled, so its points count as missing"
        warnings.warn(f"{text}: {_text(error)}", CheckpointDamaged, stacklevel=2)
        return None
    parameters = zip(names, values, strict=True)
    return Grid(dict(sizes), tuple(Parameter(name, dims, own) for (name, dims), own in parameters))


def _placing(layout: bytes, grid: Grid, *, seeded: bool) -> Place:
    """From the numbers of a stored grid's points to those of the same points now; -1 for none."""
    if layout == _layout(grid):
        return lambda indices: indices
    old = _grid_in(layout)
    if old is None or {p.name for p in old.parameters} != {p.name for p in grid.parameters}:
        return lambda indices: np.full(len(indices), -1)
    places = _places_in(grid, old)
    if seeded:
        places[places != np.arange(len(old))] = -1
    return lambda indices: places[indices]


def _places_in(grid: Grid, old: Grid) -> np.ndarray:
    """For each point of `old`, the number of the first point of `grid` with the same values."""
    codes = np.zeros(len(old) + len(grid), np.int64)
    for parameter in grid.parameters:
        [before] = [each for each in old.parameters if each.name == parameter.name]
        seen: dict[Any, int] = {}
        both = [_codes(old, before, seen), _codes(grid, parameter, seen)]
        codes = np.unique(codes * len(seen) + np.concatenate(both), return_inverse=True)[1]
    wanted, known = codes[: len(old)], codes[len(old) :]
    order = np.argsort(known, kind="stable")
    found = np.searchsorted(known[order], wanted)
    places = order[np.minimum(found, len(order) - 1)]
    places[known[places] != wanted] = -1
    return places


def _codes(grid: Grid, parameter: Parameter, seen: dict[Any, int]) -> np.ndarray:
    """A number for the parameter's value at every point, the same for the same value."""
    shape = [grid.sizes[dim] for dim in parameter.dims]
    values = parameter.values
    if len(shape) > 1:
        values = values.reshape(prod(shape), *values.shape[len(shape) :])
    codes = [seen.setdefault(_key(value), len(seen)) for value in values]
    coded = Parameter(parameter.name, parameter.dims, np.array(codes).reshape(shape))
    return Grid(grid.sizes, (coded,)).arrays(np.arange(len(grid)))[parameter.name]


def _key(value: Any) -> Any:
    """What two values have in common if and only if they are the same, of one type."""
    kind = type(value)
    if kind in (int, str, bool):
        return kind, value
    if kind is float:
        return kind, value.hex()
    if isinstance(value, np.number):
        return value.dtype.str, value.tobytes()
    return part("", value).digest


def _placed(
    sections: Sequence[Any], placings: Sequence[Place]
) -> Iterator[tuple[Record, int, np.ndarray, np.ndarray]]:
    """Each record with its number, and which of its points are in the grid: positions, indices."""
    number = 0
    for (_, records), place in zip(sections, placings, strict=True):
        for record in records:
            indices = place(record.indices)
            positions = np.flatnonzero(indices >= 0)
            yield record, number, positions, indices[positions]
            number += 1


def _take(results: Results, record: Record, positions: np.ndarray, indices: np.ndarray) -> None:
    """Puts the values of some points of a record into the results."""
    try:
        values = record.load()
    except CheckpointUnreadable:  # it has warned; these points are run again
        return
    whole = len(positions) == len(record.indices)
    if not isinstance(values, dict):
        results.put([*indices], values if whole else [values[at] for at in positions])
        return
    names = results.outputs.names
    if names is None or set(names) == set(values):  # else the outputs have been renamed since
        results.put_arrays(
            [*indices], {name: each if whole else each[positions] for name, each in values.items()}
        )
