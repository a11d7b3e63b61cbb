"""Tapes of one structure as numbers: the structure travels once, and then only the parameters.

The circuits of a batch mostly differ in their angles alone. To pickle every gate of every circuit
takes as long as simulating a dozen qubits; to compare them with the gates of the circuit before and
to collect the angles takes a twentieth of that. What is not certain to be the same travels as it
is. A worker compiles a template once for its base device, and not every circuit.
"""

from __future__ import annotations

import operator
import pickle
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cloudpickle
import numpy as np
import pennylane as qml

# Defined by their type, their wires and their parameters alone.
ANGLED = frozenset({qml.RX, qml.RY, qml.RZ, qml.PhaseShift, qml.Rot, qml.U1, qml.U2, qml.U3}) | {
    qml.IsingXX,
    qml.IsingYY,
    qml.IsingZZ,
    qml.IsingXY,
    qml.MultiRZ,
    qml.SingleExcitation,
    qml.DoubleExcitation,
}
CONTROLLED = frozenset({qml.CNOT, qml.CZ, qml.CY, qml.CSWAP, qml.Toffoli})
FIXED = CONTROLLED | {qml.X, qml.Y, qml.Z, qml.H, qml.S, qml.T, qml.SX, qml.SWAP, qml.Identity}
OBSERVABLES = frozenset({qml.X, qml.Y, qml.Z, qml.H, qml.Identity})
MEASURED = frozenset({qml.measurements.ExpectationMP, qml.measurements.VarianceMP})
FEWEST = 3
MOST_PATTERNS = 8

Slim = tuple[bytes, tuple[float, ...]]  # a packed template, and the angles of all its gates


@dataclass(frozen=True, slots=True)
class Template:
    """What circuits have in common that differ in their angles alone.

    Attributes:
        operations: The gates, in order.
        angled: The place of each gate with angles, and how many it has.
        measurements: What is measured.
        shots: As a tape has them.
        trainable: Which parameters are trainable; None where that was never asked for.
    """

    operations: list[Any]
    angled: list[tuple[int, int]]
    measurements: list[Any]
    shots: Any
    trainable: Any

    def tape(self, angles: Sequence[float]) -> Any:
        """The circuit with these angles."""
        operations = self.operations.copy()
        at = 0
        for place, count in self.angled:
            operations[place] = _with(operations[place], tuple(angles[at : at + count]))
            at += count
        return qml.tape.QuantumScript(
            operations, self.measurements, shots=self.shots, trainable_params=self.trainable
        )

    def through(self, program: Any) -> Template | None:
        """The template as transforms leave it that do not look at angles.

        Returns:
            None where they fail, make several circuits, change or drop a gate with angles, or
            change results: then they are to be applied to every circuit.
        """
        marker = object()
        numbers = [0.0] * sum(count for _, count in self.angled)
        tape = self.tape(numbers)
        try:
            tapes, finish = program((tape,))
            same = len(tapes) == 1 and finish((marker,))[0] is marker
        except Exception:  # noqa: BLE001  (each circuit will raise its own)
            return None
        if not same or tapes[0].shots != tape.shots:
            return None
        places = {id(op): place for place, op in enumerate(tapes[0].operations)}
        angled = []
        for place, count in self.angled:
            found = places.get(id(tape.operations[place]))
            if found is None:
                return None
            angled.append((found, count))
        trainable = tapes[0]._trainable_params  # noqa: SLF001  (unset is None)
        return Template(
            list(tapes[0].operations), angled, list(tapes[0].measurements), tape.shots, trainable
        )


class Pattern:
    """What a circuit is like, to compare others with it."""

    def __init__(self, tape: Any) -> None:
        """Looks at the circuit."""
        operations = tape.operations
        self._kinds = kinds = [*map(type, operations)]
        self._angled = [place for place, kind in enumerate(kinds) if kind in ANGLED]
        self._placed = [place for place, kind in enumerate(kinds) if kind in ANGLED | FIXED]
        self._controlled = [place for place, kind in enumerate(kinds) if kind in CONTROLLED]
        others = set(range(len(kinds))).difference(self._placed)
        self._others = [(place, operations[place]) for place in sorted(others)]
        self._wires = self._wires_of(operations)
        self._measured = _measured(tape.measurements)
        self._measurements = tape.measurements if self._measured is None else None
        self._shots = tape.shots
        self._trainable = tape._trainable_params  # noqa: SLF001  (unset is None)
        self._packed = b"" if self.angles(tape) is None else None

    @property
    def lasts(self) -> bool:
        """Whether other batches may have such circuits too; it then keeps no part of this one."""
        return self._packed != b"" and self._measured is not None and not self._others

    def packed(self, tape: Any) -> bytes:
        """The template in common, as bytes, made of one of the circuits; empty if there is none."""
        if self._packed is None:
            self._packed = self._pack(tape)
        return self._packed

    def angles(self, tape: Any) -> tuple[float, ...] | None:
        """The angles of all gates in order; None where the circuit differs in more than those."""
        operations = tape.operations
        if not (
            type(tape) is qml.tape.QuantumScript
            and [*map(type, operations)] == self._kinds
            and self._wires_of(operations) == self._wires
            and all(operations[place] is op for place, op in self._others)
            and tape._trainable_params == self._trainable  # noqa: SLF001  (as above)
            and self._measures_as(tape.measurements)
            and tape.shots == self._shots
        ):
            return None
        values = [value for place in self._angled for value in operations[place].data]
        if any(type(value) is not float for value in values):
            values = [_number(value) for value in values]
            if any(value is None for value in values):
                return None
        return tuple(values)

    def _wires_of(self, operations: Sequence[Any]) -> list[Any]:
        wires = [operations[place]._wires.labels for place in self._placed]  # noqa: SLF001  (`wires` takes ten times as long)
        return wires + [operations[place].control_wires.labels for place in self._controlled]

    def _measures_as(self, measurements: Sequence[Any]) -> bool:
        if self._measurements is None:
            return _measured(measurements) == self._measured
        return len(measurements) == len(self._measurements) and all(
            map(operator.is_, measurements, self._measurements)
        )

    def _pack(self, tape: Any) -> bytes:
        """The template as bytes; empty where it cannot be pickled."""
        operations, angled = list(tape.operations), []
        for place in self._angled:
            count = len(operations[place].data)
            operations[place] = _with(operations[place], (0.0,) * count)
            angled.append((place, count))
        parts = (operations, angled, list(tape.measurements), self._shots, self._trainable)
        try:
            data: bytes = cloudpickle.dumps(parts, 5)
        except Exception:  # noqa: BLE001  (it is sent, and refused, as it is)
            return b""
        return data


class Patterns:
    """The patterns of recent circuits."""

    def __init__(self) -> None:
        """There are none yet."""
        self._recent: deque[Pattern] = deque(maxlen=MOST_PATTERNS)
        self._counts = (0, 0)  # gates and measurements of the last circuit that was not known

    def met(self, tapes: Sequence[Any]) -> bool:
        """Whether circuits like the first were there recently.

        If not, several are remembered from now on, and few if those before had as many gates.
        """
        first = tapes[0]
        if self._known(first)[0] is not None:
            return True
        counts = len(first.operations), len(first.measurements)
        if len(tapes) >= FEWEST or counts == self._counts:
            self._found(first)
        self._counts = counts
        return False

    def slimmed(self, tapes: Sequence[Any]) -> list[Any]:
        """Each tape as a packed template and its angles, or as it is where that is not possible.

        Few tapes are worth no new template.
        """
        sent: list[Any] = []
        find = self._known if len(tapes) < FEWEST else self._found
        pattern: Pattern | None = None
        for tape in tapes:
            angles = None if pattern is None else pattern.angles(tape)
            if pattern is None or angles is None:
                pattern, angles = find(tape)
            packed = b"" if pattern is None else pattern.packed(tape)
            sent.append((packed, angles) if packed else tape)
        return sent

    def _known(self, tape: Any) -> tuple[Pattern | None, tuple[float, ...] | None]:
        """The recent pattern of a circuit, with its angles; None where there is none."""
        for pattern in self._recent:
            angles = pattern.angles(tape)
            if angles is not None:
                return pattern, angles
        return None, None

    def _found(self, tape: Any) -> tuple[Pattern, tuple[float, ...] | None]:
        """The pattern of a circuit, with its angles: a recent one, or a new one."""
        known, angles = self._known(tape)
        if known is not None:
            return known, angles
        pattern = Pattern(tape)
        if pattern.lasts:
            self._recent.appendleft(pattern)
        return pattern, pattern.angles(tape)


def whole(sent: Any) -> Any:
    """The tape again."""
    return unpacked(sent[0]).tape(sent[1]) if type(sent) is tuple else sent


@lru_cache(maxsize=64)
def unpacked(packed: bytes) -> Template:
    """The template again."""
    return Template(*pickle.loads(packed))


def _measured(measurements: Sequence[Any]) -> list[Any] | None:
    """What defines measurements; None where it is more than a type and an observable."""
    found: list[Any] = []
    for each in measurements:
        if type(each) not in MEASURED or each.mv is not None or type(each.obs) not in OBSERVABLES:
            return None
        found += (type(each), type(each.obs), each.obs._wires.labels)  # noqa: SLF001  (as above)
    return found


def _number(value: Any) -> float | None:
    """A parameter as a number of double precision; None for whatever is not certain to be one."""
    if type(value) in (float, int, np.float64):
        return float(value)
    while hasattr(value, "_value"):  # autograd's, where it traces
        value = value._value  # noqa: SLF001  (as autograd's own getval does)
    if type(value) is int:
        return float(value)
    plain = getattr(value, "shape", None) == () and getattr(value, "dtype", None) == "float64"
    return float(value) if plain else None


def _with(op: Any, data: tuple[float, ...]) -> Any:
    """The gate with other parameters, as its `__copy__` makes them."""
    made = object.__new__(type(op))
    made.__dict__.update(op.__dict__)
    made.data = data
    return made
