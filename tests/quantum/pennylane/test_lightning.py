import numpy as np
import pennylane as qml
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pennylane.devices import ExecutionConfig

from shoal.quantum.pennylane.lightning import (
    CALLED,
    MOST_WIRES,
    GateCalls,
    gate_calls,
    same_bits,
)
from shoal.quantum.pennylane.templates import ANGLED, Pattern, unpacked

WIRES = 4
SIZES = {gate: gate.num_wires or 3 for gate in CALLED}
COUNTS = {gate: gate.num_params for gate in CALLED}


def lightning(wires=WIRES, **options):
    return qml.device("lightning.qubit", wires=wires, **options)


def template_of(tape, device=None):
    program = (device or lightning()).preprocess_transforms()
    return unpacked(Pattern(tape).packed(tape)).through(program)


def calls_of(tape, device=None):
    device = device or lightning()
    template, angles = template_of(tape, device), Pattern(tape).angles(tape)
    return gate_calls(device, template, ExecutionConfig(), angles), angles


gates = st.sampled_from(sorted(CALLED, key=lambda gate: gate.__name__)).flatmap(
    lambda gate: st.builds(
        lambda wires, angles: gate(*angles, wires=wires[: SIZES[gate]]),
        st.permutations(range(WIRES)),
        st.lists(st.floats(-7, 7), min_size=COUNTS[gate], max_size=COUNTS[gate]),
    )
)
measurements = st.builds(
    lambda kind, obs: kind(obs),
    st.sampled_from([qml.expval, qml.var]),
    st.one_of(
        st.builds(
            lambda obs, wire: obs(wire),
            st.sampled_from([qml.X, qml.Y, qml.Z, qml.H]),
            st.integers(0, WIRES - 1),
        ),
        st.sampled_from([qml.Z(0) @ qml.Z(1), 0.5 * qml.X(1) + qml.Z(2), qml.Identity(0)]),
    ),
)


@settings(max_examples=80, deadline=None)
@given(st.lists(gates, max_size=8), st.lists(measurements, min_size=1, max_size=3))
def test_results_are_those_of_the_device_to_the_last_bit(operations, measured):
    tape = qml.tape.QuantumScript(operations, measured)
    device = lightning()
    try:
        template = template_of(tape, device)
    except ValueError:
        return  # two of the observables cannot be measured at once
    if template is None:
        return  # the transforms do something to gates with angles
    angles = Pattern(tape).angles(tape)
    calls = gate_calls(device, template, ExecutionConfig(), angles)
    if calls is None:
        return  # a gate that the transforms took apart
    for shift in (0.0, 0.7):
        others = tuple(each + shift for each in angles)
        [expected] = lightning().execute((template.tape(others),))
        assert same_bits(calls(others), expected)


def simple(x=0.3, wires=(0, 1)):
    operations = [qml.RX(x, wires[0]), qml.CNOT(list(wires)), qml.Rot(x, 2 * x, 3 * x, wires[1])]
    return qml.tape.QuantumScript(operations, [qml.expval(qml.Z(wires[1])), qml.var(qml.X(0))])


def test_gates_with_angles_and_without_are_called():
    calls, _ = calls_of(simple())
    assert [name for name, _, _ in calls._gates] == ["RX", "CNOT", "Rot"]
    assert all(callable(getattr(lightning_state(), gate.__name__, None)) for gate in ANGLED_HERE)


ANGLED_HERE = (qml.RX, qml.RY, qml.RZ, qml.Rot, qml.PhaseShift, qml.IsingXX, qml.MultiRZ)


def lightning_state():
    device = lightning()
    device.execute((simple(),))
    return device._statevector.state_vector


def test_single_precision_has_its_own_bits():
    single = lightning(c_dtype=np.complex64)
    calls, angles = calls_of(simple(), single)
    assert same_bits(calls(angles), single.execute((simple(),))[0])
    assert not same_bits(calls(angles), lightning().execute((simple(),))[0])


@pytest.mark.parametrize(
    ("tape", "device"),
    [
        (simple(), qml.device("default.qubit", wires=WIRES)),
        (simple(), lightning(None)),
        (simple(wires=(1, 2)), lightning([2, 1, 0])),
        (simple(), lightning(MOST_WIRES + 1)),
        (qml.tape.QuantumScript([qml.QubitUnitary(np.eye(2), 0)], [qml.expval(qml.Z(0))]), None),
    ],
)
def test_what_is_not_known_to_be_the_same_is_left_to_the_device(tape, device):
    device = device or lightning()
    template = unpacked(Pattern(tape).packed(tape))
    angles = Pattern(tape).angles(tape)
    assert gate_calls(device, template, ExecutionConfig(), angles) is None


def test_shots_are_left_to_the_device():
    tape = simple()
    sampled = qml.tape.QuantumScript(tape.operations, tape.measurements, shots=10)
    template = unpacked(Pattern(sampled).packed(sampled))
    angles = Pattern(sampled).angles(sampled)
    assert gate_calls(lightning(), template, ExecutionConfig(), angles) is None


@pytest.mark.parametrize("missing", ["dynamic_wires_from_circuit", "LightningMeasurements"])
def test_a_lightning_that_is_built_in_another_way_runs_everything_itself(missing, monkeypatch):
    device = lightning()

    def refuses(*_):
        raise AttributeError(missing)

    template, angles = template_of(simple(), device), Pattern(simple()).angles(simple())
    monkeypatch.setattr(device, missing, refuses)
    assert gate_calls(device, template, ExecutionConfig(), angles) is None


def test_a_lightning_that_computes_in_another_way_runs_everything_itself(monkeypatch):
    device = lightning()
    execute = device.execute

    def rounds_otherwise(circuits, config=None):
        return tuple(tuple(np.nextafter(each, 2) for each in one) for one in execute(circuits))

    template, angles = template_of(simple(), device), Pattern(simple()).angles(simple())
    assert gate_calls(device, template, ExecutionConfig(), angles) is not None
    monkeypatch.setattr(device, "execute", rounds_otherwise)
    assert gate_calls(device, template, ExecutionConfig(), angles) is None


def test_a_state_that_the_device_has_made_anew_is_the_one_that_is_used():
    device = lightning()
    calls, angles = calls_of(simple(), device)
    expected = calls(angles)
    device._statevector = None
    assert same_bits(calls(angles), expected)
    device.execute((simple(1.0),))
    assert same_bits(calls(angles), expected)


def test_results_of_other_types_shapes_or_bits_are_not_the_same():
    assert same_bits((1.0, np.zeros(2)), (1.0, np.zeros(2)))
    for other in ((1.0, np.zeros(3)), (1.0,), [1.0, np.zeros(2)], (-0.0, np.zeros(2)), 1.0):
        assert not same_bits((0.0, np.zeros(2)), other)
    assert not same_bits(1.0, np.float64(1.0))
    assert not same_bits(np.zeros(2), np.zeros(2, "f4"))


def test_an_operation_that_is_not_one_call_is_refused():
    tape = qml.tape.QuantumScript([qml.RX(0.1, 0), qml.QFT([0, 1])], [qml.expval(qml.Z(0))])
    with pytest.raises(TypeError, match="QFT"):
        GateCalls(lightning(), unpacked(Pattern(tape).packed(tape)))
    assert set(ANGLED) <= CALLED
