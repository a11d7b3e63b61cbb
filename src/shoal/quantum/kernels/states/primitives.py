"""Gates in a smaller alphabet: real rotations, phases, and permutations of basis states.

Every gate of one qubit is a phase, a real rotation and a phase; every phase commutes with every
other one. What is left of a circuit then is a few layers of real matrices, a few diagonals and a
few permutations, each of which is one pass over the state.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from shoal.quantum.kernels.tracing import Gate, GateTable

QUARTER, HALF = math.pi / 2, math.pi
_H = np.array([[1.0, 1.0], [1.0, -1.0]]) / math.sqrt(2)


@dataclass(frozen=True, slots=True)
class Sum:
    """A weighted sum of angles, and a constant.

    Attributes:
        terms: Column of the angles, and its weight.
        constant: In radians.
    """

    terms: tuple[tuple[int, float], ...] = ()
    constant: float = 0.0

    def times(self, factor: float) -> Sum:
        """All of it, multiplied."""
        terms = tuple((column, weight * factor) for column, weight in self.terms)
        return Sum(terms, self.constant * factor)

    def plus(self, other: Sum) -> Sum:
        """The sum of both."""
        weights = dict(self.terms)
        for column, weight in other.terms:
            weights[column] = weights.get(column, 0.0) + weight
        terms = tuple((column, weight) for column, weight in weights.items() if weight)
        return Sum(terms, self.constant + other.constant)

    def values(self, angles: np.ndarray) -> np.ndarray:
        """For every row of angles."""
        total = np.full(len(angles), self.constant)
        for column, weight in self.terms:
            total += weight * angles[:, column]
        return total


@dataclass(frozen=True, slots=True, eq=False)
class Primitive:
    """One letter of the alphabet.

    Attributes:
        kind: ``"real"`` (rotation by `angle`, or `matrix`), ``"parity"`` (a phase `angle` where an
            odd number of wires is 1; on one wire the phase gate), ``"and"`` (where all are 1),
            ``"cx"``, ``"x"``, ``"swap"`` or ``"dense"`` (`matrix`).
        wires: On which it acts.
        angle: Of rotations and phases.
        matrix: Real of a ``"real"``, complex of a ``"dense"``.
    """

    kind: str
    wires: tuple[int, ...]
    angle: Sum = Sum()
    matrix: np.ndarray | None = None


def primitives(table: GateTable) -> list[Primitive]:
    """A table in the small alphabet, in order, up to a global phase."""
    found: list[Primitive] = []
    fixed = table.constant
    numbers = table.angles(np.zeros((1, table.n_features)))[0] if fixed.any() else fixed
    for gate in table.gates:
        sums = [
            Sum((), float(numbers[column])) if fixed[column] else Sum(((column, 1.0),))
            for column in gate.angles
        ]
        found.extend(_letters(gate, sums))
    return found


def without_tail(letters: Sequence[Primitive], fixed: bool = True) -> list[Primitive]:
    """Without what all samples have in common at the end, as `GateTable.core`."""
    if not fixed:
        return list(letters)
    kept: list[Primitive] = []
    needed: set[int] = set()
    for letter in reversed(letters):
        if needed.isdisjoint(letter.wires) and not letter.angle.terms:
            continue
        needed.update(letter.wires)
        kept.append(letter)
    return kept[::-1]


def without_start(letters: Sequence[Primitive]) -> list[Primitive]:
    """Without what does nothing, but for a phase, to wires that are |0⟩ still."""
    touched: set[int] = set()
    kept: list[Primitive] = []
    for letter in letters:
        fresh = [wire for wire in letter.wires if wire not in touched]
        if letter.kind == "and" and fresh:
            continue
        if letter.kind == "cx" and letter.wires[0] in fresh:
            continue
        if letter.kind == "parity" and fresh:
            wires = tuple(wire for wire in letter.wires if wire in touched)
            if wires:
                kept.append(Primitive("parity", wires, letter.angle))
            continue
        touched.update(letter.wires)
        kept.append(letter)
    return kept


def _letters(gate: Gate, angles: Sequence[Sum]) -> Iterator[Primitive]:
    wires = gate.wires
    if gate.name == "unitary":
        yield from _unitary(gate)
    elif gate.name in _ALPHABET:
        yield from _ALPHABET[gate.name](wires, *angles)
    else:
        raise LookupError(f"no rule for the gate {gate.name!r}")


def _real(wire: int, angle: Sum) -> Primitive:
    return Primitive("real", (wire,), angle)


def _h(wire: int) -> Primitive:
    return Primitive("real", (wire,), matrix=_H)


def _phase(wire: int, angle: Sum | float) -> Primitive:
    return Primitive("parity", (wire,), angle if isinstance(angle, Sum) else Sum((), angle))


def _rx(wires: Sequence[int], angle: Sum) -> list[Primitive]:
    (wire,) = wires
    return [_phase(wire, QUARTER), _real(wire, angle), _phase(wire, -QUARTER)]


def _u(wires: Sequence[int], theta: Sum, phi: Sum, lam: Sum) -> list[Primitive]:
    (wire,) = wires
    return [_phase(wire, lam), _real(wire, theta), _phase(wire, phi)]


def _cy(wires: Sequence[int]) -> list[Primitive]:
    pair = tuple(wires)
    return [_phase(pair[1], -QUARTER), Primitive("cx", pair), _phase(pair[1], QUARTER)]


def _cry(wires: Sequence[int], angle: Sum) -> list[Primitive]:
    pair, target = tuple(wires), wires[1]
    return [
        _real(target, angle.times(0.5)),
        Primitive("cx", pair),
        _real(target, angle.times(-0.5)),
        Primitive("cx", pair),
    ]


def _crz(wires: Sequence[int], angle: Sum) -> list[Primitive]:
    return [_phase(wires[0], angle.times(-0.5)), Primitive("and", tuple(wires), angle)]


def _crx(wires: Sequence[int], angle: Sum) -> list[Primitive]:
    return [_h(wires[1]), *_crz(wires, angle), _h(wires[1])]


def _ccx(wires: Sequence[int]) -> list[Primitive]:
    target = wires[2]
    return [_h(target), Primitive("and", tuple(wires), Sum((), HALF)), _h(target)]


def _rxx(wires: Sequence[int], angle: Sum) -> list[Primitive]:
    turns = [_h(wire) for wire in wires]
    return [*turns, Primitive("parity", tuple(wires), angle), *turns]


def _ryy(wires: Sequence[int], angle: Sum) -> list[Primitive]:
    to = [_phase(wire, -QUARTER) for wire in wires]
    back = [_phase(wire, QUARTER) for wire in wires]
    return [*to, *_rxx(wires, angle), *back]


def _fixed_phase(angle: float) -> Callable[..., Any]:
    return lambda wires: [_phase(wires[0], angle)]


def _of(kind: str) -> Callable[..., Any]:
    return lambda wires, *angle: [Primitive(kind, tuple(wires), *angle)]


_ALPHABET: dict[str, Callable[..., Any]] = {
    "h": lambda wires: [_h(wires[0])],
    "x": _of("x"),
    "y": lambda wires: [Primitive("x", tuple(wires)), _phase(wires[0], HALF)],
    "z": _fixed_phase(HALF),
    "s": _fixed_phase(QUARTER),
    "sdg": _fixed_phase(-QUARTER),
    "t": _fixed_phase(QUARTER / 2),
    "tdg": _fixed_phase(-QUARTER / 2),
    "sx": lambda wires: _rx(wires, Sum((), QUARTER)),
    "sxdg": lambda wires: _rx(wires, Sum((), -QUARTER)),
    "rx": _rx,
    "ry": _of("real"),
    "rz": _of("parity"),
    "p": _of("parity"),
    "u": _u,
    "cx": _of("cx"),
    "cy": _cy,
    "cz": lambda wires: [Primitive("and", tuple(wires), Sum((), HALF))],
    "swap": _of("swap"),
    "ccx": _ccx,
    "ccz": lambda wires: [Primitive("and", tuple(wires), Sum((), HALF))],
    "cp": _of("and"),
    "crx": _crx,
    "cry": _cry,
    "crz": _crz,
    "rxx": _rxx,
    "ryy": _ryy,
    "rzz": _of("parity"),
    "multirz": _of("parity"),
}


def _unitary(gate: Gate) -> list[Primitive]:
    """A constant matrix: of one qubit by its angles, else as it is."""
    matrix = np.asarray(gate.matrix, complex)
    if len(gate.wires) > 1:
        return [Primitive("dense", gate.wires, matrix=matrix)]
    [wire] = gate.wires
    if not matrix.imag.any():
        return [Primitive("real", (wire,), matrix=matrix.real.copy())]
    cos, sin = abs(matrix[0, 0]), abs(matrix[1, 0])
    alpha = np.angle(matrix[0, 0])
    phi = np.angle(matrix[1, 0]) - alpha
    # The smaller entries may be rounding alone: the larger ones must come out right.
    lam = np.angle(matrix[1, 1]) - alpha - phi if cos > sin else np.angle(-matrix[0, 1]) - alpha
    theta = 2 * math.atan2(sin, cos)
    return _u((wire,), Sum((), theta), Sum((), float(phi)), Sum((), float(lam)))
