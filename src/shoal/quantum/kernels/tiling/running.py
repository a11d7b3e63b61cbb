"""Tiles on the engine, and where they go in the matrix."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np

from shoal.quantum.conducting import LOCAL, VARIABLE
from shoal.quantum.kernels.blas_threads import one_thread
from shoal.quantum.kernels.method import Plan
from shoal.quantum.kernels.tiling.layout import Layout, tile_bytes, tile_edge
from shoal.quantum.kernels.tiling.stored import Stored, opened
from shoal.quantum.kernels.tiling.task import Drawing, Tile, TileTask
from shoal.tasks import available_cores, inside, memory_budget, run_indexed, shorten

IN_THIS_PROCESS = ("threads", "serial")
EXACT = Drawing()


@dataclass(slots=True)
class Computed:
    """A matrix, and what is known of how it came to be.

    Attributes:
        matrix: Shape (n_x, n_y).
        layout: Its tiles.
        states: Rows that were encoded.
        tiles: Tiles that were computed.
        tiles_from_checkpoint: Tiles that were there already.
        encode_seconds: Of all workers together.
        multiply_seconds: As above.
        lost_weight: The largest of all states.
        deviation: The largest difference of a diagonal entry from 1; None where it is not known.
        executor: Where the tiles ran, in words.
        workers: How many at once.
    """

    matrix: np.ndarray
    layout: Layout
    states: int = 0
    tiles: int = 0
    tiles_from_checkpoint: int = 0
    encode_seconds: float = 0.0
    multiply_seconds: float = 0.0
    lost_weight: float = 0.0
    deviation: float | None = None
    executor: str = ""
    workers: int = 1

    def take(self, number: int, tile: Tile, *, stored: bool = False) -> None:
        """Puts a tile where it belongs, and its mirror image."""
        row, column = self.layout.tile(number)
        rows, columns = self.layout.rows(row), self.layout.columns(column)
        self.matrix[rows, columns] = tile.values
        if self.layout.half and row != column:
            self.matrix[columns, rows] = tile.values.T
        self.lost_weight = max(self.lost_weight, tile.lost_weight)
        if tile.deviation is not None:
            self.deviation = max(self.deviation or 0.0, tile.deviation)
        if stored:
            self.tiles_from_checkpoint += 1
            return
        self.tiles += 1
        self.states += tile.encoded
        self.encode_seconds += tile.encode_seconds
        self.multiply_seconds += tile.multiply_seconds


@dataclass(frozen=True, slots=True)
class Where:
    """Where tiles run.

    Attributes:
        executor: As for `run_indexed`.
        workers: How many at once, as far as is known.
        max_workers: As for `run_indexed`.
        together: Whether the workers share the encoded blocks, as threads do.
    """

    executor: str | Executor
    workers: int
    max_workers: int | None
    together: bool


@dataclass(frozen=True, slots=True)
class Places:
    """The arguments of each tile's call, by its number."""

    layout: Layout

    def __getitem__(self, number: int) -> dict[str, Any]:
        row, column = self.layout.tile(number)
        return {"row_block": row, "column_block": column}


@dataclass(frozen=True, slots=True)
class Options:
    """What `compute` is told besides the samples.

    Attributes:
        executor: As for `shoal.map`; None: what the variable says, else threads of this process, or
            one of them in a task of shoal's own.
        max_workers: As for `shoal.map`.
        memory_bytes: For the encoded blocks and the tiles at work; None: a quarter of what is free.
        checkpoint: Path of the checkpoint, or None.
        parts: What the entries depend on besides the samples, for the checkpoint.
        progress: As for `shoal.map`.
        drawing: What is made of exact entries.
    """

    executor: str | Executor | None = None
    max_workers: int | None = None
    memory_bytes: int | None = None
    checkpoint: Any = None
    parts: Sequence[Any] = ()
    progress: bool | None = None
    drawing: Drawing = EXACT


def compute(plan: Plan, x: np.ndarray, y: np.ndarray | None, options: Options) -> Computed:
    """All tiles of k(x, y), or of k(x, x) where `y` is None.

    Raises:
        ValueError: If the memory does not suffice for a tile of one row and one column.
        shoal.errors.ShoalError: As `shoal.map`, and for the checkpoint.
    """
    columns = x if y is None else y
    budget = memory_budget(options.memory_bytes)
    edge = tile_edge(plan, budget, max(len(x), len(columns)))
    layout = Layout(len(x), len(columns), edge, half=y is None and plan.symmetric)
    where = _where(options, budget, tile_bytes(plan, min(edge, max(len(x), len(columns)))))
    kept = _blocks_kept(plan, layout, budget, where)
    task = TileTask(plan, (x, y), layout, kept=kept, drawing=options.drawing)
    matrix = np.empty((layout.n_x, layout.n_y), options.drawing.dtype)
    told = described(where.executor)
    computed = Computed(matrix, layout, executor=told, workers=where.workers)
    with opened(options.checkpoint, task, options.parts) as stored:
        todo = _todo(layout, kept, stored, computed)
        with one_thread():  # tiles ask for it too, but would set it back one by one
            for number, tile in _run(task, todo, where, options.progress):
                stored.keep(number, tile)
                computed.take(number, tile)
    return computed


def _run(
    task: TileTask, todo: list[int], where: Where, progress: bool | None
) -> Iterator[tuple[int, Tile]]:
    """Tiles with their numbers, in the order of completion."""
    settling = run_indexed(
        task,
        Places(task.layout),
        todo,
        executor=where.executor,
        max_workers=where.max_workers,
        batch_size=1,
        on_error="raise",
        progress=progress,
    )
    with closing(settling):
        for block in settling:
            for at, tile in enumerate(block.values, block.start):
                if at not in block.errors:
                    yield todo[at], tile


def _todo(layout: Layout, kept: int, stored: Stored, computed: Computed) -> list[int]:
    """The tiles that are yet to be computed, in order; those on disk go into the matrix."""
    found: set[int] = set()
    for number, tile in stored.load():
        if number not in found:
            found.add(number)
            computed.take(number, tile, stored=True)
    return [number for number in layout.order(kept) if number not in found]


def _where(options: Options, budget: int, one_tile: int) -> Where:
    """Threads of this process unless another executor is asked for; as many as memory allows.

    In a task of shoal's own the other cores are busy with other tasks, and one thread is enough.
    How wide a cluster is, and how much memory it has, is for the cluster to say.
    """
    default = os.environ.get(VARIABLE) or ("serial" if inside() else "threads")
    executor = options.executor or default
    fitting = max(budget // max(one_tile, 1), 1)
    workers = min(workers_of(executor, options.max_workers), fitting)
    if executor == "threads" and workers == 1:
        executor = "serial"
    together = isinstance(executor, ThreadPoolExecutor) or executor in IN_THIS_PROCESS
    here = together or executor in LOCAL
    return Where(executor, workers, workers if here else options.max_workers, together)


def _blocks_kept(plan: Plan, layout: Layout, budget: int, where: Where) -> int:
    """How many encoded blocks one process may keep, from 2."""
    sharing = where.workers if where.together else 1
    own = budget if where.together else budget // where.workers
    edge = min(layout.edge, max(layout.n_x, layout.n_y))
    left = own - sharing * plan.working_bytes(edge, edge)
    most = layout.row_blocks + (0 if layout.half else layout.column_blocks)
    return max(min(int(left // max(plan.encoded_bytes(edge), 1)), most), 2)


def described(executor: str | Executor) -> str:
    """An executor in words."""
    if executor in IN_THIS_PROCESS:
        return f"{executor} in this process"
    return executor if isinstance(executor, str) else shorten(executor)


def workers_of(executor: str | Executor, max_workers: int | None) -> int:
    """How many tasks an executor runs at once, as far as is known."""
    inline = executor == "serial" or (executor == "processes" and inside())
    return 1 if inline else max_workers or available_cores()
