"""Kernel-target alignment: how well a kernel fits labels, and weights trained to make it fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from shoal.quantum.kernels.checks import checked_count, checked_rows
from shoal.quantum.kernels.learning.gradients import by_angles, by_features, states_of
from shoal.quantum.kernels.learning.weighted import Weighted
from shoal.tasks import check_seed, shorten

# Of Adam (Kingma and Ba, arXiv 1412.6980), as they recommend.
FIRST, SECOND, SMALLEST = 0.9, 0.999, 1e-8


def target_alignment(matrix: Any, labels: Any, *, rescale: bool = True) -> float:
    """How well a kernel matrix fits labels: its cosine with the matrix that fits perfectly.

    That matrix is 1 for two samples of one class and -1 / (c - 1) for others, with c classes; for
    two classes it is the product of labels of ±1 (Cristianini et al., NeurIPS 2001).

    Args:
        matrix: A kernel matrix of the samples, of shape (n, n).
        labels: Of the samples: numbers or names.
        rescale: Whether each sample counts by one over the size of its class.

    Returns:
        From -1 to 1.

    Raises:
        ValueError: If the shapes differ.

    Example:
        >>> import numpy as np
        >>> from shoal.quantum import target_alignment
        >>> round(target_alignment(np.eye(4), [-1, -1, 1, 1]), 12)
        0.5
    """
    matrix = np.asarray(matrix, float)
    target = _Target(labels, rescale=rescale).of()
    if matrix.shape != target.shape:
        raise ValueError(f"matrix of shape {matrix.shape}: expected {target.shape}, by the labels")
    return float(np.sum(matrix * target) / (np.linalg.norm(matrix) * np.linalg.norm(target)))


class KernelAlignment:
    """The target alignment of a fidelity kernel as a function of weights, with its derivative.

    The derivative goes back through the product of the states, and through their gates: it is
    exact, and costs about as much as four matrices, however many weights there are. The feature map
    is traced once.
    """

    def __init__(
        self, feature_map: Any, x: Any, labels: Any, *, reps: int = 1, rescale: bool = True
    ) -> None:
        """Takes samples and their labels.

        Args:
            feature_map: A function ``f(x, weights)`` of PennyLane, or a Qiskit circuit.
            x: Rows of features, of shape (n, n_features).
            labels: As for `target_alignment`, like `rescale`.
            reps: How many times the map is applied, from 1.

        Raises:
            ValueError: If x has no rows, holds NaN, or the labels are not as many.
        """
        self._feature_map = feature_map
        self._reps = reps
        self._x = checked_rows(x, "x")
        self._target = _Target(labels, rescale=rescale)
        if len(self._x) != len(self._target):
            raise ValueError(
                f"{len(self._target)} labels: expected {len(self._x)}, one for each row of x"
            )
        self._form: Any = None

    def __len__(self) -> int:
        return len(self._x)

    def __call__(self, weights: Any, samples: Any = None) -> tuple[float, Any]:
        """The alignment, and its derivative by every weight.

        Args:
            weights: An array for a function; for a circuit a mapping of its parameters, or their
                names, to numbers: the other parameters are the features.
            samples: Indices of the samples to look at; None: all.

        Returns:
            The alignment, and the derivative in the form of `weights`.

        Raises:
            ValueError: If the map has gates that cannot be traced.
            TypeError: If weights are given in another form.
        """
        weighted = Weighted(self._feature_map, weights, self._reps)
        self._trace(weighted)
        chosen = np.arange(len(self._x)) if samples is None else np.asarray(samples)
        value, slopes = self._in_a_row(weighted.numbers(), chosen)
        return value, weighted.like(slopes)

    def _trace(self, weighted: Weighted) -> None:
        form = (*weighted.weights,) if weighted.of_circuit else np.shape(weighted.weights)
        if form != self._form:
            self._table = weighted.table(self._x.shape[1])
            self._columns = weighted.columns(self._x.shape[1])
            self._form = form

    def _in_a_row(self, numbers: np.ndarray, chosen: np.ndarray) -> tuple[float, np.ndarray]:
        table, target = self._table, self._target.of(chosen)
        features, weights = self._columns
        rows = np.empty((len(chosen), table.n_features))
        rows[:, features] = self._x[chosen]
        rows[:, weights] = numbers
        angles = table.angles(rows)
        states = states_of(table, angles)
        overlaps = states.conj() @ states.T
        matrix = np.abs(overlaps) ** 2
        norms = np.linalg.norm(matrix) * np.linalg.norm(target)
        value = float(np.sum(matrix * target) / norms)
        slopes = target / norms - value * matrix / np.sum(matrix**2)
        # k = |s|² with s = ⟨ψi|ψj⟩, and ψi is in row i and in column i: hence 4.
        cotangents = 4 * (slopes * overlaps.conj()) @ states
        found = by_angles(table, angles, states, cotangents)
        return value, by_features(table.formulas, rows, found)[:, weights].sum(axis=0)


@dataclass(frozen=True)
class KernelTraining:
    """What training a kernel has led to.

    Attributes:
        weights: In the form they were given in.
        alignments: The target alignment at every step, of the samples of that step, before it.
    """

    weights: Any
    alignments: np.ndarray


def train_kernel(
    feature_map: Any,
    x: Any,
    labels: Any,
    weights: Any,
    *,
    reps: int = 1,
    steps: int = 100,
    learning_rate: float = 0.05,
    batch_size: int | None = None,
    rescale: bool = True,
    seed: Any = 0,
) -> KernelTraining:
    """Trains the weights of a feature map to align its kernel with labels, by Adam.

    Args:
        feature_map: As for `KernelAlignment`, like `x`, `labels`, `weights` and `rescale`.
        reps: How many times the map is applied.
        steps: Steps of the ascent, from 1.
        learning_rate: About how far a weight moves in a step.
        batch_size: Samples that each step looks at, drawn anew, from 2; None: all.
        seed: Of those draws, as for `shoal.map`.

    Returns:
        The weights and the alignments on the way.

    Raises:
        ValueError: For bad arguments, before any work.
        TypeError: The same.
    """
    checked_count(steps, "steps", least=1)
    checked_count(batch_size, "batch_size", least=2, optional=True)
    if not learning_rate > 0:
        raise ValueError(f"learning_rate={shorten(learning_rate)}: expected a number above 0")
    rng = np.random.default_rng(check_seed(seed))
    objective = KernelAlignment(feature_map, x, labels, reps=reps, rescale=rescale)
    weighted = Weighted(feature_map, weights, reps)
    numbers, n = weighted.numbers(), len(objective)
    mean, square, alignments = np.zeros(len(numbers)), np.zeros(len(numbers)), []
    for step in range(1, steps + 1):
        chosen = rng.choice(n, batch_size, replace=False) if batch_size and batch_size < n else None
        alignment, found = objective(weighted.like(numbers), chosen)
        slopes = Weighted(feature_map, found).numbers()
        alignments.append(alignment)
        mean = FIRST * mean + (1 - FIRST) * slopes
        square = SECOND * square + (1 - SECOND) * slopes**2
        scale = np.sqrt(square / (1 - SECOND**step)) + SMALLEST
        numbers = numbers + learning_rate * mean / (1 - FIRST**step) / scale
    return KernelTraining(weighted.like(numbers), np.array(alignments))


class _Target:
    """The matrix that fits labels perfectly, of any of the samples."""

    def __init__(self, labels: Any, *, rescale: bool) -> None:
        given = np.asarray(labels)
        if given.ndim != 1 or not given.size:
            raise ValueError(f"labels={shorten(labels)}: expected one for each sample")
        classes, self._members = np.unique(given, return_inverse=True)
        self._others = -1.0 / max(len(classes) - 1, 1)
        self._rescale = rescale

    def __len__(self) -> int:
        return len(self._members)

    def of(self, chosen: Any = slice(None)) -> np.ndarray:
        """Of the chosen samples; the sizes of classes are those among them."""
        members = self._members[chosen]
        same = members[:, np.newaxis] == members
        target: np.ndarray = np.where(same, 1.0, self._others)
        if self._rescale:
            share = 1 / np.bincount(members)[members]
            target = target * share * share[:, np.newaxis]
        return target
