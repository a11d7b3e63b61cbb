"""A traced feature map: a table of gates, or the library's own states where a gate has no place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from shoal.quantum.kernels.tracing.formulas import Formulas
from shoal.quantum.kernels.tracing.gates import Gate

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True, eq=False)
class GateTable:
    """The gates of a feature map, in order, on |0…0⟩; the same for every sample but for angles.

    Attributes:
        n_qubits: Qubits, from 1.
        n_features: Columns of `x`.
        gates: In the order in which they act.
        formulas: The angles, as formulas of the features.
        source: The library, ``"qiskit"`` or ``"pennylane"``.
    """

    n_qubits: int
    n_features: int
    gates: tuple[Gate, ...]
    formulas: Formulas = field(default_factory=Formulas)
    source: str = ""

    def angles(self, rows: np.ndarray) -> np.ndarray:
        """The angles for every row of features: (n_rows, n_angles), float64, in radians."""
        return self.formulas(rows)

    @property
    def constant(self) -> np.ndarray:
        """Which angles are the same for all samples, as booleans."""
        return self.formulas.constant

    @property
    def follows_features(self) -> bool:
        """Whether any gate depends on the sample."""
        return not self.constant.all()

    def core(self) -> GateTable:
        """Without the gates at the end that are the same for all samples.

        Together they are one unitary, which cancels in |⟨x|y⟩|², and in nothing else. A gate counts
        to the end if no gate that depends on the sample follows on one of its wires.
        """
        fixed = self.constant
        kept: list[Gate] = []
        needed: set[int] = set()
        for gate in reversed(self.gates):
            if needed.isdisjoint(gate.wires) and all(fixed[column] for column in gate.angles):
                continue
            needed.update(gate.wires)
            kept.append(gate)
        return GateTable(
            self.n_qubits, self.n_features, tuple(reversed(kept)), self.formulas, self.source
        )


@dataclass(frozen=True, slots=True, eq=False)
class LibraryStates:
    """A feature map whose states its own library prepares.

    Attributes:
        n_qubits: Qubits, from 1.
        n_features: Columns of `x`.
        library: What prepares them, in words, such as ``"Aer, parameter_binds"``.
        why: Why no table of gates could be made.
        states: From rows of features to states, of shape (n_rows, 2**n_qubits), complex128.
    """

    n_qubits: int
    n_features: int
    library: str
    why: str
    states: Callable[[np.ndarray], np.ndarray]

    def core(self) -> LibraryStates:
        """Itself: its gates are not known."""
        return self


FeatureMap = GateTable | LibraryStates
