"""Blocks of work that fit into memory: how much one needs, and how large one may be."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from shoal.tasks.model import shorten
from shoal.tasks.processes import free_memory_bytes

FREE_SHARE = 4
RESET_PEAK = "5"


def memory_budget(memory_bytes: Any = None) -> int:
    """Bytes that all blocks together may use: as given, else a quarter of what is free now.

    Raises:
        TypeError: If it is not an integer.
        ValueError: If it is below 1.
    """
    if memory_bytes is None:
        return max(free_memory_bytes() // FREE_SHARE, 1)
    whole = isinstance(memory_bytes, float) and memory_bytes.is_integer()
    if isinstance(memory_bytes, bool) or not (whole or hasattr(memory_bytes, "__index__")):
        raise TypeError(f"memory_bytes={shorten(memory_bytes)}: expected an integer")
    if memory_bytes < 1:
        raise ValueError(f"memory_bytes={memory_bytes}: expected at least 1")
    return int(memory_bytes)


@dataclass(slots=True)
class Peak:
    """Memory that a piece of work needed.

    Attributes:
        bytes: Growth of the process at its largest, from 0.
    """

    bytes: int = 0


@contextmanager
def measured_peak() -> Iterator[Peak]:
    """Measures by how much this process grows while the body runs, at most.

    On Linux the kernel's high-water mark is reset first (``clear_refs``, see proc(5)), so that
    earlier peaks do not hide this one; elsewhere growth below an earlier peak is not seen. Memory
    that the process holds already, and uses again, does not count.
    """
    peak = Peak()
    _reset_peak()
    before = _status_bytes("VmRSS")
    try:
        yield peak
    finally:
        peak.bytes = max(_status_bytes("VmHWM") - before, 0)


def _reset_peak() -> None:
    try:
        with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
            file.write(RESET_PEAK)
    except OSError:
        return


def _status_bytes(name: str) -> int:
    """``VmRSS`` (resident now) or ``VmHWM`` (resident at most) of this process."""
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as file:
            found = re.search(rf"^{name}:\s+(\d+) kB$", file.read(), re.MULTILINE)
            return int(found[1]) * 1024 if found else 0
    except OSError:
        return _highest_bytes()


def _highest_bytes() -> int:
    try:
        import resource
    except ImportError:  # Windows
        return 0
    unit = 1 if os.uname().sysname == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def block_size(
    count: int, *, workers: int, item_bytes: float, memory_bytes: int, per_worker: int
) -> int:
    """How many items go into one block, from 1.

    Args:
        count: Items in all.
        workers: Blocks that are worked on at once.
        item_bytes: What one item of a block needs in memory while it is worked on.
        memory_bytes: What all blocks that are worked on at once may need.
        per_worker: Blocks that each worker should get, so that uneven ones even out.
    """
    even = -(-count // (workers * per_worker))
    fitting = int(memory_bytes / (workers * max(item_bytes, 1.0)))
    return max(min(even, fitting), 1)
