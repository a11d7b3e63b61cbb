"""What is in a checkpoint's file, in one pass over it."""

from __future__ import annotations

import os
from array import array
from dataclasses import dataclass, field

from shoal.errors import CheckpointUnreadable
from shoal.tasks.checkpoints.contents import HEADER, RECORD, SESSION, Header, Points, Session
from shoal.tasks.checkpoints.frames import HEAD_BYTES, MAGIC, Damage, Frame, read_at, scan
from shoal.tasks.model import shorten


@dataclass(slots=True)
class Contents:
    """What was found in a file.

    Attributes:
        size: Of the file, in bytes.
        end: Where its last whole frame ends.
        headers: One of each section, oldest first.
        records: Offsets of the records, by section.
        sessions: The openings for writing, oldest first.
        damage: What lies between whole frames, and records of a section without a header. What
            lies after the last whole frame is not among it.
        magic: Whether the first bytes are those of a checkpoint.
    """

    size: int = 0
    end: int = 0
    headers: list[Header] = field(default_factory=list)
    records: list[array[int]] = field(default_factory=list)
    sessions: list[Session] = field(default_factory=list)
    damage: list[Damage] = field(default_factory=list)
    magic: bool = False
    next_section: int = 0

    def begin(self, header: Header) -> None:
        """Adds a section, unless `header` is another copy of the last one."""
        if not self.headers or self.headers[-1].section != header.section:
            self.headers.append(header)
            self.records.append(array("Q"))
            self.next_section = max(self.next_section, header.section + 1)

    def why_not_one(self) -> str:
        """Why a file without a header cannot be used."""
        if self.magic:
            return "its beginning is damaged, and what its records mean stood there"
        return "not a checkpoint"


def read(descriptor: int, path: str, end: int | None = None) -> Contents:
    """Reads an open file, up to `end` if that is given.

    Raises:
        CheckpointUnreadable: If its format is of an unknown version.
        OSError: If the disk cannot be read.
    """
    contents = Contents(size=os.fstat(descriptor).st_size)
    pending: Damage | None = None
    for found in scan(descriptor):
        if end is not None and found.end > end:
            break
        contents.magic |= found.offset == 0 and isinstance(found, Frame)
        if isinstance(found, Damage):
            pending = found
            continue
        if pending is not None:
            contents.damage.append(pending)
            pending = None
        contents.end = found.end
        try:
            _sort(found, contents)
        except CheckpointUnreadable as error:
            raise CheckpointUnreadable(f"{path}: {error}") from None
    if not contents.headers and contents.size and not contents.magic:
        contents.magic = _starts_like_one(descriptor)
    return contents


def _starts_like_one(descriptor: int) -> bool:
    start = read_at(descriptor, 0, len(MAGIC))
    return MAGIC.startswith(start)


def _sort(frame: Frame, contents: Contents) -> None:
    if frame.kind == HEADER:
        contents.begin(Header.from_bytes(frame.payload))
    elif frame.kind == SESSION:
        contents.sessions.append(Session.from_bytes(frame.payload))
    elif frame.kind == RECORD:
        section = Points.section_of(frame.payload)
        if contents.headers and contents.headers[-1].section == section:
            contents.records[-1].append(frame.offset)
        else:  # both headers of its section are lost, and with them what its indices mean
            contents.next_section = max(contents.next_section, section + 1)
            contents.damage.append(Damage(frame.offset, HEAD_BYTES + len(frame.payload)))


def absolute_path(path: str | os.PathLike[str]) -> str:
    """`path` with the home directory filled in, from the root; TypeError if it is no path."""
    try:
        given = os.fsdecode(path)
    except TypeError:
        raise TypeError(f"path={shorten(path)}: expected a path") from None
    return os.path.abspath(os.path.expanduser(given))


def open_to_read(path: str) -> int:
    """A descriptor of a file that is only read; raises CheckpointUnreadable, saying why."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        return os.open(path, flags)
    except OSError as error:
        raise CheckpointUnreadable(f"{path}: {error.strerror}") from error


def last_session(path: str) -> Session | None:
    """Who opened a checkpoint last, or None where that cannot be read."""
    try:
        descriptor = open_to_read(path)
    except CheckpointUnreadable:
        return None
    try:
        sessions = read(descriptor, path).sessions
        return sessions[-1] if sessions else None
    except (CheckpointUnreadable, OSError):
        return None
    finally:
        os.close(descriptor)
