"""PennyLane's functions and QNodes, taken down: run once on features that record what is done."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pennylane as qml
from autoray import register_backend

from shoal.quantum.kernels.tracing.formulas import Angle, Recorder
from shoal.quantum.kernels.tracing.gates import LARGEST_UNITARY
from shoal.quantum.kernels.tracing.taking import Taken, UnknownGate, is_recorded

register_backend(Angle, "builtins")

IGNORED = frozenset({"Barrier", "GlobalPhase", "Identity", "Snapshot", "WireCut"})
NAMES = {
    "CCZ": "ccz",
    "CNOT": "cx",
    "CRX": "crx",
    "CRY": "cry",
    "CRZ": "crz",
    "CPhase": "cp",
    "CY": "cy",
    "CZ": "cz",
    "ControlledPhaseShift": "cp",
    "Hadamard": "h",
    "IsingXX": "rxx",
    "IsingYY": "ryy",
    "IsingZZ": "rzz",
    "MultiRZ": "multirz",
    "PauliX": "x",
    "PauliY": "y",
    "PauliZ": "z",
    "PhaseShift": "p",
    "RX": "rx",
    "RY": "ry",
    "RZ": "rz",
    "S": "s",
    "SWAP": "swap",
    "SX": "sx",
    "T": "t",
    "Toffoli": "ccx",
    "U1": "p",
    "U3": "u",
}
AMPLITUDES_AT_ONCE = 1 << 20
# PennyLane's recording of operations is the whole process's: another thread's would get in.
_recording = threading.RLock()


def tape_of(function: Any, x: Any) -> Any:
    """What a function, or a QNode, queues for these features.

    Raises:
        ValueError: If it queues nothing.
    """
    with _recording:
        tape = qml.tape.make_qscript(without_device(function))(x)
    if not tape.operations:
        raise ValueError("feature_map: the function applies no gates to the features it is given")
    return tape


def without_device(function: Any) -> Any:
    """The function that a QNode was made of; any other as it is."""
    return function.func if isinstance(function, qml.QNode) else function


def wires_of(function: Any, *tapes: Any) -> dict[Any, int]:
    """Our numbers for PennyLane's wires: those of the QNode's device, else in order of use."""
    device = getattr(function, "device", None)
    wires = getattr(device, "wires", None) or qml.wires.Wires.all_wires(
        [operation.wires for tape in tapes for operation in tape.operations]
    )
    measured = qml.wires.Wires.all_wires([tape.wires for tape in tapes])
    labels = [*wires, *(wire for wire in measured if wire not in wires)]
    return {label: place for place, label in enumerate(labels)}


def take(function: Callable[..., Any], sample: Sequence[float]) -> Taken:
    """Takes down what a function applies.

    Raises:
        UnknownGate: If an operation has no place in a table, or the features were looked at.
        ValueError: If it measures in between, or applies nothing.
    """
    taken = Taken(Recorder())
    tape = tape_of(function, taken.recorder.features(sample))
    _take_all(tape.operations, wires_of(function, tape), taken)
    if taken.recorder.looked_at:
        raise UnknownGate("the function looks at the values of the features")
    return taken


def take_bound(function: Callable[..., Any], sample: Sequence[float]) -> Taken:
    """Takes down what a function applies when it is given plain numbers."""
    taken = Taken(Recorder())
    tape = tape_of(function, np.array(sample, float))
    _take_all(tape.operations, wires_of(function, tape), taken)
    return taken


def _take_all(operations: Sequence[Any], wires: Mapping[Any, int], taken: Taken) -> None:
    for operation in operations:
        _take_one(operation, wires, taken)


def _take_one(operation: Any, wires: Mapping[Any, int], taken: Taken) -> None:
    name = operation.name
    on = [wires[label] for label in operation.wires]
    if name in IGNORED:
        return
    if isinstance(operation, qml.operation.Channel):
        raise ValueError(f"feature_map: {name} on wires {on} is a channel; channels go into noise=")
    if not isinstance(operation, qml.operation.Operator) or name in ("MidMeasureMP", "MidMeasure"):
        raise ValueError(f"feature_map: {name} on wires {on} is no gate")
    if name in NAMES:
        taken.add(NAMES[name], on, operation.data, name)
    elif name == "Rot":
        phi, theta, omega = operation.data
        for ours, angle in (("rz", phi), ("ry", theta), ("rz", omega)):
            taken.add(ours, on, [angle], name)
    elif len(on) <= 2 and operation.has_matrix and _without_angles(operation):
        taken.add_unitary(qml.matrix(operation), on[::-1], name)
    elif operation.has_decomposition:
        with qml.QueuingManager.stop_recording():
            parts = operation.decomposition()
        _take_all(parts, wires, taken)
    elif _is_constant(operation) and len(on) <= LARGEST_UNITARY and operation.has_matrix:
        taken.add_unitary(qml.matrix(operation), on[::-1], name)
    else:
        raise UnknownGate(f"the operation {name} has no decomposition into simpler ones")


def _without_angles(operation: Any) -> bool:
    """Whether it takes no numbers, or matrices only, so that it is the same for all samples."""
    return all(qml.math.ndim(value) == 2 and not is_recorded(value) for value in operation.data)


def _is_constant(operation: Any) -> bool:
    return not any(is_recorded(value) for value in operation.data)


class StatesOfTapes:
    """The states of a feature map as PennyLane's own devices compute them.

    Functions that take a batch of samples run on ``default.qubit`` with all of a block at once,
    others sample by sample.

    Attributes:
        broadcast: Whether the function takes a batch.
    """

    def __init__(self, function: Callable[..., Any], samples: np.ndarray) -> None:
        """Takes the wires of a QNode's device, or those that some samples need."""
        tapes = [tape_of(function, np.array(sample, float)) for sample in samples]
        self._function = without_device(function)
        self._wires = wires_of(function, *tapes)
        self.n_qubits = len(self._wires)
        self.broadcast = self._takes_batches(samples[0])

    @property
    def library(self) -> str:
        """What prepares the states, in words."""
        how = "blocks of samples" if self.broadcast else "sample by sample"
        return f"PennyLane's default.qubit, {how}"

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """The states of all rows; wire 0 is the least significant bit of their indices."""
        states = np.empty((len(rows), 2**self.n_qubits), complex)
        size = max(AMPLITUDES_AT_ONCE >> self.n_qubits, 1) if self.broadcast else 1
        for start in range(0, len(rows), size):
            block = rows[start : start + size]
            with _recording:
                states[start : start + size] = self._states(block if self.broadcast else block[0])
        return states

    def _states(self, x: np.ndarray) -> np.ndarray:
        labels = [*self._wires]
        tape = tape_of(self._function, x)
        unknown = [wire for wire in tape.wires if wire not in self._wires]
        if unknown:
            raise ValueError(
                f"feature_map: for some samples it acts on wires {unknown}, for others on "
                f"{labels} alone; as a QNode, on a device with all wires, it may"
            )
        script = qml.tape.QuantumScript(tape.operations, [qml.state()])
        device = qml.device("default.qubit", wires=labels)
        [state] = qml.execute([script], device)
        shaped = np.asarray(state).reshape(-1, *[2] * self.n_qubits)
        order = (0, *range(self.n_qubits, 0, -1))
        return shaped.transpose(order).reshape(len(shaped), -1)

    def _takes_batches(self, sample: np.ndarray) -> bool:
        """Whether a batch of three samples gives what each of them gives alone."""
        rows = np.stack([sample, sample * 0.5, sample * 0.25])
        try:
            if tape_of(self._function, rows).batch_size != len(rows):
                return False
            together = self._states(rows)
            alone = np.concatenate([self._states(row) for row in rows])
        except Exception:  # a function that takes one sample may do anything  # noqa: BLE001
            return False
        return together.shape == alone.shape and bool(np.allclose(together, alone, atol=1e-10))
