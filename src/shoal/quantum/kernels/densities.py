"""Kernels with noise, from density matrices: N states, N measurements and one real product.

The kernel is what the inversion test measures: the circuit U(x), then the inverse of U(y), gate by
gate, with noise after every gate of both, and the probability of reading 0 on every qubit. The
first half makes a density matrix D(x); the second half and the readout, followed backwards, an
operator M(y); and k(x, y) = Tr[M(y) D(x)]. Noise makes it unsymmetric in general: k(x, y) is not
k(y, x), and the diagonal is less than 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shoal.quantum.kernels.method import Asked, Side
from shoal.quantum.kernels.noise import Noise, take_noise, transfer_matrices
from shoal.quantum.kernels.tracing import Gate, GateTable, gate_matrices

LARGEST = 10
WIDEST = 3
FLOPS_PER_SECOND = 2e10
SECONDS_PER_NUMBER = 2e-8


@dataclass(frozen=True)
class Densities:
    """Density matrices, for circuits with noise on up to 10 qubits."""

    @property
    def name(self) -> str:
        """As in ``method="densities"``."""
        return "densities"

    def why_not(self, asked: Asked) -> str | None:
        """It needs noise, a table of gates, and few qubits."""
        if asked.noise is None:
            return "no noise was given"
        table = asked.feature_map
        if not isinstance(table, GateTable):
            return f"the gates, after which noise acts, are known to {table.library} alone"
        if table.n_qubits > LARGEST:
            return (
                f"density matrices of {table.n_qubits} qubits are too large: {LARGEST} at most; "
                "a function k(x1, x2) that runs the noisy circuit of a pair, as kernel=, has no "
                "such limit"
            )
        for gate in table.gates:
            if len(gate.wires) > WIDEST:
                return f"{gate.label or gate.name} acts on {len(gate.wires)} wires at once"
        return None

    def seconds(self, asked: Asked) -> float:
        """From the sizes of the density matrices."""
        plan = self.plan(asked)
        numbers = len(plan.table.gates) * (asked.n_x + asked.n_y) * 4.0**plan.table.n_qubits
        return numbers * SECONDS_PER_NUMBER + plan.flops(asked.n_x, asked.n_y) / FLOPS_PER_SECOND

    def plan(self, asked: Asked) -> DensitiesPlan:
        """All gates, the constant ones at the end too: noise follows them."""
        if not isinstance(asked.feature_map, GateTable):
            raise TypeError(f"method 'densities' does not apply: {self.why_not(asked)}")
        return DensitiesPlan(asked.feature_map, take_noise(asked.noise))


@dataclass(frozen=True)
class DensitiesPlan:
    """Rows of x become density matrices, rows of y the operators that are measured.

    Both are expectation values of all products of Pauli operators, real numbers.
    """

    table: GateTable
    noise: Noise
    symmetric: bool = False
    unit_diagonal: bool = False

    def encode(self, rows: np.ndarray, side: Side) -> np.ndarray:
        """Expectation values of shape (n_rows, 4**n_qubits), wire 0 being the fastest digit."""
        return densities(self.table, rows, self.noise) if side == "x" else self._measured(rows)

    def _measured(self, rows: np.ndarray) -> np.ndarray:
        """The operators M(y): the adjoint of the noisy inverse, on the projector on |0…0⟩.

        Undone last, the first gate's inverse comes first here: its noise, transposed, and then the
        gate itself, because the adjoint of the inverse is the gate.
        """
        angles = self.table.angles(rows)
        wires = range(self.table.n_qubits)
        vectors = _products([self.noise.reading_zero(wire) for wire in wires], len(rows))
        for gate in self.table.gates:
            for wires_of, channel in self.noise.after(gate, inverse=True):
                vectors = applied(vectors, channel.T[None], wires_of)
            vectors = applied(vectors, _transfer(gate, angles), gate.wires)
        return vectors

    def multiply(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Traces of products, float64."""
        values: np.ndarray = (left @ right.T) * 0.5**self.table.n_qubits
        return values

    def lost_weight(self, encoded: np.ndarray) -> float:  # noqa: ARG002  (it is exact)
        """Nothing is lost."""
        return 0.0

    def encoded_bytes(self, n_rows: int) -> int:
        """Real numbers, 4**n_qubits for each row."""
        return int(8 * n_rows * 4**self.table.n_qubits)

    def working_bytes(self, n_rows: int, n_columns: int) -> int:
        """The tile; and while a gate acts, what it acts on is there three times."""
        return 8 * n_rows * n_columns + 3 * self.encoded_bytes(max(n_rows, n_columns))

    def flops(self, n_rows: int, n_columns: int) -> float:
        """One real product."""
        return 2.0 * n_rows * n_columns * 4.0**self.table.n_qubits


def densities(table: GateTable, rows: np.ndarray, noise: Noise) -> np.ndarray:
    """Expectation values of all products of Paulis in the noisy states of a table.

    Returns:
        Of shape (n_rows, 4**n_qubits), float64. Places count in base 4, I, X, Y and Z being the
        digits, and wire 0 the least significant.
    """
    angles = table.angles(rows)
    vectors = _products([np.array([1.0, 0, 0, 1])] * table.n_qubits, len(rows))
    for gate in table.gates:
        vectors = applied(vectors, _transfer(gate, angles), gate.wires)
        for wires, channel in noise.after(gate):
            vectors = applied(vectors, channel[None], wires)
    return vectors


def _transfer(gate: Gate, angles: np.ndarray) -> np.ndarray:
    return transfer_matrices(gate_matrices(gate, angles))


def _products(of_wires: Sequence[np.ndarray], n_rows: int) -> np.ndarray:
    whole = np.ones(1)
    for of_wire in of_wires:
        whole = np.kron(of_wire, whole)
    return np.tile(whole, (n_rows, 1))


def applied(vectors: np.ndarray, matrices: np.ndarray, wires: Sequence[int]) -> np.ndarray:
    """Matrices on the digits of some wires.

    Args:
        vectors: Of shape (n_rows, 4**n).
        matrices: Of shape (n_rows or 1, 4**k, 4**k), the first wire being the least significant.
        wires: k of them.

    Returns:
        Of the shape of `vectors`.
    """
    n_rows, size = vectors.shape
    n = (size.bit_length() - 1) // 2
    axes = [n - wire for wire in reversed(wires)]
    front = list(range(1, len(axes) + 1))
    moved = np.moveaxis(vectors.reshape(n_rows, *(4,) * n), axes, front)
    done = matrices @ moved.reshape(n_rows, 4 ** len(axes), -1)
    back = np.moveaxis(done.reshape(n_rows, *(4,) * n), front, axes)
    return np.ascontiguousarray(back).reshape(n_rows, size)
