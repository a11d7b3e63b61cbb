import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.quantum.kernels.noise import take_noise
from shoal.quantum.kernels.projected import Projected, features
from shoal.quantum.kernels.tracing import LibraryStates
from tests.quantum.kernels.tables import asked, computed, rows_of, states, table_of, tables
from tests.quantum.kernels.test_noise import depolarising


def expectation_values(table, rows):
    """X, Y and Z of wire 0, of wire 1, and so on, from state vectors."""
    found = []
    for state in states(table, rows):
        own = []
        for wire in range(table.n_qubits):
            low, high = np.moveaxis(state.reshape(-1, 2, 2**wire), 1, 0)
            flip = np.vdot(low, high)
            own += [2 * flip.real, 2 * flip.imag, np.vdot(low, low).real - np.vdot(high, high).real]
        found.append(own)
    return np.array(found)


def gaussian(left, right, gamma):
    return np.exp(-gamma * ((left[:, None] - right[None]) ** 2).sum(2))


@settings(max_examples=40, deadline=None)
@given(table=tables(), seed=st.integers(0, 1000), gamma=st.floats(0.01, 10))
def test_the_kernel_is_a_gaussian_of_expectation_values(table, seed, gamma):
    x, y = rows_of(seed, 4), rows_of(seed + 1, 3)
    left, right = expectation_values(table, x), expectation_values(table, y)
    assert np.allclose(features(table, x), left, rtol=0, atol=1e-12)
    got = computed(Projected(gamma=gamma), table, x, y)
    assert np.allclose(got, gaussian(left, right, gamma), rtol=0, atol=1e-12)


def test_chains_and_states_give_the_same_features():
    n = 12
    joins = [("rxx", (q, q + 1)) for q in range(n - 1)]
    few = table_of(n, [("ry", [q]) for q in range(n)] + joins)
    assert np.allclose(features(few, rows_of(0, 3)), expectation_values(few, rows_of(0, 3)))


def test_a_constant_end_matters():
    bare = table_of(2, [("ry", [0]), ("rx", [1])])
    ended = table_of(2, [("ry", [0]), ("rx", [1]), ("cx", (0, 1))])
    x = rows_of(0, 4)
    assert not np.allclose(computed(Projected(), bare, x), computed(Projected(), ended, x))


def test_a_matrix_of_x_is_symmetric_with_ones_on_the_diagonal():
    table = table_of(4, [("ry", [q]) for q in range(4)] + [("cx", (q, q + 1)) for q in range(3)])
    got = computed(Projected(), table, rows_of(0, 30))
    assert np.array_equal(got, got.T)
    assert np.array_equal(np.diag(got), np.ones(30))


def test_hundreds_of_qubits_are_no_obstacle():
    n = 200
    joins = [("cx", (q, q + 1)) for q in range(n - 1)]
    table = table_of(n, [("ry", [q]) for q in range(n)] + joins)
    found = features(table, rows_of(0, 3))
    assert found.shape == (3, 3 * n)
    z = np.cos(rows_of(0, 3))[:, np.arange(n) % 3]
    assert np.allclose(found[:, 2::3], np.cumprod(z, axis=1), rtol=0, atol=1e-12)


def test_depolarising_noise_shrinks_the_features():
    table = table_of(2, [("ry", [0]), ("rx", [1])])
    x = rows_of(0, 4)
    noise = take_noise(depolarising(0.25))
    assert np.allclose(features(table, x, noise), 0.75 * features(table, x), atol=1e-14)
    assert Projected().plan(asked(table, noise=noise)).symmetric


def test_what_it_cannot_do_is_said():
    everything = [("cp", (a, b)) for a in range(30) for b in range(a)]
    entangled = table_of(30, [("h", [0]), *everything])
    assert Projected().why_not(asked(entangled)) == "30 qubits are too many, and too entangled"
    large = table_of(11, [("rx", [0])])
    assert "11 qubits" in Projected().why_not(asked(large, noise=depolarising(0.1)))
    library = LibraryStates(3, 1, "Aer", "it is strange", np.asarray)
    assert Projected().why_not(asked(library)) is None


@pytest.mark.parametrize("gamma", [0, -1, float("nan"), float("inf"), "wide", None])
def test_a_width_that_is_none_is_refused(gamma):
    with pytest.raises((TypeError, ValueError), match="gamma="):
        Projected(gamma=gamma)


def test_its_estimates_cover_what_it_holds():
    table = table_of(7, [("rx", [q]) for q in range(7)])
    plan = Projected().plan(asked(table))
    assert plan.encode(rows_of(0, 10), "x").nbytes == plan.encoded_bytes(10)
    assert plan.working_bytes(10, 20) > 10 * 2**7
    assert Projected().seconds(asked(table, 10_000, 10_000)) > Projected().seconds(asked(table))
