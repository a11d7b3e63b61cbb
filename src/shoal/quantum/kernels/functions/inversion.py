"""Inversion tests among tapes: a circuit U(x2)†U(x1), and the probability that all is 0 again.

That a circuit is one is read off its gates, without simulation. Its second half has to undo, gate
by gate, what the first half of the exchanged pair does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pennylane as qml
from pennylane.operation import Channel

from shoal.quantum.kernels.functions.detection import NotOne

Tape = Callable[[Any, Any], Any]

CLOSE = 1e-12
KEPT_WHOLE = {"CCZ", "MultiRZ", "PauliRot", "Toffoli"}
WITHOUT_EFFECT = {"Barrier", "GlobalPhase", "Identity", "Snapshot", "WireCut"}
OWN_INVERSES = {
    *("CCZ", "CNOT", "CY", "CZ", "Hadamard", "PauliX", "PauliY", "PauliZ", "SWAP", "Toffoli"),
}
ROTATIONS = {
    *("CRX", "CRY", "CRZ", "ControlledPhaseShift", "IsingXX", "IsingXY", "IsingYY", "IsingZZ"),
    *("MultiRZ", "PhaseShift", "RX", "RY", "RZ", "U1"),
}
DIAGONAL = {
    *("Adjoint(S)", "Adjoint(T)", "CCZ", "CRZ", "CZ", "ControlledPhaseShift", "IsingZZ"),
    *("MultiRZ", "PauliZ", "PhaseShift", "RZ", "S", "T", "U1"),
}


def undone(tape: Any) -> list[Any]:
    """The first half of the tape of (x, x); raises NotOne unless the second half undoes it."""
    first, second = halves(tape)
    if not _undoes(second, first):
        raise NotOne("its circuit depends on the values of the features")
    return first


def check(tape: Tape, rows: np.ndarray) -> str:
    """Raises NotOne unless the tapes of pairs of rows are those of an inversion test.

    Args:
        tape: From two rows to the tape.
        rows: Three rows of features that have nothing in common.

    Returns:
        What is measured: ``"probs"``, ``"expval"`` or ``"state"``.
    """
    a, b, c = rows
    there = tape(a, b)
    kind = measured(there)
    first, second = halves(there)
    first_back, second_back = halves(tape(b, a))
    first_again, _ = halves(tape(a, c))
    if not _same(first, first_again):
        raise NotOne("the first half of its circuit depends on x2")
    if _same(first, first_back):
        raise NotOne("the first half of its circuit does not depend on x1")
    if not (_undoes(second, first_back) and _undoes(second_back, first)):
        raise NotOne("the second half of its circuit does not undo the first for x1 = x2")
    return kind


def measured(tape: Any) -> str:
    """What a tape measures, if it tells the probability that all qubits are 0."""
    if len(tape.measurements) != 1:
        raise NotOne(f"it measures {len(tape.measurements)} things, not one")
    [measurement] = tape.measurements
    kind = kind_of(measurement)
    if tape.shots:
        raise NotOne("it counts shots; shots= draws them exactly, from the states")
    wires = {wire for op in tape.operations for wire in op.wires}
    if measurement.wires and not wires <= set(measurement.wires):
        raise NotOne(f"it measures the wires {measurement.wires.tolist()} and not all that it uses")
    return kind


def kind_of(measurement: Any) -> str:
    """``"probs"``, ``"expval"`` of the projector on zeros, or ``"state"``; else raises NotOne."""
    if isinstance(measurement, qml.measurements.StateMP):
        return "state"
    if isinstance(measurement, qml.measurements.ProbabilityMP) and measurement.obs is None:
        return "probs"
    expectation = isinstance(measurement, qml.measurements.ExpectationMP)
    if expectation and _projects_on_zeros(measurement.obs):
        return "expval"
    raise NotOne(f"it measures {measurement}, not the probability that all qubits are 0")


def _projects_on_zeros(observable: Any) -> bool:
    if isinstance(observable, qml.ops.Prod):
        factors = observable.operands
        apart = sum(len(each.wires) for each in factors) == len(observable.wires)
        return apart and all(map(_projects_on_zeros, factors))
    if not isinstance(observable, qml.Projector | qml.Hermitian):
        return False
    data = qml.math.toarray(observable.data[0])
    if isinstance(observable, qml.Hermitian):
        return bool(data[0, 0] == 1 and np.count_nonzero(data) == 1)
    if len(data) == len(observable.wires):
        return not data.any()
    return bool(abs(data[0]) == 1 and np.count_nonzero(data) == 1)


def halves(tape: Any) -> tuple[list[Any], list[Any]]:
    """The gates of a tape in two halves; raises NotOne where there are none."""
    with qml.QueuingManager.stop_recording():
        gates = [gate for op in tape.operations for gate in _gates(op)]
    if not gates or len(gates) % 2:
        raise NotOne(f"its circuit has {len(gates)} gates, which are not two halves")
    middle = len(gates) // 2
    return gates[:middle], gates[middle:]


def _gates(op: Any) -> list[Any]:
    """An operation as gates that have a matrix; nothing for what has no effect."""
    if op.name in WITHOUT_EFFECT:
        return []
    if isinstance(op, Channel) or not isinstance(op, qml.operation.Operator):
        raise NotOne(f"{op.name} cannot be undone")
    if op.has_matrix and (len(op.wires) <= 2 or op.name in KEPT_WHOLE or not op.has_decomposition):
        return [op]
    if not op.has_decomposition:
        raise NotOne(f"{op.name} has no matrix")
    return [gate for part in op.decomposition() for gate in _gates(part)]


def _same(gates: Sequence[Any], others: Sequence[Any]) -> bool:
    return len(gates) == len(others) and all(
        one.name == other.name
        and one.wires == other.wires
        and len(one.data) == len(other.data)
        and all(np.array_equal(p, q) for p, q in zip(one.data, other.data, strict=True))
        for one, other in zip(gates, others, strict=True)
    )


def _undoes(second: Sequence[Any], first: Sequence[Any]) -> bool:
    """Whether gates undo those before them, each the last one that still stands on its wires.

    Gates on other wires, and diagonal gates among each other, may be undone in any order.
    """
    standing: dict[Any, list[int]] = {}
    for place, gate in enumerate(first):
        for wire in gate.wires:
            standing.setdefault(wire, []).append(place)
    for gate in second:
        undone = _undone_by(gate, first, standing)
        if undone is None:
            return False
        for wire in gate.wires:
            standing[wire].remove(undone)
    return True


def _undone_by(gate: Any, first: Sequence[Any], standing: dict[Any, list[int]]) -> int | None:
    stacks = [standing.get(wire, []) for wire in gate.wires]
    for place in reversed(stacks[0]):
        if _inverse(first[place], gate):
            above = {each for stack in stacks for each in stack if each > place}
            free = all(_commute(first[each], gate) for each in above)
            return place if free and all(place in stack for stack in stacks) else None
        if not _commute(first[place], gate):
            return None
    return None


def _commute(gate: Any, other: Any) -> bool:
    return gate.name in DIAGONAL and other.name in DIAGONAL


def _inverse(gate: Any, other: Any) -> bool:
    """Whether a gate undoes the other; by their names where that is enough, else by matrices."""
    if set(gate.wires) != set(other.wires):
        return False
    if gate.wires == other.wires:
        if gate.name == other.name and gate.name in OWN_INVERSES:
            return True
        if gate.name == other.name and gate.name in ROTATIONS:
            return bool(np.all(np.abs(gate.data[0] + other.data[0]) < CLOSE))
        for one, two in ((gate, other), (other, gate)):
            if isinstance(one, qml.ops.Adjoint) and _same([one.base], [two]):
                return True
    product = qml.matrix(gate, gate.wires) @ qml.matrix(other, gate.wires)
    return bool(np.abs(product - np.eye(len(product))).max() < CLOSE)
