"""Chains with bonds as small as their states allow, and what was left out for it.

One sweep to the right makes everything left of each bond orthonormal; one to the left finds the
singular values of each bond and drops the smallest (U. Schollwöck, Ann. Phys. 326 (2011) 96, §4.5).
The decomposition is a one-sided Jacobi method, which is short, accurate for small values too, and
compiled: for a few columns a call of LAPACK costs more than the work.
"""

from __future__ import annotations

import numpy as np

from shoal.quantum.kernels.chains.building import Chains
from shoal.quantum.kernels.compiling import compiled

TURNS = 60
SMALL = 1e-15
NOTHING = 1e-34


def compress(chains: Chains, *, cutoff: float, max_bond: int | None = None) -> None:
    """Shortens the bonds of all chains, in place; afterwards they are orthonormal to the right.

    Args:
        chains: Nothing may wait in them: they are settled.
        cutoff: At each bond, the smallest Schmidt coefficients whose squares add up to no more than
            this are dropped.
        max_bond: The largest dimension of a bond; None: as needed.

    What is dropped is added to `chains.lost`. Whether a coefficient of a sample is dropped depends
    on that sample alone: a bond is as wide as the sample needs that needs most, and the other
    samples have zeros there.
    """
    sites = chains.sites
    rows = chains.n_rows
    carried = np.ones((rows, 1, 1), complex)
    for place, site in enumerate(sites):
        joined = _rows_first(site, rows)
        joined = np.matmul(carried, joined.reshape(rows, joined.shape[1], -1))
        left, right = carried.shape[1], site.shape[2]
        if place == len(sites) - 1:
            sites[place] = joined.reshape(rows, left, 2, right)
            break
        basis, _, carried = decompose(joined.reshape(rows, left * 2, right))
        sites[place] = basis.reshape(rows, left, 2, -1)
    dropped = np.zeros(rows)
    for place in range(len(sites) - 1, 0, -1):
        _, left, _, right = sites[place].shape
        flat = sites[place].reshape(rows, left, 2 * right)
        basis, weights, rest = decompose(flat.conj().transpose(0, 2, 1))
        kept = _kept(weights, cutoff, max_bond)
        past = np.arange(weights.shape[1]) >= kept[:, None]
        dropped += np.where(past, weights**2, 0.0).sum(axis=1)
        keep = int(kept.max())
        basis = np.where(past[:, None, :], 0.0, basis)[:, :, :keep]
        rest = np.where(past[:, :, None], 0.0, rest)[:, :keep]
        sites[place] = basis.conj().transpose(0, 2, 1).reshape(rows, keep, 2, right)
        before = sites[place - 1]
        moved = np.matmul(before.reshape(rows, -1, left), rest.conj().transpose(0, 2, 1))
        sites[place - 1] = moved.reshape(rows, before.shape[1], 2, keep)
    chains.lost += np.sqrt(dropped)
    chains.sites = [np.ascontiguousarray(site.transpose(1, 2, 3, 0)) for site in sites]


def _rows_first(site: np.ndarray, rows: int) -> np.ndarray:
    return np.ascontiguousarray(
        np.broadcast_to(site, (*site.shape[:3], rows)).transpose(3, 0, 1, 2)
    )


def _kept(weights: np.ndarray, cutoff: float, max_bond: int | None) -> np.ndarray:
    """How many Schmidt coefficients each sample keeps: at least one, and the largest."""
    behind = np.cumsum(weights[:, ::-1] ** 2, axis=1)[:, ::-1]
    most = weights.shape[1] if max_bond is None else max_bond
    kept: np.ndarray = np.clip((behind > cutoff).sum(axis=1), 1, most)
    return kept


def decompose(matrices: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Singular value decompositions of many small matrices.

    Args:
        matrices: Of shape (count, m, k), complex128.

    Returns:
        With r = min(m, k): orthonormal columns (count, m, r), or 0 where a singular value is
        negligible; the singular values (count, r), largest first; and what the columns are to be
        multiplied by to give the matrices, (count, r, k).
    """
    if matrices.shape[2] > matrices.shape[1]:
        rest, weights, basis = _thin(matrices.conj())
    else:
        basis, weights, rest = _thin(matrices.transpose(0, 2, 1))
    return basis.transpose(0, 2, 1), weights, rest.conj() * weights[:, :, None]


def _thin(columns: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Left vectors (count, k, m), singular values (count, k) and right vectors (count, k, k).

    Vectors are rows in all of them, those of `columns`, of shape (count, k, m), too; k <= m.
    """
    count, k, _ = columns.shape
    basis = np.array(columns, complex, order="C")
    weights = np.empty((count, k))
    ends = np.empty((count, k, k), complex)
    _decompose(basis, weights, ends)
    order = np.argsort(-weights, axis=1, kind="stable")
    return (
        np.take_along_axis(basis, order[:, :, None], 1),
        np.take_along_axis(weights, order, 1),
        np.take_along_axis(ends, order[:, :, None], 1),
    )


@compiled
def _decompose(columns: np.ndarray, weights: np.ndarray, ends: np.ndarray) -> None:
    """Turns pairs of columns, which are rows here, until all are orthogonal; then scales them."""
    count, k, m = columns.shape
    for sample in range(count):
        own, turned = columns[sample], ends[sample]
        turned[:] = 0.0
        whole = 0.0
        for i in range(k):
            turned[i, i] = 1.0
            whole += _square(own[i])
        floor = whole * NOTHING
        turns = 0
        while turns < TURNS and _sweep(own, turned, floor):
            turns += 1
        for i in range(k):
            square = _square(own[i])
            weights[sample, i] = np.sqrt(square) if square > floor else 0.0
            inverse = 1.0 / weights[sample, i] if square > floor else 0.0
            for j in range(m):
                own[i, j] *= inverse


@compiled
def _sweep(own: np.ndarray, turned: np.ndarray, floor: float) -> bool:
    """Turns every pair of columns once, and returns whether any needed it."""
    needed = False
    for p in range(len(own) - 1):
        for q in range(p + 1, len(own)):
            if _turn(own, turned, p, q, floor):
                needed = True
    return needed


@compiled
def _square(vector: np.ndarray) -> float:
    total = 0.0
    for j in range(len(vector)):
        total += vector[j].real ** 2 + vector[j].imag ** 2
    return total


@compiled
def _turn(own: np.ndarray, turned: np.ndarray, p: int, q: int, floor: float) -> bool:
    """Makes two columns orthogonal, unless they are already, or one of them is negligible."""
    a, b, c = _square(own[p]), _square(own[q]), 0.0 + 0.0j
    for j in range(own.shape[1]):
        c += own[p, j].conjugate() * own[q, j]
    size = abs(c)
    if a <= floor or b <= floor or size <= SMALL * np.sqrt(a * b):
        return False
    phase = c.conjugate() / size
    slope = (b - a) / (2.0 * size)
    tangent = 1.0 / (abs(slope) + np.sqrt(1.0 + slope * slope))
    if slope < 0.0:
        tangent = -tangent
    cos = 1.0 / np.sqrt(1.0 + tangent * tangent)
    sin = cos * tangent
    _rotate(own[p], own[q], cos, sin, phase)
    _rotate(turned[p], turned[q], cos, sin, phase)
    return True


@compiled
def _rotate(one: np.ndarray, two: np.ndarray, cos: float, sin: float, phase: complex) -> None:
    """Mixes two vectors in place, the second one turned by a phase first."""
    for j in range(len(one)):
        a, b = one[j], two[j] * phase
        one[j] = cos * a - sin * b
        two[j] = sin * a + cos * b
