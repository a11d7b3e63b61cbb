"""Unpacks what users upload: plain files and folders, and nothing that reaches outside."""

from __future__ import annotations

import os
import shutil
import tarfile
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from shoal.serverless.errors import ArtifactRefused

MOST_MEMBERS = 10_000
MOST_FOLDERS_DEEP = 32
_NAME_BYTES = 255


def check(source: IO[bytes], entrypoint: str) -> None:
    """Looks through an archive without unpacking it.

    Args:
        source: An uncompressed tar archive, at its beginning.
        entrypoint: The file that is to be run, relative to the archive's root.

    Raises:
        ArtifactRefused: If it holds what is not accepted, or no such file.
    """
    with _refusing():
        files = {name for name, member in _members(source) if member.isreg()}
    if entrypoint not in files:
        raise ArtifactRefused(f"entrypoint {entrypoint!r} is not a file in the archive")


def unpack(source: IO[bytes], target: Path) -> None:
    """Unpacks an archive into a new folder.

    Nothing but new folders and new files is made, so that no link can be there to follow. All
    files get mode 0600, or 0700 if they may be run.

    Raises:
        ArtifactRefused: If it holds what is not accepted; what was unpacked until then stays.
    """
    target.mkdir(mode=0o700)
    with _refusing():
        for name, member in _members(source):
            _unpack(member, target / name)


def _unpack(member: _Member, path: Path) -> None:
    try:
        if member.isdir():
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
        else:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            _copy(member, path)
    except (FileExistsError, NotADirectoryError) as error:
        name = member.info.name
        raise ArtifactRefused(f"{name!r} is in the archive as file and as folder") from error


def _copy(member: _Member, path: Path) -> None:
    mode = 0o700 if member.info.mode & 0o100 else 0o600
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    contents = member.open()
    with os.fdopen(os.open(path, flags, mode), "wb") as target:
        shutil.copyfileobj(contents, target)
        if target.tell() != member.info.size:
            raise ArtifactRefused(f"the archive ends within {member.info.name!r}")


class _Member:
    """One entry of an archive, of a kind that is accepted."""

    def __init__(self, archive: tarfile.TarFile, info: tarfile.TarInfo) -> None:
        self.info = info
        self._archive = archive

    def isreg(self) -> bool:
        return self.info.type in tarfile.REGULAR_TYPES

    def isdir(self) -> bool:
        return self.info.type == tarfile.DIRTYPE

    def open(self) -> IO[bytes]:
        contents = self._archive.extractfile(self.info)
        if contents is None:
            raise ArtifactRefused(f"{self.info.name!r} has no contents")
        return contents


@contextmanager
def _refusing() -> Iterator[None]:
    """Says of what cannot be read as an archive that it is refused."""
    try:
        yield
    except (tarfile.TarError, EOFError, OverflowError, UnicodeError) as error:
        raise ArtifactRefused(f"not a readable, uncompressed tar archive: {error}") from error


def _members(source: IO[bytes]) -> Iterator[tuple[str, _Member]]:
    """The entries with their names made plain, each checked before it is given."""
    seen: set[str] = set()
    # Uncompressed only, as all clients send it: nothing can grow beyond what was uploaded.
    with tarfile.open(fileobj=source, mode="r:") as archive:
        for info in archive:
            if len(seen) >= MOST_MEMBERS:
                raise ArtifactRefused(f"more than {MOST_MEMBERS} files in the archive")
            member = _Member(archive, info)
            name = _plain(info, member)
            if name == "." and member.isdir():
                continue
            folded = unicodedata.normalize("NFC", name).casefold()
            if folded in seen:
                raise ArtifactRefused(f"{name!r} is in the archive twice, or but for its case")
            seen.add(folded)
            yield name, member


def _plain(info: tarfile.TarInfo, member: _Member) -> str:
    """The name of an entry, relative to the root; raises ArtifactRefused for all that is odd."""
    shown = repr(info.name[:200])
    if info.islnk() or info.issym():
        raise ArtifactRefused(f"{shown} is a link: pack what it points to instead (dereference)")
    if not (member.isreg() or member.isdir()) or info.issparse():
        raise ArtifactRefused(f"{shown} is neither a file nor a folder")
    if info.name.startswith("/"):
        raise ArtifactRefused(f"{shown} begins at the root; names are relative")
    parts = [part for part in info.name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise ArtifactRefused(f"{shown} leads out of the archive")
    if len(parts) > MOST_FOLDERS_DEEP:
        raise ArtifactRefused(f"{shown} is more than {MOST_FOLDERS_DEEP} folders deep")
    for part in parts:
        if any(unicodedata.category(each) in ("Cc", "Cs") for each in part):
            raise ArtifactRefused(f"{shown} holds control characters, or is not UTF-8")
        if len(part.encode()) > _NAME_BYTES:
            raise ArtifactRefused(f"{shown} is longer than {_NAME_BYTES} bytes")
    return "/".join(parts) or "."
