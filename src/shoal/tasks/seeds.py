"""Random streams keyed by the task's index, so that no schedule can change them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


def check_seed(seed: Any) -> Any:
    """Returns `seed` as a `SeedSequence`, or None; raises at the door for anything else.

    Raises:
        TypeError: If it is not an int, a sequence of ints or a `numpy.random.SeedSequence`.
        ValueError: If it is negative.
    """
    if seed is None:
        return None
    import numpy as np

    if isinstance(seed, np.random.SeedSequence):
        return seed
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer, Sequence, np.ndarray)):
        raise TypeError(f"seed={seed!r}: expected an int, a sequence of ints or a SeedSequence")
    if isinstance(seed, str | bytes):
        raise TypeError(f"seed={seed!r}: expected an int, a sequence of ints or a SeedSequence")
    try:
        return np.random.SeedSequence(seed)
    except (TypeError, ValueError) as error:
        raise type(error)(f"seed={seed!r}: {error}") from None


def generator(seed: np.random.SeedSequence, index: int) -> np.random.Generator:
    """The generator of task `index`: the one `default_rng(seed.spawn(n)[index])` would give.

    Args:
        seed: Root of the streams. Children spawned from it before do not matter.
        index: The task's position in the input, from 0.

    Returns:
        A fresh `numpy.random.Generator` (PCG64), the same for every worker, batch and attempt.
        Streams of different indices are independent; see the `spawn_key` of
        `numpy.random.SeedSequence`.
    """
    import numpy as np

    child = np.random.SeedSequence(
        entropy=seed.entropy,
        spawn_key=(*seed.spawn_key, index),
        pool_size=seed.pool_size,
    )
    return np.random.default_rng(child)
