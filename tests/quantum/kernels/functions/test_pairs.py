import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.quantum.kernels.functions.pairs import Pairs


def rows(count, seed=0):
    return np.random.default_rng(seed).random((count, 2))


@given(n=st.integers(1, 30))
def test_the_pairs_of_x_are_those_with_i_up_to_j_each_once(n):
    pairs = Pairs.of(rows(n), None)
    found = [(each["i"], each["j"]) for each in (pairs[k] for k in range(len(pairs)))]
    assert sorted(found) == [(i, j) for i in range(n) for j in range(i, n)]


@given(n=st.integers(1, 9), m=st.integers(1, 9))
def test_the_pairs_of_x_and_y_go_row_by_row(n, m):
    pairs = Pairs.of(rows(n), rows(m, 1))
    found = [(each["i"], each["j"]) for each in (pairs[k] for k in range(len(pairs)))]
    assert found == [(i, j) for i in range(n) for j in range(m)]


def test_the_numbers_of_far_pairs_are_exact():
    pairs = Pairs((b"",) * 2_000_000, None)
    last = len(pairs) - 1
    assert pairs[last] == {"i": 1_999_999, "j": 1_999_999}
    assert pairs[last - 1_999_999] == {"i": 0, "j": 1_999_999}


@given(
    kept=st.lists(st.integers(0, 7), min_size=1, max_size=8),
    before=st.lists(st.integers(0, 7), min_size=1, max_size=8),
    square=st.booleans(),
)
def test_pairs_of_an_earlier_matrix_are_found_by_their_rows(kept, before, square):
    x = rows(8)
    now = Pairs.of(x[kept], None if square else x[kept[:2]])
    old = Pairs.of(x[before], None if square else x[before[:3]])
    places = now.places(np.arange(len(old)), old)
    for number, place in enumerate(places):
        i, j = old[number]["i"], old[number]["j"]
        both_there = before[i] in kept and before[j] in (kept if square else kept[:2])
        assert (place >= 0) == both_there
        if place >= 0:
            found = now[int(place)]
            ends = [kept[found["i"]], kept[found["j"]]]
            wanted = [before[i], before[j]]
            assert (sorted(ends) == sorted(wanted)) if square else (ends == wanted)


def test_equal_rows_keep_their_own_places():
    x = rows(3)[[0, 0, 1]]
    pairs = Pairs.of(x, None)
    assert pairs.places(np.arange(6), pairs).tolist() == [0, 1, 2, 3, 4, 5]


def test_a_square_matrix_takes_nothing_from_a_rectangular_one():
    square, other = Pairs.of(rows(3), None), Pairs.of(rows(3), rows(3))
    assert (square.places(np.arange(9), other) == -1).all()
    assert (other.places(np.arange(6), square) == -1).all()


@pytest.mark.parametrize("y", [None, rows(4, 1)])
def test_pairs_travel_without_their_digests(y):
    pairs = Pairs.of(rows(2000), y)
    sent = pickle.dumps(pairs)
    assert len(sent) < 10_000
    assert len(pickle.loads(sent)) == len(pairs)
    assert pickle.loads(sent)[17] == pairs[17]
