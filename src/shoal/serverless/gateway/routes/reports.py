"""What jobs report while they run: results, errors, what they are doing; and what became of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.responses import Response

from shoal.serverless.errors import NotActive, StoreFull
from shoal.serverless.gateway.asking import Asked, bad, text_of
from shoal.serverless.gateway.gateway import Gateway
from shoal.serverless.gateway.routes.jobs import shown
from shoal.serverless.gateway.routes.logs import tail, view_of
from shoal.serverless.gateway.web.json_text import checked_payload, dumped
from shoal.serverless.gateway.web.refusals import Refusal
from shoal.serverless.models import Event, EventKind, Job, JobStatus, Principal, SubStatus
from shoal.serverless.runner import Place
from shoal.serverless.store import Transaction, jobs

RESULT_BYTES = 32 << 20  # of a result that is sent; a file may be as large as the settings allow
_REPORT_BYTES = 1 << 20
_TEXT_CHARACTERS = 16_000
_KINDS = {
    "ERROR": EventKind.ERROR,
    "STATUS_CHANGE": EventKind.STATUS,
    "SUB_STATUS_CHANGE": EventKind.SUB_STATUS,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}
_CONTEXTS = {"ERROR": "SEND_ERROR", "STATUS_CHANGE": "", "SUB_STATUS_CHANGE": "SET_SUB_STATUS"}
_WITH_LOG = ("EXIT_", "SIGNAL_")


async def save_result(gateway: Gateway, asked: Asked) -> Response:
    """Saves a job's result until it ends; of several, the last counts."""
    # In a form, every byte may take three.
    fields = await asked.fields(most_bytes=3 * RESULT_BYTES + _REPORT_BYTES)
    text = text_of(fields.values, "result")
    most = min(RESULT_BYTES, gateway.settings.result_bytes)
    if len(text) > most:
        message = f"The result is too large to be sent: at most {most} bytes are accepted."
        raise Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, message)
    job = await gateway.read(jobs.get, asked.principal, asked.path["job_id"])
    if job.status not in (JobStatus.PENDING, JobStatus.RUNNING):
        raise NotActive(f"job [{job.id}] is {job.status}: it cannot save a result")
    try:
        await gateway.apart(_save, gateway.place(job.id, job.fence), text)
    except ValueError as error:
        raise bad(f"{error}.") from error
    return Response(dumped(shown(job)), media_type="application/json")


async def set_sub_status(gateway: Gateway, asked: Asked) -> Response:
    """Records what a running job says it is doing."""
    fields = await asked.fields(most_bytes=_REPORT_BYTES)
    name = text_of(fields.values, "sub_status")
    if name not in SubStatus.__members__:
        raise bad(f"sub_status={name[:50]!r}: expected {', '.join(SubStatus)}.")
    job = await gateway.write(
        jobs.set_sub_status, asked.principal, asked.path["job_id"], SubStatus(name)
    )
    body = {"message": "Sub status updated correctly", "job": shown(job)}
    return Response(dumped(body), media_type="application/json")


async def send_error(gateway: Gateway, asked: Asked) -> Response:
    """Records an error that a job reports."""
    fields = await asked.fields(most_bytes=_REPORT_BYTES)
    if fields.values.get("type") != "ERROR":
        raise bad("Type is not valid. Valid types: ['ERROR']")
    data = {name: _word(fields.values, name) for name in ("code", "message", "exception")}
    args = _short(fields.values.get("args"))
    event = await gateway.write(
        jobs.report_error, asked.principal, asked.path["job_id"], {**data, "args": args}
    )
    return Response(dumped(event_shown(event)), media_type="application/json")


async def events(gateway: Gateway, asked: Asked) -> Response:
    """What happened to a job, in order: all of it, or of one type."""
    name = asked.query.get("type", "")
    if name and name not in _KINDS:
        raise bad(f"Type is not valid. Valid types: {list(_KINDS)}")
    job_id = asked.path["job_id"]
    job, found = await gateway.read(_look, asked.principal, job_id, _KINDS.get(name))
    listed = [event_shown(event) for event in found]
    wants_errors = name in ("", "ERROR")
    if wants_errors and job.status is JobStatus.FAILED and not _has_errors(found):
        listed.append(await _made_up(gateway, job))
    return Response(dumped(listed), media_type="application/json")


async def add_runtime_job(gateway: Gateway, asked: Asked) -> Response:
    """Records a job elsewhere, on a quantum computer, that a job has begun."""
    fields = await asked.fields(most_bytes=_REPORT_BYTES)
    data = {
        "runtime_job": _word(fields.values, "runtime_job"),
        "runtime_session": text_of(fields.values, "runtime_session", "")[:_TEXT_CHARACTERS] or None,
    }
    await gateway.write(jobs.report_runtime_job, asked.principal, asked.path["job_id"], data)
    return Response(dumped({"message": "Runtime job recorded."}), media_type="application/json")


async def runtime_jobs(gateway: Gateway, asked: Asked) -> Response:
    """The jobs elsewhere that a job has begun."""
    _, found = await gateway.read(
        _look, asked.principal, asked.path["job_id"], EventKind.RUNTIME_JOB
    )
    body = {"runtime_jobs": [dict(event.data) for event in found]}
    return Response(dumped(body), media_type="application/json")


def event_shown(event: Event) -> dict[str, Any]:
    """An event as it goes over the wire."""
    name = _NAMES.get(event.kind, str(event.kind))
    data = dict(event.data)
    if event.kind is not EventKind.ERROR:
        data = {"status": event.after, "previous": event.before}
    return {
        "event_type": name,
        "origin": "API",
        "context": _CONTEXTS.get(name, ""),
        "created": event.created_at.isoformat(),
        "data": data,
    }


def _look(
    transaction: Transaction, principal: Principal, job_id: str, kind: EventKind | None
) -> tuple[Job, tuple[Event, ...]]:
    job = jobs.get(transaction, principal, job_id)
    found = jobs.events(transaction, principal, job_id, kind=kind)
    if kind is None:
        found = tuple(event for event in found if event.kind is not EventKind.RUNTIME_JOB)
    return job, found


def _has_errors(found: tuple[Event, ...]) -> bool:
    return any(event.kind is EventKind.ERROR for event in found)


async def _made_up(gateway: Gateway, job: Job) -> dict[str, Any]:
    """The error of a job that failed and reported none: how it ended, and its last words."""
    message = job.message
    if job.reason.startswith(_WITH_LOG):
        folder = gateway.place(job.id, job.fence).log
        last = (await gateway.apart(tail, folder, view_of(job))).strip()
        message = f"{message}\n{last}" if last else message
    return {
        "event_type": "ERROR",
        "origin": "GATEWAY",
        "context": "JOB_ENDED",
        "created": job.changed_at.isoformat(),
        "data": {"code": job.reason, "message": message, "exception": job.reason, "args": None},
    }


def _word(values: Mapping[str, Any], name: str) -> str:
    """A text, or a number as text, without spaces around it."""
    value = values.get(name)
    if value is None or isinstance(value, dict | list):
        raise bad(f"{name} is missing.")
    return text_of({name: str(value)}, name).strip()[:_TEXT_CHARACTERS]


def _short(value: Any) -> Any:
    """A value as it is, or the beginning of its text if that is long."""
    text = json.dumps(value)
    return value if len(text) <= _TEXT_CHARACTERS else f"{text[:_TEXT_CHARACTERS]}…"


def _save(place: Place, text: str) -> None:
    checked_payload("result", text)
    try:
        place.save_result(text)
    except FileNotFoundError as error:
        raise NotActive("the job is not there any more, and cannot save a result") from error
    except OSError as error:
        raise StoreFull(f"the result was not kept: {error.strerror}") from error
