import gc
import pickle
import weakref

import numpy as np
import pennylane as qml
import pytest
from pennylane import numpy as pnp

from shoal.quantum.pennylane.templates import Pattern, Patterns, unpacked, whole


def tape_of(x, *, wire=1, obs=qml.Z, shots=None, more=()):
    operations = [
        qml.RX(x, 0),
        qml.CNOT([0, wire]),
        qml.Rot(x, 2 * x, 0.5, wire),
        qml.H(0),
        *more,
    ]
    measurements = [qml.expval(obs(0)), qml.var(qml.Z(wire))]
    return qml.tape.QuantumScript(operations, measurements, shots=shots)


def slimmed(tapes):
    return Patterns().slimmed(tapes)


def arrived(tapes):
    return [whole(each) for each in pickle.loads(pickle.dumps(slimmed(tapes)))]


def test_circuits_of_one_structure_share_a_template_and_arrive_as_they_were():
    tapes = [tape_of(x) for x in (0.1, np.float64(0.2), 3, np.array(0.4))]
    sent = slimmed(tapes)
    assert all(type(each) is tuple for each in sent)
    assert len({each[0] for each in sent}) == 1
    for got, tape in zip(arrived(tapes), tapes, strict=True):
        assert qml.equal(got, tape)
        assert got.trainable_params == tape.trainable_params


def test_shifted_circuits_of_a_gradient_arrive_as_they_were():
    tape = tape_of(0.3)
    tape.trainable_params = [1, 2]
    shifted, _ = qml.gradients.param_shift(tape)
    for got, expected in zip(arrived(shifted), shifted, strict=True):
        assert qml.equal(got, expected)
        assert got.trainable_params == expected.trainable_params


@pytest.mark.parametrize(
    "other",
    [
        tape_of(0.2, wire=2),
        tape_of(0.2, obs=qml.X),
        tape_of(0.2, shots=10),
        tape_of(0.2, more=[qml.S(0)]),
        tape_of(0.2, more=[qml.PauliRot(0.1, "XY", [0, 1])]),
        tape_of(0.2, more=[qml.QubitUnitary(np.eye(2), 0)]),
        tape_of(np.array([0.1, 0.2])),
        tape_of(np.float32(0.2)),
    ],
)
def test_a_circuit_that_is_another_arrives_as_it_was_too(other):
    tapes = [tape_of(0.1), tape_of(0.2), other, tape_of(0.3)]
    for got, tape in zip(arrived(tapes), tapes, strict=True):
        assert qml.equal(got, tape)
        assert got.shots == tape.shots


def test_numbers_that_autograd_traces_arrive_as_numbers():
    seen = []

    def traced(x):
        seen.extend(arrived([tape_of(x) for _ in range(3)]))
        return x * 1.0

    qml.grad(traced)(pnp.array(0.25))
    assert [type(each.operations[0].data[0]) for each in seen] == [float] * 3
    assert seen[0].operations[0].data == (0.25,)


def test_few_circuits_and_those_that_cannot_be_pickled_are_sent_as_they_are():
    few = [tape_of(0.1), tape_of(0.2)]
    assert slimmed(few) == few

    class Stuck(qml.RX):
        def __reduce__(self):
            raise TypeError("no")

    stuck = [tape_of(x, more=[Stuck(0.1, 0)]) for x in (0.1, 0.2, 0.3)]
    assert all(each is tape for each, tape in zip(slimmed(stuck), stuck, strict=True))


def test_a_pattern_is_found_again_in_the_next_batch_and_keeps_no_circuit_alive():
    patterns = Patterns()
    first = [tape_of(x) for x in (0.1, 0.2, 0.3)]
    kept = weakref.ref(first[0])
    packed = {each[0] for each in patterns.slimmed(first)}
    del first
    gc.collect()
    assert kept() is None
    assert {each[0] for each in patterns.slimmed([tape_of(x) for x in (4, 5, 6)])} == packed
    other = tape_of(0.1, wire=2)
    assert Pattern(other).packed(other) not in packed


def test_a_pattern_with_an_operation_that_only_identity_tells_is_not_kept():
    assert Pattern(tape_of(0.1)).lasts
    assert not Pattern(tape_of(0.1, more=[qml.QubitUnitary(np.eye(2), 0)])).lasts
    probs = qml.tape.QuantumScript([qml.RX(0.1, 0)], [qml.probs(wires=[0])])
    assert Pattern(probs).packed(probs)
    assert not Pattern(probs).lasts


def compiled(tape, base="lightning.qubit"):
    program = qml.device(base, wires=3).preprocess_transforms()
    return unpacked(Pattern(tape).packed(tape)).through(program), program


@pytest.mark.parametrize("base", ["lightning.qubit", "default.qubit"])
def test_a_template_is_compiled_once_for_all_angles(base):
    template, program = compiled(tape_of(0.1, more=[qml.QFT([0, 1])]), base)
    tape = tape_of(0.7, more=[qml.QFT([0, 1])])
    [expected], _ = program((tape,))
    got = template.tape(Pattern(tape).angles(tape))
    assert len(got.operations) == len(expected.operations)
    assert all(map(qml.equal, got.operations, expected.operations))
    assert all(map(qml.equal, got.measurements, expected.measurements))


def test_gates_with_angles_that_the_transforms_change_are_compiled_for_every_circuit():
    tape = qml.tape.QuantumScript([qml.U3(0.1, 0.2, 0.3, 0)], [qml.expval(qml.Z(0))])
    assert compiled(tape)[0] is None


def test_transforms_that_fail_or_cut_are_left_to_every_circuit():
    outside = qml.tape.QuantumScript([qml.RX(0.1, 9)], [qml.expval(qml.Z(0))])
    assert compiled(outside)[0] is None
    several = qml.tape.QuantumScript([qml.RX(0.1, 0)], [qml.expval(qml.X(0)), qml.expval(qml.Z(0))])
    program = qml.CompilePipeline()
    program.add_transform(qml.transforms.split_non_commuting)
    assert unpacked(Pattern(several).packed(several)).through(program) is None


def test_few_circuits_are_slimmed_where_such_were_there_before_and_leave_no_template():
    patterns = Patterns()
    assert not patterns.met([tape_of(0.1)])
    assert patterns.slimmed(one := [tape_of(0.1)]) == one
    assert not patterns.met([tape_of(x) for x in (0.1, 0.2, 0.3)])
    assert patterns.met([tape_of(0.4)])
    [(packed, angles)] = patterns.slimmed([tape_of(0.4)])
    assert qml.equal(unpacked(packed).tape(angles), tape_of(0.4))
    other = [tape_of(0.1, wire=2)]
    assert patterns.slimmed(other) == other


def test_one_circuit_at_a_time_is_remembered_when_another_of_its_size_was_before():
    patterns = Patterns()
    met = [patterns.met([tape_of(x)]) for x in (0.1, 0.2, 0.3)]
    assert met == [False, False, True]
    others = ([qml.S(0)], [], [qml.T(0), qml.T(1)], [])
    assert not any(patterns.met([tape_of(0.1, wire=2, more=more)]) for more in others)
