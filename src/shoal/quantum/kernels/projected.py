"""Projected kernels: what each qubit looks like alone, compared by a Gaussian.

Features of a sample are the expectation values of X, Y and Z of every qubit, its reduced density
matrices; the kernel is k(x, y) = exp(-gamma ∑ (⟨P_q⟩_x - ⟨P_q⟩_y)²) over the three Paulis and all
qubits. After H.-Y. Huang et al., Nat. Commun. 12, 2631 (2021), whose sum runs over squared
Frobenius norms of differences of reduced matrices: half of this one, so that their gamma is twice
ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from shoal.quantum.kernels.chains import bloch_vectors, bond_bounds, prepare_chains
from shoal.quantum.kernels.compiling import compiled
from shoal.quantum.kernels.densities import Densities, densities
from shoal.quantum.kernels.method import Asked, Side
from shoal.quantum.kernels.mps import LARGEST_EXACT
from shoal.quantum.kernels.noise import Noise, take_noise
from shoal.quantum.kernels.states import prepare
from shoal.quantum.kernels.tracing import FeatureMap, GateTable
from shoal.tasks import shorten

LARGEST_STATE = 22
FLOPS_PER_SECOND = 5e9
SECONDS_PER_AMPLITUDE = 2e-9


@dataclass(frozen=True)
class Projected:
    """A Gaussian of the Bloch vectors of all qubits.

    Not a fidelity: another kernel of the same feature map, chosen by name only.

    Attributes:
        gamma: The factor of the squared distance, above 0.

    Raises:
        TypeError: If `gamma` is no number.
        ValueError: If it is not above 0 and finite.
    """

    gamma: float = 1.0

    def __post_init__(self) -> None:
        gamma: Any = self.gamma
        if not isinstance(gamma, int | float | np.floating):
            raise TypeError(f"gamma={shorten(gamma)}: expected a number above 0")
        if not 0 < gamma < np.inf:
            raise ValueError(f"gamma={self.gamma!r}: expected a number above 0")

    @property
    def name(self) -> str:
        """As in ``method="projected"``."""
        return "projected"

    def why_not(self, asked: Asked) -> str | None:
        """It needs states of few qubits, or bonds that stay small."""
        table = asked.feature_map
        if asked.noise is not None:
            return Densities().why_not(asked)
        if table.n_qubits <= LARGEST_STATE or _by_chains(table):
            return None
        return f"{table.n_qubits} qubits are too many, and too entangled"

    def seconds(self, asked: Asked) -> float:
        """From the number of amplitudes, as for state vectors."""
        n = asked.feature_map.n_qubits
        size = float(4 * 64 * 64 if _by_chains(asked.feature_map) else 2**n)
        if asked.noise is not None:
            size = 4.0**n
        preparing = n * (asked.n_x + asked.n_y) * size * SECONDS_PER_AMPLITUDE
        return preparing + self.plan(asked).flops(asked.n_x, asked.n_y) / FLOPS_PER_SECOND

    def plan(self, asked: Asked) -> ProjectedPlan:
        """Features of the whole map: its constant end does not cancel here."""
        noise = None if asked.noise is None else take_noise(asked.noise)
        return ProjectedPlan(asked.feature_map, float(self.gamma), noise)


@dataclass(frozen=True)
class ProjectedPlan:
    """Rows become Bloch vectors; a tile is a Gaussian of their distances."""

    feature_map: FeatureMap
    gamma: float
    noise: Noise | None = None
    symmetric: bool = True
    unit_diagonal: bool = True

    def encode(self, rows: np.ndarray, side: Side) -> np.ndarray:  # noqa: ARG002  (the same for both)
        """Features of shape (n_rows, 3 * n_qubits): X, Y and Z of wire 0, of wire 1, and so on."""
        return features(self.feature_map, rows, self.noise)

    def multiply(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """The Gaussian of the squared distances, float64; exactly symmetric, and 1 for equals."""
        distances = np.zeros((len(left), len(right)))
        _square_distances(left, np.ascontiguousarray(right.T), distances)
        values: np.ndarray = np.exp(-self.gamma * distances)
        return values

    def lost_weight(self, encoded: np.ndarray) -> float:  # noqa: ARG002  (it is exact)
        """Nothing is lost."""
        return 0.0

    def encoded_bytes(self, n_rows: int) -> int:
        """Three numbers for each qubit."""
        return 24 * n_rows * self.feature_map.n_qubits

    def working_bytes(self, n_rows: int, n_columns: int) -> int:
        """The states behind the features, and two tiles."""
        n = self.feature_map.n_qubits
        rows = max(n_rows, n_columns)
        if self.noise is not None:
            return int(16 * n_rows * n_columns + 32 * rows * 4**n)
        if _by_chains(self.feature_map):
            return int(16 * n_rows * n_columns + 4 * 32 * rows * n * LARGEST_EXACT)
        return int(16 * n_rows * n_columns + 32 * rows * 2**n)

    def flops(self, n_rows: int, n_columns: int) -> float:
        """A difference, a square and a sum for each feature."""
        return 9.0 * n_rows * n_columns * self.feature_map.n_qubits


def _by_chains(feature_map: FeatureMap) -> bool:
    """Whether chains are smaller than states."""
    if not isinstance(feature_map, GateTable):
        return False
    bonds = bond_bounds(feature_map)
    if isinstance(bonds, str) or bonds.max() > LARGEST_EXACT:
        return False
    return bool(bonds.max() ** 2 * feature_map.n_qubits < 2**feature_map.n_qubits)


def features(feature_map: FeatureMap, rows: np.ndarray, noise: Noise | None = None) -> np.ndarray:
    """Expectation values of X, Y and Z of every qubit.

    Returns:
        Of shape (n_rows, 3 * n_qubits), float64, between -1 and 1.
    """
    n_rows = len(rows)
    if noise is not None and isinstance(feature_map, GateTable):
        vectors = densities(feature_map, rows, noise)
        places = [digit * 4**wire for wire in range(feature_map.n_qubits) for digit in (1, 2, 3)]
        return vectors[:, places]
    if isinstance(feature_map, GateTable) and _by_chains(feature_map):
        return bloch_vectors(prepare_chains(feature_map, rows)).reshape(n_rows, -1)
    states = prepare(feature_map, rows, np.dtype(complex)).astype(complex, copy=False)
    found = np.empty((n_rows, feature_map.n_qubits, 3))
    _bloch_vectors(np.ascontiguousarray(states), found)
    return found.reshape(n_rows, -1)


@compiled
def _bloch_vectors(states: np.ndarray, found: np.ndarray) -> None:
    """For each state and wire, sums over pairs of amplitudes that differ in that wire alone."""
    for row in range(states.shape[0]):
        state = states[row]
        for wire in range(found.shape[1]):
            bit = 1 << wire
            across, real, imag = 0.0, 0.0, 0.0
            for high in range(0, len(state), 2 * bit):
                for low in range(high, high + bit):
                    a, b = state[low], state[low + bit]
                    real += a.real * b.real + a.imag * b.imag
                    imag += a.real * b.imag - a.imag * b.real
                    across += (a.real**2 + a.imag**2) - (b.real**2 + b.imag**2)
            found[row, wire, 0], found[row, wire, 1] = 2.0 * real, 2.0 * imag
            found[row, wire, 2] = across


@compiled
def _square_distances(left: np.ndarray, right: np.ndarray, distances: np.ndarray) -> None:
    """Adds up squared differences; `right` has the shape (features, columns)."""
    for row in range(distances.shape[0]):
        for feature in range(right.shape[0]):
            own = left[row, feature]
            for column in range(distances.shape[1]):
                difference = own - right[feature, column]
                distances[row, column] += difference * difference
