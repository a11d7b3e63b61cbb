"""What jobs wrote: while they run, and after."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator
from http import HTTPStatus
from itertools import chain
from pathlib import Path

from starlette.responses import Response

from shoal.serverless.gateway.asking import Asked
from shoal.serverless.gateway.gateway import Gateway
from shoal.serverless.gateway.web.json_text import object_of_text
from shoal.serverless.gateway.web.pieces import Pieces
from shoal.serverless.gateway.web.refusals import Refusal
from shoal.serverless.models import Job
from shoal.serverless.runner import read_log, read_tail
from shoal.serverless.store import jobs

_PIECE_BYTES = 1 << 18
_LINE_CHARACTERS = 1 << 20  # longer lines are looked at in parts
_MARK = re.compile(r"^\[(?:PUBLIC|PRIVATE)\] ", re.MULTILINE)
_PUBLIC = re.compile(r"^\[PUBLIC\] (.*(?:\n|\Z))", re.MULTILINE)
_PUBLIC_LINE = re.compile(r"^\[PUBLIC\] .*(?:\n|\Z)", re.MULTILINE)
_TAIL_BYTES = 4000

View = Callable[[str], str]


async def of_user(gateway: Gateway, asked: Asked) -> Response:
    """What a job wrote so far: of a provider's program only what it marked as public."""
    job = await gateway.read(jobs.get, asked.principal, asked.path["job_id"])
    return await _answer(gateway, job, view_of(job))


async def of_provider(gateway: Gateway, asked: Asked) -> Response:
    """What a job of a provider's program wrote that was not marked as public."""
    job = await gateway.read(jobs.get, asked.principal, asked.path["job_id"])
    if not job.provider:
        message = f"You don't have access to job [{job.id}]"
        raise Refusal(HTTPStatus.FORBIDDEN, message)
    return await _answer(gateway, job, not_public)


def view_of(job: Job) -> View:
    """What of a job's lines its user sees."""
    return public if job.provider else unmarked


def unmarked(text: str) -> str:
    """All lines, without the marks of the loggers."""
    return _MARK.sub("", text)


def public(text: str) -> str:
    """The lines marked as public, without the mark."""
    return "".join(_PUBLIC.findall(text))


def not_public(text: str) -> str:
    """The lines that are not marked as public."""
    return _MARK.sub("", _PUBLIC_LINE.sub("", text))


def texts(folder: Path, view: View, most_bytes: int) -> Iterator[str]:
    """A log in pieces, as it is now.

    Args:
        folder: Of the log.
        view: What is seen of some whole lines.
        most_bytes: Where to end, should the job write faster than we read.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    part = read_log(folder, most_bytes=_PIECE_BYTES)
    if part.start > 0:
        yield f"[The first {part.start} bytes of this log are no longer kept.]\n"
    end, rest = part.start + most_bytes, ""
    while part.data and part.start < end:
        lines, newline, rest = (rest + decoder.decode(part.data)).rpartition("\n")
        if len(rest) > _LINE_CHARACTERS:
            lines, newline, rest = lines + newline + rest, "", ""
        yield view(lines + newline)
        part = read_log(folder, part.end, most_bytes=_PIECE_BYTES)
    yield view(rest + decoder.decode(b"", final=True))


def tail(folder: Path, view: View) -> str:
    """The last lines of a log."""
    part = read_tail(folder, _TAIL_BYTES)
    text = part.data.decode(errors="replace")
    if part.start > 0:
        text = text.partition("\n")[2]
    return view(text)


async def _answer(gateway: Gateway, job: Job, view: View) -> Response:
    folder = gateway.place(job.id, job.fence).log
    pieces = object_of_text("logs", texts(folder, view, gateway.settings.log_bytes))
    first = await gateway.apart(_first, pieces)
    if first[-1] == b'"}':
        return Response(b"".join(first), media_type="application/json")
    return Pieces(chain(first, pieces), pieces, media_type="application/json")


def _first(pieces: Iterator[bytes]) -> list[bytes]:
    """The first pieces; all of them, if they are few."""
    found = [next(pieces)]
    while found[-1] != b'"}' and len(found) < 5:
        found.append(next(pieces))
    return found
