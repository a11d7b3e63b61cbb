"""Kernels by state vectors: N states, and one matrix product for all pairs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shoal.quantum.kernels.method import Asked, Side
from shoal.quantum.kernels.overlaps import overlaps
from shoal.quantum.kernels.states import Preparation
from shoal.quantum.kernels.tracing import LibraryStates

MOST_QUBITS = 28
FLOPS_PER_SECOND = {"complex64": 2e11, "complex128": 8e10}
SECONDS_PER_AMPLITUDE = 1e-8
SECONDS_PER_LIBRARY_STATE = 5e-3
COMPLEX_FLOPS, REAL_FLOPS = 8.0, 2.0


@dataclass(frozen=True)
class StateVectors:
    """All amplitudes of every state: any feature map, up to a few more than twenty qubits."""

    @property
    def name(self) -> str:
        """As in ``method="statevectors"``."""
        return "statevectors"

    def why_not(self, asked: Asked) -> str | None:
        """It needs memory for all amplitudes, and pure states."""
        if asked.noise is not None:
            return "state vectors are pure, and noise was given"
        if asked.feature_map.n_qubits > MOST_QUBITS:
            return (
                f"states of {asked.feature_map.n_qubits} qubits are too large: at most "
                f"{MOST_QUBITS} are computed as vectors"
            )
        return None

    def seconds(self, asked: Asked) -> float:
        """From the number of amplitudes."""
        plan = self.plan(asked)
        dimension = 2.0**asked.feature_map.n_qubits
        each = SECONDS_PER_AMPLITUDE * dimension
        if isinstance(asked.feature_map, LibraryStates):
            each += SECONDS_PER_LIBRARY_STATE
        products = plan.flops(asked.n_x, asked.n_y) / FLOPS_PER_SECOND[asked.dtype.name]
        return each * (asked.n_x + asked.n_y) + products

    def plan(self, asked: Asked) -> StatesPlan:
        """The states without the unitary that all of them end with, which cancels."""
        return StatesPlan(Preparation.of(asked.feature_map, asked.dtype, core=True))


@dataclass(frozen=True)
class StatesPlan:
    """Rows become states; a tile is the squared modulus of their inner products.

    Attributes:
        preparation: The feature map, ready to prepare states.
    """

    preparation: Preparation
    symmetric: bool = True
    unit_diagonal: bool = True

    def encode(self, rows: np.ndarray, side: Side) -> np.ndarray:  # noqa: ARG002  (the same for both)
        """States of shape (n_rows, 2**n_qubits); real ones where all gates are."""
        return np.ascontiguousarray(self.preparation.states(rows))

    def multiply(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """The tile, float32 for states in single precision, else float64."""
        return overlaps(left, right)

    def lost_weight(self, encoded: np.ndarray) -> float:  # noqa: ARG002  (it is exact)
        """Nothing is lost."""
        return 0.0

    def encoded_bytes(self, n_rows: int) -> int:
        """All amplitudes."""
        return int(n_rows * self._dimension * self.preparation.state_dtype.itemsize)

    def working_bytes(self, n_rows: int, n_columns: int) -> int:
        """The inner products and their squares; four planes of a state while it is prepared."""
        itemsize = self.preparation.state_dtype.itemsize
        return int(2 * itemsize * (n_rows * n_columns + self._dimension))

    def flops(self, n_rows: int, n_columns: int) -> float:
        """A product and a sum for each amplitude, four times as many where they are complex."""
        kind = self.preparation.state_dtype.kind
        each = COMPLEX_FLOPS if kind == "c" else REAL_FLOPS
        return each * n_rows * n_columns * self._dimension

    @property
    def _dimension(self) -> int:
        return int(2**self.preparation.feature_map.n_qubits)
