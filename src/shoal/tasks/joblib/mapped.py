"""Arrays that live in a file: they travel as the place in the file, so that writes arrive there."""

from __future__ import annotations

import mmap
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True)
class Mapped:
    """Where the elements of a `numpy.memmap`, or of a view of one, are.

    Attributes:
        path: The file.
        writable: Whether the array may be written to.
        size_bytes: Bytes of the file that are mapped, from `offset_bytes`.
        offset_bytes: Where they begin in the file.
        first_byte: Where, in them, the array's first element is.
        dtype: Type of the elements.
        shape: Shape of the array.
        strides: Its strides, in bytes.
    """

    path: str
    writable: bool
    size_bytes: int
    offset_bytes: int
    first_byte: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def open(self) -> np.ndarray:
        """The array, mapped from the file."""
        import numpy as np

        whole = np.memmap(
            self.path, "u1", "r+" if self.writable else "r", self.offset_bytes, self.size_bytes
        )
        return np.ndarray(
            self.shape, self.dtype, buffer=whole, offset=self.first_byte, strides=self.strides
        )


def lives_in_file(value: Any) -> bool:
    """Whether this is an array whose elements are in a file that others can map.

    One mapped for private changes (mode ``"c"``) is what it is in this process only.
    """
    numpy = sys.modules.get("numpy")
    if numpy is None or not isinstance(value, numpy.ndarray) or value.dtype.hasobject:
        return False
    root = _root(value, numpy)
    return root is not None and root.filename is not None and root.mode != "c"


def mapped(value: Any) -> Any:
    """Where the array is, for one that lives in a file; anything else as it is."""
    if not lives_in_file(value):
        return value
    root = _root(value, sys.modules["numpy"])
    return Mapped(
        str(root.filename),
        bool(value.flags.writeable),
        root.nbytes,
        root.offset,
        _address(value) - _address(root),
        value.dtype,
        value.shape,
        value.strides,
    )


def opened(value: Any) -> Any:
    """The array again, where `mapped` has put its place; anything else as it is."""
    return value.open() if type(value) is Mapped else value


def _root(array: Any, numpy: Any) -> Any:
    """The memmap that holds the elements of an array, or None."""
    while isinstance(array, numpy.ndarray):
        if isinstance(array, numpy.memmap) and isinstance(array.base, mmap.mmap):
            return array
        array = array.base
    return None


def _address(array: Any) -> int:
    return int(array.__array_interface__["data"][0])
