"""Kernel values as so many shots would estimate them: one binomial draw for each pair.

An inversion test counts the shots in which every qubit reads 0, each of which does so with
probability K. The count is therefore exactly Binomial(shots, K), and no circuit needs to be run
again to draw it.
"""

# ruff: noqa: PLR0917  (compiled functions are called by position)

from __future__ import annotations

import math

import numpy as np

from shoal.quantum.kernels.compiling import compiled
from shoal.quantum.kernels.philox import key_words, two_uniforms

SYMMETRIC = 0x73796D6D
CROSS = 0x63726F73
FEW = 10.0
TAILS = np.array(
    [
        0.08106146679532726,
        0.04134069595540929,
        0.02767792568499834,
        0.02079067210376509,
        0.01664469118982119,
        0.01387612882307075,
        0.01189670994589177,
        0.01041126526197209,
        0.00925546218271273,
        0.00833056343336287,
    ]
)


def binomial(
    values: np.ndarray,
    shots: int,
    seed: int | np.random.SeedSequence,
    row_offset: int = 0,
    col_offset: int = 0,
    *,
    symmetric: bool,
) -> np.ndarray:
    """One tile of a kernel matrix, estimated from `shots` shots an entry.

    Args:
        values: Exact kernel values, of shape (rows, cols). Rounding may have put them a little
            outside of 0 to 1; they count as 0 or 1. NaN stays NaN.
        shots: Shots for each pair, from 1.
        seed: What the draws follow from, together with the place of the pair and nothing else.
        row_offset: Row of the whole matrix that the tile's first row is.
        col_offset: Column of the whole matrix that the tile's first column is.
        symmetric: Whether rows and columns are the same samples. Pairs are unordered then: (i, j)
            and (j, i) are one draw, wherever their tiles are computed. Otherwise each place is a
            draw of its own, independent of those of the symmetric matrix with the same seed.

    Returns:
        Counts divided by `shots`, float64, of the shape of `values`. Counts of different pairs are
        independent; each is Binomial(shots, value). The same tile always draws the same.
    """
    values = np.ascontiguousarray(values, dtype=np.float64)
    key = key_words(seed)
    drawn = np.empty_like(values)
    kind = SYMMETRIC if symmetric else CROSS
    _draw(values, float(shots), key, kind, row_offset, col_offset, drawn)
    return drawn


@compiled
def _draw(
    values: np.ndarray,
    shots: float,
    key: np.ndarray,
    kind: int,
    row_offset: int,
    col_offset: int,
    drawn: np.ndarray,
) -> None:
    """Draws every entry; those of a symmetric matrix are keyed by the smaller place first."""
    for row in range(values.shape[0]):
        for col in range(values.shape[1]):
            i, j = row + row_offset, col + col_offset
            if kind == SYMMETRIC and i > j:
                i, j = j, i
            drawn[row, col] = _count(values[row, col], shots, key, kind, i, j) / shots


@compiled
def _count(value: float, shots: float, key: np.ndarray, kind: int, i: int, j: int) -> float:
    """How many of the shots came out as 0: of a rare event few are counted, from its own end."""
    if math.isnan(value):
        return value
    if value <= 0.0:
        return 0.0
    if value >= 1.0:
        return shots
    rare = min(value, 1.0 - value)
    if shots * rare < FEW:
        counted = _by_inversion(rare, shots, key, kind, i, j)
    else:
        counted = _by_rejection(rare, shots, key, kind, i, j)
    return counted if value <= 0.5 else shots - counted


@compiled
def _by_inversion(rare: float, shots: float, key: np.ndarray, kind: int, i: int, j: int) -> float:
    """Adds up probabilities from 0 until they pass one uniform number."""
    left, _ = two_uniforms(key, i, j, 0, kind)
    odds = rare / (1.0 - rare)
    weight = math.exp(shots * math.log1p(-rare))
    count = 0.0
    while left > weight and count < shots:
        left -= weight
        count += 1.0
        weight *= odds * (shots - count + 1.0) / count
        if weight == 0.0:
            break
    return count


@compiled
def _by_rejection(rare: float, shots: float, key: np.ndarray, kind: int, i: int, j: int) -> float:
    """Transformed rejection, algorithm BTRS of W. Hörmann, J. Stat. Comput. Simul. 46 (1993) 101.

    Each attempt takes two uniform numbers. About 1.2 attempts are needed, however many the shots.
    """
    spread = math.sqrt(shots * rare * (1.0 - rare))
    b = 1.15 + 2.53 * spread
    a = -0.0873 + 0.0248 * b + 0.01 * rare
    alpha = (2.83 + 5.1 / b) * spread
    sure = 0.92 - 4.2 / b
    mode = math.floor((shots + 1.0) * rare)
    attempt = 0
    while True:
        u, v = two_uniforms(key, i, j, attempt, kind)
        attempt += 1
        u -= 0.5
        margin = 0.5 - abs(u)
        if margin <= 0.0:
            continue
        count = math.floor((2.0 * a / margin + b) * u + shots * rare + 0.5)
        if margin >= 0.07 and v <= sure:
            return count
        if count < 0.0 or count > shots or v <= 0.0:
            continue
        if math.log(v * alpha / (a / (margin * margin) + b)) <= _log_ratio(
            count, mode, shots, rare
        ):
            return count


@compiled
def _log_ratio(count: float, mode: float, shots: float, rare: float) -> float:
    """Logarithm of the probability of `count` over that of the mode, by Stirling's series."""
    odds = rare / (1.0 - rare)
    beyond = shots - mode + 1.0
    return (
        (mode + 0.5) * math.log((mode + 1.0) / (odds * beyond))
        + (shots + 1.0) * math.log(beyond / (shots - count + 1.0))
        + (count + 0.5) * math.log(odds * (shots - count + 1.0) / (count + 1.0))
        + _tail(mode)
        + _tail(shots - mode)
        - _tail(count)
        - _tail(shots - count)
    )


@compiled
def _tail(k: float) -> float:
    """What Stirling's formula for log(k!), written about k + 1, leaves out."""
    if k < 10.0:
        return float(TAILS[int(k)])
    square = (k + 1.0) * (k + 1.0)
    series: float = 1.0 / 12.0 - (1.0 / 360.0 - 1.0 / 1260.0 / square) / square
    return series / (k + 1.0)
