"""Files: the folder that an account's jobs know as DATA_PATH, seen from outside.

There is one truth, the folder: what is uploaded is there for jobs at once, and what jobs leave can
be downloaded. Jobs may put anything there, so no link is followed and only plain files are seen.
"""

from __future__ import annotations

import os
import secrets
import shutil
import stat
from collections.abc import Generator, Mapping
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import IO
from urllib.parse import quote

from starlette.responses import Response

from shoal.serverless.errors import StoreFull
from shoal.serverless.gateway.asking import Asked, bad
from shoal.serverless.gateway.gateway import Gateway
from shoal.serverless.gateway.routes.programs import FORM_BYTES, named
from shoal.serverless.gateway.web.json_text import dumped
from shoal.serverless.gateway.web.pieces import Pieces
from shoal.serverless.gateway.web.refusals import Refusal
from shoal.serverless.runner import data_folder

_CHUNK = 1 << 18
_NAME_BYTES = 255
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


async def index(gateway: Gateway, asked: Asked) -> Response:
    """The names of the files, in order."""
    names = await gateway.apart(_names, _folder(gateway, asked, asked.query))
    return Response(dumped({"results": names}), media_type="application/json")


async def upload(gateway: Gateway, asked: Asked) -> Response:
    """Keeps a file; one of the same name is replaced."""
    folder = _folder(gateway, asked, asked.query)
    fields = await asked.fields(
        most_bytes=gateway.settings.file_bytes + FORM_BYTES, most_text=FORM_BYTES
    )
    file = fields.files.get("file")
    if file is None:
        raise bad("file is missing.")
    if (file.size or 0) > gateway.settings.file_bytes:
        message = f"The file is too large: at most {gateway.settings.file_bytes} are accepted."
        raise Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, message)
    name = _file_name(file.filename or "")
    await gateway.apart(_keep, folder, name, file.file)
    return Response(dumped({"message": name}), media_type="application/json")


async def download(gateway: Gateway, asked: Asked) -> Response:
    """A file's bytes."""
    folder = _folder(gateway, asked, asked.query)
    name = _file_name(asked.query.get("file", ""))
    source, size = await gateway.apart(_open, folder, name)
    headers = {
        "Content-Length": str(size),
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}",
    }
    pieces = _pieces(source, size)
    return Pieces(pieces, pieces, source, headers=headers, media_type="application/octet-stream")


async def delete(gateway: Gateway, asked: Asked) -> Response:
    """Forgets a file, which the query names, or a form in the body."""
    fields = await asked.fields(most_bytes=FORM_BYTES)
    said = {**fields.values, **asked.query}
    if not all(isinstance(value, str | None) for value in said.values()):
        raise bad("file, function and provider: expected texts.")
    folder = _folder(gateway, asked, said)
    await gateway.apart(_delete, folder, _file_name(said.get("file") or ""))
    body = {"message": "Requested file was deleted."}
    return Response(dumped(body), media_type="application/json")


def _folder(gateway: Gateway, asked: Asked, said: Mapping[str, str | None]) -> Path:
    """Which folder is meant.

    Without a provider it is the account's, whatever the program. Of a provider's program there are
    two: what its user sees, and what the provider keeps.
    """
    settings, account_id = gateway.settings, asked.principal.account_id
    function, provider = said.get("function") or "", said.get("provider") or ""
    if function:
        provider, function = named(function, provider)
    is_providers = "/files/provider" in asked.pattern
    if is_providers and not (function and provider):
        raise bad("function and provider: both are needed.")
    if provider and not function:
        raise bad("function is missing.")
    folder = data_folder(settings, account_id, provider, function)
    if is_providers:
        return folder.parent.parent / "providers" / folder.name
    return folder


def _file_name(name: str) -> str:
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise bad(f"file={name[:100]!r}: expected the name of a file, without folders.")
    try:
        size = len(name.encode())
    except UnicodeEncodeError as error:
        raise bad("file: its name is no valid text.") from error
    if size > _NAME_BYTES:
        raise bad(f"file: its name has {size} bytes, and at most {_NAME_BYTES} are accepted.")
    return name


def _absent() -> Refusal:
    return Refusal(HTTPStatus.NOT_FOUND, "Requested file was not found.")


def _names(folder: Path) -> list[str]:
    try:
        inside = os.open(folder, _FOLDER)
    except OSError:  # nothing was ever put there, or a job put something else in its place
        return []
    try:
        with os.scandir(inside) as entries:
            found = [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]
    finally:
        os.close(inside)
    return sorted(name for name in found if _is_text(name))


def _is_text(name: str) -> bool:
    try:
        return bool(name.encode())
    except UnicodeEncodeError:
        return False


def _keep(folder: Path, name: str, source: IO[bytes]) -> None:
    """Puts a file into its place in one step, after all of it is on the disk."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    arriving = folder.parent / "arriving"
    arriving.mkdir(exist_ok=True, mode=0o700)
    unfinished = arriving / secrets.token_hex(16)
    try:
        with unfinished.open("xb") as target:
            shutil.copyfileobj(source, target, _CHUNK)
            target.flush()
            os.fsync(target.fileno())
        inside = os.open(folder, _FOLDER)
        try:
            os.rename(unfinished, name, dst_dir_fd=inside)
            os.fsync(inside)
        finally:
            os.close(inside)
    except IsADirectoryError as error:
        raise bad(f"file={name[:100]!r}: there is a folder of that name.") from error
    except OSError as error:
        raise StoreFull(f"the file was not kept: {error.strerror}") from error
    finally:
        with suppress(OSError):
            unfinished.unlink()


def _open(folder: Path, name: str) -> tuple[IO[bytes], int]:
    """A plain file and its size."""
    try:
        inside = os.open(folder, _FOLDER)
    except OSError as error:
        raise _absent() from error
    try:
        descriptor = os.open(name, _FILE, dir_fd=inside)
    except OSError as error:
        raise _absent() from error
    finally:
        os.close(inside)
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        os.close(descriptor)
        raise _absent()
    return os.fdopen(descriptor, "rb", buffering=0), found.st_size


def _pieces(source: IO[bytes], size: int) -> Generator[bytes, None, None]:
    while size and (piece := source.read(min(size, _CHUNK))):
        size -= len(piece)
        yield piece


def _delete(folder: Path, name: str) -> None:
    try:
        inside = os.open(folder, _FOLDER)
    except OSError as error:
        raise _absent() from error
    try:
        os.unlink(name, dir_fd=inside)
    except OSError as error:
        raise _absent() from error
    finally:
        os.close(inside)
