import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.quantum import StateVectors
from tests.quantum.kernels.tables import asked, computed, kernel, rows_of, table_of, tables


@settings(max_examples=30, deadline=None)
@given(tables(), st.integers(0, 99))
def test_entries_are_those_of_the_textbook(table, seed):
    x, y = rows_of(seed, 4), rows_of(seed + 1, 3)
    np.testing.assert_allclose(computed(StateVectors(), table, x), kernel(table, x, x), atol=1e-12)
    crossed = computed(StateVectors(), table, x, y)
    np.testing.assert_allclose(crossed, kernel(table, x, y), atol=1e-12)


def test_what_vectors_cannot_hold_is_said():
    wide = asked(table_of(29, [("rx", [28])]))
    assert "29 qubits are too large" in StateVectors().why_not(wide)
    small = table_of(2, [("rx", [0])])
    assert "noise was given" in StateVectors().why_not(asked(small, noise=object()))
    assert StateVectors().why_not(asked(small)) is None


def test_real_states_cost_a_quarter_and_take_half():
    gates = [("ry", [wire]) for wire in range(4)] + [("cx", [0, 1]), ("ry", [1])]
    real = StateVectors().plan(asked(table_of(4, gates)))
    complex_ = StateVectors().plan(asked(table_of(4, [*gates, ("rx", [2]), ("ry", [2])])))
    assert complex_.flops(3, 5) == 4 * real.flops(3, 5)
    assert complex_.encoded_bytes(3) == 2 * real.encoded_bytes(3) == 3 * 16 * 16
    assert complex_.working_bytes(3, 5) > real.working_bytes(3, 5)


@pytest.mark.parametrize("n_x", [1, 1000])
def test_more_samples_and_qubits_take_longer(n_x):
    seconds = [
        StateVectors().seconds(asked(table_of(n, [("rx", [0])]), n_x=n_x)) for n in (2, 10, 20)
    ]
    assert sorted(seconds) == seconds
