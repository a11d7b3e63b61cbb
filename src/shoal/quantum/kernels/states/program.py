"""A table of gates as a program: few passes over the state, and where their numbers come from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shoal.quantum.kernels.states.diagonals import Diagonal, Pass, Permutation, passes
from shoal.quantum.kernels.states.primitives import (
    Primitive,
    Sum,
    primitives,
    without_start,
    without_tail,
)
from shoal.quantum.kernels.tracing import GateTable

ROTATE, DIAGONAL, PERMUTE, PARITY, AND, DENSE = range(6)
LOW_BITS = 8


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """What the interpreter runs for every sample.

    Attributes:
        n_qubits: Qubits.
        code: The passes, as integers: see `interpreter.run`.
        tables: Of the permutations, and of the basis states that dense matrices act on.
        constants: Entries of dense matrices, real and imaginary parts alternating.
        first: For each qubit, the rotations that act on it before anything else.
        turns: For each further rotation of the code, the factors of its matrix.
        sums: Phases of the diagonals.
        real: Whether all amplitudes are real.
    """

    n_qubits: int
    code: np.ndarray
    tables: np.ndarray
    constants: np.ndarray
    first: tuple[tuple[Primitive, ...], ...]
    turns: tuple[tuple[Primitive, ...], ...]
    sums: tuple[Sum, ...]
    real: bool

    def numbers(self, angles: np.ndarray) -> np.ndarray:
        """All numbers that the passes need, for each row of angles: (n_rows, n_numbers), float64.

        First the columns of the first rotations, two numbers a qubit; then the matrices of the
        others, four each; then cosine and sine of every phase.
        """
        columns = [_matrix(factors, angles)[:, :, 0] for factors in self.first]
        matrices = [_matrix(factors, angles).reshape(-1, 4) for factors in self.turns]
        phases = np.stack([each.values(angles) for each in self.sums], 1) if self.sums else None
        turned = [] if phases is None else [_interleaved(np.cos(phases), np.sin(phases))]
        return np.ascontiguousarray(np.concatenate([*columns, *matrices, *turned], 1))


def program(table: GateTable, *, core: bool) -> Program:
    """The program of a table; with `core` without the unitary that all samples end with."""
    letters = without_tail(without_start(primitives(table)), core)
    return _Writing(table.n_qubits).write(letters, core=core)


class _Writing:
    """Puts letters into layers, and layers into code."""

    def __init__(self, n_qubits: int) -> None:
        self._n = n_qubits
        self._code: list[int] = []
        self._tables: list[np.ndarray] = []
        self._constants: list[np.ndarray] = []
        self._turns: list[tuple[Primitive, ...]] = []
        self._sums: list[Sum] = []
        self._real = True

    def write(self, letters: Sequence[Primitive], *, core: bool) -> Program:
        """The program; with `core` without a permutation at its end, which is common to all."""
        layers = _layers(letters, self._n)
        first = _by_wire(layers.pop(0, []))
        turns_total = sum(len(_by_wire(layer)) for level, layer in layers.items() if level % 2 == 0)
        self._phases_start = 2 * self._n + 4 * turns_total
        for level, layer in sorted(layers.items()):
            if level % 2 == 0:
                self._rotate(_by_wire(layer))
            elif layer[0].kind == "dense":
                self._dense(layer[0])
            else:
                found = list(passes(layer, self._n))
                if core and level == max(layers) and found and isinstance(found[-1], Permutation):
                    found.pop()
                for each in found:
                    self._pass(each)
        return Program(
            self._n,
            np.array(self._code, np.int64),
            _joined(self._tables, np.int64),
            _joined(self._constants, np.float64),
            tuple(first.get(wire, ()) for wire in range(self._n)),
            tuple(self._turns),
            tuple(self._sums),
            self._real,
        )

    def _rotate(self, by_wire: dict[int, tuple[Primitive, ...]]) -> None:
        self._code += [ROTATE, len(by_wire)]
        for wire, factors in sorted(by_wire.items()):
            self._code += [wire, 2 * self._n + 4 * len(self._turns)]
            self._turns.append(factors)

    def _pass(self, each: Pass) -> None:
        if isinstance(each, Diagonal):
            self._diagonal(each)
        elif isinstance(each, Permutation):
            self._permute(each)
        else:
            kind = AND if each.kind == "and" else PARITY
            mask = sum(1 << wire for wire in each.wires)
            self._code += [kind, mask, self._phase(each.angle)]

    def _diagonal(self, diagonal: Diagonal) -> None:
        self._code.append(DIAGONAL)
        for bit in range(self._n):
            single = diagonal.singles.get(bit)
            pairs = [(low, each) for (low, high), each in diagonal.pairs.items() if high == bit]
            self._code += [-1 if single is None else self._phase(single), len(pairs)]
            for low, each in sorted(pairs, key=lambda pair: pair[0]):
                self._code += [low, self._phase(each)]

    def _phase(self, angle: Sum) -> int:
        """Where its cosine will be."""
        turns = angle.constant / math.pi
        self._real = self._real and not angle.terms and turns == round(turns)
        self._sums.append(angle)
        return self._phases_start + 2 * (len(self._sums) - 1)

    def _permute(self, permutation: Permutation) -> None:
        low = min(self._n, LOW_BITS)
        start = sum(map(len, self._tables))
        self._tables += [
            _images(permutation.images[:low], permutation.offset),
            _images(permutation.images[low:], 0),
        ]
        self._code += [PERMUTE, start, low]

    def _dense(self, letter: Primitive) -> None:
        matrix = np.asarray(letter.matrix)
        self._real = self._real and not matrix.imag.any()
        places = _images([1 << wire for wire in letter.wires], 0)
        table, constants = sum(map(len, self._tables)), sum(map(len, self._constants))
        self._tables.append(places)
        self._constants.append(_interleaved(matrix.real, matrix.imag).ravel())
        self._code += [DENSE, table, table + len(places), constants]


def _layers(letters: Sequence[Primitive], n_qubits: int) -> dict[int, list[Primitive]]:
    """Each letter as early as its wires allow: rotations on even levels, all else on odd ones."""
    levels = [0] * n_qubits
    layers: dict[int, list[Primitive]] = {}
    for letter in letters:
        wires: Sequence[int] = letter.wires
        if letter.kind == "dense":
            wires = range(n_qubits)
            level = (max(levels) + 1) | 1
            after = level + 1
        else:
            level = max(levels[wire] for wire in wires)
            level += (level % 2 == 0) != (letter.kind == "real")
            after = level
        layers.setdefault(level, []).append(letter)
        for wire in wires:
            levels[wire] = after
    return layers


def _by_wire(letters: Sequence[Primitive]) -> dict[int, tuple[Primitive, ...]]:
    found: dict[int, tuple[Primitive, ...]] = {}
    for letter in letters:
        found[letter.wires[0]] = (*found.get(letter.wires[0], ()), letter)
    return found


def _matrix(factors: Sequence[Primitive], angles: np.ndarray) -> np.ndarray:
    """The product of rotations of one qubit, for each row of angles."""
    product = np.broadcast_to(np.eye(2), (len(angles), 2, 2))
    for factor in factors:
        product = _rotation(factor, angles) @ product
    return product


def _rotation(factor: Primitive, angles: np.ndarray) -> np.ndarray:
    if factor.matrix is not None:
        return np.broadcast_to(factor.matrix, (len(angles), 2, 2))
    half = factor.angle.values(angles) / 2
    cos, sin = np.cos(half), np.sin(half)
    return np.stack([cos, -sin, sin, cos], 1).reshape(-1, 2, 2)


def _interleaved(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Along the last axis: one of the first, one of the second."""
    return np.stack([first, second], -1).reshape(*first.shape[:-1], -1)


def _images(images: Sequence[int], offset: int) -> np.ndarray:
    """Where each combination of bits goes that go to `images` one by one."""
    table = np.array([offset], np.int64)
    for image in images:
        table = np.concatenate([table, table ^ image])
    return table


def _joined(arrays: Sequence[np.ndarray], dtype: type) -> np.ndarray:
    return np.concatenate(arrays) if arrays else np.zeros(1, dtype)
