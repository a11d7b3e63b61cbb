"""Tiles on disk: found again by what is in their rows, wherever these are in the matrix now."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import metadata
from typing import Any

import numpy as np

from shoal.errors import CheckpointUnreadable
from shoal.quantum.kernels.tiling.layout import Layout
from shoal.quantum.kernels.tiling.task import Tile, TileTask
from shoal.tasks import Checkpoint, part, version_parts

FORMAT = 1
LIBRARIES = ("numba", "scipy")


class Stored:
    """The finished tiles of a matrix on disk; does nothing where there is no checkpoint."""

    def __init__(self, checkpoint: Checkpoint | None, task: TileTask) -> None:
        self._checkpoint = checkpoint
        self._task = task

    def load(self) -> Iterator[tuple[int, Tile]]:
        """The tiles that still hold, by their numbers now; one may come twice."""
        if self._checkpoint is None:
            return
        here = _places(_contents(self._task), self._task)
        for section in self._checkpoint.sections:
            there = _names(pickle.loads(section.layout))
            for record in section.records:
                numbers = here.get(there(int(record.indices[0])))
                if numbers is None:
                    continue
                try:
                    tile = record.load()
                except CheckpointUnreadable:  # it has warned; the tile is computed again
                    continue
                for number in numbers:
                    yield number, tile

    def keep(self, number: int, tile: Tile) -> None:
        """Appends a tile.

        Raises:
            shoal.errors.CheckpointNotWritten: If the disk is full, or broken.
        """
        if self._checkpoint is not None:
            self._checkpoint.append([number], tile)


@contextmanager
def opened(path: Any, task: TileTask, parts: Sequence[Any]) -> Iterator[Stored]:
    """The checkpoint at `path`, locked while the body runs; an empty one where `path` is None.

    Raises:
        shoal.errors.CheckpointError: If it belongs to another circuit, method or version; if
            another process uses it; if it is none.
    """
    if path is None:
        yield Stored(None, task)
        return
    drawing = task.drawing
    own = [  # not the edge, which follows from memory that is free: other tiles are not found
        part("kernel of x with itself", task.y is None),
        part("dtype of the matrix", np.dtype(drawing.dtype).name),
        part("shots", drawing.shots),
        part("seed", drawing.shots and (drawing.seed.entropy, drawing.seed.spawn_key)),
    ]
    own += version_parts()
    own += [part(f"version of {name}", metadata.version(name)) for name in LIBRARIES]
    layout = pickle.dumps(_contents(task))
    with Checkpoint(path, [*parts, *own], layout=layout, total=task.layout.total) as checkpoint:
        yield Stored(checkpoint, task)


def _contents(task: TileTask) -> tuple[Any, ...]:
    """What tells which tile a number means: digests of the rows of every block."""
    layout = task.layout
    columns = task.x if task.y is None else task.y
    rows = [_digest(task.x[layout.rows(block)]) for block in range(layout.row_blocks)]
    other = [_digest(columns[layout.columns(block)]) for block in range(layout.column_blocks)]
    return FORMAT, task.drawing.shots is not None, task.y is None, rows, other


def _digest(rows: np.ndarray) -> bytes:
    return hashlib.sha256(str(rows.shape).encode() + rows.tobytes()).digest()


def _names(contents: tuple[Any, ...]) -> Any:
    """From the number of a tile to what is the same for the same tile elsewhere."""
    form, by_place, same, rows, columns = contents
    if form != FORMAT:
        return lambda number: ("of another format", number)

    def name(number: int) -> tuple[Any, ...]:
        row, column = divmod(number, len(columns))
        place = (row, column) if by_place else ()  # shots are drawn by place
        return rows[row], columns[column], same and row == column, place

    return name


def _places(contents: tuple[Any, ...], task: TileTask) -> dict[Any, list[int]]:
    """From a name to the numbers of the tiles that have it: several, where rows are equal."""
    name = _names(contents)
    layout: Layout = task.layout
    places: dict[Any, list[int]] = {}
    for number in layout.order(layout.row_blocks + 2):
        places.setdefault(name(number), []).append(number)
    return places
