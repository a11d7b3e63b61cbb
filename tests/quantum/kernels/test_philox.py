import numpy as np
import pytest

from shoal.quantum.kernels.philox import key_words, philox, two_uniforms

ONES = 0xFFFFFFFF


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((ONES,) * 4, (ONES,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_the_words_are_those_published_with_the_generator(counter, key, words):
    assert philox(np.array(key, np.uint64), *counter) == words


def test_uniforms_fill_the_unit_interval_evenly_and_differ_by_place():
    key = key_words(7)
    drawn = np.array([two_uniforms(key, i, j, 0, 1) for i in range(60) for j in range(60)])
    assert drawn.min() >= 0
    assert drawn.max() < 1
    assert len(np.unique(drawn)) == drawn.size
    assert np.allclose(np.histogram(drawn, 10, (0, 1))[0] / drawn.size, 0.1, atol=0.02)


def test_the_key_follows_from_the_seed_alone():
    assert np.array_equal(key_words(3), key_words(np.random.SeedSequence(3)))
    assert not np.array_equal(key_words(3), key_words(4))
