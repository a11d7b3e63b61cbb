"""Kernel matrices that lost their positivity to shots or noise, and how it is given back."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from shoal.tasks import shorten

Way = Literal["clip", "flip", "shift", "nearest"]

WAYS = ("clip", "flip", "shift", "nearest")
ASYMMETRY = 1e-9
SMALLEST_GRADIENT = 1e-10
MOST_STEPS = 500


def repair_kernel(matrix: Any, way: Way = "clip") -> np.ndarray:
    """A kernel matrix without negative eigenvalues, from one that has some.

    The exact matrix of a kernel has none. Counted shots, noise and rounding make some, and solvers
    of support vector machines need not converge then. Repair the square matrix of the training
    data; a rectangular one has no eigenvalues and is refused.

    Args:
        matrix: Real, symmetric, of shape (n, n).
        way: ``"clip"`` sets negative eigenvalues to 0, which is the nearest matrix (in the
            Frobenius norm) without any. ``"flip"`` takes their absolute values. ``"shift"`` adds
            what is missing to the diagonal, so that only the diagonal changes. ``"nearest"`` is
            the nearest matrix that has ones on its diagonal besides, as a fidelity has.

    Returns:
        A new array, exactly symmetric, float32 where `matrix` is and float64 else. Its eigenvalues
        are from 0, up to rounding. A matrix that lacks nothing is returned as it is.

    Raises:
        TypeError: If the matrix is complex, or holds no numbers.
        ValueError: If it is rectangular, empty, not symmetric or not finite.

    Eigenvalues are those of ``eigh``. ``"nearest"`` solves the problem of Higham, "Computing the
    nearest correlation matrix" (IMA J. Numer. Anal. 22, 2002), by its dual (Malick, SIAM J. Matrix
    Anal. Appl. 26, 2004).

    Example:
        >>> import numpy as np
        >>> from shoal.quantum import repair_kernel
        >>> repair_kernel(np.array([[1.0, 1.25], [1.25, 1.0]]), "shift")
        array([[1.25, 1.25],
               [1.25, 1.25]])
    """
    if way not in WAYS:
        raise ValueError(f"way={shorten(way)}: expected one of {', '.join(map(repr, WAYS))}")
    given = _checked(matrix)
    repaired = _nearest(given) if way == "nearest" else _by_spectrum(given, way)
    single = getattr(matrix, "dtype", None) == np.float32
    return repaired.astype(np.float32 if single else np.float64)


def _checked(matrix: Any) -> np.ndarray:
    """The matrix in double precision, exactly symmetric."""
    given = np.asarray(matrix)
    if given.dtype.kind not in "biuf":
        raise TypeError(f"matrix of dtype {given.dtype}: expected real numbers")
    if given.ndim != 2 or given.shape[0] != given.shape[1]:
        raise ValueError(
            f"matrix of shape {given.shape}: expected (n, n); only the square matrix of training "
            "data can be repaired, the block of other data is used as it is"
        )
    if not given.size:
        raise ValueError("matrix of shape (0, 0): expected at least one row")
    given = given.astype(np.float64)
    if not np.isfinite(given).all():
        row, column = np.argwhere(~np.isfinite(given))[0]
        raise ValueError(f"matrix[{row}, {column}]={given[row, column]}: expected finite numbers")
    difference = np.abs(given - given.T)
    if difference.max() > ASYMMETRY * max(1.0, float(np.abs(given).max())):
        row, column = np.unravel_index(int(difference.argmax()), given.shape)
        raise ValueError(
            f"matrix[{row}, {column}]={given[row, column]} and matrix[{column}, {row}]="
            f"{given[column, row]}: expected a symmetric matrix, such as (matrix + matrix.T) / 2"
        )
    return _even(given)


def _even(matrix: np.ndarray) -> np.ndarray:
    """The symmetric part: exactly symmetric, and a symmetric matrix itself."""
    even: np.ndarray = (matrix + matrix.T) / 2
    return even


def _by_spectrum(matrix: np.ndarray, way: str) -> np.ndarray:
    values, vectors = np.linalg.eigh(matrix)
    if values[0] >= 0:
        return matrix
    if way == "shift":
        shifted = matrix.copy()
        np.fill_diagonal(shifted, matrix.diagonal() - values[0])
        return shifted
    values = np.abs(values) if way == "flip" else np.maximum(values, 0)
    return _even((vectors * values) @ vectors.T)


def _nearest(matrix: np.ndarray) -> np.ndarray:
    """The nearest matrix with eigenvalues from 0 and a diagonal of ones.

    It is the positive part of ``matrix + diag(d)``, with the d that minimises half the squared norm
    of that part, less the sum of d; the gradient is its diagonal less ones.
    """
    from scipy.optimize import minimize

    if np.array_equal(matrix.diagonal(), np.ones(len(matrix))) and (
        np.linalg.eigvalsh(matrix)[0] >= 0
    ):
        return matrix

    def dual(added: np.ndarray) -> tuple[float, np.ndarray]:
        part = _positive_part(matrix + np.diag(added))
        return float(np.sum(part * part) / 2 - np.sum(added)), part.diagonal() - 1

    options = {"maxiter": MOST_STEPS, "gtol": SMALLEST_GRADIENT, "ftol": 0.0, "maxcor": 20}
    found = minimize(dual, 1 - matrix.diagonal(), jac=True, method="L-BFGS-B", options=options)
    part = _positive_part(matrix + np.diag(found.x))
    scale = 1 / np.sqrt(np.maximum(part.diagonal(), np.finfo(float).tiny))
    scaled = _even(part * scale * scale[:, np.newaxis])
    np.fill_diagonal(scaled, 1)
    return scaled


def _positive_part(matrix: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(matrix)
    kept = values > 0
    return _even((vectors[:, kept] * values[kept]) @ vectors[:, kept].T)
