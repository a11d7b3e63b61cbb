"""What a way to compute a kernel matrix is: a method that makes a plan, a plan that makes tiles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from shoal.quantum.kernels.tracing import FeatureMap

if TYPE_CHECKING:
    import numpy as np

Side = Literal["x", "y"]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a method is asked to compute, checked already.

    Attributes:
        feature_map: The user's circuit, traced: a `GateTable`, or `LibraryStates` where a gate has
            no place in one.
        n_x: Rows of the matrix.
        n_y: Its columns.
        dtype: Of the states, complex64 or complex128.
        noise: The noise model that was given, or None.
    """

    feature_map: FeatureMap
    n_x: int
    n_y: int
    dtype: np.dtype[Any]
    noise: Any = None


class Plan(Protocol):
    """How one method computes the tiles of one matrix: picklable, and without any state.

    An entry of the matrix depends on its two rows alone, so a plan first encodes rows, each once,
    as states, tensors or features, and then multiplies what two blocks of rows became. Both run in
    several threads at once and let go of the interpreter's lock, with one thread each.

    Attributes:
        symmetric: Whether k(x, y) = k(y, x). If so half of the tiles of k(x, x) are computed.
        unit_diagonal: Whether k(x, x) = 1, so that what is missing tells the rounding.
    """

    @property
    def symmetric(self) -> bool:
        """Whether k(x, y) = k(y, x)."""

    @property
    def unit_diagonal(self) -> bool:
        """Whether k(x, x) = 1."""

    def encode(self, rows: np.ndarray, side: Side) -> Any:
        """What rows of features become; `side` says whether they are rows or columns of the matrix.

        Args:
            rows: float64, of shape (n_rows, n_features).

        Returns:
            Anything that `multiply` takes; in most methods one array, first axis n_rows. A
            symmetric plan returns the same for both sides.
        """

    def multiply(self, left: Any, right: Any) -> np.ndarray:
        """The tile, of shape (rows of left, rows of right), real and exact: shots come later.

        Where `left is right` it is exactly symmetric, if the plan is.
        """

    def lost_weight(self, encoded: Any) -> float:
        """The largest weight of a state that encoding left out, from 0; 0.0 for exact methods."""

    def encoded_bytes(self, n_rows: int) -> int:
        """Memory of `n_rows` encoded rows."""

    def working_bytes(self, n_rows: int, n_columns: int) -> int:
        """Memory that encoding `n_rows`, or making a tile, needs besides; the tile included."""

    def flops(self, n_rows: int, n_columns: int) -> float:
        """Floating-point operations of one product off the diagonal, about."""


class Method(Protocol):
    """A way to compute kernel matrices; its options are the fields of its (frozen) dataclass.

    Attributes:
        name: As in ``method=``.
    """

    @property
    def name(self) -> str:
        """As in ``method=``."""

    def why_not(self, asked: Asked) -> str | None:
        """Why this method cannot do what is asked, in words that follow "because"; None if it can.

        Cheap: looks at the table, prepares no state.
        """

    def seconds(self, asked: Asked) -> float:
        """About how long it would take on one core; ``method="auto"`` takes the fastest."""

    def plan(self, asked: Asked) -> Plan:
        """The plan, if `why_not` says None."""
