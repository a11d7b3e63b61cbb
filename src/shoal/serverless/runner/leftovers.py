"""Ends the processes of an attempt whose shim is gone, and which nobody supervises any more."""

from __future__ import annotations

import time
from pathlib import Path

from shoal.serverless.runner.shim import kill, parent_of

MARK = "SHOAL_ATTEMPT"


def end_leftovers(attempt: str, *, seconds: float = 10.0) -> bool:
    """Kills every process that carries the attempt's mark in its environment, until none is left.

    The mark is inherited however a process was started, and unlike a process id it is never
    another's. A process that wipes its environment escapes it.

    Returns:
        Whether none is left; False if some outlived the time.
    """
    end, pause = time.monotonic() + seconds, 0.001
    while found := _marked(attempt):
        for process in found:
            kill(process)
        if time.monotonic() > end:
            return False
        time.sleep(pause)
        pause = min(2 * pause, 0.05)
    return True


def _marked(attempt: str) -> list[tuple[int, int]]:
    """The living processes with the mark, each with when it started."""
    wanted = f"{MARK}={attempt}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        if _carries(entry, wanted):
            known = parent_of(int(entry.name))
            if known is not None:
                found.append((int(entry.name), known[1]))
    return found


def _carries(entry: Path, wanted: bytes) -> bool:
    try:
        return wanted in (entry / "environ").read_bytes().split(b"\0")
    except OSError:
        return False
