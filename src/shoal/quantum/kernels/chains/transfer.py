"""Overlaps of many chains of tensors with many others, by transfer matrices, compiled.

The overlap of two chains is a product of small matrices, one for each site, carried from left to
right. It is carried for `LANES` chains of one side at a time, whose numbers lie side by side, so
that every step is arithmetic on short vectors.
"""

# ruff: noqa: PLR0917  (compiled functions are called by position)

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shoal.quantum.kernels.compiling import compiled, inlined

LANES = 64
ROW = 2 * LANES
WIDTH = np.uint64(LANES)
WHOLE = np.uint64(ROW)
TOGETHER = 8
LOOK_EVERY = 16
NOTHING = 1e-290


@dataclass(frozen=True, slots=True)
class Packed:
    """Chains in the order in which they are multiplied.

    Attributes:
        numbers: float64, of shape (blocks, numbers of a block). A block holds `LANES` chains; for
            each element of each tensor, the real parts of all of them and then the imaginary
            parts. Chains that fill up the last block are 0.
        bonds: Dimensions of the bonds, int64, of shape (sites + 1,); the first and last are 1.
        n_rows: How many chains there are.
    """

    numbers: np.ndarray
    bonds: np.ndarray
    n_rows: int


def pack(sites: Sequence[np.ndarray], n_rows: int) -> Packed:
    """Tensors of shape (left bond, 2, right bond, n_rows or 1), one a site, put in order."""
    bonds = np.array([1, *(site.shape[2] for site in sites)], dtype=np.int64)
    sizes = [site.size // site.shape[3] for site in sites]
    blocks = -(-n_rows // LANES)
    numbers = np.zeros((blocks, sum(sizes), 2, LANES))
    start = 0
    for site, size in zip(sites, sizes, strict=True):
        flat = np.broadcast_to(site.reshape(size, -1), (size, n_rows))
        for block in range(blocks):
            lanes = flat[:, block * LANES : (block + 1) * LANES]
            numbers[block, start : start + size, 0, : lanes.shape[1]] = lanes.real
            numbers[block, start : start + size, 1, : lanes.shape[1]] = lanes.imag
        start += size
    return Packed(numbers.reshape(blocks, -1), bonds, n_rows)


def fidelities(left: Packed, right: Packed) -> np.ndarray:
    """Squared absolute overlaps, of shape (left.n_rows, right.n_rows).

    Where `left is right` the upper triangle is computed and mirrored. Overlaps below 1e-145 may
    count as 0. With the same bonds, an entry has the same bits whatever else is in the blocks.
    """
    values = np.empty((left.n_rows, right.n_rows))
    same = left is right
    _fidelities(left.numbers, left.bonds, right.numbers, right.bonds, same, values)
    if same:
        upper = np.triu(values)
        values = upper + np.triu(values, 1).T
    return values


@compiled
def _fidelities(
    left: np.ndarray,
    left_bonds: np.ndarray,
    right: np.ndarray,
    right_bonds: np.ndarray,
    same: bool,
    values: np.ndarray,
) -> None:
    """Fills `values`, a block of columns and a few rows at a time."""
    size = left_bonds.max() * right_bonds.max() * ROW
    carried = np.empty((2, TOGETHER, size))
    halfway = np.empty(2 * size)
    n_rows, n_columns = values.shape
    for block in range(right.shape[0]):
        column = block * LANES
        for top in range(0, n_rows, TOGETHER):
            if same and top >= column + LANES:
                break
            bottom = min(top + TOGETHER, n_rows)
            final = _carry(
                left, left_bonds, right[block], right_bonds, top, bottom, carried, halfway
            )
            for row in range(top, bottom):
                for lane in range(min(LANES, n_columns - column)):
                    real = carried[final, row - top, lane]
                    imag = carried[final, row - top, lane + LANES]
                    values[row, column + lane] = real * real + imag * imag


@compiled
def _carry(
    left: np.ndarray,
    left_bonds: np.ndarray,
    right: np.ndarray,
    right_bonds: np.ndarray,
    top: int,
    bottom: int,
    carried: np.ndarray,
    halfway: np.ndarray,
) -> int:
    """Takes rows `top` to `bottom` and one block of columns from the first site to the last.

    Returns which half of `carried` holds the overlaps at the end.
    """
    carried[0, :, :LANES] = 1.0
    carried[0, :, LANES:ROW] = 0.0
    now, left_start, right_start = 0, 0, 0
    for site in range(len(left_bonds) - 1):
        la, ra = left_bonds[site], left_bonds[site + 1]
        lb, rb = right_bonds[site], right_bonds[site + 1]
        for row in range(top, bottom):
            before, after = carried[now, row - top], carried[1 - now, row - top]
            _by_columns(before, right, right_start, la, lb, 2 * rb, halfway)
            chains, lane = left[row // LANES], row % LANES
            _by_rows(chains, left_start, lane, halfway, 2 * la, ra, rb, after)
            if site % LOOK_EVERY == LOOK_EVERY - 1:
                _drop_nothing(after, ra * rb)
        left_start += 2 * la * ra * ROW
        right_start += 2 * lb * rb * ROW
        now = 1 - now
    return now


@inlined
def _by_columns(
    before: np.ndarray,
    right: np.ndarray,
    start: int,
    rows: int,
    inner: int,
    columns: int,
    out: np.ndarray,
) -> None:
    """The product of what is carried and a site's tensor of the columns, lane by lane."""
    step = np.uint64(columns * ROW)
    odd = inner % 2
    for row in range(rows):
        for column in range(columns):
            o = np.uint64((row * columns + column) * ROW)
            a = np.uint64(row * inner * ROW)
            b = np.uint64(start + column * ROW)
            if odd:
                for i in range(WIDTH):
                    ar, ai = before[a + i], before[a + WIDTH + i]
                    br, bi = right[b + i], right[b + WIDTH + i]
                    out[o + i] = ar * br - ai * bi
                    out[o + WIDTH + i] = ar * bi + ai * br
            for k in range(odd, inner, 2):
                a = np.uint64((row * inner + k) * ROW)
                b = np.uint64(start + (k * columns + column) * ROW)
                _two_terms(before, a, right, b, b + step, out, o, k > 0)


@inlined
def _two_terms(
    before: np.ndarray,
    a: np.uint64,
    right: np.ndarray,
    b: np.uint64,
    b2: np.uint64,
    out: np.ndarray,
    o: np.uint64,
    add: bool,
) -> None:
    """Two complex products, lane by lane, put into `out` or added to it."""
    a2 = a + WHOLE
    if add:
        for i in range(WIDTH):
            ar, ai = before[a + i], before[a + WIDTH + i]
            br, bi = right[b + i], right[b + WIDTH + i]
            cr, ci = before[a2 + i], before[a2 + WIDTH + i]
            dr, di = right[b2 + i], right[b2 + WIDTH + i]
            out[o + i] += ar * br - ai * bi + cr * dr - ci * di
            out[o + WIDTH + i] += ar * bi + ai * br + cr * di + ci * dr
    else:
        for i in range(WIDTH):
            ar, ai = before[a + i], before[a + WIDTH + i]
            br, bi = right[b + i], right[b + WIDTH + i]
            cr, ci = before[a2 + i], before[a2 + WIDTH + i]
            dr, di = right[b2 + i], right[b2 + WIDTH + i]
            out[o + i] = ar * br - ai * bi + cr * dr - ci * di
            out[o + WIDTH + i] = ar * bi + ai * br + cr * di + ci * dr


@inlined
def _by_rows(
    left: np.ndarray,
    start: int,
    lane: int,
    halfway: np.ndarray,
    inner: int,
    rows: int,
    columns: int,
    out: np.ndarray,
) -> None:
    """The adjoint of one chain's tensor times what `_by_columns` left; `inner` is even."""
    for row in range(rows):
        for column in range(columns):
            o = np.uint64((row * columns + column) * ROW)
            for k in range(0, inner, 2):
                s = start + (k * rows + row) * ROW + lane
                ar, ai = left[s], left[s + LANES]
                s += rows * ROW
                cr, ci = left[s], left[s + LANES]
                b = np.uint64((k * columns + column) * ROW)
                b2 = b + np.uint64(columns * ROW)
                if k == 0:
                    for i in range(WIDTH):
                        br, bi = halfway[b + i], halfway[b + WIDTH + i]
                        dr, di = halfway[b2 + i], halfway[b2 + WIDTH + i]
                        out[o + i] = ar * br + ai * bi + cr * dr + ci * di
                        out[o + WIDTH + i] = ar * bi - ai * br + cr * di - ci * dr
                else:
                    for i in range(WIDTH):
                        br, bi = halfway[b + i], halfway[b + WIDTH + i]
                        dr, di = halfway[b2 + i], halfway[b2 + WIDTH + i]
                        out[o + i] += ar * br + ai * bi + cr * dr + ci * di
                        out[o + WIDTH + i] += ar * bi - ai * br + cr * di - ci * dr


@inlined
def _drop_nothing(carried: np.ndarray, elements: int) -> None:
    """Sets to 0 what can no longer matter, before it becomes so small that arithmetic is slow."""
    for lane in range(LANES):
        weight = 0.0
        for element in range(elements):
            real, imag = carried[element * ROW + lane], carried[element * ROW + LANES + lane]
            weight += real * real + imag * imag
        if weight < NOTHING:
            for element in range(elements):
                carried[element * ROW + lane] = 0.0
                carried[element * ROW + LANES + lane] = 0.0
