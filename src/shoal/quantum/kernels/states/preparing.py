"""prepare: the states of a block of samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from shoal.quantum.kernels.states.program import Program, program
from shoal.quantum.kernels.tracing import FeatureMap, GateTable, LibraryStates


@dataclass(frozen=True, slots=True, eq=False)
class Preparation:
    """A feature map, ready to prepare states.

    Attributes:
        feature_map: The traced map.
        dtype: complex64 or complex128.
        program: What the interpreter runs; None where the library prepares the states.
    """

    feature_map: FeatureMap
    dtype: np.dtype[Any]
    program: Program | None

    @classmethod
    def of(cls, feature_map: FeatureMap, dtype: Any, *, core: bool = False) -> Preparation:
        """Prepares what does not depend on samples.

        Args:
            feature_map: The traced map.
            dtype: complex64 or complex128.
            core: Whether to leave out the unitary that all samples end with, which changes the
                states and no fidelity between two of them; more of them are real then.
        """
        made = program(feature_map, core=core) if isinstance(feature_map, GateTable) else None
        return cls(feature_map, np.dtype(dtype), made)

    @property
    def state_dtype(self) -> np.dtype[Any]:
        """What the amplitudes are: real where all gates are."""
        if self.program is None or not self.program.real:
            return self.dtype
        return np.dtype(np.float32 if self.dtype == np.complex64 else np.float64)

    def states(self, rows: np.ndarray) -> np.ndarray:
        """The states of rows of features, up to a phase each.

        Args:
            rows: Shape (n_rows, n_features).

        Returns:
            Shape (n_rows, 2**n_qubits), of `state_dtype`; wire 0 is the least significant bit.
        """
        rows = np.ascontiguousarray(rows, np.float64)
        if isinstance(self.feature_map, LibraryStates):
            return self.feature_map.states(rows).astype(self.dtype, copy=False)
        return _run(self.program, self.feature_map, rows, self.state_dtype)


def prepare(feature_map: FeatureMap, rows: np.ndarray, dtype: Any = "complex128") -> np.ndarray:
    """The states of rows of features: see `Preparation.states`."""
    return Preparation.of(feature_map, dtype).states(rows)


def _run(made: Any, table: GateTable, rows: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    from shoal.quantum.kernels.states.interpreter import run

    states = np.empty((len(rows), 2**table.n_qubits), dtype)
    parts = 2 if dtype.kind == "c" else 1
    planes = states.view(states.real.dtype).reshape(len(rows), -1, parts)
    numbers = made.numbers(table.angles(rows)).astype(planes.dtype, copy=False)
    run((made.code, made.tables, made.constants), numbers, planes)
    return states
