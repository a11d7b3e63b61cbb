"""Results written in place: into an array of the caller's, where they belong."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


def check_out(out: Any) -> None:
    """Raises TypeError or ValueError for what results cannot be written into."""
    import numpy as np

    if not isinstance(out, np.ndarray):
        raise TypeError(f"out={type(out).__name__}: expected a numpy array")
    if out.ndim == 0 or not out.flags.writeable:
        raise ValueError("out: expected a writable array with the tasks along its first axis")


def write(out: np.ndarray, index: int, value: Any) -> None:
    """``out[index] = value``, where that loses nothing of the value's kind.

    Raises:
        TypeError: If the value is of a higher kind than the array, such as complex for float.
        ValueError: If the shapes differ.
        OverflowError: If an integer is out of the array's range.
        IndexError: If there are more tasks than rows.
    """
    import numpy as np

    given = np.asarray(value)
    integers = given.dtype.kind in "biu" and out.dtype.kind in "iu"
    if not integers and not np.can_cast(given.dtype, out.dtype, "same_kind"):
        raise TypeError(f"a result of dtype {given.dtype} does not fit into out of {out.dtype}")
    if given.shape != out.shape[1:]:
        raise ValueError(f"a result of shape {given.shape} does not fit into {out.shape[1:]}")
    if integers and not np.array_equal(given.astype(out.dtype), given):
        raise OverflowError(f"a result is out of the range of out of {out.dtype}: {given}")
    out[index] = given


def writing(
    out: np.ndarray, call: Callable[[tuple[int, Any]], Any]
) -> Callable[[tuple[int, Any]], None]:
    """`call`, which takes (index, item), changed to write its result into ``out[index]``."""

    def call_and_write(numbered: tuple[int, Any]) -> None:
        write(out, numbered[0], call(numbered))

    return call_and_write
