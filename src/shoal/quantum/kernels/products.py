"""Kernels of feature maps that entangle nothing, in closed form: one factor for each qubit.

States of separate qubits overlap by the product of the overlaps of the qubits, so the kernel is
k(x, y) = ∏ |⟨a_q(x)|a_q(y)⟩|², for any number of qubits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shoal.quantum.kernels.chains import prepare_chains
from shoal.quantum.kernels.compiling import compiled
from shoal.quantum.kernels.method import Asked, Side
from shoal.quantum.kernels.tracing import GateTable

TOGETHER = 16
COLUMNS = 256
FLOPS_PER_SECOND = 1e10
SECONDS_PER_GATE = 4e-8


@dataclass(frozen=True)
class Products:
    """Product states, in closed form."""

    @property
    def name(self) -> str:
        """As in ``method="products"``."""
        return "products"

    def why_not(self, asked: Asked) -> str | None:
        """It needs a table whose gates, but for a constant end, act on single qubits."""
        if asked.noise is not None:
            return "product states are pure, and noise was given"
        if not isinstance(asked.feature_map, GateTable):
            return f"the gates are known to {asked.feature_map.library} alone"
        for gate in asked.feature_map.core().gates:
            if len(gate.wires) > 1:
                return f"{gate.label or gate.name} entangles wires {list(gate.wires)}"
        return None

    def seconds(self, asked: Asked) -> float:
        """From the number of factors."""
        plan = self.plan(asked)
        preparing = len(plan.table.gates) * (asked.n_x + asked.n_y) * SECONDS_PER_GATE
        return preparing + plan.flops(asked.n_x, asked.n_y) / FLOPS_PER_SECOND

    def plan(self, asked: Asked) -> ProductsPlan:
        """A state of two numbers for every qubit."""
        table = asked.feature_map.core()
        if not isinstance(table, GateTable):
            raise TypeError(f"method 'products' does not apply: {self.why_not(asked)}")
        return ProductsPlan(table)


@dataclass(frozen=True)
class ProductsPlan:
    """Rows become the amplitudes of each qubit; a tile is the product over qubits."""

    table: GateTable
    symmetric: bool = True
    unit_diagonal: bool = True

    def encode(self, rows: np.ndarray, side: Side) -> np.ndarray:  # noqa: ARG002  (as for MPS)
        """Amplitudes of shape (n_rows, n_qubits, 4): real and imaginary part of each of the two."""
        chains = prepare_chains(self.table, rows)
        amplitudes = np.empty((self.table.n_qubits, 2, len(rows)), complex)
        for qubit, site in enumerate(chains.sites):
            amplitudes[qubit] = site[0, :, 0]
        return np.ascontiguousarray(amplitudes.transpose(2, 0, 1)).view(np.float64)

    def multiply(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """The product of the fidelities of all qubits, float64."""
        values = np.ones((len(left), len(right)))
        _multiply(left, np.ascontiguousarray(right.transpose(1, 2, 0)), left is right, values)
        if left is right:
            upper = np.triu(values)
            values = upper + np.triu(values, 1).T
        return values

    def lost_weight(self, encoded: np.ndarray) -> float:  # noqa: ARG002  (it is exact)
        """Nothing is lost."""
        return 0.0

    def encoded_bytes(self, n_rows: int) -> int:
        """Two complex numbers for every qubit."""
        return 32 * n_rows * self.table.n_qubits

    def working_bytes(self, n_rows: int, n_columns: int) -> int:
        """The tile, and the columns in another order."""
        return 8 * n_rows * n_columns + 3 * self.encoded_bytes(max(n_rows, n_columns))

    def flops(self, n_rows: int, n_columns: int) -> float:
        """Two complex products, one square and one product for each qubit."""
        return 20.0 * n_rows * n_columns * self.table.n_qubits


@compiled
def _multiply(left: np.ndarray, right: np.ndarray, same: bool, values: np.ndarray) -> None:
    """Multiplies in the factors of one qubit after another, for a few rows at a time.

    `right` has the shape (qubits, 4, columns).
    """
    n_rows, n_columns = values.shape
    for start in range(0, n_columns, COLUMNS):
        stop = min(start + COLUMNS, n_columns)
        for top in range(0, n_rows, TOGETHER):
            if same and top >= stop:
                break
            for qubit in range(left.shape[1]):
                for row in range(top, min(top + TOGETHER, n_rows)):
                    _factor(left[row, qubit], right[qubit, :, start:stop], values[row, start:stop])


@compiled
def _factor(one: np.ndarray, others: np.ndarray, values: np.ndarray) -> None:
    """One row's qubit with the same qubit of many columns."""
    ar, ai, br, bi = one[0], one[1], one[2], one[3]
    for i in range(len(values)):
        real = ar * others[0, i] + ai * others[1, i] + br * others[2, i] + bi * others[3, i]
        imag = ar * others[1, i] - ai * others[0, i] + br * others[3, i] - bi * others[2, i]
        values[i] *= real * real + imag * imag
