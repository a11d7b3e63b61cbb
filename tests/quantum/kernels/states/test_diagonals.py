import math

from shoal.quantum.kernels.states.diagonals import Diagonal, Permutation, passes
from shoal.quantum.kernels.states.primitives import Primitive, Sum

PHASE = Sum(((0, 1.0),))


def phase(*wires):
    return Primitive("parity", wires, PHASE)


def cx(control, target):
    return Primitive("cx", (control, target))


def test_a_phase_between_controlled_nots_is_a_pair_and_no_permutation():
    [diagonal] = passes([cx(0, 1), phase(1), cx(0, 1)], 2)
    assert isinstance(diagonal, Diagonal)
    assert diagonal.singles == {0: PHASE, 1: PHASE}
    assert diagonal.pairs == {(0, 1): PHASE.times(-2)}


def test_parities_of_three_are_applied_behind_the_permutation():
    found = list(passes([cx(0, 1), cx(1, 2), phase(2)], 3))
    assert [type(each) for each in found] == [Permutation, Diagonal]
    assert found[1].singles == {2: PHASE}


def test_parities_that_no_permutation_makes_smaller_stay():
    letter = phase(0, 1, 2)
    assert list(passes([letter], 3)) == [letter]


def test_a_not_negates_the_phases_behind_it():
    diagonal, permutation = passes([Primitive("x", (0,)), phase(0)], 1)
    assert diagonal.singles == {0: PHASE.times(-1)}
    assert permutation == Permutation((1,), 1)


def test_a_swap_is_a_permutation():
    [permutation] = passes([Primitive("swap", (0, 2))], 3)
    assert permutation == Permutation((4, 2, 1), 0)


def test_controlled_phases_of_negated_qubits_are_split():
    angle = Sum((), math.pi)
    letters = [Primitive("x", (1,)), Primitive("and", (0, 1), angle), Primitive("x", (1,))]
    [diagonal] = passes(letters, 2)
    assert diagonal.pairs == {(0, 1): angle.times(-1)}
    assert diagonal.singles == {0: angle}
