"""The workers of the parallel device, and when they are worth their while.

A worker needs some seconds to import PennyLane. Until all have, tapes run in the parent, as they
would without any of this.
"""

from __future__ import annotations

import atexit
import os
import warnings
from concurrent.futures import Executor, Future, wait
from typing import Any

from shoal.errors import ShoalError
from shoal.tasks import available_cores, executor

VARIABLE = "SHOAL_EXECUTOR"
HERE = ("processes", "serial", "threads")
WORTH_SECONDS = 15.0
SPENT_SECONDS = 5.0
MOST_ROUNDS = 4

_crews: dict[tuple[int, str, int | None], Crew] = {}


def crew_for(chosen: Any, max_workers: int | None) -> Crew:
    """The workers of an executor: for names, those that all devices of this process share.

    They are as many as cores, or as asked for where that is more; a device may use fewer.
    """
    if chosen is not None and not isinstance(chosen, str):
        return Crew(chosen, max_workers)
    if max_workers is not None and max_workers <= available_cores():
        max_workers = None
    name = chosen or os.environ.get(VARIABLE) or ("processes" if hasattr(os, "fork") else "loky")
    key = (os.getpid(), name, max_workers)
    if key not in _crews:
        _crews[key] = Crew(name, max_workers)
    return _crews[key]


def _load(recipe: bytes) -> int:
    """Runs in a worker: imports PennyLane, builds the base device, tells who did."""
    from shoal.quantum.pennylane.work import build

    build(recipe)
    return os.getpid()


class Crew:
    """Workers of one executor, and which base devices they have loaded.

    Attributes:
        executor: What `shoal.tasks.run` is told.
        width: How many tapes run at once.
    """

    def __init__(self, chosen: Any, max_workers: int | None) -> None:
        """Starts nothing yet.

        Args:
            chosen: A name, or any executor that the engine takes.
            max_workers: As for `shoal.map`.
        """
        self._ours = isinstance(chosen, str) and chosen in HERE
        self.executor = executor(chosen, max_workers=max_workers) if self._ours else chosen
        self.width = max_workers or available_cores()
        if self._ours:
            self.width = getattr(self.executor, "max_workers", self.width)
            atexit.register(self._leave)
        self._loads = isinstance(self.executor, Executor) and chosen != "threads"
        self._spent = 0.0
        self._loaded: set[str] = set()
        self._loading: list[Future[int]] = []
        self._workers: set[int] = set()
        self._rounds = 0
        self._broken = False

    @property
    def alone(self) -> bool:
        """Whether nothing can run but in the parent."""
        return self._broken or self.width == 1

    def ready(self, base: str) -> bool:
        """Whether workers can begin at once with tapes for this base device."""
        return not self._loads or base in self._loaded

    def spend(self, seconds: float) -> None:
        """Counts time for which tapes ran in the parent that could have run in workers."""
        self._spent += seconds

    def prepare(self, base: str, recipe: bytes, seconds_left: float) -> bool:
        """Starts workers when they are worth it; returns at once, True when they are ready.

        That is for a batch which is long itself, or when this process has spent a while on short
        ones. One core stays free for the parent, which works meanwhile: the last worker is
        started when the others are ready.

        Args:
            seconds_left: How long the rest of the batch would take in the parent.
        """
        if self.ready(base):
            return True
        if not self._loading and seconds_left < WORTH_SECONDS and self._spent < SPENT_SECONDS:
            return False
        return self._advance(base, recipe)

    def warm_up(self, base: str, recipe: bytes) -> None:
        """Starts workers and waits until they are ready."""
        while not (self.alone or self.ready(base) or self._advance(base, recipe)):
            wait(self._loading)

    def _advance(self, base: str, recipe: bytes) -> bool:
        """Takes what has ended and begins what comes next, without waiting."""
        if not all(future.done() for future in self._loading):
            return False
        try:
            self._workers.update(future.result() for future in self._loading)
            self._rounds += bool(self._loading)
            self._loading = []
            if len(self._workers) >= self.width or self._rounds >= MOST_ROUNDS:
                self._workers, self._rounds = set(), 0
                self._loaded.add(base)
                return True
            first = max(min(self.width, available_cores() - 1), 1)
            count = self.width if self._rounds else first
            self._loading = [self.executor.submit(_load, recipe) for _ in range(count)]
        except ShoalError as error:
            if not self._ours:
                raise
            self._broken = True
            warnings.warn(
                f"no worker could load {base!r}, so that circuits run in this process: {error}",
                RuntimeWarning,
                stacklevel=2,
            )
        return False

    def _leave(self) -> None:
        """At exit: workers that are still loading are not waited for."""
        if not all(future.done() for future in self._loading):
            self.executor.__exit__(KeyboardInterrupt, None, None)
