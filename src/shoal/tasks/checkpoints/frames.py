"""The bytes of a checkpoint: frames with checksums, found again after any damage.

A frame is::

    magic     8 bytes
    kind      1 byte
    length    8 bytes   of the payload
    crc       4 bytes   CRC-32 of offset, kind, length and payload
    head_crc  4 bytes   CRC-32 of offset, kind, length and crc
    payload

with all numbers little-endian. The offset is the frame's own place in its file. It is not stored,
only summed: a frame that lies elsewhere, such as inside a value that holds the bytes of another
checkpoint, is therefore never taken for a record. The second checksum finds a damaged length
without reading what it claims.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple
from zlib import crc32

MAGIC = b"\x8bshoal\x1a\n"
WINDOW_BYTES = 1 << 20
_HEAD = struct.Struct("<8sBQII")
_PLACE = struct.Struct("<QBQ")
_SUMMED = struct.Struct("<QBQI")
HEAD_BYTES = _HEAD.size


class Frame(NamedTuple):
    """One whole frame.

    Attributes:
        offset: Where it starts in the file, in bytes.
        kind: What it holds, 0 to 255.
        payload: Its content.
    """

    offset: int
    kind: int
    payload: bytes

    @property
    def end(self) -> int:
        """Offset of the byte after the frame."""
        return self.offset + HEAD_BYTES + len(self.payload)


class Damage(NamedTuple):
    """Bytes that belong to no whole frame.

    Attributes:
        offset: Where they start in the file, in bytes.
        length: How many there are.
    """

    offset: int
    length: int

    @property
    def end(self) -> int:
        """Offset of the byte after the damage."""
        return self.offset + self.length


def frame_head(offset: int, kind: int, parts: Sequence[bytes | memoryview]) -> bytes:
    """What stands before a payload that is written, in parts, as a frame at `offset`."""
    length = sum(map(len, parts))
    crc = crc32(_PLACE.pack(offset, kind, length))
    for piece in parts:
        crc = crc32(piece, crc)
    head_crc = crc32(_SUMMED.pack(offset, kind, length, crc))
    return _HEAD.pack(MAGIC, kind, length, crc, head_crc)


def scan(descriptor: int) -> Iterator[Frame | Damage]:
    """Reads an open file from its start to the end it has now.

    Returns:
        All whole frames in order, and the damage between and after them. One payload and a window
        of the file are in memory at a time.
    """
    reader = _Reader(descriptor)
    at = 0
    while at < reader.size:
        frame = reader.frame(at)
        if frame is not None:
            yield frame
            at = frame.end
        else:
            end = reader.next_whole(at)
            yield Damage(at, end - at)
            at = end


def frame_at(descriptor: int, offset: int) -> Frame | None:
    """The whole frame at `offset` of an open file, or None."""
    return _Reader(descriptor, HEAD_BYTES).frame(offset)


class _Reader:
    """An open file, seen through a window."""

    def __init__(self, descriptor: int, window_bytes: int = WINDOW_BYTES) -> None:
        self.size = os.fstat(descriptor).st_size
        self._descriptor = descriptor
        self._window_bytes = window_bytes
        self._start = 0
        self._window = b""

    def bytes_at(self, offset: int, count: int) -> bytes:
        """`count` bytes from `offset`; fewer where the file ends before."""
        begin = offset - self._start
        if begin < 0 or begin + count > len(self._window):
            window = read_at(self._descriptor, offset, max(count, self._window_bytes))
            if count > self._window_bytes:
                return window
            self._window, self._start, begin = window, offset, 0
        return self._window[begin : begin + count]

    def head(self, offset: int) -> tuple[int, int, int] | None:
        """Kind, length and checksum of the frame whose head is at `offset`, or None."""
        head = self.bytes_at(offset, HEAD_BYTES)
        if len(head) < HEAD_BYTES or not head.startswith(MAGIC):
            return None
        _, kind, length, crc, head_crc = _HEAD.unpack(head)
        if crc32(_SUMMED.pack(offset, kind, length, crc)) != head_crc:
            return None
        return kind, length, crc

    def frame(self, offset: int) -> Frame | None:
        """The whole frame at `offset`, or None."""
        head = self.head(offset)
        if head is None:
            return None
        kind, length, crc = head
        if offset + HEAD_BYTES + length > self.size:
            return None
        payload = self.bytes_at(offset + HEAD_BYTES, length)
        if len(payload) < length:  # the file became shorter since it was opened
            return None
        if crc32(payload, crc32(_PLACE.pack(offset, kind, length))) != crc:
            return None
        return Frame(offset, kind, payload)

    def next_whole(self, damaged: int) -> int:
        """Where the next whole frame after `damaged` starts, or the end of the file."""
        at = damaged + 1
        head = self.head(damaged)
        if head is not None:
            # Only the payload is hurt, and where it ends is known: what looks like a frame inside
            # of it is not looked at.
            end = damaged + HEAD_BYTES + head[1]
            if end == self.size or self.frame(end) is not None:
                return end
        while at < self.size:
            at = self.find_magic(at)
            if at < self.size and self.frame(at) is not None:
                return at
            at += 1
        return self.size

    def find_magic(self, at: int) -> int:
        """Where the magic stands next, from `at` on, or the end of the file."""
        while at < self.size:
            if not self._start <= at <= self._start + len(self._window) - len(MAGIC):
                self._window = read_at(self._descriptor, at, self._window_bytes)
                self._start = at
            found = self._window.find(MAGIC, at - self._start)
            if found >= 0:
                return self._start + found
            if len(self._window) < self._window_bytes:
                break
            at = self._start + len(self._window) - len(MAGIC) + 1
        return self.size


def read_at(descriptor: int, offset: int, count: int) -> bytes:
    """`count` bytes of an open file from `offset`; fewer where it ends before."""
    pieces = []
    while count > 0:
        if hasattr(os, "pread"):
            piece = os.pread(descriptor, count, offset)
        else:  # Windows
            os.lseek(descriptor, offset, os.SEEK_SET)
            piece = os.read(descriptor, count)
        if not piece:
            break
        pieces.append(piece)
        offset += len(piece)
        count -= len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
