"""One tile, computed where it runs: encode, multiply, draw."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from shoal.quantum.kernels.blas_threads import one_thread
from shoal.quantum.kernels.method import Plan
from shoal.quantum.kernels.tiling.encoded import EncodedBlocks, Key
from shoal.quantum.kernels.tiling.layout import Layout

Samples = tuple[np.ndarray, np.ndarray | None]  # x and y; y is None for k(x, x)


@dataclass(frozen=True, slots=True)
class Drawing:
    """What is made of exact entries.

    Attributes:
        dtype: Of the matrix.
        shots: For each entry; None leaves them exact.
        seed: Of the shots: a `numpy.random.SeedSequence`.
    """

    dtype: Any = np.float64
    shots: int | None = None
    seed: Any = None


@dataclass(frozen=True, slots=True)
class Tile:
    """A tile, and what it cost.

    Attributes:
        values: Shape (rows, columns).
        encoded: Rows that were encoded for it, others having been there already.
        encode_seconds: Spent on that.
        multiply_seconds: Spent on the product, and on drawing.
        lost_weight: The largest of its states.
        deviation: The largest difference from 1 on the diagonal; None off it.
    """

    values: np.ndarray
    encoded: int = 0
    encode_seconds: float = 0.0
    multiply_seconds: float = 0.0
    lost_weight: float = 0.0
    deviation: float | None = None


@dataclass(frozen=True, slots=True)
class Encode:
    """Encodes a block of rows by its side and number."""

    plan: Plan
    x: np.ndarray
    y: np.ndarray
    layout: Layout

    def __call__(self, key: Key) -> Any:
        """What the plan makes of the block."""
        side, block = key
        if side == "x":
            return self.plan.encode(self.x[self.layout.rows(block)], "x")
        return self.plan.encode(self.y[self.layout.columns(block)], "y")


class TileTask:
    """Computes tiles by their blocks of rows and columns; travels to each worker once."""

    def __init__(
        self, plan: Plan, samples: Samples, layout: Layout, *, kept: int, drawing: Drawing
    ) -> None:
        """Keeps `kept` encoded blocks for the tiles that follow."""
        self.__name__ = "kernel_matrix"
        self.plan = plan
        self.x, self.y = x, y = samples
        self.layout = layout
        self.drawing = drawing
        self._blocks = EncodedBlocks(Encode(plan, x, x if y is None else y, layout), kept)

    def __repr__(self) -> str:
        return "kernel_matrix"

    def __call__(self, row_block: int, column_block: int) -> Tile:
        """The tile of these blocks, with one BLAS thread."""
        with one_thread():
            return self._tile(row_block, column_block)

    def _tile(self, row_block: int, column_block: int) -> Tile:
        # A symmetric plan encodes rows and columns alike, and multiplies a block with itself.
        side = "x" if self.y is None and self.plan.symmetric else "y"
        keys = [("x", row_block), (side, column_block)]
        (left, right), fresh, encode_seconds = self._blocks.get(keys)
        started = time.perf_counter()
        exact = self.plan.multiply(left, right)
        deviation = None
        if self.y is None and self.plan.unit_diagonal and row_block == column_block:
            deviation = float(np.abs(np.diagonal(exact) - 1).max())
        values = self._drawn(exact, row_block, column_block)
        lost = max(self.plan.lost_weight(left), self.plan.lost_weight(right))
        return Tile(
            values.astype(self.drawing.dtype, copy=False),
            sum(map(self._rows_of, fresh)),
            encode_seconds,
            time.perf_counter() - started,
            lost,
            deviation,
        )

    def _rows_of(self, key: Key) -> int:
        side, block = key
        rows = self.layout.rows(block) if side == "x" else self.layout.columns(block)
        return int(rows.stop - rows.start)

    def _drawn(self, exact: np.ndarray, row_block: int, column_block: int) -> np.ndarray:
        if self.drawing.shots is None:
            return exact
        from shoal.quantum.kernels.shots import binomial

        return binomial(
            exact,
            self.drawing.shots,
            self.drawing.seed,
            self.layout.rows(row_block).start,
            self.layout.columns(column_block).start,
            symmetric=self.y is None and self.plan.symmetric,
        )
