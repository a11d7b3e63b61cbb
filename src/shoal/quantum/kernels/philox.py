"""Uniform random numbers keyed by a place: the same for every tile, worker and order.

The generator is Philox 4x32-10 of J. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3"
(SC 2011): a function of a key and a counter, and nothing to advance or to share.
"""

from __future__ import annotations

import numpy as np

from shoal.quantum.kernels.compiling import compiled

LOW = np.uint64(0xFFFFFFFF)
WORD = np.uint64(32)
FIRST = np.uint64(0xD2511F53)
SECOND = np.uint64(0xCD9E8D57)
FIRST_STEP = np.uint64(0x9E3779B9)
SECOND_STEP = np.uint64(0xBB67AE85)
MANTISSA_SHIFT = np.uint64(11)
UNIT = 2.0**-53


def key_words(seed: int | np.random.SeedSequence) -> np.ndarray:
    """The two 32-bit words of the generator's key that a seed stands for, as uint64."""
    if not isinstance(seed, np.random.SeedSequence):
        seed = np.random.SeedSequence(seed)
    return seed.generate_state(2, np.uint32).astype(np.uint64)


@compiled
def philox(
    key: np.ndarray, c0: int, c1: int, c2: int, c3: int
) -> tuple[np.uint64, np.uint64, np.uint64, np.uint64]:
    """Four random words of 32 bits, in uint64, for a counter of four such words."""
    x0, x1 = np.uint64(c0) & LOW, np.uint64(c1) & LOW
    x2, x3 = np.uint64(c2) & LOW, np.uint64(c3) & LOW
    k0, k1 = key[0], key[1]
    for _ in range(10):
        one, two = FIRST * x0, SECOND * x2
        x0, x2 = (two >> WORD) ^ x1 ^ k0, (one >> WORD) ^ x3 ^ k1
        x1, x3 = two & LOW, one & LOW
        k0, k1 = (k0 + FIRST_STEP) & LOW, (k1 + SECOND_STEP) & LOW
    return x0, x1, x2, x3


@compiled
def two_uniforms(key: np.ndarray, i: int, j: int, attempt: int, kind: int) -> tuple[float, float]:
    """Two independent numbers from [0, 1), of 53 bits, for the pair (i, j), each below 2**32."""
    x0, x1, x2, x3 = philox(key, i, j, attempt, kind)
    first = ((x0 << WORD) | x1) >> MANTISSA_SHIFT
    second = ((x2 << WORD) | x3) >> MANTISSA_SHIFT
    return np.float64(first) * UNIT, np.float64(second) * UNIT
