"""The seat: which thread serves, of those that wait for something and one kept for when none does.

A thread that waits for an answer serves while it waits, if the seat is free. That saves two
switches of threads for each answer. The seat's own thread takes over whenever work is left and
nobody waits.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from time import monotonic
from typing import Protocol


class ServeOnce(Protocol):
    """What a `Seat` calls again and again."""

    def __call__(self, seconds: float | None, *, awake: bool) -> None:
        """Waits for something to happen, at most so many seconds, and sees to it."""


class Seat:
    """Lets one thread at a time serve."""

    def __init__(self, serve_once: ServeOnce, in_use: Callable[[], bool]) -> None:
        """Starts nothing yet.

        Args:
            serve_once: Waits for something to happen, at most so many seconds, and sees to it;
                ``awake`` when a thread serves that has nothing else to do.
            in_use: Whether there is anything left to serve.
        """
        self._serve_once = serve_once
        self._in_use = in_use
        self._sitting: dict[int, bool] = {}  # the thread in the seat, by its number; or nobody
        self._choosing = threading.Lock()
        self._calls: SimpleQueue[bool] = SimpleQueue()
        self._thread: threading.Thread | None = None

    @property
    def has_thread(self) -> bool:
        """Whether the seat's own thread was started."""
        return self._thread is not None

    def start(self) -> None:
        """Starts the seat's own thread; may be repeated."""
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._stand_by, name="shoal-supervisor", daemon=True
            )
            self._thread.start()

    def call(self) -> None:
        """Has the seat's own thread serve, unless another thread does."""
        self._calls.put(True)

    def end(self) -> None:
        """Ends the seat's own thread, when it next looks."""
        self._calls.put(False)

    def join(self) -> None:
        """Waits for the end of the seat's own thread."""
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def attend(
        self, done: Callable[[], bool], seconds: float | None = None, *, awake: bool = True
    ) -> None:
        """Serves in the caller's thread until `done`; returns at once if another thread serves.

        A callback that is served may wait for an answer too, and then serves in its turn.

        Args:
            seconds: Return after this time at the latest; None: no limit.
            awake: Serve without sleeping at once; not where other threads here have work.
        """
        end = None if seconds is None else monotonic() + seconds

        def over() -> bool:
            return done() or (end is not None and monotonic() >= end)

        me = threading.get_ident()
        if me in self._sitting:
            self._serve_until(over, end, awake)
            return
        sat = False
        try:
            sat = self._sit_down(me)
            if sat:
                self._serve_until(over, end, awake)
        finally:
            self._sitting.pop(me, None)  # one step: Ctrl-C cannot come between
            if sat and self._in_use():
                self.call()  # whoever found the seat taken counts on being served

    def _sit_down(self, me: int) -> bool:
        with self._choosing:
            if self._sitting:
                return False
            self._sitting[me] = True
            return True

    def _serve_until(self, over: Callable[[], bool], end: float | None, awake: bool) -> None:
        while not over() and self._in_use():
            seconds = None if end is None else max(end - monotonic(), 0.0)
            self._serve_once(seconds, awake=awake)

    def _stand_by(self) -> None:
        while self._calls.get():
            self.attend(lambda: False, awake=False)
