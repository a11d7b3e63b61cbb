"""Reads what a job has written so far, from any place, while it writes on."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

MOST_BYTES = 1 << 20


class LogPart(NamedTuple):
    """Some of a log.

    Attributes:
        start: The offset of its first byte; above what was asked for if that is no longer kept.
        data: Bytes, which may end within a character.
    """

    start: int
    data: bytes

    @property
    def end(self) -> int:
        """Where to read on."""
        return self.start + len(self.data)


def read_log(folder: Path, offset: int = 0, *, most_bytes: int = MOST_BYTES) -> LogPart:
    """What a job wrote from `offset` on, at most so much; empty if there is nothing yet.

    Args:
        folder: Of the log's pieces, each named by the offset of its first byte.
        offset: In bytes since the job began, from 0.
        most_bytes: What to return at most.
    """
    start, found = offset, b""
    for piece in _pieces(folder):
        first = int(piece.name)
        if not found and first > start:
            start = first  # what was before is no longer kept
        if first > start + len(found):
            break
        found += _read(piece, start + len(found) - first, most_bytes - len(found))
        if len(found) >= most_bytes:
            break
    return LogPart(start, found)


def read_tail(folder: Path, most_bytes: int = MOST_BYTES) -> LogPart:
    """The last bytes of a log."""
    pieces = _pieces(folder)
    if not pieces:
        return LogPart(0, b"")
    size = int(pieces[-1].name)
    with suppress(FileNotFoundError):
        size += pieces[-1].stat().st_size
    return read_log(folder, max(size - most_bytes, 0), most_bytes=most_bytes)


def _pieces(folder: Path) -> list[Path]:
    """The pieces in order; what a job put beside them does not count."""
    try:
        names = os.listdir(folder)  # noqa: PTH208 - far quicker than its paths
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [folder / name for name in sorted(names) if name.isascii() and name.isdigit()]


def _read(piece: Path, skip: int, most_bytes: int) -> bytes:
    """Some of a piece; nothing if it is something else, on which nobody must wait."""
    try:
        descriptor = os.open(piece, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOENT, errno.ENXIO):  # or it went while we looked
            return b""
        raise
    try:
        is_piece = stat.S_ISREG(os.fstat(descriptor).st_mode) and skip >= 0
        return os.pread(descriptor, most_bytes, skip) if is_piece else b""
    finally:
        os.close(descriptor)
