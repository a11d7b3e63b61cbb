"""The lookout: waits for several sockets at once, and can be called away from that."""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
from time import perf_counter
from typing import Any

from shoal.tasks.processes.channel import AWAKE_SECONDS

READABLE, WRITABLE = selectors.EVENT_READ, selectors.EVENT_WRITE


class Lookout:
    """A selector whose wait any thread can end."""

    def __init__(self) -> None:
        """Watches nothing yet."""
        self._selector = selectors.DefaultSelector()
        self._bell, self._rope = socket.socketpair()
        for end in (self._bell, self._rope):
            end.setblocking(False)
        self._selector.register(self._bell, READABLE, None)

    def watch(self, end: socket.socket, source: Any, *, writable: bool = False) -> None:
        """Watches a socket for something to read, and for room to write where asked."""
        wanted = READABLE | (WRITABLE if writable else 0)
        key = self._selector.get_map().get(end.fileno())
        if key is None:
            self._selector.register(end, wanted, source)
        elif key.events != wanted:
            self._selector.modify(end, wanted, source)

    def leave(self, end: socket.socket) -> None:
        """Watches a socket no longer; it must still be open."""
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(end)

    def wait(self, seconds: float | None, *, awake: bool = False) -> list[tuple[Any, int]]:
        """Sources with something to do, and what; empty after so many seconds or a ring.

        Args:
            awake: Look for a short time without sleeping: to be woken can take longer than work.
        """
        ready = []
        found = self._look(seconds) if awake else []
        for key, mask in found or self._selector.select(seconds):
            if key.data is None:
                with contextlib.suppress(BlockingIOError):
                    self._bell.recv(4096)
            else:
                ready.append((key.data, mask))
        return ready

    def _look(self, seconds: float | None) -> list[Any]:
        end = perf_counter() + min(AWAKE_SECONDS, AWAKE_SECONDS if seconds is None else seconds)
        while perf_counter() < end:
            if ready := self._selector.select(0):
                return ready
            os.sched_yield()
        return []

    def ring(self) -> None:
        """Ends the wait that is going on, or the next."""
        with contextlib.suppress(OSError):  # full, so it rings anyway; or closed
            self._rope.send(b"!")

    def close(self) -> None:
        """Watches nothing any more."""
        self._selector.close()
        self._bell.close()
        self._rope.close()
