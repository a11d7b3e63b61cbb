"""A checkpoint: finished points in a file that survives any crash, torn byte or full disk."""

from __future__ import annotations

import inspect
import operator
import os
import pickle
import shutil
import warnings
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Self

from shoal.errors import (
    CheckpointChanged,
    CheckpointDamaged,
    CheckpointError,
    CheckpointInUse,
    CheckpointNotWritten,
    CheckpointUnreadable,
)
from shoal.tasks.checkpoints.contents import (
    HEADER,
    RECORD,
    SESSION,
    Header,
    Points,
    Session,
    checked_failed,
    checked_indices,
    record_parts,
)
from shoal.tasks.checkpoints.fingerprint import Part, differences
from shoal.tasks.checkpoints.frames import Damage, frame_at
from shoal.tasks.checkpoints.reading import Contents, absolute_path, last_session, read
from shoal.tasks.checkpoints.summaries import summary
from shoal.tasks.checkpoints.writing import FrameWriter, SyncFailed, open_locked
from shoal.tasks.model import shorten

PROTOCOL = 5


class Record:
    """What was recorded in one append.

    Attributes:
        indices: The points, as an int64 array.
        failed: What went wrong, by index, for those that failed.
    """

    def __init__(self, path: str, offset: int, points: Points) -> None:
        self.indices = points.indices
        self.failed = points.failed
        self._path = path
        self._offset = offset
        self._pickled = points.pickled

    def load(self) -> Any:
        """The value.

        Raises:
            CheckpointUnreadable: If it cannot be unpickled, such as when its class is gone. That
                is warned about too, as damage: the caller leaves the points of this record out.
        """
        try:
            return pickle.loads(self._pickled)
        except Exception as error:  # unpickling runs what the value's class says
            text = (
                f"{self._path}: the value at offset {self._offset} cannot be unpickled, so its "
                f"{len(self.indices)} points count as missing: {type(error).__name__}: {error}"
            )
            _warn_damaged(text)
            raise CheckpointUnreadable(text) from error


class Records:
    """The records of a section, read from the file as they are iterated over, any number of times.

    It is over the records that were there when the checkpoint was opened.
    """

    def __init__(self, writer: FrameWriter, offsets: array[int]) -> None:
        self._writer = writer
        self._offsets = offsets

    def __len__(self) -> int:
        return len(self._offsets)

    def __iter__(self) -> Iterator[Record]:
        path = self._writer.path
        for offset in self._offsets:
            if self._writer.closed:
                raise CheckpointError(f"{path}: the checkpoint is closed")
            frame = frame_at(self._writer.descriptor, offset)
            if frame is None:
                _warn_damaged(f"{path}: the record at offset {offset} was lost since it was opened")
            else:
                yield Record(path, offset, Points.from_bytes(frame.payload))


class Section(NamedTuple):
    """The records that were made with one function from one set of inputs.

    Attributes:
        layout: By what the caller knows which point an index means.
        records: In the order in which they were appended; a later one of the same index wins.
    """

    layout: bytes
    records: Iterable[Record]


class Checkpoint:
    """A file of finished points, open for more; use it in a `with` statement.

    Opening a file that does not exist, or is empty, makes a new one. Opening one that exists goes
    on with it, if what made it is the same: its parts are compared with `parts`. With the same
    parts but another `layout` or `total` a new section begins; else the last one is continued.

    Attributes:
        path: Where it is, absolute.
        sections: What was in it when it was opened, oldest first. The last is the one appended to.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        parts: Sequence[Part],
        *,
        layout: bytes,
        total: int,
        on_change: Literal["refuse", "accept"] = "refuse",
    ) -> None:
        """Opens and locks the file, and compares it with what is asked.

        Args:
            path: Of a regular file in an existing directory; ``~`` is the home directory.
            parts: What the function and its inputs consist of.
            layout: Anything by which the caller knows which point an index means.
            total: How many points there are.
            on_change: ``"accept"`` begins a new section where the parts differ.

        Raises:
            CheckpointChanged: If the parts differ.
            CheckpointInUse: If another process, or this one, has it open.
            CheckpointUnreadable: If it is something else than a checkpoint.
            CheckpointNotWritten: If it cannot be opened or extended.
        """
        if on_change not in ("refuse", "accept"):
            raise ValueError(f"on_change={shorten(on_change)}: expected 'refuse' or 'accept'")
        if not isinstance(layout, bytes):
            raise TypeError(f"layout={shorten(layout)}: expected bytes")
        self.path = absolute_path(path)
        self._header = Header(0, _checked_total(total), tuple(dict.fromkeys(parts)), layout)
        self._writer = FrameWriter(self.path, *self._open())
        try:
            self._begin(self._read(), on_change)
        except BaseException as error:
            self._writer.close_quietly()
            if isinstance(error, OSError) and not isinstance(error, CheckpointError):
                raise self._not_written(error, 0) from error
            raise

    def append(
        self, indices: Sequence[int], value: Any, failed: Mapping[int, str] | None = None
    ) -> None:
        """Records a value that covers some points; it is on the disk about a second later.

        Args:
            indices: The points, each from 0 to `total` - 1.
            value: Anything that pickle or cloudpickle takes.
            failed: What went wrong, by index, for points that failed; these may, but need not, be
                among the indices.

        Raises:
            CheckpointNotWritten: If the disk did not take it. The file stays whole.
            Exception: Whatever pickling `value` raises; nothing is written then.
        """
        checked = checked_indices(indices, self._header.total, "indices")
        texts = checked_failed(failed, self._header.total)
        parts = record_parts(self._header.section, checked, texts, _pickled(value))
        try:
            self._writer.append(RECORD, *parts)
        except CheckpointError:
            raise
        except OSError as error:
            raise self._not_written(error, sum(map(len, parts))) from error

    def close(self) -> None:
        """Waits until everything is on the disk, and closes the file, which unlocks it.

        Raises:
            CheckpointNotWritten: If the disk did not confirm what was written.
        """
        try:
            self._writer.close()
        except OSError as error:
            raise self._not_written(error, 0) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        try:
            self.close()
        except CheckpointNotWritten as failed:
            if error is None or isinstance(error, GeneratorExit):
                raise
            error.add_note(str(failed))  # what went wrong first is what is raised

    def _open(self) -> tuple[int, int]:
        try:
            return open_locked(self.path)
        except BlockingIOError:
            session = last_session(self.path)
            raise CheckpointInUse(
                f"{self.path}: is in use by {session or 'another process'}; wait for it, stop it, "
                "or use another file"
            ) from None
        except OSError as error:
            raise self._not_written(error, 0, "cannot be opened for writing") from error

    def _read(self) -> Contents:
        contents = read(self._writer.descriptor, self.path)
        if contents.size and not contents.headers:
            raise CheckpointUnreadable(
                f"{self.path}: {contents.why_not_one()}, so it is left as it is; use another file"
            )
        return contents

    def _begin(self, contents: Contents, on_change: str) -> None:
        """Checks what the file is about, repairs its end, and says that it is open."""
        newest = contents.headers[-1] if contents.headers else None
        if newest is not None and on_change == "refuse":
            self._compare(newest)
        self._report(contents)
        if contents.end < contents.size:
            self._writer.cut(contents.end)
        if newest is None or not _same(newest, self._header):
            section = contents.next_section
            self._header = Header(section, *_without_section(self._header))
            contents.begin(self._header)
            payload = self._header.to_bytes()
            self._writer.append(HEADER, payload)
            self._writer.append(HEADER, payload)  # so that damage to one of them loses nothing
        else:
            self._header = newest
        self._writer.append(SESSION, Session.here().to_bytes())
        if not contents.size:
            self._writer.sync_directory()
        self.sections = [
            Section(header.layout, Records(self._writer, offsets))
            for header, offsets in zip(contents.headers, contents.records, strict=True)
        ]

    def _compare(self, newest: Header) -> None:
        if _digests(newest.parts) != _digests(self._header.parts):
            raise CheckpointChanged(
                f"{self.path}: was made by something else than what is asked now:\n\n"
                f"{differences(newest.parts, self._header.parts)}\n\n"
                'Undo the change, use another file, or say on_change="accept" to keep what was '
                "recorded and go on from there."
            )

    def _report(self, contents: Contents) -> None:
        if contents.damage:
            _warn_damaged(
                f"{self.path}: damaged {_places(contents.damage)}; what was recorded there counts "
                "as missing"
            )
        if contents.end < contents.size:
            _warn_damaged(
                f"{self.path}: its last {contents.size - contents.end} bytes, from offset "
                f"{contents.end}, are not a whole record and were cut off"
            )

    def _not_written(self, error: OSError, payload_bytes: int, what: str = "") -> OSError:
        if isinstance(error, SyncFailed):
            what = "the disk did not confirm what was written"
            safe = self._safe_text(error.synced_bytes)
        elif not what and payload_bytes:
            what = (
                f"a record of {payload_bytes} bytes could not be written, with "
                f"{_free_bytes(self.path)} bytes free"
            )
            safe = self._safe_text(self._writer.end)
        else:
            what, safe = what or "cannot be written", ""
        raised = CheckpointNotWritten(f"{self.path}: {what}: {error.strerror or error}{safe}")
        raised.errno = error.errno
        return raised

    def _safe_text(self, end: int) -> str:
        try:
            points = summary(self.path, end=end).recorded
        except CheckpointError:  # it was removed, or the disk cannot be read either
            return ""
        return (
            f". The {points} points recorded before are safe; once that is remedied, the same call "
            "goes on from there"
        )


def _checked_total(total: int) -> int:
    try:
        number = operator.index(total)
    except TypeError:
        raise TypeError(f"total={shorten(total)}: expected an integer") from None
    if number < 0:
        raise ValueError(f"total={number}: expected at least 0")
    return number


def _pickled(value: Any) -> bytes:
    try:
        return pickle.dumps(value, PROTOCOL)
    except Exception:  # pickle cannot do lambdas and the like; what cloudpickle cannot, it raises
        import cloudpickle

        return bytes(cloudpickle.dumps(value, PROTOCOL))


def _digests(parts: Sequence[Part]) -> list[tuple[str, str]]:
    return sorted((part.name, part.digest) for part in parts)


def _same(old: Header, new: Header) -> bool:
    return (
        old.layout == new.layout
        and old.total == new.total
        and _digests(old.parts) == _digests(new.parts)
    )


def _without_section(header: Header) -> tuple[int, tuple[Part, ...], bytes]:
    return header.total, header.parts, header.layout


def _places(damage: Sequence[Damage]) -> str:
    shown = [f"at offset {each.offset} ({each.length} bytes)" for each in damage[:20]]
    more = len(damage) - len(shown)
    return ", ".join(shown) + (f" and at {more} more places" if more else "")


def _free_bytes(path: str) -> int | str:
    try:
        return shutil.disk_usage(os.path.dirname(path)).free
    except OSError:
        return "an unknown number of"


def _warn_damaged(text: str) -> None:
    """Warns at the line of the caller's program, which is not one of shoal's."""
    level, frame = 1, inspect.currentframe()
    while frame and frame.f_back and frame.f_globals.get("__name__", "").startswith("shoal."):
        level, frame = level + 1, frame.f_back
    warnings.warn(text, CheckpointDamaged, stacklevel=level)
