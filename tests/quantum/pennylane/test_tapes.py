import numpy as np
import pennylane as qml
import pytest

from shoal.quantum.pennylane.tapes import (
    Label,
    apart,
    batch_size,
    cut,
    joined,
    stacked,
    what_is_stuck,
)

XS = np.linspace(0, 1, 7)


def batched(shots=None):
    operations = [qml.RX(XS, 0), qml.RY(0.3, 1), qml.CNOT([0, 1])]
    return qml.tape.QuantumScript(operations, [qml.probs(wires=[0, 1])], shots=shots)


@pytest.mark.parametrize("count", [1, 3, 7])
def test_the_parts_of_a_batch_joined_give_the_whole(count):
    device = qml.device("default.qubit", wires=2)
    parts = cut(batched(), count)
    assert [part.batch_size for part in parts] == [len(each) for each in np.array_split(XS, count)][
        ::-1
    ] or len(parts) == count
    assert sum(part.batch_size for part in parts) == len(XS)
    assert np.allclose(joined(device.execute(parts)), device.execute(batched()))


def test_results_of_several_measurements_and_counts_are_joined_each_for_itself():
    one = (np.array([1, 2]), [{"0": 1}])
    two = (np.array([3]), [{"1": 1}])
    first, second = joined([one, two])
    assert first.tolist() == [1, 2, 3]
    assert second == [{"0": 1}, {"1": 1}]


def test_only_circuits_with_shots_and_a_batch_dimension_are_taken_apart():
    analytic, sampled, plain = batched(), batched(5), cut(batched(5), 7)[0]
    same, finish = apart([analytic], as_list=True)
    assert same == [analytic]
    assert finish is None
    tapes, finish = apart([analytic, sampled], as_list=True)
    assert len(tapes) == 1 + len(XS)
    whole, stack = finish([0, *XS])
    assert whole == 0
    assert np.array_equal(stack, XS)
    assert plain.batch_size == 1


def test_single_results_are_stacked_along_a_new_axis():
    first, second = stacked([(np.zeros(2), {"0": 1}), (np.ones(2), {"1": 1})])
    assert first.shape == (2, 2)
    assert second == [{"0": 1}, {"1": 1}]


def test_a_label_names_the_tape_and_its_operations():
    text = repr(Label(3, batched()))
    assert text.startswith("tape 3: <QuantumScript")
    assert "'RX', 'RY', 'CNOT'" in text


class Stuck(qml.RX):
    def __reduce__(self):
        raise TypeError("no")


def test_what_cannot_be_pickled_is_named_and_what_can_is_not():
    assert what_is_stuck(batched()) == ""
    stuck = qml.tape.QuantumScript([qml.X(0), Stuck(0.1, 1)], [qml.expval(qml.Z(0))])
    assert what_is_stuck(stuck).startswith("operation 1, Stuck(0.1, wires=[1]), cannot be pickled")


@pytest.mark.parametrize(
    "operations",
    [
        [],
        [qml.RX(0.1, 0), qml.CNOT([0, 1])],
        [qml.RX(np.float64(0.1), 0), qml.Rot(1, np.array(2.0), 3.0, 1)],
        [qml.RX(np.array([0.1]), 0)],
        [qml.RX(0.1, 0), qml.RY(np.array([0.1, 0.2, 0.3]), 1)],
        [qml.QubitUnitary(np.eye(2), 0)],
        [qml.QubitUnitary(np.stack([np.eye(2)] * 3), 0), qml.adjoint(qml.RX(0.1, 0))],
        [qml.StatePrep(np.eye(2)[:1], 0)],
    ],
)
def test_the_batch_size_is_the_tapes_own(operations):
    assert batch_size(qml.tape.QuantumScript(operations)) == (
        qml.tape.QuantumScript(operations).batch_size
    )


def test_batch_sizes_that_do_not_match_are_refused_as_ever():
    one, other = (qml.RX(np.zeros(size), 0) for size in (2, 3))
    with pytest.raises(ValueError, match="batch sizes"):
        batch_size(qml.tape.QuantumScript([one, other]))
