"""What a checkpoint holds, told without opening it for writing or unpickling anything."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shoal.errors import CheckpointUnreadable
from shoal.tasks.checkpoints.contents import Header, Points
from shoal.tasks.checkpoints.fingerprint import Part
from shoal.tasks.checkpoints.frames import Damage, frame_at
from shoal.tasks.checkpoints.reading import Contents, absolute_path, open_to_read, read

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST_FAILURES = 5
COMPACT_POINTS = 1 << 20
_DONE, _FAILED = 1, 2


@dataclass(frozen=True, slots=True)
class Summary:
    """What is in a checkpoint; `str()` of it is for people.

    Attributes:
        path: Where it is, absolute.
        size_bytes: Of the file.
        parts: What made the newest section.
        sections: How many sections there are: one, and one more for each accepted change.
        sessions: Who opened it for writing, where and since when, oldest first.
        total: How many points there are.
        done: How many of them are recorded and did not fail. Sections with the layout and total
            of the newest are counted together.
        failed: How many failed, at last.
        recorded: How many points are recorded in all sections, done or failed.
        failures: Index and text of the first that failed.
        damage: Offset and length of what was lost, in the middle and at the end, in bytes.
    """

    path: str
    size_bytes: int
    parts: tuple[Part, ...]
    sections: int
    sessions: tuple[str, ...]
    total: int
    done: int
    failed: int
    recorded: int
    failures: tuple[tuple[int, str], ...]
    damage: tuple[tuple[int, int], ...]

    @property
    def missing(self) -> int:
        """How many points are not recorded."""
        return self.total - self.done - self.failed

    def __str__(self) -> str:
        return _printable("\n".join(_lines(self)))


def summary(path: str | os.PathLike[str], *, end: int | None = None) -> Summary:
    """Looks into a checkpoint, which may be open elsewhere.

    It takes no lock, changes nothing and unpickles nothing, so a file from a stranger may be looked
    at.

    Args:
        path: Of the file; ``~`` is the home directory.
        end: Offset in bytes up to which to read; None reads all of it.

    Raises:
        CheckpointUnreadable: If there is no such file, or it is no checkpoint.
    """
    path = absolute_path(path)
    descriptor = open_to_read(path)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise CheckpointUnreadable(f"{path}: not a regular file, so not a checkpoint")
        return _summed(path, descriptor, end)
    except OSError as error:
        raise CheckpointUnreadable(f"{path}: {error.strerror}") from error
    finally:
        os.close(descriptor)


def _summed(path: str, descriptor: int, end: int | None) -> Summary:
    contents = read(descriptor, path, end)
    if not contents.headers:
        why = contents.why_not_one() if contents.size else "empty: nothing was recorded yet"
        raise CheckpointUnreadable(f"{path}: {why}")
    newest = contents.headers[-1]
    tallies: dict[tuple[bytes, int], Tally] = {}
    for header, points in _points(descriptor, contents):
        tallies.setdefault((header.layout, header.total), Tally()).add(points)
    tally = tallies.setdefault((newest.layout, newest.total), Tally())
    counts = {key: each.counts() for key, each in tallies.items()}
    done, failed = counts[newest.layout, newest.total]
    torn = contents.size - contents.end
    return Summary(
        path=path,
        size_bytes=contents.size,
        parts=newest.parts,
        sections=len(contents.headers),
        sessions=tuple(map(str, contents.sessions)),
        total=newest.total,
        done=done,
        failed=failed,
        recorded=sum(map(sum, counts.values())),
        failures=tuple(sorted(tally.texts.items())[:MOST_FAILURES]),
        damage=(*contents.damage, *([Damage(contents.end, torn)] if torn else [])),
    )


def _points(descriptor: int, contents: Contents) -> Iterator[tuple[Header, Points]]:
    for header, offsets in zip(contents.headers, contents.records, strict=True):
        for offset in offsets:
            frame = frame_at(descriptor, offset)
            if frame is not None:
                yield header, Points.from_bytes(frame.payload)


class Tally:
    """How often points ended how, where the last record of a point counts.

    Attributes:
        texts: What went wrong, by index, for points that failed and have not been done since.
    """

    def __init__(self) -> None:
        self.texts: dict[int, str] = {}
        self._indices: list[NDArray[np.int64]] = []
        self._states: list[NDArray[np.uint8]] = []
        self._pending = 0

    def add(self, points: Points) -> None:
        """Counts one record, later than those before."""
        self._mark(points.indices, _DONE)
        if self.texts:
            for index in points.indices.tolist():
                self.texts.pop(index, None)
        if points.failed:
            import numpy as np

            self._mark(np.fromiter(points.failed, np.int64, len(points.failed)), _FAILED)
            self.texts.update(points.failed)
        if self._pending > COMPACT_POINTS:
            self._compact()

    def counts(self) -> tuple[int, int]:
        """How many points are done and how many failed."""
        self._compact()
        failed = sum(int((states == _FAILED).sum()) for states in self._states)
        return sum(map(len, self._states)) - failed, failed

    def _mark(self, indices: NDArray[np.int64], state: int) -> None:
        import numpy as np

        self._indices.append(indices)
        self._states.append(np.full(len(indices), state, np.uint8))
        self._pending += len(indices)

    def _compact(self) -> None:
        """Keeps the last state of each index."""
        import numpy as np

        if not self._indices:
            return
        backwards = np.concatenate(self._indices)[::-1]
        states = np.concatenate(self._states)[::-1]
        indices, first = np.unique(backwards, return_index=True)
        self._indices, self._states, self._pending = [indices], [states[first]], 0


def _printable(text: str) -> str:
    """`text` with escapes for what would steer a terminal: it may come from a stranger."""
    return "".join(
        letter
        if letter.isprintable() or letter in "\n\t"
        else letter.encode("ascii", "backslashreplace").decode()
        if ord(letter) > 0x7F
        else f"\\x{ord(letter):02x}"
        for letter in text
    )


def _lines(found: Summary) -> Iterator[str]:
    yield f"{found.path}: {found.size_bytes} bytes"
    yield (
        f"points: {found.done} done, {found.failed} failed, {found.missing} missing, "
        f"of {found.total}"
    )
    if found.sections > 1:
        yield f"sections: {found.sections}; what follows made the newest"
    for part in found.parts:
        if "\n" in part.text.strip():
            yield f"{part.name}:"
            yield from (f"    {line}" for line in part.text.rstrip().splitlines())
        else:
            yield f"{part.name}: {part.text.strip()}"
    for number, session in enumerate(found.sessions, 1):
        yield f"session {number}: {session}"
    for index, text in found.failures:
        first, *more = text.splitlines() or [""]
        yield f"failed: point {index}: {first}"
        yield from (f"    {line}" for line in more)
    if found.failed > len(found.failures):
        yield f"failed: {found.failed - len(found.failures)} more"
    if not found.damage:
        yield "damage: none"
    for offset, length in found.damage:
        yield f"damage: {length} bytes at offset {offset}"
