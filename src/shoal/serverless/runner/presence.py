"""Which runners are there: each holds a lock as long as it lives."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import socket
from pathlib import Path

_NO_LOCK = (errno.EACCES, errno.ELOOP, errno.ENOENT, errno.ENOTDIR, errno.ENXIO)


def held(path: Path) -> bool:
    """Whether somebody holds the lock of this file; False where there is none.

    A job may have put something else in its place, on which nobody must wait, or locked us out.
    """
    try:
        lock = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in _NO_LOCK:
            return False
        raise
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


class Presence:
    """A runner's name, and the lock that shows others it lives.

    Attributes:
        name: Of this process and no other, ever.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.name = f"{socket.gethostname()[:32]}-{os.getpid()}-{secrets.token_hex(8)}"
        self._folder = folder
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        unlocked = folder / f".{self.name}"
        self._lock = os.open(unlocked, flags, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        unlocked.rename(folder / self.name)  # nobody ever sees the name without the lock

    def is_alive(self, name: str | None) -> bool:
        """Whether the runner of that name lives, as far as this machine can see."""
        if name == self.name:
            return True
        return held(self._folder / (name or "-"))

    def clear(self) -> None:
        """Removes what dead runners left."""
        for entry in self._folder.glob("[!.]*"):
            if not self.is_alive(entry.name):
                entry.unlink(missing_ok=True)

    def close(self) -> None:
        """Leaves."""
        if self._lock >= 0:
            (self._folder / self.name).unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = -1
