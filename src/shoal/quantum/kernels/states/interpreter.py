"""The interpreter: runs a program on one sample after the other, compiled, without Python's lock.

A state is two planes, its real and its imaginary parts, or the real ones alone, and stays in the
processor's cache until it is done. Wire w is bit w of the index, the least significant one being 0.
Numbers are copied in loops: assigning to slices takes seconds to compile.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from shoal.quantum.kernels.compiling import compiled
from shoal.quantum.kernels.states.program import DENSE, DIAGONAL, PARITY, PERMUTE, ROTATE

CHUNK = 1 << 11  # amplitudes of a plane that stay in the first cache with their neighbours


@compiled
def run(program: tuple[np.ndarray, ...], numbers: np.ndarray, out: np.ndarray) -> None:
    """Fills `out` with the states of all rows of `numbers`.

    Args:
        program: The passes, ``ROTATE, count, (wire, numbers)…``; ``DIAGONAL``, then for each qubit
            ``phase or -1, count, (lower qubit, phase)…``; ``PERMUTE, table, low bits``; ``PARITY,
            mask, phase``; ``AND, mask, phase``; ``DENSE, start and stop of its table, constants``.
            Then the tables of permutations and dense matrices, and the entries of the latter.
        numbers: Shape (n_rows, n_numbers), of the same floating type as `out`.
        out: Shape (n_rows, 2**n_qubits, 2) for complex states, (n_rows, 2**n_qubits, 1) for real.
    """
    code, tables, constants = program
    size = out.shape[1]
    imaginary = size if out.shape[2] == 2 else 0
    re, im = np.empty(size, out.dtype), np.empty(imaginary, out.dtype)
    spare = (np.empty(size, out.dtype), np.empty(imaginary, out.dtype))
    for row in range(out.shape[0]):
        own = numbers[row]
        _begin(re, im, own)
        at = 0
        while at < len(code):
            kind, rest = code[at], code[at + 1 :]
            if kind == ROTATE:
                turns = rest[1 : 1 + 2 * rest[0]]
                _rotate(re, turns, own)
                _rotate(im, turns, own)
                at += 2 + 2 * rest[0]
            elif kind == DIAGONAL and imaginary:
                at += 1 + _phases(re, im, spare, rest, own)
            elif kind == DIAGONAL:
                at += 1 + _signs(re, spare[0], rest, own)
            elif kind == PERMUTE:
                _permute(re, spare[0], tables[rest[0] :], rest[1])
                _permute(im, spare[0], tables[rest[0] :], rest[1])
                at += 3
            elif kind == DENSE:
                _dense(re, im, spare, tables[rest[0] : rest[1]], constants[rest[2] :])
                at += 4
            else:
                _masked(re, im, kind == PARITY, rest[0], own[rest[1] :])
                at += 3
        for z in range(size):
            out[row, z, 0] = re[z]
            if imaginary:
                out[row, z, 1] = im[z]


@compiled
def _begin(re: np.ndarray, im: np.ndarray, own: np.ndarray) -> None:
    """The product state of the first rotations."""
    re[0] = 1
    wire = 0
    while 1 << wire < len(re):
        half = 1 << wire
        zero, one = own[2 * wire], own[2 * wire + 1]
        low, high = re[:half], re[half : 2 * half]
        for z in range(half):
            high[z] = low[z] * one
            low[z] = low[z] * zero
        wire += 1
    for z in range(len(im)):
        im[z] = 0


@compiled
def _rotate(plane: np.ndarray, turns: np.ndarray, own: np.ndarray) -> None:
    """Real matrices on some wires; turns are pairs of wire and place in `own`, wires ascending.

    The low wires are turned chunk by chunk, while a chunk is in the cache; then the high ones.
    """
    if len(plane) == 0:
        return
    chunk = min(len(plane), CHUNK)
    low: Any = np.int64(0)  # a plain 0 would be compiled as a case of its own
    high = low
    for start in range(0, len(plane), chunk):
        high = _turn_within(plane[start : start + chunk], turns, low, own)
    _turn_within(plane, turns, high, own)


@compiled
def _turn_within(part: np.ndarray, turns: np.ndarray, place: int, own: np.ndarray) -> int:
    """Turns wires, two neighbours at once, as far as `part` holds them; returns the next place."""
    while place < len(turns):
        wire, matrix = turns[place], own[turns[place + 1] :]
        if place + 2 < len(turns) and turns[place + 2] == wire + 1 and 4 << wire <= len(part):
            _turn_two(part, wire, matrix, own[turns[place + 3] :])
            place += 4
        elif 2 << wire <= len(part):
            _turn(part, wire, matrix)
            place += 2
        else:
            break
    return place


@compiled
def _turn(plane: np.ndarray, wire: int, matrix: np.ndarray) -> None:
    """A real matrix on one wire."""
    half = 1 << wire
    a, b, c, d = matrix[0], matrix[1], matrix[2], matrix[3]
    if half < 8:
        for z in range(len(plane) >> 1):
            low = ((z >> wire) << (wire + 1)) | (z & (half - 1))
            u, v = plane[low], plane[low + half]
            plane[low] = a * u + b * v
            plane[low + half] = c * u + d * v
        return
    for start in range(0, len(plane), 2 * half):
        low_part = plane[start : start + half]
        high_part = plane[start + half : start + 2 * half]
        for z in range(half):
            u, v = low_part[z], high_part[z]
            low_part[z] = a * u + b * v
            high_part[z] = c * u + d * v


@compiled
def _turn_two(plane: np.ndarray, wire: int, matrix: np.ndarray, other: np.ndarray) -> None:
    """Real matrices on a wire and on the next one, in one pass."""
    half = 1 << wire
    a, b, c, d = matrix[0], matrix[1], matrix[2], matrix[3]
    e, f, g, h = other[0], other[1], other[2], other[3]
    for start in range(0, len(plane), 4 * half):
        p0 = plane[start : start + half]
        p1 = plane[start + half : start + 2 * half]
        p2 = plane[start + 2 * half : start + 3 * half]
        p3 = plane[start + 3 * half : start + 4 * half]
        for z in range(half):
            u0, u1, u2, u3 = p0[z], p1[z], p2[z], p3[z]
            v0, v1 = a * u0 + b * u1, c * u0 + d * u1
            v2, v3 = a * u2 + b * u3, c * u2 + d * u3
            p0[z] = e * v0 + f * v2
            p1[z] = e * v1 + f * v3
            p2[z] = g * v0 + h * v2
            p3[z] = g * v1 + h * v3


@compiled
def _phases(
    re: np.ndarray, im: np.ndarray, spare: tuple[np.ndarray, ...], code: np.ndarray, own: np.ndarray
) -> int:
    """Multiplies by a diagonal of phases, doubled qubit by qubit; returns the length of its code.

    The upper half of each doubling is the lower one times what the qubit's own phase and those of
    its pairs make, which is itself built by doubling in the upper half.
    """
    dre, dim = spare
    dre[0] = 1
    dim[0] = 0
    at, half = 0, 1
    while half < len(dre):
        single, count = code[at], code[at + 1]
        at += 2
        hre, him = dre[half : 2 * half], dim[half : 2 * half]
        hre[0] = own[single] if single >= 0 else 1
        him[0] = own[single + 1] if single >= 0 else 0
        built: Any = np.int64(1)  # a plain 1 would be compiled as a case of its own
        for _ in range(count):
            low = 1 << code[at]
            cos, sin = own[code[at + 1]], own[code[at + 1] + 1]
            at += 2
            _repeat(hre, him, built, low)
            for z in range(low):
                hre[low + z] = hre[z] * cos - him[z] * sin
                him[low + z] = hre[z] * sin + him[z] * cos
            built = 2 * low
        _repeat(hre, him, built, half)
        _multiply(hre, him, dre[:half], dim[:half])
        half *= 2
    _multiply(re, im, dre, dim)
    return at


@compiled
def _repeat(re: np.ndarray, im: np.ndarray, built: int, size: int) -> None:
    """Copies the first `built` numbers until there are `size`."""
    while built < size:
        for z in range(built):
            re[built + z] = re[z]
            im[built + z] = im[z]
        built *= 2


@compiled
def _signs(re: np.ndarray, signs: np.ndarray, code: np.ndarray, own: np.ndarray) -> int:
    """As `_phases`, where all of them are +1 or -1."""
    signs[0] = 1
    at, half = 0, 1
    while half < len(signs):
        single, count = code[at], code[at + 1]
        at += 2
        upper, lower = signs[half : 2 * half], signs[:half]
        sign = own[single] if single >= 0 else 1
        for z in range(half):
            upper[z] = lower[z] * sign
        for _ in range(count):
            low, sign = 1 << code[at], own[code[at + 1]]
            at += 2
            for z in range(half):
                if z & low:
                    upper[z] *= sign
        half *= 2
    for z in range(len(re)):
        re[z] *= signs[z]
    return at


@compiled
def _multiply(re: np.ndarray, im: np.ndarray, dre: np.ndarray, dim: np.ndarray) -> None:
    """One complex plane times the other."""
    for z in range(len(re)):
        x, y = re[z], im[z]
        re[z] = x * dre[z] - y * dim[z]
        im[z] = x * dim[z] + y * dre[z]


@compiled
def _masked(re: np.ndarray, im: np.ndarray, parity: bool, mask: int, own: np.ndarray) -> None:
    """One phase where the bits of a mask are odd in number, or all there."""
    cos, sin = own[0], own[1]
    for z in range(len(re)):
        bits = z & mask
        if parity:
            for shift in (32, 16, 8, 4, 2, 1):
                bits ^= bits >> shift
            hit = bits & 1 == 1
        else:
            hit = bits == mask
        if hit:
            x = re[z]
            re[z] = x * cos
            if len(im):
                re[z] -= im[z] * sin
                im[z] = x * sin + im[z] * cos


@compiled
def _permute(plane: np.ndarray, spare: np.ndarray, tables: np.ndarray, low: int) -> None:
    """Moves every amplitude to where the tables of its low and its high bits say."""
    if len(plane) == 0:
        return
    for z in range(len(plane)):
        spare[z] = plane[z]
    width = 1 << low
    for high in range(len(plane) // width):
        image = tables[width + high]
        for z in range(width):
            plane[tables[z] ^ image] = spare[high * width + z]


@compiled
def _dense(
    re: np.ndarray,
    im: np.ndarray,
    spare: tuple[np.ndarray, ...],
    places: np.ndarray,
    matrix: np.ndarray,
) -> None:
    """A matrix on several wires; `places` are the indices of its basis states, others being 0."""
    x, y = spare
    size = len(places)
    for z in range(len(re)):
        if z & places[size - 1]:
            continue
        for index in range(size):
            x[index] = re[z | places[index]]
            if len(im):
                y[index] = im[z | places[index]]
        for row in range(size):
            real = imaginary = 0.0
            for column in range(size):
                at = 2 * (row * size + column)
                real += matrix[at] * x[column]
                if len(im):
                    real -= matrix[at + 1] * y[column]
                    imaginary += matrix[at] * y[column] + matrix[at + 1] * x[column]
            re[z | places[row]] = real
            if len(im):
                im[z | places[row]] = imaginary
