"""Programs: uploaded, listed, and looked up by their title."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import IO, TYPE_CHECKING, Any

from starlette.responses import Response

from shoal.serverless import artifacts
from shoal.serverless.errors import NotFound
from shoal.serverless.gateway.asking import Asked, bad, name_of, text_of
from shoal.serverless.gateway.gateway import Gateway
from shoal.serverless.gateway.routes import schemas
from shoal.serverless.gateway.web.bodies import Fields
from shoal.serverless.gateway.web.json_text import checked_payload, dumped
from shoal.serverless.gateway.web.refusals import Refusal
from shoal.serverless.models import NewProgram, Principal, Program
from shoal.serverless.store import Transaction, programs

if TYPE_CHECKING:
    from starlette.datastructures import UploadFile

FORM_BYTES = 1 << 20  # all of an upload beside its archive
_DETAILS_BYTES = 256 * 1024  # of that, what is kept
INLINE_BYTES = 64 * 1024  # what is looked at without a thread
MOST_PROGRAMS = 10_000
_CHUNK = 1 << 20


async def upload(gateway: Gateway, asked: Asked) -> Response:
    """Keeps a program; one of the same title gets a new version."""
    fields = await asked.fields(
        most_bytes=gateway.settings.artifact_bytes + FORM_BYTES, most_text=FORM_BYTES
    )
    new = await received(gateway, fields)
    program = await gateway.write(keep, asked.principal, new)
    return Response(dumped(shown(program)), media_type="application/json")


async def index(gateway: Gateway, asked: Asked) -> Response:
    """The account's programs, by title.

    The older clients ask for a page and read an object; the current ones ask for all and read an
    array. They are told apart by the slash at the end and what they ask for.
    """
    page_of = asked.raw_path.endswith(b"/") and bool({"limit", "offset"} & asked.query.keys())
    page = await gateway.read(
        programs.page,
        asked.principal,
        limit=asked.number("limit", MOST_PROGRAMS, MOST_PROGRAMS),
        offset=asked.number("offset", 0, 1 << 40),
        provider=asked.query.get("provider"),
        is_provided=asked.is_provided(),
    )
    found: Any = [shown(program) for program in page.items]
    if page_of:
        found = {"count": page.total, "results": found}
    return Response(dumped(found), media_type="application/json")


async def by_title(gateway: Gateway, asked: Asked) -> Response:
    """The newest version of a program."""
    provider, title = named(asked.path["title"], asked.query.get("provider", ""))
    program = await gateway.read(programs.newest, asked.principal, title, provider=provider)
    return Response(dumped(shown(program)), media_type="application/json")


async def validate_arguments(gateway: Gateway, asked: Asked) -> Response:
    """Checks arguments against the program's schema, without running it."""
    fields = await asked.fields(most_bytes=2 * gateway.settings.arguments_bytes + FORM_BYTES)
    provider, title = title_of(fields.values)
    arguments = await given_arguments(gateway, fields.values)
    program = await gateway.read(programs.newest, asked.principal, title, provider=provider)
    await schemas.check(gateway, program.details.get("arguments_schema"), arguments)
    return Response(b'{"valid":true}', media_type="application/json")


async def received(gateway: Gateway, fields: Fields) -> NewProgram:
    """A program out of an upload's fields, its archive looked through and kept."""
    provider, title = title_of(fields.values)
    if fields.values.get("image"):
        raise bad("Images are not run here: upload a folder with an entrypoint.")
    file = fields.files.get("artifact")
    if file is None:
        raise bad("artifact is missing: a tar archive with the program's files.")
    entrypoint = _entrypoint(text_of(fields.values, "entrypoint"))
    details = _details(fields.values)
    await schemas.check_schema(gateway, details.get("arguments_schema"))
    sha256, size = await gateway.apart(_kept, gateway, file, entrypoint)
    return NewProgram(title, entrypoint, sha256, size, provider, details)


def keep(transaction: Transaction, principal: Principal, new: NewProgram) -> Program:
    """Keeps a program; what its upload left out stays as it was in the version before."""
    try:
        old = programs.newest(transaction, principal, new.title, provider=new.provider).details
    except NotFound:
        old = {}
    kept = {name: old[name] for name in _KEPT if name in old and name not in new.details}
    merged = NewProgram(
        new.title,
        new.entrypoint,
        new.artifact_sha256,
        new.artifact_bytes,
        new.provider,
        {**kept, **new.details},
    )
    return programs.upload(transaction, principal, merged)


def shown(program: Program) -> dict[str, Any]:
    """A program as it goes over the wire."""
    details = program.details
    return {
        "id": program.id,
        "title": program.title,
        "provider": program.provider or None,
        "type": "GENERIC",
        "entrypoint": program.entrypoint,
        "dependencies": details.get("dependencies", []),
        "env_vars": details.get("env_vars", {}),
        "description": details.get("description"),
        "version": details.get("version"),
        "revision": program.version,
        "runner": details.get("runner", "ray"),
        "arguments_schema": details.get("arguments_schema"),
        "sizes": details.get("sizes"),
        "default_size": details.get("default_size"),
        "image": None,
        "tags": details.get("tags", []),
        "created": program.created_at.isoformat(),
    }


def title_of(values: Mapping[str, Any]) -> tuple[str, str]:
    """Provider and title among the fields."""
    return named(name_of(values, "title"), name_of(values, "provider", ""))


def named(title: str, provider: str) -> tuple[str, str]:
    """Provider and title; a title may hold its provider, before a slash."""
    first, slash, rest = title.partition("/")
    if slash and provider not in ("", first):
        raise bad(f"Two providers: {provider!r}, and {first!r} in the title.")
    if slash:
        provider, title = first, rest
    if not title or (slash and not first) or "/" in title or "/" in provider:
        raise bad("title: expected a name, or a provider's and a program's with one slash between.")
    return provider, title


async def given_arguments(gateway: Gateway, values: Mapping[str, Any]) -> str:
    """The arguments among the fields, as they came; they are JSON as text."""
    text = text_of(values, "arguments", "{}")
    most = gateway.settings.arguments_bytes
    if len(text) > most or (not text.isascii() and len(text.encode()) > most):
        message = f"The arguments are too large: at most {most} bytes are accepted."
        raise Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, message)
    try:
        if len(text) <= INLINE_BYTES:
            return checked_payload("arguments", text)
        return await gateway.apart(checked_payload, "arguments", text)
    except ValueError as error:
        raise bad(f"{error}.") from error


def _kept(gateway: Gateway, file: UploadFile, entrypoint: str) -> tuple[str, int]:
    """Looks through an archive and keeps it; in a thread."""
    source: IO[bytes] = file.file
    most = gateway.settings.artifact_bytes
    if (file.size or 0) > most:
        message = f"The program is too large: at most {most} bytes are accepted."
        raise Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, message)
    artifacts.check(source, entrypoint)
    source.seek(0)
    return gateway.store.blobs.add(iter(lambda: source.read(_CHUNK), b""))


def _entrypoint(text: str) -> str:
    if text.startswith("/"):
        raise bad("entrypoint: expected a path within the archive, not one from the root.")
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if not parts or ".." in parts:
        raise bad(f"entrypoint={text[:100]!r}: expected a file within the archive.")
    return "/".join(parts)


# What an upload may say of a program, and what it must be.
_KEPT: Mapping[str, type | tuple[type, ...]] = {
    "arguments_schema": (dict, bool),
    "default_size": str,
    "dependencies": list,
    "description": str,
    "env_vars": dict,
    "runner": str,
    "sizes": dict,
    "tags": list,
    "version": str,
}


def _details(values: Mapping[str, Any]) -> dict[str, Any]:
    details: dict[str, Any] = {}
    for name, kind in _KEPT.items():
        value = values.get(name)
        if value is None:
            continue
        if kind is not str and isinstance(value, str):
            try:
                value = json.loads(value)
            except (ValueError, RecursionError) as error:
                raise bad(f"{name} is not JSON: {error}.") from error
        if not isinstance(value, kind):
            raise bad(f"{name}={str(value)[:100]!r} is not of the kind that was expected.")
        details[name] = value
    if len(json.dumps(details)) > _DETAILS_BYTES:
        raise bad(f"What is said of the program is too long: at most {_DETAILS_BYTES} bytes.")
    for name, value in details.get("env_vars", {}).items():
        if not isinstance(value, str) or not name or "=" in name or "\0" in name + value:
            raise bad(f"env_vars: {name[:100]!r}: expected texts, and names without '='.")
    return details
