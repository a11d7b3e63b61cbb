"""Jobs: looked at, listed, stopped, and what they were given and gave back."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Generator, Iterator
from datetime import UTC, datetime
from typing import Any

from starlette.responses import Response

from shoal.serverless.gateway.asking import Asked, bad
from shoal.serverless.gateway.gateway import Gateway
from shoal.serverless.gateway.web.json_text import dumped, object_of_text
from shoal.serverless.gateway.web.pieces import Pieces
from shoal.serverless.models import Job, JobStatus, Payload, Principal
from shoal.serverless.store import Blobs, Transaction, jobs

MOST_JOBS = 1000
MOST_HOLD_SECONDS = 30.0
_CHUNK = 1 << 18


async def one(gateway: Gateway, asked: Asked) -> Response:
    """Where a job is, and its result unless ``with_result=false``.

    If nothing changed since this token was told last, the answer waits a while for news: clients
    that ask every few seconds, or every thirty, then hear of the end soon.
    """
    job_id, principal = asked.path["job_id"], asked.principal
    form = "with" if asked.flag("with_result", True) else "without"
    kept = gateway.finished.get(principal, job_id, form)
    if kept is not None:
        return Response(kept, media_type="application/json")
    seconds = _patience(asked)
    with gateway.following.of(job_id) as news:
        job, result = await gateway.read(_look, principal, job_id, form == "with")
        token_id = principal.token_id or ""
        if seconds is None:
            told = gateway.told.is_news(token_id, job_id, _state(job))
            seconds = 0.0 if told else gateway.settings.hold_seconds
        loop_end = _now() + seconds
        before = _state(job)
        while (
            not job.status.is_terminal
            and _state(job) == before
            and await news.wait(loop_end - _now())
            and not gateway.following.closing
        ):
            job, result = await gateway.read(_look, principal, job_id, form == "with")
    gateway.told.tell(token_id, job_id, _state(job))
    return await _answered(gateway, job, result, form)


async def index(gateway: Gateway, asked: Asked) -> Response:
    """Some of the account's jobs, newest first."""
    return await _page(gateway, asked, asked.query.get("provider") or None)


async def of_provider(gateway: Gateway, asked: Asked) -> Response:
    """Some of the jobs of a provider's program, newest first."""
    provider = asked.query.get("provider", "")
    if not provider or not asked.query.get("function"):
        raise bad("function and provider: both are needed.")
    return await _page(gateway, asked, provider)


async def stop(gateway: Gateway, asked: Asked) -> Response:
    """Asks for a job's end; asking again, or for one that has ended, changes nothing."""
    job_id = asked.path["job_id"]
    before = await gateway.write(_stop, asked.principal, job_id)
    message = "Job already in terminal state." if before.is_terminal else "Job has been stopped."
    return Response(dumped({"message": message}), media_type="application/json")


async def result(gateway: Gateway, asked: Asked) -> Response:
    """What a job saved, as JSON within a text; null before it has, or if it saved nothing."""
    found = await gateway.read(jobs.result, asked.principal, asked.path["job_id"])
    return await payload_answer(gateway, "result", found)


async def arguments(gateway: Gateway, asked: Asked) -> Response:
    """What a job was given, as JSON within a text."""
    found = await gateway.read(jobs.arguments, asked.principal, asked.path["job_id"])
    return await payload_answer(gateway, "arguments", found)


def shown(job: Job) -> dict[str, Any]:
    """A job as it goes over the wire."""
    return {
        "id": job.id,
        "title": job.title,
        "provider": job.provider or None,
        "status": job.status,
        "sub_status": job.sub_status,
        "reason": job.reason,
        "message": job.message,
        "created": job.created_at.isoformat(),
        "changed": job.changed_at.isoformat(),
        "started": None if job.started_at is None else job.started_at.isoformat(),
        "stop_requested": job.stop_requested_at is not None,
        "fleet_id": None,
        "program": {"title": job.title, "provider": job.provider or None},
        "program_version": job.program_version_id,
    }


async def payload_answer(gateway: Gateway, name: str, payload: Payload | None) -> Response:
    """An object with one payload in it, in pieces if it is long."""
    if payload is None or payload.sha256 is None:
        text = None if payload is None else payload.text
        return Response(dumped({name: text}), media_type="application/json")
    texts = _texts(gateway.store.blobs, payload.sha256)
    pieces = object_of_text(name, texts)
    return Pieces(pieces, pieces, texts, media_type="application/json")


def _texts(blobs: Blobs, sha256: str) -> Generator[str, None, None]:
    """A blob's text in pieces that end between characters."""
    with os.fdopen(blobs.open(sha256), encoding="utf-8", newline="") as source:
        while text := source.read(_CHUNK):
            yield text


def _look(
    transaction: Transaction, principal: Principal, job_id: str, with_result: bool
) -> tuple[Job, Payload | None]:
    job = jobs.get(transaction, principal, job_id)
    if not with_result or job.status is not JobStatus.SUCCEEDED:
        return job, None
    return job, jobs.result(transaction, principal, job_id)


async def _answered(gateway: Gateway, job: Job, result: Payload | None, form: str) -> Response:
    body = shown(job)
    if form == "with":
        if result is not None and result.sha256 is not None:
            rest = dumped(body)[1:]
            texts = _texts(gateway.store.blobs, result.sha256)
            pieces = _joined(object_of_text("result", texts), rest)
            return Pieces(pieces, pieces, texts, media_type="application/json")
        body["result"] = None if result is None else result.text
    answer = dumped(body)
    if job.status.is_terminal:
        gateway.finished.keep(job.account_id, job.id, form, answer)
    return Response(answer, media_type="application/json")


def _joined(first: Iterator[bytes], rest: bytes) -> Generator[bytes, None, None]:
    """One object out of two, the second without its first brace."""
    last = b""
    for piece in first:
        yield last
        last = piece
    yield last[:-1] + b"," + rest


def _state(job: Job) -> tuple[object, ...]:
    return (job.status, job.sub_status)


def _patience(asked: Asked) -> float | None:
    """How long the request itself says that its answer may wait (RFC 7240); None if it does not."""
    for preference in asked.headers.get("prefer", "").split(","):
        name, _, value = preference.strip().partition("=")
        if name.lower() == "wait" and value.isascii() and value.isdigit() and len(value) < 10:
            return min(float(value), MOST_HOLD_SECONDS)
    return None


def _stop(transaction: Transaction, principal: Principal, job_id: str) -> JobStatus:
    before = jobs.get(transaction, principal, job_id).status
    jobs.request_stop(transaction, principal, job_id)
    return before


async def _page(gateway: Gateway, asked: Asked, provider: str | None) -> Response:
    title = asked.query.get("function") or None
    if title is not None and "/" in title:
        provider, _, title = title.partition("/")
    limit, offset = asked.number("limit", 100, MOST_JOBS), asked.number("offset", 0, 1 << 40)
    page = await gateway.read(
        jobs.page,
        asked.principal,
        limit=limit,
        offset=offset,
        statuses=_statuses(asked.query.get("status", "")),
        title=title,
        provider=provider,
        is_provided=asked.is_provided(),
        created_after=_time(asked.query.get("created_after", "")),
    )
    body = {"count": page.total, "results": [shown(job) for job in page.items]}
    return Response(dumped(body), media_type="application/json")


def _statuses(text: str) -> tuple[JobStatus, ...]:
    try:
        return tuple(JobStatus(word.strip()) for word in text.split(",") if word.strip())
    except ValueError as error:
        raise bad(f"status={text[:100]!r}: expected {', '.join(JobStatus)}.") from error


def _time(text: str) -> datetime | None:
    """A time in the query; without a zone it is UTC, and a lost plus sign is put back."""
    if not text:
        return None
    try:
        found = datetime.fromisoformat(_with_plus(text))
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise bad(f"created_after={text[:100]!r}: expected a time such as 2025-01-31.") from error


def _with_plus(text: str) -> str:
    date, space, zone = text.rpartition(" ")
    return f"{date}+{zone}" if space and ":" in date and len(zone) == 5 else text


def _now() -> float:
    return asyncio.get_running_loop().time()
