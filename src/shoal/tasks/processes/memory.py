"""Shared memory without names: what one process writes once, others map.

A region lives in a memfd (elsewhere an unlinked temporary file) and travels as a file descriptor.
It needs no clean-up: the last process to let go of it, or to die, frees it.
"""

from __future__ import annotations

import mmap
import os
import tempfile

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


def map_read_only(descriptor: int, size: int) -> memoryview:
    """A region as bytes that cannot be written to; closes the descriptor."""
    populate = getattr(mmap, "MAP_POPULATE", 0)
    try:
        mapped = mmap.mmap(descriptor, size, flags=mmap.MAP_SHARED | populate, prot=mmap.PROT_READ)
    finally:
        os.close(descriptor)
    return memoryview(mapped)
