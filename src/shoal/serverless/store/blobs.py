"""Bytes too large for the database, as files named by their hash, durable before any row is."""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from shoal.serverless.errors import NotFound, StoreFull
from shoal.serverless.models import Payload

INLINE_BYTES = 64 * 1024
_CHUNK = 1 << 20


class Blobs:
    """A folder of immutable files. What no row refers to is removed by `sweep`, in time."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._unfinished = directory / "unfinished"
        self._unfinished.mkdir(parents=True, exist_ok=True, mode=0o700)

    def path(self, sha256: str) -> Path:
        """Where a blob is, whether it is there or not."""
        return self._directory / sha256[:2] / sha256

    def add(self, chunks: Iterable[bytes]) -> tuple[str, int]:
        """Keeps bytes; returns their hash and number once they are on the disk.

        Raises:
            StoreFull: If the disk does not take them.
            Exception: Whatever the chunks raise; nothing is kept then.
        """
        unfinished = self._unfinished / secrets.token_hex(16)
        hashed, size = hashlib.sha256(), 0
        try:
            with unfinished.open("xb", buffering=0) as target:
                for chunk in chunks:
                    hashed.update(chunk)
                    size += len(chunk)
                    _write(target.fileno(), chunk)
                with self._locked(fcntl.LOCK_SH):
                    self._place(unfinished, target.fileno(), self.path(hashed.hexdigest()))
        except OSError as error:
            raise StoreFull(f"{size} bytes were not kept: {error}") from error
        finally:
            unfinished.unlink(missing_ok=True)
        return hashed.hexdigest(), size

    def open(self, sha256: str) -> int:
        """A descriptor for reading a blob; raises NotFound if it is gone."""
        try:
            return os.open(self.path(sha256), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise NotFound(f"blob {sha256} is not there") from error

    def pack(self, text: str) -> Payload:
        """Text as it is kept: in the database if it is short, else as a blob, now durable.

        Raises:
            UnicodeEncodeError: For lone surrogates, which no UTF-8 can hold.
        """
        data = text.encode()
        if len(data) <= INLINE_BYTES:
            return Payload(text, None, len(data))
        sha256, size = self.add(data[at : at + _CHUNK] for at in range(0, len(data), _CHUNK))
        return Payload(None, sha256, size)

    def unpack(self, payload: Payload) -> str:
        """The text that was packed."""
        if payload.sha256 is None:
            return payload.text or ""
        with os.fdopen(self.open(payload.sha256), "rb") as source:
            return source.read().decode()

    def sweep(
        self, used: Callable[[Collection[str]], set[str]], *, older_seconds: float = 3600.0
    ) -> int:
        """Removes what nothing refers to and is older than that; returns how many.

        Args:
            used: Which of these hashes something refers to.
            older_seconds: Younger blobs may belong to a row that is about to be written.
        """
        before, removed = time.time() - older_seconds, 0
        with self._locked(fcntl.LOCK_EX):
            for left in self._unfinished.iterdir():
                if left.stat().st_mtime < before:
                    left.unlink()
            for folder in sorted(self._directory.glob("??")):
                old = {each.name for each in folder.iterdir() if each.stat().st_mtime < before}
                for name in old - used(old) if old else ():
                    (folder / name).unlink()
                    removed += 1
        return removed

    def _place(self, unfinished: Path, descriptor: int, target: Path) -> None:
        if target.exists():
            os.utime(target)  # as young as if it had just come, so that no sweep takes it now
            return
        os.fsync(descriptor)
        if not target.parent.exists():
            target.parent.mkdir(exist_ok=True, mode=0o700)
            sync_folder(self._directory)
        unfinished.replace(target)
        sync_folder(target.parent)

    @contextmanager
    def _locked(self, how: int) -> Iterator[None]:
        with (self._directory / "lock").open("a") as lock:
            fcntl.flock(lock, how)
            yield


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def sync_folder(path: Path) -> None:
    """Has the disk know a folder's entries, without which a new file may be gone after a crash."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
