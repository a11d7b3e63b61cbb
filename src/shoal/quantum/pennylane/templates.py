"""Tapes of one structure as numbers: the structure travels once, and then only the parameters.

The circuits of a batch mostly differ in their angles alone. To pickle every gate of every circuit
takes as long as simulating a dozen qubits; to compare them with the gates of the circuit before and
to collect the angles takes a tenth of that. What is not certain to be the same travels as it is.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
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

Slim = tuple[bytes, tuple[tuple[float, ...], ...]]  # a tape's template, and angles gate by gate


def slimmed(tapes: Sequence[Any]) -> list[Any]:
    """Each tape as a template and its parameters, or as it is where that is not possible."""
    if len(tapes) < FEWEST:
        return list(tapes)
    sent: list[Any] = []
    template, packed = None, b""
    for tape in tapes:
        angles = None if template is None else _angles(tape, template)
        if angles is None:
            template, angles = tape, _angles(tape, tape)
            packed = b"" if angles is None else _packed(tape)
        sent.append((packed, angles) if packed else tape)
    return sent


def whole(sent: Any) -> Any:
    """The tape again."""
    if type(sent) is not tuple:
        return sent
    packed, angles = sent
    operations, angled, measurements, shots, trainable = _template(packed)
    operations = list(operations)
    for place, data in zip(angled, angles, strict=True):
        operations[place] = _with(operations[place], data)
    return qml.tape.QuantumScript(operations, measurements, shots=shots, trainable_params=trainable)


def _angles(tape: Any, template: Any) -> tuple[tuple[float, ...], ...] | None:
    """The parameters of a tape's gates, or None where it is not the template with others."""
    if not _alike(tape, template):
        return None
    angles = []
    for op, other in zip(tape.operations, template.operations, strict=True):
        kind = type(op)
        if kind in ANGLED:
            data = tuple(value if type(value) is float else _number(value) for value in op.data)
            if None in data or not _same_places(op, other):
                return None
            angles.append(data)
        elif op is not other and not (kind in FIXED and _same_places(op, other)):
            return None
    return tuple(angles)  # type: ignore[arg-type]  # None was refused above


def _same_places(op: Any, other: Any) -> bool:
    """Whether two gates or observables, defined by their type and wires, are the same."""
    kind = type(op)
    if kind is not type(other) or op._wires.labels != other._wires.labels:  # noqa: SLF001  (`wires` takes ten times as long)
        return False
    return kind not in CONTROLLED or op.control_wires.labels == other.control_wires.labels


def _alike(tape: Any, template: Any) -> bool:
    """Whether all but the gates is the same."""
    if tape is template:
        return True
    return (
        type(tape) is type(template) is qml.tape.QuantumScript
        and len(tape.operations) == len(template.operations)
        and len(tape.measurements) == len(template.measurements)
        and tape.shots == template.shots
        and tape._trainable_params == template._trainable_params  # noqa: SLF001  (unset is None)
        and all(map(_same_measurement, tape.measurements, template.measurements))
    )


def _same_measurement(one: Any, other: Any) -> bool:
    if one is other:
        return True
    return (
        type(one) is type(other)
        and type(one) in MEASURED
        and one.mv is None
        and other.mv is None
        and type(one.obs) in OBSERVABLES
        and _same_places(one.obs, other.obs)
    )


def _number(value: Any) -> float | None:
    """A parameter as a number of double precision; None for whatever is not certain to be one."""
    if type(value) is np.float64:
        return float(value)
    while hasattr(value, "_value"):  # autograd's, where it traces
        value = value._value  # noqa: SLF001  (as autograd's own getval does)
    if type(value) is int:
        return float(value)
    plain = getattr(value, "shape", None) == () and getattr(value, "dtype", None) == "float64"
    return float(value) if plain else None


def _packed(tape: Any) -> bytes:
    """What all tapes of a template have in common; empty where it cannot be pickled."""
    trainable = tape._trainable_params  # noqa: SLF001  (unset is None)
    angled = [place for place, op in enumerate(tape.operations) if type(op) in ANGLED]
    operations = list(tape.operations)
    for place in angled:
        operations[place] = _with(operations[place], (0.0,) * len(operations[place].data))
    template = (operations, angled, tape.measurements, tape.shots, trainable)
    try:
        data: bytes = cloudpickle.dumps(template, 5)
    except Exception:  # noqa: BLE001  (it is sent, and refused, as it is)
        return b""
    return data


@lru_cache(maxsize=64)
def _template(packed: bytes) -> tuple[list[Any], list[int], list[Any], Any, Any]:
    template: tuple[list[Any], list[int], list[Any], Any, Any] = pickle.loads(packed)
    return template


def _with(op: Any, data: tuple[float, ...]) -> Any:
    """The gate with other parameters, as its `__copy__` makes them."""
    made = object.__new__(type(op))
    made.__dict__.update(op.__dict__)
    made.data = data
    return made
