"""Feature maps with weights and repetitions: bound for use, or traced with weights for training.

A function of PennyLane takes its weights as second argument, f(x, weights). In a circuit of Qiskit
they are parameters by name, and the other parameters are the features.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from shoal.quantum.kernels.tracing import GateTable, trace
from shoal.tasks import shorten


@dataclass(frozen=True)
class Weighted:
    """A feature map, applied some times over, with weights.

    Attributes:
        feature_map: A circuit, function or QNode.
        weights: An array for a function, a mapping of parameters to numbers for a circuit, or None.
        reps: How many times it is applied, from 1.
    """

    feature_map: Any
    weights: Any = None
    reps: int = 1

    def __post_init__(self) -> None:
        """Raises TypeError or ValueError for what cannot be applied."""
        reps = self.reps
        if isinstance(reps, bool) or not isinstance(reps, int | np.integer):
            raise TypeError(f"reps={shorten(reps)}: expected an integer")
        if reps < 1:
            raise ValueError(f"reps={reps}: expected at least 1")
        if self.of_circuit and not isinstance(self.weights, Mapping | None):
            raise TypeError(
                f"weights={shorten(self.weights)}: expected a mapping of the circuit's parameters, "
                "or their names, to numbers"
            )

    @property
    def of_circuit(self) -> bool:
        """Whether it is a circuit of Qiskit."""
        return hasattr(self.feature_map, "assign_parameters")

    def bound(self) -> Any:
        """A feature map of the features alone."""
        if self.of_circuit:
            circuit = self.feature_map
            if self.weights:
                circuit = circuit.assign_parameters(dict(self.weights))
            return circuit if self.reps == 1 else circuit.repeat(self.reps).decompose()
        if self.reps == 1 and self.weights is None:
            return self.feature_map
        return Applied(self.feature_map, self.weights, self.reps)

    def table(self, n_features: int) -> GateTable:
        """The gates, with the features and then the weights as features.

        Raises:
            ValueError: If the map has a gate whose angles cannot be traced.
        """
        size = len(self.numbers())
        if self.of_circuit:
            circuit = self.feature_map
            repeated = circuit if self.reps == 1 else circuit.repeat(self.reps).decompose()
            traced = trace(repeated, n_features + size)
        else:
            shape = np.shape(self.weights)
            whole = Concatenated(self.feature_map, n_features, shape, self.reps)
            traced = trace(whole, n_features + size)
        if not isinstance(traced, GateTable):
            raise ValueError(f"feature_map={shorten(self.feature_map)}: {traced.why}")
        return traced

    def columns(self, n_features: int) -> tuple[np.ndarray, np.ndarray]:
        """Where the features, and where the weights, are among the columns of `table`."""
        size = len(self.numbers())
        if not self.of_circuit:
            return np.arange(n_features), np.arange(n_features, n_features + size)
        names = [parameter.name for parameter in self.feature_map.parameters]
        own = [names.index(_name(each)) for each in self.weights]
        others = [place for place in range(len(names)) if place not in own]
        return np.array(others), np.array(own, int)

    def numbers(self) -> np.ndarray:
        """The weights as numbers in a row."""
        if isinstance(self.weights, Mapping):
            return np.array([*self.weights.values()], float)
        return np.asarray(self.weights, float).ravel()

    def like(self, numbers: np.ndarray) -> Any:
        """Numbers in a row as weights of the same form."""
        if isinstance(self.weights, Mapping):
            return dict(zip(self.weights, numbers.tolist(), strict=True))
        return numbers.reshape(np.shape(self.weights))


@dataclass(frozen=True)
class Applied:
    """A function of PennyLane as a feature map of x alone."""

    function: Any
    weights: Any
    reps: int

    def __call__(self, x: Any) -> None:
        """Applies it to a row of features."""
        function = getattr(self.function, "func", self.function)
        further = () if self.weights is None else (self.weights,)
        for _ in range(self.reps):
            function(x, *further)


@dataclass(frozen=True)
class Concatenated:
    """A function f(x, weights) as one of a single row: the features, then the weights."""

    function: Any
    n_features: int
    shape: tuple[int, ...]
    reps: int

    def __call__(self, row: Any) -> None:
        """Applies it."""
        x, weights = row[: self.n_features], row[self.n_features :].reshape(self.shape)
        Applied(self.function, weights, self.reps)(x)


def _name(parameter: Any) -> str:
    return str(getattr(parameter, "name", parameter))
