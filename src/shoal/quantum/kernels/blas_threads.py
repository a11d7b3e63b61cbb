"""one_thread: BLAS with one thread, from whichever thread of the process that is asked for."""

from __future__ import annotations

import threading
from functools import lru_cache
from importlib import import_module
from typing import Any


class OneThread:
    """BLAS with one thread in this process, as long as anybody is in here.

    The number of threads is the whole process's, so the first one in sets it and the last one out
    sets it back: calls in several threads may overlap.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._limit: Any = None

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                _may_be_set_here()
                self._limit = _controller().limit(limits=1, user_api="blas")
            self._inside += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                _may_be_set_here()
                self._limit.restore_original_limits()
                _may_be_set_here()


_shared = OneThread()


def one_thread() -> OneThread:
    """A context in which BLAS has one thread: a tile is a thread's own."""
    import_module("scipy.linalg.cython_blas")  # its BLAS must be there to be limited
    return _shared


@lru_cache(maxsize=1)
def _controller() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def _may_be_set_here() -> None:
    """Has OpenBLAS obey this thread.

    From threadpoolctl 3.8 on, it obeys the first thread that has set a number, until that one is
    done, and says nothing to all others. Calls of ours come from several threads and overlap.
    """
    for library in _controller().lib_controllers:
        if hasattr(library, "clear_controlling_thread"):
            library.clear_controlling_thread(force=True)
