"""Waiting for a job to change, without asking the store again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from shoal.serverless.store import Store


class News:
    """Tells that a job may have changed since one began to listen, or since one last heard."""

    def __init__(self, closing: Callable[[], bool]) -> None:
        self._happened = asyncio.Event()
        self._closing = closing

    async def wait(self, seconds: float) -> bool:
        """Waits for a change, at most so long; True if there was one."""
        try:
            async with asyncio.timeout(0 if self._closing() else seconds):
                await self._happened.wait()
        except TimeoutError:
            return False
        self._happened.clear()
        return True

    def tell(self) -> None:
        """There is a change."""
        self._happened.set()


class Following:
    """Hands on what the store tells of, from its writing thread to those who wait.

    Attributes:
        closing: Whether nobody is to wait any more, because the gateway leaves.
    """

    def __init__(self, store: Store, changed: Callable[[frozenset[str]], None]) -> None:
        """Listens from now on.

        Args:
            store: What changes.
            changed: Called in the event loop with the ids of jobs that may have changed.
        """
        self._loop = asyncio.get_running_loop()
        self._listeners: dict[str, set[News]] = {}
        self._changed = changed
        self.closing = False
        self._end = store.follow(self._hear)

    @contextmanager
    def of(self, job_id: str) -> Iterator[News]:
        """News of a job, from here on; look at the job after entering, and again after news."""
        news = News(lambda: self.closing)
        self._listeners.setdefault(job_id, set()).add(news)
        try:
            yield news
        finally:
            listeners = self._listeners[job_id]
            listeners.discard(news)
            if not listeners:
                del self._listeners[job_id]

    def close(self) -> None:
        """Has everybody who waits go on at once, from now on."""
        self._end()
        self.closing = True
        for listeners in self._listeners.values():
            for news in listeners:
                news.tell()

    def _hear(self, changed: frozenset[str]) -> None:
        self._loop.call_soon_threadsafe(self._tell, changed)

    def _tell(self, changed: frozenset[str]) -> None:
        self._changed(changed)
        for job_id in changed & self._listeners.keys():
            for news in self._listeners[job_id]:
                news.tell()
