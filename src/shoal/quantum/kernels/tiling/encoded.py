"""Encoded blocks of rows, each made once for all tiles of a process, as long as they fit."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

Key = tuple[str, int]


class _Entry:
    """A block that is encoded, or being encoded."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.value: Any = None
        self.error: BaseException | None = None


class EncodedBlocks:
    """The blocks used last; safe for several threads, and empty again after pickling."""

    def __init__(self, encode: Callable[[Key], Any], most: int) -> None:
        """Keeps at most `most` blocks, from 2; more while they are in use."""
        self._encode = encode
        self._most = most
        self._forget()

    def _forget(self) -> None:
        self._lock = threading.Lock()
        self._entries: OrderedDict[Key, _Entry] = OrderedDict()

    def __getstate__(self) -> tuple[Any, int]:
        return self._encode, self._most

    def __setstate__(self, state: tuple[Any, int]) -> None:
        self._encode, self._most = state
        self._forget()

    def get(self, keys: Sequence[Key]) -> tuple[list[Any], list[Key], float]:
        """The blocks, which of them were encoded here, and the seconds spent on that.

        What nobody has begun is encoded here first; then what others have begun is waited for.
        """
        entries, mine = self._claim(keys)
        started = time.perf_counter()
        try:
            for key, entry in mine:
                entry.value = self._encode(key)
                entry.done.set()
        except BaseException as error:
            self._give_up(mine, error)
            raise
        seconds = time.perf_counter() - started if mine else 0.0
        for entry in entries:
            entry.done.wait()
            if entry.error is not None:
                raise entry.error
        return [entry.value for entry in entries], [key for key, _ in mine], seconds

    def _give_up(self, mine: Sequence[tuple[Key, _Entry]], error: BaseException) -> None:
        """Tells those who wait for blocks of ours, and has the next one try again."""
        with self._lock:
            for key, entry in mine:
                if not entry.done.is_set():
                    entry.error = error
                    entry.done.set()
                    if self._entries.get(key) is entry:
                        del self._entries[key]

    def _claim(self, keys: Sequence[Key]) -> tuple[list[_Entry], list[tuple[Key, _Entry]]]:
        entries, mine = [], []
        with self._lock:
            for key in keys:
                entry = self._entries.get(key)
                if entry is None:
                    entry = self._entries[key] = _Entry()
                    mine.append((key, entry))
                self._entries.move_to_end(key)
                entries.append(entry)
            while len(self._entries) > max(self._most, len(set(keys))):
                self._entries.popitem(last=False)
        return entries, mine
