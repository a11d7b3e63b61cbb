from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.quantum.kernels.chains.transfer import LANES, fidelities, pack


def chains(seed, bonds, n_rows, scale=1.0):
    rng = np.random.default_rng(seed)
    sites = []
    for left, right in pairwise(bonds):
        shape = (2, left, 2, right, n_rows)
        real, imag = rng.normal(size=shape) * scale / np.sqrt(4 * left * right) ** 0.5
        sites.append(real + 1j * imag)
    return sites


def by_einsum(left, right):
    carried = np.ones((1, 1, left[0].shape[3], right[0].shape[3]))
    for a, b in zip(left, right, strict=True):
        half = np.einsum("abij,bsdj->asdij", carried, b)
        carried = np.einsum("asci,asdij->cdij", a.conj(), half)
    return np.abs(carried[0, 0]) ** 2


@settings(max_examples=25, deadline=None)
@given(
    bonds=st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), max_size=18),
    rows=st.integers(1, LANES + 3),
    columns=st.integers(1, 2 * LANES + 2),
    seed=st.integers(0, 100),
)
def test_fidelities_are_those_of_the_plain_contraction(bonds, rows, columns, seed):
    of_left, of_right = ([1, *(pair[k] for pair in bonds), 1] for k in range(2))
    left, right = chains(seed, of_left, rows), chains(seed + 1, of_right, columns)
    got = fidelities(pack(left, rows), pack(right, columns))
    assert np.allclose(got, by_einsum(left, right), rtol=1e-11, atol=0)


def test_a_block_with_itself_is_exactly_symmetric():
    packed = pack(chains(0, [1, 3, 2, 1], LANES + 9), LANES + 9)
    got = fidelities(packed, packed)
    assert np.array_equal(got, got.T)


def test_an_entry_has_the_same_bits_whatever_else_is_in_the_blocks():
    sites = chains(1, [1, 2, 4, 2, 1], 150)
    packed = pack(sites, 150)
    whole = fidelities(packed, packed)
    for rows, columns in ((slice(0, 7), slice(40, 150)), (slice(9, 140), slice(141, 142))):
        left, right = (
            pack([site[..., part] for site in sites], part.stop - part.start)
            for part in (rows, columns)
        )
        assert np.array_equal(fidelities(left, right), whole[rows, columns])


def test_a_tensor_that_is_the_same_for_all_samples_is_given_once():
    left = chains(2, [1, 2, 1], 5)
    once = [left[0][..., :1], left[1]]
    spread = [np.repeat(once[0], 5, axis=3), left[1]]
    assert np.array_equal(
        fidelities(pack(once, 5), pack(once, 5)), fidelities(pack(spread, 5), pack(spread, 5))
    )


@pytest.mark.parametrize("scale", [1e-3, 0.5])
def test_overlaps_too_small_for_a_number_are_zero_and_not_wrong(scale):
    sites = chains(3, [1] * 2001, 4, scale)
    got = fidelities(pack(sites, 4), pack(sites, 4))
    assert np.array_equal(got, np.zeros((4, 4)))
