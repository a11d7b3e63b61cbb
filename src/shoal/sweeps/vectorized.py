"""Vectorised sweeps: the function gets blocks of points as arrays, in parallel, within memory."""

from __future__ import annotations

import ctypes
import sys
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from shoal.errors import TaskError
from shoal.sweeps.grid import Grid
from shoal.sweeps.outputs import OutputMismatch, Outputs
from shoal.sweeps.values import as_array
from shoal.tasks import block_size, failure, measured_peak, shorten

MIB = 1 << 20
USUAL_POINT_BYTES = 64 * 1024  # of one point, as long as nothing has been measured
LARGEST_POINT_BYTES = 64 * MIB  # the same, where a limit was asked for
UNSEEN_BYTES = MIB  # what a block may need without its being seen
MUCH = 2
REPLAYED = "shoal: shoal.failure(error).replay() runs it again in this process"


@dataclass(frozen=True)
class Span:
    """Consecutive points among those to run.

    Attributes:
        start: Position of the first.
        stop: Position behind the last.
    """

    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    def parts(self, size: int) -> list[Span]:
        """Itself in parts of nearly equal length, each at most `size`."""
        count = -(-len(self) // size)
        bounds = [self.start + len(self) * at // count for at in range(count + 1)] if count else []
        return [Span(first, last) for first, last in pairwise(bounds)]

    def halves(self) -> list[Span]:
        """Itself in two; nothing where there is but one point."""
        return self.parts(-(-len(self) // 2)) if len(self) > 1 else []


class BlockTable:
    """The arguments of blocks by their number: made where they run, from the grid's axes."""

    def __init__(
        self,
        grid: Grid,
        todo: np.ndarray | range,
        blocks: Sequence[Span],
        guests: Mapping[int, Sequence[int]] | None = None,
    ) -> None:
        """The table for `blocks` of the points `todo`.

        Args:
            guests: Positions of points that a block gets besides its own, by its number.
        """
        self._sizes = grid.sizes
        self._axes = [(each.name, each.dims, as_array(each.values)) for each in grid.parameters]
        self._constants = grid.constants
        self._todo = todo
        self._guests = dict(guests or {})
        self._bounds = np.array([(block.start, block.stop) for block in blocks])

    def __getitem__(self, number: int) -> dict[str, Any]:
        """Each parameter as an array over the points of the block; the constants as they are."""
        start, stop = self._bounds[number].tolist()
        points = np.asarray(self._todo[start:stop])
        if number in self._guests:
            points = np.append(points, [self._todo[at] for at in self._guests[number]])
        places = np.unravel_index(points, [*self._sizes.values()])
        along = dict(zip(self._sizes, places, strict=True))
        varying = {name: axis[tuple(map(along.get, dims))] for name, dims, axis in self._axes}
        return {**self._constants, **varying}


def dealt(blocks: Sequence[Span], count: int) -> dict[int, list[int]]:
    """Random points as guests of the next block: each is computed twice, in different company."""
    if len(blocks) < 2 or count == 0:
        return {}
    first, last = blocks[0].start, blocks[-1].stop
    chosen = np.random.default_rng(0).choice(last - first, min(count, last - first), replace=False)
    stops = [block.stop for block in blocks]
    guests: dict[int, list[int]] = {}
    for position in (chosen + first).tolist():
        home = bisect_right(stops, position)
        guests.setdefault((home + 1) % len(blocks), []).append(position)
    return guests


@dataclass(frozen=True, slots=True)
class Block:
    """What came of one block.

    Attributes:
        arrays: One for each output, the points along axis 0.
        peak_bytes: Memory that the function needed.
    """

    arrays: dict[str, np.ndarray]
    peak_bytes: int


@dataclass(frozen=True)
class OnBlocks:
    """The user's function, called with arrays, and its result checked where it is made.

    Attributes:
        function: The user's function.
        outputs: The names of what it returns.
        names: The parameters that vary: the length of their arrays is the number of points.
    """

    function: Callable[..., Any]
    outputs: Outputs
    names: tuple[str, ...]

    @property
    def __name__(self) -> str:
        """The function's name."""
        return getattr(self.function, "__name__", type(self.function).__name__)

    def __call__(self, /, **arguments: Any) -> Block:
        """Calls the function.

        Raises:
            OutputMismatch: If what it returns has not one entry for each point along axis 0.
        """
        count = len(arguments[self.names[0]])
        _give_back_free_memory()
        with measured_peak() as peak:
            value = self.function(**arguments)
        return Block(_arrays(value, count, self.outputs), peak.bytes)

    def __repr__(self) -> str:
        return repr(self.function)


@dataclass(frozen=True)
class Again:
    """The call of a block that failed, for replays; a block of one is called by its point.

    Attributes:
        on_blocks: The user's function, which takes arrays.
        arguments: The arrays that it gets.
    """

    on_blocks: OnBlocks
    arguments: dict[str, Any]

    def __call__(self, /, **_: Any) -> Any:
        """What the function returns for the block, checked as always."""
        value = self.on_blocks.function(**self.arguments)
        _arrays(value, len(self.arguments[self.on_blocks.names[0]]), self.on_blocks.outputs)
        return value

    def __repr__(self) -> str:
        return repr(self.on_blocks)


def name_points(error: Exception, on_blocks: OnBlocks, grid: Grid, indices: Sequence[int]) -> None:
    """Makes the error of a block speak of its points: that of a block of one, of its values."""
    first, last = indices[0], indices[-1]
    known = failure(error)
    known.index, known.function = first, Again(on_blocks, {**known.kwargs})
    if isinstance(error, TaskError):
        error.index = first
    failed = f"shoal: points {first} to {last} failed together, in a block of {len(indices)}"
    if len(indices) == 1:
        known.kwargs = grid[first]
        shown = ", ".join(f"{name}={shorten(value)}" for name, value in known.kwargs.items())
        failed = f"shoal: task {first} failed on input ({shown})"
    notes = [note for note in error.__notes__ if not note.startswith("shoal: ")]
    error.__notes__ = [*notes, f"{failed}\n{REPLAYED}"]


def _give_back_free_memory() -> None:
    """Has the allocator return what it keeps, where it can: else use of that would not be seen."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it, musl has not
        if trim is not None:
            trim(0)


def _arrays(value: Any, count: int, outputs: Outputs) -> dict[str, np.ndarray]:
    parts = outputs.split(value) if outputs.names is not None else _unnamed(value, outputs)
    arrays = {}
    for name, part in parts.items():
        array = _array(name, part)
        if array.ndim == 0 or len(array) != count:
            raise OutputMismatch(
                f"{name!r} has shape {array.shape} for a block of {count} points: a vectorised "
                f"function returns arrays of shape ({count}, …), one entry for each point",
                shorten(value),
            )
        arrays[name] = array
    return arrays


def _array(name: str, part: Any) -> np.ndarray:
    """An output as an array; text as objects, whose length does not depend on the block."""
    try:
        array = np.asarray(part)
    except ValueError as error:
        raise OutputMismatch(f"{name!r} is no array: {error}", shorten(part)) from error
    return array.astype(object) if array.dtype.kind in "SU" else array


def _unnamed(value: Any, outputs: Outputs) -> dict[str, Any]:
    if isinstance(value, tuple | list) and not hasattr(value, "_fields"):
        raise OutputMismatch(
            f"returned {len(value)} arrays: name them, as in outputs=['value', 'error']"
        )
    return outputs.split(value)


@dataclass(slots=True)
class Sizing:
    """How many points go into a block.

    The first blocks are small where memory might not hold larger ones, and are measured; a block
    that shows that others should be smaller, or may be much larger, changes those to come.

    Attributes:
        points: How many there are in all.
        workers: Blocks that are worked on at once.
        memory_bytes: What all of them together may need.
        per_worker: Blocks for each worker, where memory allows such large ones.
        fixed: A number that somebody has chosen instead.
        strict: Whether the limit was asked for, so that even the first blocks must keep it.
        size: The number for the next blocks.
        guessed: Whether nothing has been measured yet, and larger blocks may not fit.
    """

    points: int
    workers: int
    memory_bytes: int
    per_worker: int = 1
    fixed: int | None = None
    strict: bool = False
    size: int = field(init=False)
    guessed: bool = field(init=False)

    def __post_init__(self) -> None:
        """Begins with the number before anything has been measured."""
        self.size = self._with(LARGEST_POINT_BYTES if self.strict else USUAL_POINT_BYTES)
        self.guessed = self.size < self._with(0.0)

    def next_blocks(self, span: Span) -> list[Span]:
        """The blocks to run next, from the first point on: all, or as many as are to be measured.

        Their number is one that workers can share evenly.
        """
        size = self.size
        if self.fixed is None:
            rounds = -(-len(span) // (size * self.workers))
            size = -(-len(span) // (rounds * self.workers))
        blocks = span.parts(size)
        return blocks[: self.workers] if self.guessed else blocks

    def measured(self, peak_bytes: int, points: int) -> bool:
        """Takes in what a block needed; returns whether blocks to come get another size."""
        fitting = self._with(max(peak_bytes, UNSEEN_BYTES) / points)
        if self.guessed:
            self.guessed, self.size = False, fitting
        elif fitting < points or fitting >= MUCH * max(points, self.size):
            self.size = fitting
        else:
            return False
        return True

    def _with(self, point_bytes: float) -> int:
        if self.fixed is not None:
            return self.fixed
        return block_size(
            self.points,
            workers=self.workers,
            item_bytes=point_bytes,
            memory_bytes=self.memory_bytes,
            per_worker=self.per_worker,
        )
