"""What the frames of a checkpoint hold: headers, sessions and records, to bytes and back."""

from __future__ import annotations

import json
import os
import socket
import struct
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from shoal.errors import CheckpointUnreadable
from shoal.tasks.checkpoints.fingerprint import Part
from shoal.tasks.model import shorten

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FORMAT = 1
HEADER, SESSION, RECORD = 1, 2, 3
_RECORD = struct.Struct("<QQQ")
_LENGTH = struct.Struct("<Q")


@dataclass(frozen=True, slots=True)
class Header:
    """What the records of a section belong to.

    Attributes:
        section: Number of the section, from 0.
        total: How many points there are; the largest index is one less.
        parts: What the function and its inputs consist of.
        layout: By what the caller knows which point an index means.
    """

    section: int
    total: int
    parts: tuple[Part, ...]
    layout: bytes

    def to_bytes(self) -> bytes:
        """As a payload."""
        parts = [[part.name, part.digest, part.text] for part in self.parts]
        head = {"format": FORMAT, "section": self.section, "total": self.total, "parts": parts}
        text = json.dumps(head).encode()
        return _LENGTH.pack(len(text)) + text + self.layout

    @classmethod
    def from_bytes(cls, payload: bytes) -> Header:
        """Reads a payload; raises CheckpointUnreadable for a format this version does not know."""
        (length,) = _LENGTH.unpack_from(payload)
        end = _LENGTH.size + length
        head = json.loads(payload[_LENGTH.size : end])
        if head["format"] != FORMAT:
            raise CheckpointUnreadable(
                f"its format is version {head['format']} and this version of shoal reads {FORMAT}"
            )
        parts = tuple(Part(*part) for part in head["parts"])
        return cls(head["section"], head["total"], parts, payload[end:])


@dataclass(frozen=True, slots=True)
class Session:
    """One opening of a checkpoint for writing.

    Attributes:
        pid: The process that opened it.
        host: The machine that process ran on.
        program: What it ran.
        utc: When, as ISO 8601 in UTC.
    """

    pid: int
    host: str
    program: str
    utc: str

    def to_bytes(self) -> bytes:
        """As a payload."""
        return json.dumps([self.pid, self.host, self.program, self.utc]).encode()

    @classmethod
    def from_bytes(cls, payload: bytes) -> Session:
        """Reads a payload."""
        return cls(*json.loads(payload))

    @classmethod
    def here(cls) -> Session:
        """This process, now."""
        program = sys.argv[0] if sys.argv and sys.argv[0] else "an interactive session"
        utc = datetime.now(UTC).isoformat(timespec="seconds")
        return cls(os.getpid(), socket.gethostname(), program, utc)

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.utc} ({self.program})"


@dataclass(frozen=True, slots=True)
class Points:
    """Which points a record is about, and the value's pickle.

    Attributes:
        section: Number of the section it belongs to.
        indices: Of the points, int64.
        failed: What went wrong, by index, for those that failed.
        pickled: The value, not looked into.
    """

    section: int
    indices: NDArray[np.int64]
    failed: dict[int, str]
    pickled: memoryview

    @staticmethod
    def section_of(payload: bytes) -> int:
        """The section alone, without reading the rest of the payload."""
        section: int = _RECORD.unpack_from(payload)[0]
        return section

    @classmethod
    def from_bytes(cls, payload: bytes) -> Points:
        """Reads a record's payload."""
        import numpy as np

        section, count, failed_bytes = _RECORD.unpack_from(payload)
        at = _RECORD.size
        indices = np.frombuffer(payload, "<i8", count, at).astype(np.int64, copy=False)
        at += 8 * count
        failed = {}
        if failed_bytes:
            failed = dict(json.loads(payload[at : at + failed_bytes]))
        return cls(section, indices, failed, memoryview(payload)[at + failed_bytes :])


def record_parts(
    section: int, indices: NDArray[np.int64], failed: Mapping[int, str], pickled: bytes
) -> list[bytes | memoryview]:
    """A record's payload, in parts."""
    texts = (
        json.dumps([[index, text] for index, text in failed.items()]).encode() if failed else b""
    )
    head = _RECORD.pack(section, len(indices), len(texts))
    return [head, indices.astype("<i8").tobytes(), texts, pickled]


def checked_indices(indices: Sequence[int], total: int, name: str) -> NDArray[np.int64]:
    """`indices` as int64; raises TypeError or ValueError for what are no indices below `total`."""
    import numpy as np

    given: Any = indices
    found = np.asarray(given)
    if found.size == 0:
        return np.empty(0, np.int64)
    if found.dtype.kind == "f" and not isinstance(given, np.ndarray):
        found = np.asarray(given, object)  # integers on both sides of 2**63 become floats
    if found.ndim != 1:
        raise TypeError(f"{name}={shorten(indices)}: expected a sequence of integers")
    if found.dtype.kind == "O" and all(type(index) is int for index in found):
        pass  # integers too large for any total: refused below
    elif found.dtype.kind not in "iu":
        raise TypeError(f"{name}={shorten(indices)}: expected integers")
    low, high = int(found.min()), int(found.max())
    if low < 0 or high >= min(total, 1 << 63):
        wrong = low if low < 0 else high
        raise ValueError(f"{name} contains {wrong}: expected 0 to {total - 1}, of {total} points")
    return found.astype(np.int64)


def checked_failed(failed: Mapping[int, str] | None, total: int) -> dict[int, str]:
    """`failed` with plain integers and texts; raises TypeError or ValueError otherwise."""
    if not failed:
        return {}
    if not isinstance(failed, Mapping):
        raise TypeError(f"failed={shorten(failed)}: expected a mapping of indices to texts")
    indices = checked_indices(list(failed), total, "failed")
    texts: list[Any] = list(failed.values())
    for text in texts:
        if not isinstance(text, str):
            raise TypeError(f"failed contains {shorten(text)}: expected texts")
    return dict(zip(indices.tolist(), texts, strict=True))
