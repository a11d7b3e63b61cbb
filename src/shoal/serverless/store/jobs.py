"""What users do with jobs: submit, look, stop, report. Always in somebody's name."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Row, bindparam, func, insert, literal, select, update

from shoal.serverless.errors import Conflict, KeyReused, NotActive, NotFound, QuotaExceeded
from shoal.serverless.models import (
    ACTIVE,
    Event,
    EventKind,
    Job,
    JobStatus,
    NewJob,
    Page,
    Payload,
    Principal,
    Program,
    Quotas,
    SubStatus,
    microseconds,
    moment,
)
from shoal.serverless.store import programs
from shoal.serverless.store.database.schema import event, job, payload, tally
from shoal.serverless.store.store import Transaction
from shoal.serverless.store.texts import checked

# In the words of the partial indexes, which are used only where a statement repeats them.
QUEUED = job.c.status == literal(str(JobStatus.QUEUED), literal_execute=True)
CLAIMED = job.c.status.in_([literal(name, literal_execute=True) for name in ("PENDING", "RUNNING")])
MOST_REPORTS = 1000  # of one kind and one job
# Asked all the time, and so put together once.
_MINE = select(job).where(
    job.c.id == bindparam("job_id"), job.c.account_id == bindparam("account_id")
)
_BY_ID = select(job).where(job.c.id == bindparam("job_id"))
_BY_KEY = select(job).where(
    job.c.account_id == bindparam("account_id"), job.c.idempotency_key == bindparam("key")
)
_INSERT, _INSERT_PAYLOAD = insert(job), insert(payload)


class Submitted(NamedTuple):
    """A job, and whether this request is the one that made it."""

    job: Job
    is_new: bool


def submit(
    transaction: Transaction,
    principal: Principal,
    new: NewJob,
    quotas: Quotas | None = None,
    *,
    admit: Callable[[Program], None] = lambda program: None,  # noqa: ARG005
) -> Submitted:
    """Queues a job. Repeating the call, or its idempotency key, gives the job that is there.

    Args:
        new: What is to run.
        quotas: What the account may have.
        admit: Called with the program; what it raises refuses the job.

    Raises:
        NotFound: If there is no such program.
        KeyReused: If the key was used for another request.
        QuotaExceeded: If the account, or the queue, is full.
    """
    checked("idempotency_key", new.idempotency_key or "")
    known = _submitted_before(transaction, principal, new)
    if known is not None:
        return Submitted(known, is_new=False)
    if new.max_attempts < 1:
        raise ValueError(f"max_attempts={new.max_attempts}: expected 1 or more")
    program = programs.newest(transaction, principal, new.title, provider=new.provider)
    admit(program)
    _check_quotas(transaction, principal, quotas or Quotas())
    row = {
        "id": new.id,
        "account_id": principal.account_id,
        "program_version_id": program.version_id,
        "title": program.title,
        "provider": program.provider,
        "status": JobStatus.QUEUED,
        "reason": "",
        "message": "",
        "fence": 0,
        "attempts_left": new.max_attempts - 1,
        "changed_by": principal.name[:64],
        "idempotency_key": new.idempotency_key,
        "request_sha256": new.request_sha256,
        "created_us": transaction.now_us,
        "changed_us": transaction.now_us,
        "config": json.dumps(dict(new.config)),
    }
    transaction.change(_INSERT, row)
    insert_payload(transaction, new.id, "arguments", new.arguments)
    transaction.job_changed(new.id)
    return Submitted(get(transaction, principal, new.id), is_new=True)


def get(transaction: Transaction, principal: Principal, job_id: str) -> Job:
    """A job; raises NotFound if there is none, or it is not the principal's."""
    hidden = principal.job_id not in (None, job_id)
    row = transaction.first(_MINE, job_id=job_id, account_id=principal.account_id)
    if row is None or hidden:
        raise NotFound(f"Job [{job_id}] not found")
    return job_of(row)


def page(
    transaction: Transaction,
    principal: Principal,
    *,
    limit: int = 10,
    offset: int = 0,
    statuses: Collection[JobStatus] = (),
    title: str | None = None,
    provider: str | None = None,
    is_provided: bool | None = None,
    created_after: datetime | None = None,
) -> Page[Job]:
    """Some of the account's jobs, newest first.

    Args:
        is_provided: Only jobs of programs that belong to a provider, or only those of others.
    """
    which = [job.c.account_id == principal.account_id]
    if principal.job_id is not None:
        which.append(job.c.id == principal.job_id)
    if statuses:
        which.append(job.c.status.in_(sorted(statuses)))
    if title is not None:
        which.append(job.c.title == title)
    if provider is not None:
        which.append(job.c.provider == provider)
    if is_provided is not None:
        which.append(job.c.provider != "" if is_provided else job.c.provider == "")
    if created_after is not None:
        which.append(job.c.created_us > microseconds(created_after))
    total = transaction.value(select(func.count()).select_from(job).where(*which))
    ordered = select(job).where(*which).order_by(job.c.id.desc()).limit(limit).offset(offset)
    return Page(tuple(map(job_of, transaction.all(ordered))), total)


def arguments(transaction: Transaction, principal: Principal, job_id: str) -> Payload:
    """What the job was given, as it came."""
    found = _payload(transaction, get(transaction, principal, job_id).id, "arguments")
    return found or Payload.of("{}")


def result(transaction: Transaction, principal: Principal, job_id: str) -> Payload | None:
    """What the job saved, or None if it saved nothing, failed, or has not ended."""
    return _payload(transaction, get(transaction, principal, job_id).id, "result")


def request_stop(transaction: Transaction, principal: Principal, job_id: str) -> Job:
    """Asks for a job's end. A queued job ends now, one that runs when its processes are gone.

    Asking again, or for a job that has ended, changes nothing.
    """
    found = get(transaction, principal, job_id)
    if found.status is JobStatus.QUEUED:
        values: dict[str, Any] = {
            "status": JobStatus.STOPPED,
            "reason": "STOPPED_BY_USER",
            "message": "It was stopped before it began.",
            "stop_requested_us": transaction.now_us,
            "changed_us": transaction.now_us,
            "changed_by": principal.name[:64],
        }
        transaction.change(update(job).where(job.c.id == job_id, QUEUED).values(values))
    elif not found.status.is_terminal and found.stop_requested_at is None:
        stop = update(job).where(job.c.id == job_id, CLAIMED)
        transaction.change(stop.values(stop_requested_us=transaction.now_us))
    else:
        return found
    transaction.job_changed(job_id)
    return get(transaction, principal, job_id)


def set_sub_status(
    transaction: Transaction, principal: Principal, job_id: str, sub_status: SubStatus
) -> Job:
    """Records what a job says it is doing, if that is something else than before.

    Raises:
        NotActive: Once it has ended.
        QuotaExceeded: If it has said enough.
    """
    found = _active(transaction, principal, job_id)
    before = found.sub_status
    if before == sub_status:
        return found
    _check_reports(transaction, job_id, EventKind.SUB_STATUS)
    transaction.change(update(job).where(job.c.id == job_id).values(sub_status=sub_status))
    row = _event(transaction, principal, job_id, EventKind.SUB_STATUS, {})
    transaction.change(insert(event).values(**row, before=before, after=sub_status))
    transaction.job_changed(job_id)
    return get(transaction, principal, job_id)


def report_error(
    transaction: Transaction, principal: Principal, job_id: str, data: Mapping[str, Any]
) -> Event:
    """Records an error that a job reports; raises NotActive once it has ended."""
    return _report(transaction, principal, job_id, EventKind.ERROR, data)


def report_runtime_job(
    transaction: Transaction, principal: Principal, job_id: str, data: Mapping[str, Any]
) -> Event:
    """Records a job elsewhere that a job has begun; raises NotActive once it has ended."""
    return _report(transaction, principal, job_id, EventKind.RUNTIME_JOB, data)


def events(
    transaction: Transaction,
    principal: Principal,
    job_id: str,
    *,
    kind: EventKind | None = None,
    after: int = 0,
) -> tuple[Event, ...]:
    """What happened to a job after the event of that number, in order."""
    which = [event.c.job_id == get(transaction, principal, job_id).id, event.c.number > after]
    if kind is not None:
        which.append(event.c.kind == kind)
    rows = transaction.all(select(event).where(*which).order_by(event.c.number))
    return tuple(map(_event_of, rows))


def counts(transaction: Transaction) -> dict[JobStatus, int]:
    """How many jobs there are in each status, of all accounts."""
    summed = select(tally.c.status, func.sum(tally.c.jobs)).group_by(tally.c.status)
    found = {JobStatus(row[0]): int(row[1]) for row in transaction.all(summed)}
    return {status: found.get(status, 0) for status in JobStatus}


def job_of(row: Row[Any]) -> Job:
    """A row of the table as a job."""
    return Job(
        id=row.id,
        account_id=row.account_id,
        program_version_id=row.program_version_id,
        title=row.title,
        provider=row.provider,
        status=JobStatus(row.status),
        sub_status=None if row.sub_status is None else SubStatus(row.sub_status),
        reason=row.reason,
        message=row.message,
        fence=row.fence,
        attempts_left=row.attempts_left,
        claimed_by=row.claimed_by,
        config=json.loads(row.config),
        created_at=moment(row.created_us),
        changed_at=moment(row.changed_us),
        stop_requested_at=_moment(row.stop_requested_us),
        started_at=_moment(row.started_us),
    )


def insert_payload(transaction: Transaction, job_id: str, kind: str, kept: Payload) -> None:
    """Records arguments or a result; long ones are blobs already."""
    row = {
        "job_id": job_id,
        "kind": kind,
        "text": kept.text,
        "sha256": kept.sha256,
        "size_bytes": kept.size_bytes,
    }
    transaction.change(_INSERT_PAYLOAD, row)


def _submitted_before(transaction: Transaction, principal: Principal, new: NewJob) -> Job | None:
    if new.idempotency_key is not None:
        key = new.idempotency_key
        row = transaction.first(_BY_KEY, account_id=principal.account_id, key=key)
        if row is not None:
            if row.request_sha256 != new.request_sha256:
                raise KeyReused("this idempotency key was used for another request")
            return job_of(row)
    row = transaction.first(_BY_ID, job_id=new.id)
    if row is not None and row.account_id != principal.account_id:
        raise Conflict("this id cannot be used")
    return None if row is None else job_of(row)


def _check_quotas(transaction: Transaction, principal: Principal, quotas: Quotas) -> None:
    if quotas.active_jobs is not None:
        mine = (tally.c.account_id == principal.account_id, tally.c.status.in_(sorted(ACTIVE)))
        active = transaction.value(select(func.sum(tally.c.jobs)).where(*mine)) or 0
        if active >= quotas.active_jobs:
            raise _exceeded("Active job limit reached.", quotas.active_jobs)
    if quotas.queued_jobs is not None:
        waiting = select(func.sum(tally.c.jobs)).where(tally.c.status == JobStatus.QUEUED)
        if (transaction.value(waiting) or 0) >= quotas.queued_jobs:
            raise _exceeded("The queue is full.", quotas.queued_jobs)


def _exceeded(what: str, most: int) -> QuotaExceeded:
    error = QuotaExceeded(f"{what} The maximum allowed is {most}.")
    error.most = most
    return error


def _active(transaction: Transaction, principal: Principal, job_id: str) -> Job:
    found = get(transaction, principal, job_id)
    if found.status.is_terminal:
        raise NotActive(f"job {job_id} has ended: its status is {found.status}")
    return found


def _report(
    transaction: Transaction,
    principal: Principal,
    job_id: str,
    kind: EventKind,
    data: Mapping[str, Any],
) -> Event:
    _active(transaction, principal, job_id)
    mine = _check_reports(transaction, job_id, kind)
    row = _event(transaction, principal, job_id, kind, data)
    transaction.change(insert(event).values(**row))
    transaction.job_changed(job_id)
    newest = select(event).where(*mine).order_by(event.c.number.desc())
    return _event_of(transaction.all(newest.limit(1))[0])


def _check_reports(transaction: Transaction, job_id: str, kind: EventKind) -> tuple[Any, ...]:
    """Where the job's events of a kind are, of which there may be one more."""
    mine = (event.c.job_id == job_id, event.c.kind == kind)
    if transaction.value(select(func.count()).select_from(event).where(*mine)) >= MOST_REPORTS:
        raise _exceeded("The job has reported enough of this kind.", MOST_REPORTS)
    return mine


def _payload(transaction: Transaction, job_id: str, kind: str) -> Payload | None:
    which = (payload.c.job_id == job_id, payload.c.kind == kind)
    row = transaction.first(select(payload).where(*which))
    return None if row is None else Payload(row.text, row.sha256, row.size_bytes)


def _event(
    transaction: Transaction,
    principal: Principal,
    job_id: str,
    kind: EventKind,
    data: Mapping[str, Any],
) -> dict[str, Any]:
    return {
        "job_id": job_id,
        "kind": kind,
        "actor": principal.name[:64],
        "created_us": transaction.now_us,
        "data": json.dumps(dict(data)),
    }


def _event_of(row: Row[Any]) -> Event:
    return Event(
        row.number,
        row.job_id,
        EventKind(row.kind),
        row.before,
        row.after,
        row.actor,
        moment(row.created_us),
        json.loads(row.data),
    )


def _moment(value: int | None) -> datetime | None:
    return None if value is None else moment(value)
