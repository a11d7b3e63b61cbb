"""loky's worker processes, as a complete concurrent.futures.Executor."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any

import loky

from shoal.tasks.processes import thread_environment


class LokyExecutor(loky.ProcessPoolExecutor):  # type: ignore[misc]
    """loky's `ProcessPoolExecutor`, which can cancel what has not begun when it shuts down."""

    def __init__(self, max_workers: int, *, threads_per_task: int) -> None:
        """Its workers' numerical libraries use `threads_per_task` threads."""
        super().__init__(max_workers, env=thread_environment(threads_per_task))
        self._handed_out: weakref.WeakSet[Future[Any]] = weakref.WeakSet()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Runs ``fn(*args, **kwargs)`` in a worker."""
        future: Future[Any] = super().submit(partial(fn, *args, **kwargs))
        self._handed_out.add(future)
        return future

    def shutdown(
        self, wait: bool = True, *, cancel_futures: bool = False, kill_workers: bool = False
    ) -> None:
        """Takes no more work; see `concurrent.futures.Executor.shutdown`."""
        if cancel_futures:
            for future in list(self._handed_out):
                future.cancel()
        super().shutdown(wait=wait, kill_workers=kill_workers)
