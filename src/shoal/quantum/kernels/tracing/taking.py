"""Taking down a circuit: gates one after the other, as their library hands them over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from shoal.quantum.kernels.tracing.formulas import Angle, Recorder
from shoal.quantum.kernels.tracing.gates import Gate


class UnknownGate(Exception):
    """Something that no table can hold; the message names it. Never reaches the user."""


@dataclass(slots=True)
class Taken:
    """The gates of a circuit, in order, with the angles as they came.

    Attributes:
        recorder: Of the features that the angles were made of.
        gates: The gates; their angles are columns of `angles`.
        angles: Recorded or ordinary numbers.
    """

    recorder: Recorder
    gates: list[Gate] = field(default_factory=list)
    angles: list[Any] = field(default_factory=list)
    _columns: dict[Any, int] = field(default_factory=dict)

    def add(self, name: str, wires: Sequence[int], angles: Sequence[Any], label: str) -> None:
        """Appends a gate."""
        columns = tuple(self._column(angle) for angle in angles)
        self.gates.append(Gate(name, tuple(wires), columns, None, label))

    def add_unitary(self, matrix: Any, wires: Sequence[int], label: str) -> None:
        """Appends a constant matrix; wires[0] is the least significant bit of its indices."""
        self.gates.append(Gate("unitary", tuple(wires), (), np.array(matrix, complex), label))

    def _column(self, angle: Any) -> int:
        place = self.recorder.of(_scalar(angle))
        if place not in self._columns:
            self._columns[place] = len(self.angles)
            self.angles.append(_scalar(angle))
        return self._columns[place]

    def numbers(self) -> np.ndarray:
        """The angles as they are for the sample that was taken down."""
        values = [each.value if isinstance(each, Angle) else float(each) for each in self.angles]
        return np.array(values, float)


def _scalar(angle: Any) -> Any:
    """The number itself, where it came as an array of one."""
    if isinstance(angle, np.ndarray):
        return angle.item()
    return angle


def is_recorded(value: Any) -> bool:
    """Whether a number, or one in an array, is recorded."""
    if isinstance(value, np.ndarray) and value.dtype == object:
        return any(isinstance(each, Angle) for each in value.flat)
    return isinstance(value, Angle)


def same(first: Taken, second: Taken) -> bool:
    """Whether two samples led to the same gates on the same wires, angles aside."""
    if len(first.gates) != len(second.gates):
        return False
    return all(
        (a.name, a.wires, len(a.angles)) == (b.name, b.wires, len(b.angles))
        and (a.matrix is None or (b.matrix is not None and np.array_equal(a.matrix, b.matrix)))
        for a, b in zip(first.gates, second.gates, strict=True)
    )


def angles_by_gate(taken: Taken, values: np.ndarray) -> np.ndarray:
    """The angles gate by gate: comparable between two samples, whose columns may be shared."""
    columns = [column for gate in taken.gates for column in gate.angles]
    return values[columns] if columns else np.empty(0)
