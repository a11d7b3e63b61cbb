import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.quantum.kernels.states import prepare
from shoal.quantum.kernels.states.primitives import (
    Primitive,
    Sum,
    primitives,
    without_start,
    without_tail,
)
from shoal.quantum.kernels.tracing import NAMES, Formulas, Gate, GateTable
from tests.quantum.kernels.tables import table_of

WIRES = {**dict.fromkeys(("swap", "rxx", "ryy", "rzz"), 2), "multirz": 3, "ccx": 3, "ccz": 3}


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"unitary"}))
def test_every_gate_has_letters(name):
    wires = range(WIRES.get(name, 2 if name[0] == "c" else 1))
    assert primitives(table_of(3, [(name, wires)]))


def test_a_gate_without_a_rule_is_named():
    table = GateTable(1, 1, (Gate("strange", (0,)),))
    with pytest.raises(LookupError, match="'strange'"):
        primitives(table)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.0, 1e-17, 1e-9, 0.3, 1.0]))
def test_matrices_of_one_qubit_are_taken_apart_whatever_their_entries(seed, small):
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(2, 2)) + 1j * rng.normal(size=(2, 2))
    phases = np.diag(np.exp(1j * rng.normal(size=2)))
    for base in (np.eye(2), np.array([[0, 1], [1, 0]])):
        matrix = np.linalg.qr(base @ phases + small * noise)[0]
        for start in (0, 1):
            gates = [Gate("x", (0,))] * start + [Gate("unitary", (0,), (), matrix)]
            [found] = prepare(GateTable(1, 1, tuple(gates), Formulas()), np.zeros((1, 1)))
            assert abs(np.vdot(found, matrix[:, start])) == pytest.approx(1, abs=1e-13)
        # The phase between the columns matters too: behind a Hadamard gate both are there.
        gates = (Gate("h", (0,)), Gate("unitary", (0,), (), matrix))
        [found] = prepare(GateTable(1, 1, gates, Formulas()), np.zeros((1, 1)))
        assert abs(np.vdot(found, matrix.sum(1) / np.sqrt(2))) == pytest.approx(1, abs=1e-13)


def test_sums_add_up_and_are_evaluated():
    total = Sum(((0, 1.0), (1, 2.0)), 0.5).plus(Sum(((1, -2.0), (2, 3.0)), 0.25)).times(2)
    assert total == Sum(((0, 2.0), (2, 6.0)), 1.5)
    assert total.values(np.array([[1.0, 9.0, 2.0]])).tolist() == [15.5]


def test_phases_and_controls_of_wires_that_are_still_zero_are_left_out():
    letters = [
        Primitive("parity", (0,), Sum((), 1.0)),
        Primitive("cx", (0, 1)),
        Primitive("and", (0, 1), Sum((), 1.0)),
        Primitive("real", (1,), Sum((), 1.0)),
        Primitive("parity", (0, 1), Sum((), 1.0)),
    ]
    assert [(letter.kind, letter.wires) for letter in without_start(letters)] == [
        ("real", (1,)),
        ("parity", (1,)),
    ]


def test_what_all_samples_have_in_common_at_the_end_is_left_out():
    last = Primitive("real", (0,), Sum(((0, 1.0),)))
    letters = [Primitive("cx", (0, 1)), last, Primitive("cx", (1, 0)), Primitive("x", (1,))]
    assert without_tail(letters) == letters[:2]
    assert without_tail(letters, fixed=False) == letters
