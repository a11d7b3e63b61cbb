import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.quantum.kernels.states import Preparation, prepare
from tests.quantum.kernels.tables import rows_of, states, table_of, tables

REAL = ("h", "x", "z", "ry", "cx", "cz", "swap", "cry", "ccx", "ccz")


def assert_same_states(found, expected, tolerance=1e-12):
    np.testing.assert_allclose(np.abs(np.sum(found.conj() * expected, 1)), 1, atol=tolerance)


@settings(max_examples=60, deadline=None)
@given(tables(), st.integers(0, 99))
def test_states_are_those_of_the_textbook_up_to_a_phase(table, seed):
    rows = rows_of(seed, 3)
    found = prepare(table, rows)
    assert found.shape == (3, 2**table.n_qubits)
    assert_same_states(found, states(table, rows))


@settings(max_examples=40, deadline=None)
@given(tables(), st.integers(0, 99))
def test_leaving_out_the_common_end_changes_no_fidelity(table, seed):
    rows = rows_of(seed, 4)
    cut = Preparation.of(table, "complex128", core=True).states(rows)
    whole = states(table, rows)
    np.testing.assert_allclose(
        np.abs(cut.conj() @ cut.T) ** 2, np.abs(whole.conj() @ whole.T) ** 2, atol=1e-12
    )


@settings(max_examples=40, deadline=None)
@given(tables(names=REAL), st.integers(0, 99))
def test_real_gates_make_real_states(table, seed):
    rows = rows_of(seed, 3)
    found = prepare(table, rows)
    assert found.dtype == np.float64
    assert_same_states(found, states(table, rows))


@settings(max_examples=10, deadline=None)
@given(tables(), st.integers(0, 99))
def test_single_precision_is_as_good_as_it_can_be(table, seed):
    rows = rows_of(seed, 3)
    found = prepare(table, rows, "complex64")
    assert found.dtype in (np.complex64, np.float32)
    assert_same_states(found, states(table, rows), 1e-4)


def test_an_rx_embedding_with_controlled_nots_is_real_but_for_its_common_end():
    table = table_of(3, [("rx", [0]), ("rx", [1]), ("rx", [2]), ("cx", [0, 1]), ("cx", [1, 2])])
    assert Preparation.of(table, "complex128").state_dtype == np.complex128
    assert Preparation.of(table, "complex128", core=True).state_dtype == np.float64


@pytest.mark.parametrize("n_qubits", [1, 2, 12, 13])
def test_large_and_small_registers_agree_with_the_textbook(n_qubits):
    gates = [(name, [wire]) for wire in range(n_qubits) for name in ("h", "rz", "ry", "rx")]
    gates += [("cx", [wire, wire + 1]) for wire in range(n_qubits - 1)]
    gates += [("ry", [wire]) for wire in range(n_qubits)]
    gates += [("multirz", range(min(n_qubits, 5))), ("u", [n_qubits - 1])]
    table, rows = table_of(n_qubits, gates), rows_of(0, 2)
    assert_same_states(prepare(table, rows), states(table, rows))


def test_every_row_depends_on_itself_alone():
    table = table_of(4, [("h", [0]), ("rx", [1]), ("crz", [0, 1]), ("ryy", [2, 3]), ("u", [3])])
    rows = rows_of(0, 9)
    whole = prepare(table, rows)
    for start, stop in ((0, 1), (3, 7), (8, 9)):
        np.testing.assert_array_equal(prepare(table, rows[start:stop]), whole[start:stop])


def test_a_preparation_travels():
    preparation = Preparation.of(table_of(2, [("rx", [0]), ("crx", [0, 1])]), "complex128")
    rows = rows_of(0, 3)
    again = pickle.loads(pickle.dumps(preparation))
    np.testing.assert_array_equal(again.states(rows), preparation.states(rows))
