"""compiled: loops in machine code, without Python's lock, kept on disk for the next process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit

F = TypeVar("F", bound=Callable[..., Any])

OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}


def compiled(function: F, **options: Any) -> F:
    """Compiles a function by numba when it is first called with arguments of some types.

    Every operation rounds by itself, as IEEE 754 says: where products and sums may be contracted,
    code that was compiled here and code from the disk give different bits. Where no folder can be
    written to, the code is not kept.
    """
    try:
        made: F = njit(cache=True, **OPTIONS, **options)(function)
    except RuntimeError:  # numba found no place for its files
        made = njit(**OPTIONS, **options)(function)
    return made


def inlined(function: F) -> F:
    """As `compiled`, and put into those who call it: short loops gain a tenth by it."""
    return compiled(function, inline="always")
