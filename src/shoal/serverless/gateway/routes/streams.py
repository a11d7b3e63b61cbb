"""Server-sent events: a job's changes and its log, as they happen."""

from __future__ import annotations

import codecs
import time
from collections.abc import AsyncIterator, Mapping
from typing import NamedTuple

from starlette.responses import Response, StreamingResponse

from shoal.serverless.gateway.asking import Asked
from shoal.serverless.gateway.gateway import Gateway
from shoal.serverless.gateway.routes.logs import view_of
from shoal.serverless.gateway.web.json_text import dumped
from shoal.serverless.models import Job
from shoal.serverless.runner import read_log
from shoal.serverless.store import jobs

PING_SECONDS = 10.0
_LOOK_SECONDS = (0.05, 1.0)  # how often a log is looked at: while it grows, and while it does not
_PIECE_BYTES = 1 << 18
_PARTS_AT_ONCE = 16
_MARKS = (b"[PUBLIC] ", b"[PRIVATE] ")


async def follow(gateway: Gateway, asked: Asked) -> Response:
    """Each change of a job's status, and with ``logs=true`` what it writes, until it has ended."""
    job = await gateway.read(jobs.get, asked.principal, asked.path["job_id"])
    offset = asked.number("offset", 0, 1 << 60)
    last = asked.headers.get("last-event-id", "")
    if last.isascii() and last.isdigit() and len(last) < 19:
        offset = int(last)
    if asked.number("attempt", job.fence, 1 << 40) != job.fence:
        offset = 0  # that was of an attempt whose log is gone
    with_logs = asked.flag("logs", True)
    events = _events(gateway, asked, job, offset if with_logs else None)
    return StreamingResponse(events, media_type="text/event-stream")


class Part(NamedTuple):
    """Some of a log as its user sees it.

    Attributes:
        start: The offset of its first byte.
        end: Where to read on.
    """

    start: int
    end: int
    text: str


async def _events(
    gateway: Gateway, asked: Asked, job: Job, offset: int | None
) -> AsyncIterator[bytes]:
    told: tuple[object, ...] | None = None
    spoke, fence = time.monotonic(), job.fence
    shortest, longest = _LOOK_SECONDS
    pause = shortest
    with gateway.following.of(job.id) as news:
        while not gateway.following.closing and await _may_look(gateway, asked):
            job = await gateway.read(jobs.get, asked.principal, job.id)
            if offset is not None and fence != job.fence:
                offset = 0  # it runs again, and what it writes begins anew
            fence = job.fence
            state = (job.status, job.sub_status)
            if state != told and not job.status.is_terminal:
                told, spoke = state, time.monotonic()
                yield _status(job)
            parts = 0
            while offset is not None and parts < _PARTS_AT_ONCE:
                part = await gateway.apart(_part, gateway, job, offset)
                if part is None:
                    break
                parts, offset, spoke = parts + 1, part.end, time.monotonic()
                if part.text:
                    said = {"text": part.text, "start": part.start, "attempt": fence}
                    yield _event("log", said, part.end)
            if parts == _PARTS_AT_ONCE:
                continue  # there is more, and there may be other news
            if job.status.is_terminal:
                yield _status(job)
                return
            pause = shortest if parts else min(2 * pause, longest)
            if time.monotonic() - spoke > PING_SECONDS - longest:
                spoke = time.monotonic()
                yield b": ping\n\n"
            await news.wait(longest if offset is None else pause)


async def _may_look(gateway: Gateway, asked: Asked) -> bool:
    """Whether the token is still valid; one of a job may see that job to its end."""
    token = asked.headers.get("authorization", "").partition(" ")[2].strip()
    return asked.principal.job_id is not None or await gateway.principal(token) is not None


def _part(gateway: Gateway, job: Job, offset: int) -> Part | None:
    """What the log holds beyond an offset, in whole characters; None if that is nothing yet."""
    folder = gateway.place(job.id, job.fence).log
    found = read_log(folder, offset, most_bytes=_PIECE_BYTES)
    if not found.data:
        return None
    is_all = job.status.is_terminal and len(found.data) < _PIECE_BYTES
    size = len(found.data) if is_all else ready(found.data, whole_lines=bool(job.provider))
    if size == 0:
        return None
    text = view_of(job)(found.data[:size].decode(errors="replace"))
    return Part(found.start, found.start + size, text)


def ready(data: bytes, *, whole_lines: bool) -> int:
    """How many bytes of a log can be shown before more comes.

    A character that is not complete waits, and the beginning of what may become a mark; with
    `whole_lines` every line does, except for one that is too long for that.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    decoder.decode(data)
    size = len(data) - len(decoder.getstate()[0])
    begun = data.rfind(b"\n", 0, size) + 1
    line = data[begun:size]
    waits = whole_lines or (line and any(mark.startswith(line) for mark in _MARKS))
    return begun if waits and (begun or len(data) < _PIECE_BYTES) else size


def _status(job: Job) -> bytes:
    said = {
        "status": job.status,
        "sub_status": job.sub_status,
        "reason": job.reason,
        "message": job.message,
    }
    return _event("status", said, None)


def _event(name: str, data: Mapping[str, object], number: int | None) -> bytes:
    """One event as it goes over the wire; JSON has no line end in it."""
    place = b"" if number is None else b"id: %d\n" % number
    return b"event: %s\n%sdata: %s\n\n" % (name.encode(), place, dumped(data))
