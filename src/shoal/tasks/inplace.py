"""Results written in place: into an array of the caller's, where they belong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from shoal.tasks.indexed import NotWritten

if TYPE_CHECKING:
    import numpy as np

PLAIN = (float, int, complex, bool)


def check_out(out: Any) -> None:
    """Raises TypeError or ValueError for what results cannot be written into."""
    import numpy as np

    if not isinstance(out, np.ndarray):
        raise TypeError(f"out={type(out).__name__}: expected a numpy array")
    if out.ndim == 0 or not out.flags.writeable:
        raise ValueError("out: expected a writable array with the tasks along its first axis")


def write(out: np.ndarray, index: int, value: Any, *, exactly: bool = False) -> None:
    """``out[index] = value``, where that loses nothing of the value's kind.

    A structured array takes a tuple, or a mapping of its names, with one value for each field; a
    named tuple by its names.

    Args:
        exactly: Whether to take values of the array's own dtype only, and nothing that is more
            than a number or an array, such as an array with a mask or with labels.

    Raises:
        TypeError: If the value is of a higher kind than the array, such as complex for float.
        ValueError: If the shapes differ.
        OverflowError: If an integer is out of the array's range.
        IndexError: If there are more tasks than rows.
    """
    import numpy as np

    if out.dtype.names is not None and isinstance(value, tuple | list | Mapping):
        _write_fields(out, index, value, exactly=exactly)
        return
    given = np.asarray(value)
    if exactly and not (given.dtype == out.dtype and _is_plain(value)):
        raise TypeError(f"a {type(value).__name__} is not taken as it is by out of {out.dtype}")
    integers = given.dtype.kind in "biu" and out.dtype.kind in "iu"
    if not integers and not np.can_cast(given.dtype, out.dtype, "same_kind"):
        raise TypeError(f"a result of dtype {given.dtype} does not fit into out of {out.dtype}")
    if given.shape != out.shape[1:]:
        raise ValueError(f"a result of shape {given.shape} does not fit into {out.shape[1:]}")
    if integers and not np.array_equal(given.astype(out.dtype), given):
        raise OverflowError(f"a result is out of the range of out of {out.dtype}: {given}")
    out[index] = given


def _is_plain(value: Any) -> bool:
    """Whether nothing but numbers is in it."""
    import numpy as np

    return type(value) in (np.ndarray, *PLAIN) or isinstance(value, np.generic)


def _write_fields(out: np.ndarray, index: int, values: Any, *, exactly: bool) -> None:
    names = out.dtype.names or ()
    if not isinstance(values, Mapping):
        own = getattr(values, "_fields", names)
        if len(values) != len(names):
            raise ValueError(f"{len(values)} results do not fit into the fields {names}")
        values = dict(zip(own, values, strict=True))
    if set(values) != set(names):
        raise ValueError(f"results named {sorted(values)} do not fit into the fields {names}")
    for name in names:
        write(out[name], index, values[name], exactly=exactly)


def written_or_kept(out: np.ndarray, index: int, value: Any) -> NotWritten | None:
    """Writes the value if it fits exactly; returns None then, and it in a `NotWritten` else."""
    try:
        write(out, index, value, exactly=True)
    except (TypeError, ValueError, OverflowError, IndexError):
        return NotWritten(value)
    return None


def writing(
    out: np.ndarray, call: Callable[[tuple[int, Any]], Any], *, strict: bool = True
) -> Callable[[tuple[int, Any]], Any]:
    """`call`, which takes (index, item), changed to write its result into ``out[index]``.

    Args:
        strict: Whether a result that does not fit is an error of its task; else it is returned.
    """

    def call_and_write(numbered: tuple[int, Any]) -> None:
        write(out, numbered[0], call(numbered))

    def call_and_write_or_keep(numbered: tuple[int, Any]) -> NotWritten | None:
        return written_or_kept(out, numbered[0], call(numbered))

    return call_and_write if strict else call_and_write_or_keep
