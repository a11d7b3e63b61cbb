"""The folder of an attempt, and what it says about where the attempt is."""

from __future__ import annotations

import errno
import json
import os
import secrets
import shutil
import stat
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Any

from shoal.serverless.runner.presence import held
from shoal.serverless.store import sync_folder

_FENCED = b"fenced\n"
_SAID_BYTES = 64 * 1024
_NO_FILE = (errno.EISDIR, errno.ELOOP, errno.ENOTDIR, errno.ENXIO)
_FOR_NOW = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)  # the next look may succeed


class Stage(Enum):
    """Where an attempt is, by its folder alone."""

    NOT_STARTED = auto()  # nobody has decided whether it starts
    FENCED = auto()  # it was decided that it never starts
    ALIVE = auto()  # its shim lives
    ENDED = auto()  # its shim told how it ended
    LOST = auto()  # its shim is gone and told nothing


@dataclass(frozen=True, slots=True)
class Exit:
    """What the shim told about the end of an attempt; see `shim.Attempt.report`."""

    exit_code: int | None
    signal: int | None
    stopped: bool
    timed_out: bool
    problem: str | None
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_memory_bytes: int = 0
    log_bytes: int = 0

    @classmethod
    def from_report(cls, report: dict[str, Any]) -> Exit:
        """What of a report is known to this version."""
        return cls(**{name: report[name] for name in cls.__slots__ if name in report})


class Place:
    """The folder of one attempt of one job."""

    def __init__(self, jobs: Path, job_id: str, fence: int) -> None:
        self.attempt = f"{job_id}.{fence}"
        self.folder = jobs / job_id / str(fence)
        self.program = self.folder / "program"
        self.arguments = self.folder / "arguments.json"
        self.results = self.folder / "results" / "result.json"
        self.log = self.folder / "log"

    def make(self) -> None:
        """Makes the folder, for its owner alone; it may be there already."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def stage(self) -> tuple[Stage, Exit | None]:
        """Where the attempt is, and how it ended if it did.

        The order matters. A shim holds its lock before it says that it started, and publishes how
        that ended before the lock is gone. So a free lock means that the shim is gone only if it
        was seen before that it had started; else it may have begun between the two looks. While it
        lives nothing else counts: a program that writes a report of its own does not end by that.
        """
        said: bytes | None
        try:
            said = self._said("started")
        except FileNotFoundError:
            said = None
        except (PermissionError, ValueError):
            said = b""
        if self.shim_lives():
            return Stage.ALIVE, None
        ended = self._exit()
        if ended is not None:
            return Stage.ENDED, ended
        if said is None:
            return Stage.NOT_STARTED, None
        return (Stage.FENCED if said == _FENCED else Stage.LOST), None

    def fence(self) -> bool:
        """Decides that this attempt never starts; False if it was decided otherwise before.

        A shim that comes late finds the decision and leaves. It appears with its contents, in one
        step, so that nobody takes it for a start.
        """
        self.make()
        draft = self.folder / f"fence.{os.getpid()}"
        draft.write_bytes(_FENCED)
        try:
            os.link(draft, self.folder / "started")
        except FileExistsError:
            return self.stage()[0] is Stage.FENCED
        finally:
            draft.unlink()
        sync_folder(self.folder)
        return True

    def shim_lives(self) -> bool:
        """Whether somebody holds the lock."""
        return held(self.folder / "lock")

    def open_shim(self) -> int | None:
        """A handle of the shim's process, which stays its own; None if it is gone.

        The id in the file may be of another process by now. So the handle is taken first, and the
        lock looked at after that: who holds it then had this id all along.
        """
        try:
            handle = os.pidfd_open(int(self._said("lock")))
        except (OSError, ValueError, AttributeError):  # gone, not written yet, no such call here
            return None
        if self.shim_lives():
            return handle
        os.close(handle)
        return None

    def ask_to_stop(self) -> None:
        """Has the shim, now or when it starts, end the job."""
        with suppress(OSError):  # the folder may be gone; the signal that follows is not enough
            (self.folder / "stop").touch(mode=0o600)

    def clear(self) -> None:
        """Removes what only a living job needs; logs and the report stay."""
        for name in ("program", "results"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        for name in ("arguments.json", "spec.json"):
            (self.folder / name).unlink(missing_ok=True)

    def read_result(self, most_bytes: int) -> bytes | None:
        """What the program saved, or None if it saved nothing.

        Raises:
            ValueError: If that is no regular file, or too large. Links are not followed.
        """
        try:
            return _read_beneath(self.folder, self.results, most_bytes)
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise ValueError(f"the result {error}") from error
        except OSError as error:
            if error.errno in _FOR_NOW:
                raise
            raise ValueError(f"the result cannot be read ({error.strerror})") from error

    def save_result(self, text: str) -> None:
        """Saves a result as the program itself would, in one step; follows no link.

        Raises:
            OSError: If the disk does not take it, or the job has left no folder for it.
        """
        draft = f".{secrets.token_hex(8)}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        inside = _open_beneath(self.folder, self.results.parent)
        try:
            with os.fdopen(os.open(draft, flags, 0o600, dir_fd=inside), "wb") as target:
                target.write(text.encode())
            os.rename(draft, self.results.name, src_dir_fd=inside, dst_dir_fd=inside)
        finally:
            with suppress(OSError):
                os.unlink(draft, dir_fd=inside)
            os.close(inside)

    def _exit(self) -> Exit | None:
        try:
            return Exit.from_report(json.loads(self._said("exit.json")))
        except (FileNotFoundError, PermissionError):
            return None
        except (TypeError, ValueError, AttributeError) as error:
            return Exit(None, None, False, False, f"its report is damaged: {error}")

    def _said(self, name: str) -> bytes:
        """What a file of the shim says; the job may have put anything in its place."""
        return _read_beneath(self.folder, self.folder / name, _SAID_BYTES)


def _read_beneath(folder: Path, path: Path, most_bytes: int) -> bytes:
    """A file's contents; follows no link on the way, and waits for nobody.

    Raises:
        FileNotFoundError: If there is nothing.
        ValueError: If it is no regular file, or too large.
    """
    try:
        descriptor = _open_beneath(folder, path)
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno not in _NO_FILE:
            raise
        raise ValueError(f"is no regular file ({error.strerror})") from error
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise ValueError("is no regular file")
        if found.st_size > most_bytes:
            raise ValueError(f"has {found.st_size} bytes, allowed are {most_bytes}")
        with os.fdopen(descriptor, "rb", closefd=False) as source:
            return source.read(found.st_size)
    finally:
        os.close(descriptor)


def _open_beneath(folder: Path, path: Path) -> int:
    """Opens a file for reading, following no link on the way from `folder` to it."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(folder, flags | os.O_DIRECTORY)
    for part in path.relative_to(folder).parts:
        try:
            opened = os.open(part, flags, dir_fd=descriptor)
        finally:
            os.close(descriptor)
        descriptor = opened
    return descriptor
