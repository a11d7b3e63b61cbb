"""Shared memory without names: what one process writes once, others map.

A region lives in a memfd (elsewhere an unlinked temporary file) and travels as a file descriptor.
It needs no clean-up: the last process to let go of it, or to die, frees it.
"""

from __future__ import annotations

import math
import mmap
import operator
import os
import tempfile
import weakref
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

SHARED_BYTES = 1 << 20


def new_region(size: int, name: str) -> int:
    """A descriptor of `size` zeroed bytes that processes can share."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create(f"shoal-{name}")
    else:
        descriptor, path = tempfile.mkstemp(prefix=f"shoal-{name}")
        os.unlink(path)
    try:
        os.ftruncate(descriptor, size)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def region_with(data: memoryview, name: str) -> int:
    """A descriptor of a region that holds `data`, a contiguous buffer of bytes."""
    descriptor = new_region(data.nbytes, name)
    try:
        rest = data
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def map_words(descriptor: int, words: int) -> memoryview:
    """A region as `words` signed 64-bit integers, shared and writable."""
    return memoryview(mmap.mmap(descriptor, words * 8)).cast("q")


def map_writable(descriptor: int, size: int) -> memoryview:
    """A region as bytes that all who map it see change."""
    return memoryview(mmap.mmap(descriptor, size))


def map_read_only(descriptor: int, size: int) -> memoryview:
    """A region as bytes that cannot be written to; closes the descriptor."""
    populate = getattr(mmap, "MAP_POPULATE", 0)
    try:
        mapped = mmap.mmap(descriptor, size, flags=mmap.MAP_SHARED | populate, prot=mmap.PROT_READ)
    finally:
        os.close(descriptor)
    return memoryview(mapped)


_descriptors: dict[int, int] = {}


def shared_array(shape: Any, dtype: Any = "float64") -> np.ndarray:
    """An array that worker processes can write into, for `shoal.map` with ``out=``.

    Args:
        shape: Its shape, an integer or several; the first axis is the task's index.
        dtype: A dtype without Python objects.

    Returns:
        An array of zeros in shared memory, which is freed with it.

    Raises:
        TypeError: If the dtype holds Python objects.
        ValueError: If a size is negative.
        OSError: If there is not enough memory.

    Example:
        >>> import shoal
        >>> from shoal.tasks import shared_array
        >>> shoal.map(float, ["1.5", "2.5"], out=shared_array(2))
        array([1.5, 2.5])
    """
    import numpy as np

    kind = np.dtype(dtype)
    if kind.hasobject:
        raise TypeError(f"dtype={kind}: Python objects cannot be shared between processes")
    sizes = tuple(map(operator.index, [shape] if hasattr(shape, "__index__") else shape))
    if any(size < 0 for size in sizes):
        raise ValueError(f"shape={shape}: expected sizes from 0")
    size = max(math.prod(sizes) * kind.itemsize, 1)
    descriptor = new_region(size, "out")
    array = np.ndarray(sizes, kind, buffer=map_writable(descriptor, size))
    _descriptors[id(array)] = descriptor
    weakref.finalize(array, _release, id(array))
    return array


def _release(key: int) -> None:
    os.close(_descriptors.pop(key))


def descriptor_of(array: np.ndarray) -> int | None:
    """The shared memory behind an array of `shared_array`; None for any other array."""
    return _descriptors.get(id(array))
