"""Appending frames to a locked file, and making them durable without waiting for the disk."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
import threading
import warnings
import weakref
from time import monotonic
from typing import Any

from shoal.errors import CheckpointError, CheckpointNotWritten, CheckpointUnreadable
from shoal.tasks.checkpoints.frames import frame_head

if sys.platform != "win32":
    import fcntl

SYNC_SECONDS = 1.0


class SyncFailed(OSError):
    """The disk did not confirm what was written; which bytes it has is not known.

    Attributes:
        synced_bytes: How much of the file it confirmed before.
    """

    synced_bytes = 0


def open_locked(path: str) -> tuple[int, int]:
    """Opens a file for reading and writing, made if need be, and locks it against other openers.

    The lock belongs to the open file: it ends when the file is closed, or with the process.

    Returns:
        The file's descriptor, and its size in bytes.

    Raises:
        BlockingIOError: If it is locked already.
        CheckpointUnreadable: If it is not a regular file.
        OSError: If it cannot be opened.
    """
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    while True:
        descriptor = os.open(path, flags, 0o666)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise CheckpointUnreadable(f"{path}: not a regular file, so not a checkpoint")
            _lock(descriptor, path)
            if same_file(descriptor, path):
                return descriptor, os.fstat(descriptor).st_size
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # it was replaced between opening and locking


def _lock(descriptor: int, path: str) -> None:
    if sys.platform == "win32":
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError as error:
        warnings.warn(
            f"{path}: cannot be locked on this file system ({error.strerror}); make sure that no "
            "other process writes to it",
            stacklevel=5,
        )


def same_file(descriptor: int, path: str) -> bool:
    """Whether `path` still leads to the open file."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


class Syncer:
    """Makes what was written durable, at most once in `SYNC_SECONDS`, on a thread of its own.

    Attributes:
        synced_bytes: The length up to which the file is known to be on the disk.
        error: Why the disk did not take it, or None. After an error it is not asked again: the
            system forgets what it could not write, and a second answer would mean nothing.
    """

    def __init__(self, descriptor: int, synced_bytes: int) -> None:
        self.synced_bytes = synced_bytes
        self.error: OSError | None = None
        self._descriptor = descriptor
        self._changed = threading.Condition()
        self._end: int | None = None
        self._stopping = False
        self._thread: threading.Thread | None = None

    def wrote(self, end: int) -> None:
        """Notes that the file has changed and ends at `end` now."""
        with self._changed:
            self._end = end
            self._changed.notify()
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._work, name="shoal checkpoint", daemon=True
                )
                self._thread.start()

    def close(self) -> None:
        """Stops the thread, and syncs what it had not come to."""
        self.stop()
        if self._thread is not None:
            self._thread.join()
        if self._end is not None and self.error is None:
            self._sync()

    def stop(self) -> None:
        """Has the thread end soon."""
        with self._changed:
            self._stopping = True
            self._changed.notify()

    def _work(self) -> None:
        earliest = 0.0
        while self.error is None:
            with self._changed:
                self._changed.wait_for(lambda: self._stopping or self._end is not None)
                self._changed.wait_for(lambda: self._stopping, max(earliest - monotonic(), 0))
                if self._stopping:
                    return
            self._sync()
            earliest = monotonic() + SYNC_SECONDS

    def _sync(self) -> None:
        with self._changed:
            end, self._end = self._end, None
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            self.error = error
        else:
            self.synced_bytes = end or 0


class FrameWriter:
    """The end of an open, locked file, where frames are appended.

    Attributes:
        end: Offset after the last whole frame, in bytes.
    """

    def __init__(self, path: str, descriptor: int, end: int) -> None:
        """Takes over the descriptor; `end` is where the last whole frame ends."""
        self.path = path
        self.end = end
        self.descriptor = descriptor
        self._torn = False
        self._foreign = False
        self._lock = threading.Lock()
        self._syncer = Syncer(descriptor, end)
        _writers.add(self)

    @property
    def closed(self) -> bool:
        """Whether the file was closed, here or by a fork."""
        return self.descriptor < 0

    def cut(self, end: int) -> None:
        """Cuts the file back to `end`, the end of its last whole frame."""
        self._torn = True
        os.ftruncate(self.descriptor, end)
        self.end = end
        self._torn = False
        self._syncer.wrote(end)

    def append(self, kind: int, *parts: bytes | memoryview) -> None:
        """Writes one frame; returns when the system has it, before the disk has.

        Raises:
            OSError: If it was not written. The file ends with its last whole frame again, if the
                disk allows even that; else it is cut at the next call.
            SyncFailed: If the disk did not confirm earlier frames.
            CheckpointError: If the file is closed, or was changed by others.
        """
        with self._lock:
            self._check()
            head = frame_head(self.end, kind, parts)
            total = len(head) + sum(map(len, parts))
            self._torn = True
            try:
                os.lseek(self.descriptor, self.end, os.SEEK_SET)
                _write(self.descriptor, [head, *parts], total)
                self.end += total
                self._torn = False
            except BaseException:
                self._cut_quietly()
                raise
            self._syncer.wrote(self.end)

    def _check(self) -> None:
        if self._foreign:
            raise CheckpointError(
                f"{self.path}: opened by the process that this one was forked from, which alone "
                "may write to it"
            )
        if self.closed:
            raise CheckpointError(f"{self.path}: the checkpoint is closed")
        self._check_synced()
        if self._torn:
            self.cut(self.end)
        if not same_file(self.descriptor, self.path):
            raise CheckpointNotWritten(
                f"{self.path}: was removed or replaced while it was open, so nothing more is "
                "written; the same call begins with what is there now"
            )
        if os.fstat(self.descriptor).st_size != self.end:
            raise CheckpointNotWritten(
                f"{self.path}: was changed by another program while it was open, so nothing more "
                "is written; the same call goes on with what is still whole"
            )

    def _check_synced(self) -> None:
        if (error := self._syncer.error) is not None:
            failed = SyncFailed(error.errno, error.strerror)
            failed.synced_bytes = self._syncer.synced_bytes
            raise failed from error

    def _cut_quietly(self) -> None:
        try:
            self.cut(self.end)
        except OSError:  # the error that brought us here is the one to raise
            return

    def sync_directory(self) -> None:
        """Makes the file's name durable, as a new file needs and most file systems can."""
        if sys.platform == "win32":
            return
        try:
            directory = os.open(os.path.dirname(self.path), os.O_RDONLY | os.O_CLOEXEC)
        except PermissionError:  # a directory in which files may be made but not listed
            return
        try:
            os.fsync(directory)
        except OSError as error:
            if error.errno != errno.EINVAL:  # what those answer that cannot
                raise
        finally:
            os.close(directory)

    def close(self) -> None:
        """Waits for the disk and closes the file, which unlocks it; does nothing the second time.

        Raises:
            SyncFailed: If the disk did not confirm what was written.
        """
        if self.closed:
            return
        try:
            self._syncer.close()
        finally:
            self._close_descriptor()
        self._check_synced()

    def close_quietly(self) -> None:
        """Closes the file where another error is on its way already."""
        with contextlib.suppress(OSError):
            self.close()

    def _close_descriptor(self) -> None:
        descriptor, self.descriptor = self.descriptor, -1
        os.close(descriptor)

    def __del__(self, _warn: Any = warnings.warn) -> None:
        if getattr(self, "descriptor", -1) >= 0:
            _warn(f"checkpoint {self.path} was not closed", ResourceWarning, source=self)
            self._syncer.stop()
            self._close_descriptor()

    def _forget(self) -> None:
        """In a forked child: lets go of the file, so that its lock lives as long as the parent."""
        self._foreign = True
        if not self.closed:
            self._close_descriptor()


_writers: weakref.WeakSet[FrameWriter] = weakref.WeakSet()


def _forget_all() -> None:
    for writer in list(_writers):
        writer._forget()  # noqa: SLF001 - this file's own


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)


def _write(descriptor: int, parts: list[bytes | memoryview], total: int) -> None:
    """Writes all of `parts`, in one call where the system takes them at once."""
    # Elsewhere, and for the rest of what was taken in part, one joined buffer is written.
    written = os.writev(descriptor, parts) if hasattr(os, "writev") else 0
    if written == total:
        return
    rest = memoryview(b"".join(parts))[written:]
    while rest:
        rest = rest[os.write(descriptor, rest) :]
