import numpy as np

from shoal.quantum.kernels.tracing.formulas import Recorder
from shoal.quantum.kernels.tracing.taking import Taken, angles_by_gate, is_recorded, same


def taken(*gates):
    made = Taken(Recorder())
    for name, wires, angles in gates:
        made.add(name, wires, angles, name)
    return made


def test_equal_angles_share_a_column():
    made = taken(("rx", [0], [0.5]), ("ry", [1], [0.5]), ("rz", [0], [np.array(0.25)]))
    assert [gate.angles for gate in made.gates] == [(0,), (0,), (1,)]
    assert made.numbers().tolist() == [0.5, 0.25]
    assert angles_by_gate(made, made.numbers()).tolist() == [0.5, 0.5, 0.25]


def test_the_same_gates_are_the_same_whatever_their_angles():
    assert same(taken(("rx", [0], [0.5])), taken(("rx", [0], [0.7])))
    assert not same(taken(("rx", [0], [0.5])), taken(("rx", [1], [0.5])))
    assert not same(taken(("rx", [0], [0.5])), taken(("ry", [0], [0.5])))
    assert not same(taken(("rx", [0], [0.5])), taken())
    one, other = taken(), taken()
    one.add_unitary(np.eye(2), [0], "")
    other.add_unitary(-np.eye(2), [0], "")
    assert not same(one, other)
    assert same(one, one)


def test_recorded_numbers_are_found_in_arrays():
    x = Recorder().features([0.5])
    assert is_recorded(x)
    assert is_recorded(x[0])
    assert not is_recorded(0.5)
    assert not is_recorded(np.array([None]))
