"""Circuits of one template as calls of lightning's state vector, with no gate objects in between.

lightning looks at the class, the wires and the name of every gate of every circuit, in Python. For
circuits that differ in their angles alone the answers are the same each time, and up to a dozen
qubits they take longer to find than the arithmetic does. Here they are found once.

Results are the device's, bit for bit: measuring is left to it, and the first circuit of a template
is run both ways. Where the results differ, or anything is not as it is expected to be, the device
runs all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pennylane as qml

from shoal.quantum.pennylane.adapters import is_lightning
from shoal.quantum.pennylane.templates import ANGLED, FIXED, Template

MOST_WIRES = 17  # with more, what is saved is nothing beside the arithmetic
CALLED = (ANGLED | FIXED | {qml.ControlledPhaseShift, qml.CRX, qml.CRY, qml.CRZ, qml.CRot}) - {
    qml.Identity
}


class GateCalls:
    """The circuits of a template on one lightning device."""

    def __init__(self, device: Any, template: Template) -> None:
        """Finds what to call for each gate; raises whatever is not as expected."""
        self._device = device
        angled = dict(template.angled)
        self._measured = template.tape([0.0] * sum(angled.values()))
        self._gates: list[tuple[str, list[int], slice | list[float]]] = []
        at = 0
        for place, op in enumerate(template.operations):
            if type(op) is qml.Identity:
                continue
            if type(op) not in CALLED:
                raise TypeError(f"{op} is not known to be one call")
            parameters: slice | list[float] = [float(each) for each in op.data]
            if place in angled:
                parameters = slice(at, at + angled[place])
                at += angled[place]
            self._gates.append((op.name, op.wires.tolist(), parameters))

    def __call__(self, angles: Sequence[float]) -> Any:
        """What the device returns for the circuit with these angles."""
        device = self._device
        device.dynamic_wires_from_circuit(self._measured)
        state = device._statevector  # noqa: SLF001  (there is no public way)
        amplitudes = state.state_vector
        for name, wires, given in self._gates:
            parameters = angles[given] if type(given) is slice else given
            getattr(amplitudes, name)(wires, False, parameters)
        return device.LightningMeasurements(state).measure_final_state(self._measured)


def gate_calls(
    device: Any, template: Template, config: Any, angles: Sequence[float]
) -> GateCalls | None:
    """What runs the circuits of a template faster than the device; None where it is to run them.

    Args:
        template: As the device takes it, its transforms applied.
        config: What the device is told when it executes.
        angles: Those of one circuit, which is run both ways.
    """
    wires = device.wires
    plain = wires is not None and wires.tolist() == list(range(len(wires)))
    if not (is_lightning(device) and plain and len(wires) <= MOST_WIRES) or template.shots:
        return None
    try:
        calls = GateCalls(device, template)
        [expected] = device.execute((template.tape(angles),), config)
        return calls if same_bits(calls(angles), expected) else None
    except Exception:  # noqa: BLE001  (the device runs it then, and raises what there is to raise)
        return None


def same_bits(one: Any, other: Any) -> bool:
    """Whether two results are of the same types and have the same bits."""
    if type(one) is not type(other):
        return False
    if isinstance(one, tuple | list):
        return len(one) == len(other) and all(map(same_bits, one, other))
    first, second = np.asarray(one), np.asarray(other)
    alike = first.dtype == second.dtype and first.shape == second.shape
    return alike and first.tobytes() == second.tobytes()
