from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from shoal.quantum.kernels.shots import binomial

EXACT = np.random.default_rng(0).random((40, 40))
EXACT = (EXACT + EXACT.T) / 2


def counts(probability, shots, size=200, seed=0):
    values = np.full((size, size), probability)
    return np.rint(binomial(values, shots, seed, symmetric=False) * shots).ravel()


@pytest.mark.parametrize("shots", [1, 7, 20, 100, 1024, 100_000])
@pytest.mark.parametrize("probability", [1e-3, 0.05, 0.3, 0.5, 0.62, 0.98])
def test_counts_have_the_binomial_distribution(probability, shots):
    got = counts(probability, shots)
    low, high = stats.binom.ppf([1e-4, 1 - 1e-4], shots, probability)
    edges = np.unique(np.linspace(low - 0.5, high + 0.5, 25).round() - 0.5)
    edges = np.concatenate([[-np.inf], edges, [np.inf]])
    expected = np.diff(stats.binom.cdf(edges, shots, probability)) * got.size
    observed = np.histogram(got, edges)[0]
    merged = _merged(observed, expected)
    if len(merged[0]) > 1:
        assert stats.chisquare(*merged).pvalue > 1e-4


def _merged(observed, expected):
    """Neighbouring cells put together until each expects ten or more."""
    cells, last = [], [0.0, 0.0]
    for o, e in zip(observed, expected, strict=True):
        last = [last[0] + o, last[1] + e]
        if last[1] >= 10:
            cells.append(last)
            last = [0.0, 0.0]
    if cells:
        cells[-1] = [cells[-1][0] + last[0], cells[-1][1] + last[1]]
    observed, expected = np.array(cells).reshape(-1, 2).T
    return observed, expected * observed.sum() / max(expected.sum(), 1)


def test_so_many_shots_as_nobody_takes_still_have_the_right_mean_and_spread():
    shots, probability = 10**12, 0.3
    got = (counts(probability, shots) / shots - probability) / np.sqrt(0.21 / shots)
    assert abs(got.mean()) < 5 / np.sqrt(got.size)
    assert abs(got.std() - 1) < 0.02


def test_neighbouring_pairs_and_seeds_are_independent():
    values = np.full((200, 200), 0.4)
    one, two = (binomial(values, 100, seed, symmetric=False) for seed in (1, 2))
    for a, b in ((one, two), (one[1:], one[:-1]), (one[:, 1:], one[:, :-1]), (one, one.T)):
        different = ~np.eye(*a.shape, dtype=bool)
        assert abs(np.corrcoef(a[different], b[different])[0, 1]) < 0.03


def test_a_symmetric_matrix_stays_symmetric_and_its_diagonal_one():
    values = EXACT.copy()
    np.fill_diagonal(values, 1.0 + 2e-16)
    got = binomial(values, 100, 5, symmetric=True)
    assert np.array_equal(got, got.T)
    assert np.array_equal(np.diag(got), np.ones(len(got)))


@settings(max_examples=30, deadline=None)
@given(
    rows=st.lists(st.integers(0, 40), max_size=4),
    cols=st.lists(st.integers(0, 40), max_size=4),
    symmetric=st.booleans(),
)
def test_any_tiling_draws_the_same(rows, cols, symmetric):
    whole = binomial(EXACT, 64, 9, symmetric=symmetric)
    rows, cols = sorted({0, 40, *rows}), sorted({0, 40, *cols})
    for top, bottom in pairwise(rows):
        for left, right in pairwise(cols):
            tile = EXACT[top:bottom, left:right]
            drawn = binomial(tile, 64, 9, top, left, symmetric=symmetric)
            assert np.array_equal(drawn, whole[top:bottom, left:right])


def test_training_and_test_matrices_of_one_seed_do_not_share_their_noise():
    values = np.full((100, 100), 0.5)
    one = binomial(values, 100, 3, symmetric=True)
    two = binomial(values, 100, 3, symmetric=False)
    upper = np.triu_indices(100)
    assert abs(np.corrcoef(one[upper], two[upper])[0, 1]) < 0.05


def test_certain_values_are_certain_and_nan_stays_nan():
    values = np.array([[0.0, 1.0, -1e-17, 1 + 1e-15, np.nan]])
    got = binomial(values, 10, 0, symmetric=False)
    assert np.array_equal(got, [[0, 1, 0, 1, np.nan]], equal_nan=True)
