"""Quantum kernels as scikit-learn knows kernels: a callable, and a transformer for pipelines."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_array

from shoal.quantum.kernels.learning.alignment import train_kernel
from shoal.quantum.kernels.learning.repair import WAYS, repair_kernel
from shoal.quantum.kernels.learning.weighted import Weighted
from shoal.quantum.kernels.matrix import kernel_matrix
from shoal.tasks import part, shorten

OF_THE_ENGINE = ("executor", "max_workers", "memory_bytes", "progress")


class StateKernel(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """What both estimators do; the subclasses have the parameters."""

    def fit(self, X: Any, y: Any = None) -> Self:  # noqa: N803  (scikit-learn's name)
        """Keeps the training data; trains the weights where ``train_steps`` is above 0.

        Args:
            X: Training data, of shape (n_samples, n_features).
            y: Labels, needed for training alone.
        """
        self._check()
        rows = self._rows(X)
        self.n_features_in_ = rows.shape[1]
        self.x_fit_ = rows.copy()
        self.weights_ = self._trained(rows, y)
        self._kept: dict[str, np.ndarray] = {}
        return self

    def fit_transform(self, X: Any, y: Any = None, **_: Any) -> np.ndarray:  # noqa: N803
        """The kernel matrix of the training data, of shape (n_samples, n_samples)."""
        return self.fit(X, y).transform(X)

    def transform(self, X: Any) -> np.ndarray:  # noqa: N803
        """The kernel of each row with each row of the training data.

        The matrix of the training data itself is computed once, and repaired if that is asked for.

        Args:
            X: Rows of features, of shape (n_samples, n_features).

        Returns:
            Of shape (n_samples, n_training_samples), for estimators with ``kernel="precomputed"``.
        """
        if not hasattr(self, "x_fit_"):
            raise NotFittedError(f"this {type(self).__name__} is not fitted; call fit first")
        rows = self._rows(X)
        if rows.shape[1] != self.n_features_in_:
            raise ValueError(
                f"X has {rows.shape[1]} features, but {type(self).__name__} is expecting "
                f"{self.n_features_in_} features as input"
            )
        return self._matrix(rows, self.x_fit_, self.weights_)

    def __call__(self, X: Any, Y: Any = None) -> np.ndarray:  # noqa: N803
        """The kernel matrix of two sets of rows, as ``SVC(kernel=…)`` asks for it.

        Where both hold the same rows it is symmetric, and half of it is computed.
        """
        self._check()
        rows = self._rows(X)
        others = rows if Y is None or Y is X else self._rows(Y)
        return self._matrix(rows, others, getattr(self, "weights_", self.weights))

    def _check(self) -> None:
        bandwidth = self.bandwidth
        number = isinstance(bandwidth, int | float | np.integer | np.floating)
        if isinstance(bandwidth, bool) or not number or not np.isfinite(bandwidth) or not bandwidth:
            raise ValueError(f"bandwidth={shorten(bandwidth)}: expected a number other than 0")
        if self.repair is not None and self.repair not in WAYS:
            allowed = ", ".join(map(repr, WAYS))
            raise ValueError(f"repair={shorten(self.repair)}: expected None or one of {allowed}")
        self._how(self.weights)

    def _trained(self, rows: np.ndarray, labels: Any) -> Any:
        if not self.train_steps:
            return self.weights
        if labels is None or self.weights is None:
            lacking = "weights to start from" if self.weights is None else "labels y"
            raise ValueError(f"train_steps={self.train_steps} without {lacking}")
        trained = train_kernel(
            self.feature_map,
            rows * float(self.bandwidth),
            labels,
            self.weights,
            reps=self.reps,
            steps=self.train_steps,
            learning_rate=self.learning_rate,
            batch_size=self.batch_size,
            seed=0 if self.seed is None else self.seed,
        )
        return trained.weights

    def _rows(self, data: Any) -> np.ndarray:
        rows: np.ndarray = check_array(data, dtype=np.float64, estimator=self)
        return rows

    def _matrix(self, rows: np.ndarray, others: np.ndarray, weights: Any) -> np.ndarray:
        """The matrix of two sets of rows; that of the training data once, and then kept."""
        if rows is not others and not np.array_equal(rows, others):
            return self._computed(rows, others, weights)
        known = getattr(self, "x_fit_", None)
        if known is None or not np.array_equal(rows, known):
            return self._square(rows, weights)
        key = part("", (self.get_params(), weights)).digest
        if key not in self._kept:
            self._kept.clear()
            self._kept[key] = self._square(rows, weights)
        return self._kept[key].copy()

    def _square(self, rows: np.ndarray, weights: Any) -> np.ndarray:
        matrix = self._computed(rows, None, weights)
        return matrix if self.repair is None else repair_kernel(matrix, self.repair)

    def _computed(self, rows: np.ndarray, others: np.ndarray | None, weights: Any) -> np.ndarray:
        scale = float(self.bandwidth)
        further = {name: getattr(self, name) for name in OF_THE_ENGINE}
        matrix: np.ndarray = kernel_matrix(
            rows * scale,
            None if others is None else others * scale,
            dtype=self.dtype,
            seed=self.seed,
            **self._how(weights),
            **further,
        )
        return matrix

    def __getstate__(self) -> dict[str, Any]:
        """Without the matrix of the training data, which is computed again where it is needed."""
        return {**super().__getstate__(), "_kept": {}}


class FidelityKernel(StateKernel):
    """The fidelity of the states that a feature map prepares, for scikit-learn.

    It is a callable, ``SVC(kernel=FidelityKernel(feature_map))``, and a transformer in front of an
    estimator with ``kernel="precomputed"``. Its parameters are those of a search, such as
    ``kernel__bandwidth`` or ``fidelitykernel__reps``.

    Attributes:
        x_fit_: The training data.
        weights_: The weights in use after `fit`, trained if that was asked for.
        n_features_in_: Features of a row.

    Example:
        >>> import pennylane as qml
        >>> from shoal.quantum import FidelityKernel
        >>> kernel = FidelityKernel(lambda x: qml.AngleEmbedding(x, wires=range(2)), bandwidth=2)
        >>> kernel([[0.0, 0.0], [0.5, 0.0]]).round(3)
        array([[1.  , 0.77],
               [0.77, 1.  ]])
    """

    def __init__(
        self,
        feature_map: Any = None,
        *,
        kernel: Any = None,
        bandwidth: float = 1.0,
        reps: int = 1,
        weights: Any = None,
        method: Any = "auto",
        shots: int | None = None,
        noise: Any = None,
        dtype: str = "complex128",
        repair: Any = None,
        train_steps: int = 0,
        learning_rate: float = 0.05,
        batch_size: int | None = None,
        executor: Any = None,
        max_workers: int | None = None,
        memory_bytes: int | None = None,
        progress: bool | None = None,
        seed: Any = None,
    ) -> None:
        """Keeps the parameters, which are looked at when there are data.

        Args:
            feature_map: A Qiskit circuit, or a function or QNode of PennyLane; see `kernel_matrix`.
            kernel: A kernel function k(x1, x2) of your own, in place of a feature map.
            bandwidth: The features are multiplied with it. It decides how local the kernel is, and
                is worth a search.
            reps: How many times the feature map is applied, from 1.
            weights: Second argument of the function; for a circuit a mapping of some of its
                parameters, or their names, to numbers.
            method: As for `kernel_matrix`, like `shots`, `noise`, `dtype`, `executor`,
                `max_workers`, `memory_bytes` and `progress`.
            repair: How the square matrix of the training data is made positive; see
                `repair_kernel`. None: it is left as it is.
            train_steps: Steps by which `fit` trains the weights to align with the labels.
            learning_rate: As for `train_kernel`, like `batch_size`.
            seed: Of shots, and of the samples that training draws.
        """
        self.feature_map = feature_map
        self.kernel = kernel
        self.bandwidth = bandwidth
        self.reps = reps
        self.weights = weights
        self.method = method
        self.shots = shots
        self.noise = noise
        self.dtype = dtype
        self.repair = repair
        self.train_steps = train_steps
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.executor = executor
        self.max_workers = max_workers
        self.memory_bytes = memory_bytes
        self.progress = progress
        self.seed = seed

    def _how(self, weights: Any) -> dict[str, Any]:
        how = {"method": self.method, "shots": self.shots, "noise": self.noise}
        if (self.feature_map is None) == (self.kernel is None):
            raise ValueError("expected a feature_map or a kernel, and not both")
        if self.kernel is None:
            return {"feature_map": Weighted(self.feature_map, weights, self.reps).bound(), **how}
        if weights is not None or self.reps != 1 or self.train_steps:
            raise ValueError(
                "weights, reps and train_steps are for a feature_map, not for a kernel"
            )
        return {"kernel": self.kernel, **how}


class ProjectedKernel(StateKernel):
    """A Gaussian kernel of what single qubits tell of the states, for scikit-learn.

    It is exp(-gamma ∑ (⟨P⟩ of x - ⟨P⟩ of y)²) over the expectation values of X, Y and Z of every
    qubit (after Huang et al., Nature Communications 12, 2631, 2021). It is used as `FidelityKernel`
    is, and has the same attributes.
    """

    def __init__(
        self,
        feature_map: Any = None,
        *,
        gamma: float = 1.0,
        bandwidth: float = 1.0,
        reps: int = 1,
        weights: Any = None,
        noise: Any = None,
        dtype: str = "complex128",
        repair: Any = None,
        executor: Any = None,
        max_workers: int | None = None,
        memory_bytes: int | None = None,
        progress: bool | None = None,
        seed: Any = None,
    ) -> None:
        """Keeps the parameters, which are looked at when there are data.

        Args:
            feature_map: As for `FidelityKernel`, like all the other parameters.
            gamma: How fast the kernel falls off with the distance, above 0.
        """
        self.feature_map = feature_map
        self.gamma = gamma
        self.bandwidth = bandwidth
        self.reps = reps
        self.weights = weights
        self.noise = noise
        self.dtype = dtype
        self.repair = repair
        self.executor = executor
        self.max_workers = max_workers
        self.memory_bytes = memory_bytes
        self.progress = progress
        self.seed = seed

    train_steps = 0

    def _how(self, weights: Any) -> dict[str, Any]:
        from shoal.quantum.kernels.projected import Projected

        if self.feature_map is None:
            raise ValueError("feature_map=None: expected a circuit, or a function of PennyLane")
        bound = Weighted(self.feature_map, weights, self.reps).bound()
        method = Projected(gamma=self.gamma)
        return {"feature_map": bound, "method": method, "noise": self.noise}
