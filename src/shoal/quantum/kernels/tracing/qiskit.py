"""Qiskit's circuits, taken down: standard gates as they are, others by their definitions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from qiskit.circuit import Parameter, ParameterExpression, QuantumCircuit
from qiskit.exceptions import QiskitError
from qiskit.quantum_info import Operator, Statevector

from shoal.quantum.kernels.tracing.formulas import Angle, Recorder
from shoal.quantum.kernels.tracing.gates import LARGEST_UNITARY, NAMES
from shoal.quantum.kernels.tracing.taking import Taken, UnknownGate

IGNORED = frozenset({"barrier", "delay", "id", "global_phase", "save_statevector"})
OTHER_NAMES = {"u1": "p", "u3": "u", "cu1": "cp"}
STANDARD = "qiskit.circuit.library.standard_gates"
BINARY = frozenset({0, 1, 2, 3, 4, 18, 19, 20})
METHODS = {
    0: "__add__",
    1: "__sub__",
    2: "__mul__",
    3: "__truediv__",
    4: "__pow__",
    5: "sin",
    6: "cos",
    7: "tan",
    8: "arcsin",
    9: "arccos",
    10: "exp",
    11: "log",
    14: "conjugate",
    16: "__abs__",
    17: "arctan",
    18: "__rsub__",
    19: "__rtruediv__",
    20: "__rpow__",
}


def check(circuit: QuantumCircuit, n_features: int) -> None:
    """Raises ValueError for a circuit that is no feature map of so many features."""
    names = [parameter.name for parameter in circuit.parameters]
    if not names:
        raise ValueError("feature_map: the circuit has no parameters, so all its states are equal")
    if len(names) != n_features:
        raise ValueError(
            f"feature_map: the circuit has {len(names)} parameters ({_listed(names)}), x has "
            f"{n_features} features; bind those that are no features with assign_parameters"
        )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:6]) + (", …" if len(names) > 6 else "")


def take(circuit: QuantumCircuit, sample: Sequence[float]) -> Taken:
    """Takes down a circuit; its parameters, in the order of `circuit.parameters`, are the features.

    Raises:
        UnknownGate: If a gate, or the formula of an angle, has no place in a table.
        ValueError: If it measures, resets or branches in between.
    """
    taken = Taken(Recorder())
    features = taken.recorder.features(sample)
    _Walk(taken, dict(zip(circuit.parameters, features, strict=True))).circuit(
        circuit, range(circuit.num_qubits)
    )
    return taken


def take_bound(circuit: QuantumCircuit, sample: Sequence[float]) -> Taken:
    """Takes down the circuit as Qiskit itself binds it to one sample.

    Raises:
        ValueError: If Qiskit cannot, as where an angle would be infinite.
    """
    taken = Taken(Recorder())
    try:
        bound = circuit.assign_parameters([float(value) for value in sample])
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        raise ValueError(f"feature_map: cannot take the features {[*sample]}: {text}") from error
    _Walk(taken, {}).circuit(bound, range(circuit.num_qubits))
    return taken


class _Walk:
    """A walk through a circuit and the definitions of its gates."""

    def __init__(self, taken: Taken, features: Mapping[Any, Any]) -> None:
        self._taken = taken
        self._features = features
        self._touched: set[int] = set()
        self._measured: set[int] = set()
        self._angles: dict[Any, Any] = {}

    def circuit(self, circuit: QuantumCircuit, wires: Sequence[int]) -> None:
        """All instructions; `wires` says which of ours the circuit's qubits are."""
        places = {qubit: wires[place] for place, qubit in enumerate(circuit.qubits)}
        for instruction in circuit.data:
            on = [places[qubit] for qubit in instruction.qubits]
            self._instruction(instruction.operation, instruction.name, on)

    def _instruction(self, operation: Any, name: str, wires: list[int]) -> None:
        if name in IGNORED:
            return
        if name == "measure":
            self._measured.update(wires)
            return
        if name == "reset" and self._touched.isdisjoint(wires):
            return
        if name == "reset" or getattr(operation, "blocks", None):
            raise ValueError(f"feature_map: {name!r} on qubits {wires} is no gate")
        if not self._measured.isdisjoint(wires):
            raise ValueError(f"feature_map: {name!r} on qubits {wires}, which are measured before")
        self._gate(operation, name, wires)
        self._touched.update(wires)

    def _gate(self, operation: Any, name: str, wires: list[int]) -> None:
        standard = str(operation.base_class.__module__).startswith(STANDARD)
        ours = OTHER_NAMES.get(name, name)
        if standard and ours in NAMES and ours != "unitary":
            angles = [self._angle(value) for value in operation.params]
            self._taken.add(ours, wires, angles, name)
            return
        constant = not any(isinstance(each, ParameterExpression) for each in operation.params)
        if constant and len(wires) <= 2 and self._matrix(operation, name, wires):
            return
        definition = getattr(operation, "definition", None)
        if definition is not None:
            self.circuit(definition, wires)
        elif not (
            constant and len(wires) <= LARGEST_UNITARY and self._matrix(operation, name, wires)
        ):
            raise UnknownGate(f"the gate {name!r} has no definition in simpler ones")

    def _matrix(self, operation: Any, name: str, wires: list[int]) -> bool:
        """Takes down a constant gate as a matrix, if it has one that is not made of others."""
        definition = getattr(operation, "definition", None)
        if definition is not None and name != "unitary":
            return False
        try:
            matrix = Operator(operation).data
        except Exception as error:  # a user's gate may do anything here
            raise UnknownGate(f"the gate {name!r} has no matrix: {error}") from error
        self._taken.add_unitary(matrix, wires, name)
        return True

    def _angle(self, value: Any) -> Any:
        if not isinstance(value, ParameterExpression):
            return float(value)
        if value not in self._angles:
            self._angles[value] = self._formula(value)
        return self._angles[value]

    def _formula(self, expression: Any) -> Any:
        """What Qiskit's expression makes of the features, step by step as it was built."""
        if isinstance(expression, Parameter):
            return self._features[expression]
        if not expression.parameters:
            return float(expression)
        stack: list[Any] = []
        try:
            for step in expression._qpy_replay:  # noqa: SLF001  (what QPY files are written from)
                self._step(step, stack)
            [result] = stack
        except Exception as error:  # steps that are new, or of another version
            raise UnknownGate(f"the angle {expression} is not understood: {error}") from error
        return result

    def _step(self, step: Any, stack: list[Any]) -> None:
        code = int(step.op)
        operands = (step.lhs, step.rhs)
        stack.extend(self._operand(each) for each in operands if each is not None)
        method = METHODS[code]
        if code in BINARY:
            right, left = stack.pop(), stack.pop()
            stack.append(_applied(method, left, right))
        else:
            stack.append(getattr(_recorded(stack.pop(), self._taken.recorder), method)())

    def _operand(self, operand: Any) -> Any:
        if isinstance(operand, ParameterExpression):
            return self._formula(operand)
        return float(operand)


def _recorded(value: Any, recorder: Recorder) -> Angle:
    if isinstance(value, Angle):
        return value
    return Angle(recorder, recorder.of(value), float(value))


def _applied(method: str, left: Any, right: Any) -> Any:
    if isinstance(left, Angle):
        return getattr(left, method)(right)
    if isinstance(right, Angle):
        left = _recorded(left, right.recorder)
        return getattr(left, method)(right)
    return getattr(float(left), method)(float(right))


class StatesOfCircuits:
    """The states of a circuit as Qiskit's own `Statevector` computes them, one by one."""

    def __init__(self, circuit: QuantumCircuit) -> None:
        self._circuit = circuit.remove_final_measurements(inplace=False)

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """The states of all rows.

        Raises:
            ValueError: If Qiskit cannot: a gate may have neither a matrix nor a definition.
        """
        states = np.empty((len(rows), 2**self._circuit.num_qubits), complex)
        for place, row in enumerate(rows):
            bound = self._circuit.assign_parameters([*row])
            try:
                states[place] = Statevector(bound).data
            except QiskitError as error:
                raise ValueError(f"feature_map: Qiskit prepares no state: {error}") from error
        return states
