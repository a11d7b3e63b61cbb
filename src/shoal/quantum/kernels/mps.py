"""Kernels of states along a line of qubits, as matrix product states: hundreds of qubits.

Gates between neighbours give chains of small tensors (matrix product states), and the overlap of
two chains costs a few small products per qubit, however many qubits there are. It is exact as long
as the bonds between the tensors stay small.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shoal.errors import ShoalError
from shoal.quantum.kernels.chains import (
    LANES,
    Packed,
    bond_bounds,
    fidelities,
    pack,
    prepare_chains,
)
from shoal.quantum.kernels.checks import checked_count
from shoal.quantum.kernels.method import Asked, Side
from shoal.quantum.kernels.tracing import GateTable
from shoal.tasks import shorten

LARGEST_EXACT = 64
ROUNDING = 1e-28
FLOPS_PER_SECOND = 3e10
SECONDS_PER_CUBE = 1.6e-7  # of the bonds, for each sample and qubit: compression
SECONDS_PER_TENSOR = 4e-8
SECONDS_PER_GATE = 5e-5


class StatesTooEntangled(ShoalError):
    """Bonds of at most `max_bond` lose more of a state than `largest_loss`.

    Attributes:
        lost_weight: The largest weight that a state of the block would have lost.
    """

    lost_weight: float = 0.0


@dataclass(frozen=True)
class MPS:
    """States as chains of tensors, along the qubits in their order.

    Without `max_bond` the result is exact to rounding. With it, what does not fit is left out: how
    much is reported, and more than `largest_loss` is refused. If a state loses the weight w, a
    kernel value changes by no more than 2 (√w + √w') for the weights of its two states, and as a
    rule by about w.

    Attributes:
        max_bond: Largest bond dimension, from 1; None: as large as the circuit asks for, up to 64.
        cutoff: At each bond, Schmidt coefficients whose squares add up to no more than this are
            left out. The default is below rounding; 1e-16 is often as good and faster.
        largest_loss: The largest weight that a state may lose, from 0 to 1.

    Raises:
        TypeError: If a value is no number, or `max_bond` no integer.
        ValueError: If a value is out of its range.
    """

    max_bond: int | None = None
    cutoff: float = ROUNDING
    largest_loss: float = 1e-8

    def __post_init__(self) -> None:
        checked_count(self.max_bond, "max_bond", least=1, optional=True)
        for name in ("cutoff", "largest_loss"):
            value = getattr(self, name)
            if not isinstance(value, int | float | np.floating):
                raise TypeError(f"{name}={shorten(value)}: expected a number from 0 and below 1")
            if not 0 <= value < 1:
                raise ValueError(f"{name}={value!r}: expected a number from 0 and below 1")

    @property
    def name(self) -> str:
        """As in ``method="mps"``."""
        return "mps"

    def why_not(self, asked: Asked) -> str | None:
        """It needs a table of gates, without noise, and bonds that stay small."""
        if asked.noise is not None:
            return "matrix product states are pure, and noise was given"
        table = asked.feature_map.core()
        if not isinstance(table, GateTable):
            return f"the gates are known to {table.library} alone"
        bonds = bond_bounds(table)
        if isinstance(bonds, str):
            return bonds
        if self.max_bond is None and bonds.max() > LARGEST_EXACT:
            return (
                f"its states may need bonds of dimension {bonds.max()}, and up to {LARGEST_EXACT} "
                "are computed exactly; method=MPS(max_bond=...) says what a smaller one loses"
            )
        return None

    def seconds(self, asked: Asked) -> float:
        """From the bounds of the bonds."""
        plan = self.plan(asked)
        rows = asked.n_x + asked.n_y
        preparing = len(plan.table.gates) * (rows * SECONDS_PER_TENSOR + SECONDS_PER_GATE)
        if plan.bonds.max() > 2:
            preparing += rows * SECONDS_PER_CUBE * float((plan.bonds.astype(float) ** 3).sum())
        return preparing + plan.flops(asked.n_x, asked.n_y) / FLOPS_PER_SECOND

    def plan(self, asked: Asked) -> ChainsPlan:
        """Chains of the feature map without its constant end, which cancels."""
        table = asked.feature_map.core()
        bonds = bond_bounds(table) if isinstance(table, GateTable) else ""
        if not isinstance(table, GateTable) or isinstance(bonds, str):
            raise TypeError(f"method 'mps' does not apply: {self.why_not(asked)}")
        return ChainsPlan(table, self, np.minimum(bonds, self.max_bond or bonds.max()))


@dataclass(frozen=True)
class Encoded:
    """Chains ready to be multiplied, and the largest weight that one of them lost."""

    packed: Packed
    lost_weight: float


@dataclass(frozen=True)
class ChainsPlan:
    """Rows become chains; tiles are their squared overlaps.

    Attributes:
        table: The gates.
        method: The options.
        bonds: Upper bounds of the bonds, of shape (n_qubits + 1,).
    """

    table: GateTable
    method: MPS
    bonds: np.ndarray
    symmetric: bool = True
    unit_diagonal: bool = True

    def encode(self, rows: np.ndarray, side: Side) -> Encoded:  # noqa: ARG002  (the same for both)
        """Prepares the chains of all rows, and refuses those that lost too much.

        Raises:
            StatesTooEntangled: If a state lost more than `largest_loss`.
        """
        chains = prepare_chains(
            self.table, rows, cutoff=self.method.cutoff, max_bond=self.method.max_bond
        )
        lost = float((chains.lost**2).max(initial=0.0))
        if lost > self.method.largest_loss:
            error = StatesTooEntangled(
                f"max_bond={self.method.max_bond}, cutoff={self.method.cutoff:.0e}: a state loses "
                f"the weight {lost:.1e}, and largest_loss={self.method.largest_loss:.0e}; allow "
                "larger bonds, or more loss"
            )
            error.lost_weight = lost
            raise error
        return Encoded(pack(chains.sites, len(rows)), lost)

    def multiply(self, left: Encoded, right: Encoded) -> np.ndarray:
        """Squared overlaps, float64."""
        return fidelities(left.packed, right.packed)

    def lost_weight(self, encoded: Encoded) -> float:
        """The largest weight that one of the states lost."""
        return encoded.lost_weight

    def encoded_bytes(self, n_rows: int) -> int:
        """Complex numbers of all tensors; rows come in blocks."""
        rows = -(-n_rows // LANES) * LANES
        return 32 * rows * int((self.bonds[:-1] * self.bonds[1:]).sum())

    def working_bytes(self, n_rows: int, n_columns: int) -> int:
        """While tensors are built they are there about three times."""
        return 8 * n_rows * n_columns + 3 * self.encoded_bytes(max(n_rows, n_columns))

    def flops(self, n_rows: int, n_columns: int) -> float:
        """Two small products at each site, eight operations for each complex one."""
        left, right = self.bonds[:-1].astype(float), self.bonds[1:].astype(float)
        return float(16 * n_rows * n_columns * (left * right * (left + right)).sum())
