"""Which tiles a matrix has, how large they are, and in what order they are computed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from shoal.quantum.kernels.method import Plan

LARGEST_EDGE = 1024
SMALLEST_EDGE = 128
TILE_FLOPS = 4e9
BLOCK_BYTES = 1 << 28


@dataclass(frozen=True, slots=True)
class Layout:
    """The tiles of one matrix. They do not depend on how many workers there are.

    Attributes:
        n_x: Rows.
        n_y: Columns.
        edge: Rows and columns of a whole tile; the last ones may be smaller.
        half: Whether the tiles below the diagonal mirror those above, and are not computed.
    """

    n_x: int
    n_y: int
    edge: int
    half: bool

    @property
    def row_blocks(self) -> int:
        """Blocks of rows."""
        return -(-self.n_x // self.edge)

    @property
    def column_blocks(self) -> int:
        """Blocks of columns."""
        return -(-self.n_y // self.edge)

    def rows(self, block: int) -> slice:
        """Rows of a block."""
        return slice(block * self.edge, min((block + 1) * self.edge, self.n_x))

    def columns(self, block: int) -> slice:
        """Columns of a block."""
        return slice(block * self.edge, min((block + 1) * self.edge, self.n_y))

    @property
    def total(self) -> int:
        """Numbers of tiles, those below the diagonal included."""
        return self.row_blocks * self.column_blocks

    def number(self, row: int, column: int) -> int:
        """The number of a tile."""
        return row * self.column_blocks + column

    def tile(self, number: int) -> tuple[int, int]:
        """Block of rows and block of columns of a tile."""
        return divmod(number, self.column_blocks)

    def order(self, kept: int) -> Iterator[int]:
        """All tiles to compute, so that few blocks are encoded twice where `kept` fit at once.

        Panels of rows stay; the columns pass by, each of them once for each panel.
        """
        panel = max(kept - 2, 1)
        for top in range(0, self.row_blocks, panel):
            bottom = min(top + panel, self.row_blocks)
            for column in range(top if self.half else 0, self.column_blocks):
                last = min(bottom, column + 1) if self.half else bottom
                for row in range(top, last):
                    yield self.number(row, column)


def tile_bytes(plan: Plan, edge: int) -> int:
    """What one worker needs for a tile: two encoded blocks, and what it works with."""
    return 2 * plan.encoded_bytes(edge) + plan.working_bytes(edge, edge)


def tile_edge(plan: Plan, memory_bytes: int, largest: int) -> int:
    """The edge of tiles: a power of two, so that a tile is worth its message and fits.

    Args:
        plan: What computes the tiles.
        memory_bytes: What one tile may need.
        largest: Rows or columns of the matrix, whichever are more; no tile is larger.

    Raises:
        ValueError: If not even a tile of one row and one column fits.
    """
    edge = LARGEST_EDGE
    while edge > SMALLEST_EDGE and plan.flops(edge, edge) > TILE_FLOPS:
        edge //= 2
    while edge > 1 and plan.encoded_bytes(edge) > BLOCK_BYTES:
        edge //= 2
    while edge > 1 and tile_bytes(plan, min(edge, largest)) > memory_bytes:
        edge //= 2
    needed = tile_bytes(plan, 1)
    if needed > memory_bytes:
        raise ValueError(
            f"memory_bytes={memory_bytes}: a tile of one row and one column needs {needed} bytes"
        )
    return edge
