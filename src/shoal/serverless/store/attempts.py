"""What the runner does with jobs: claim, start, end. Each change names the fence it was told."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import func, select, update

from shoal.serverless.models import Ending, Job, JobStatus, Payload, Program
from shoal.serverless.store import programs
from shoal.serverless.store.accounts import insert_token
from shoal.serverless.store.database.schema import job, payload, tally
from shoal.serverless.store.jobs import CLAIMED, QUEUED, insert_payload, job_of
from shoal.serverless.store.store import Transaction
from shoal.serverless.store.texts import cleaned
from shoal.serverless.tokens import mint

RUNNER = "runner"


class Claim(NamedTuple):
    """A job that was claimed, with what is needed to start it.

    Attributes:
        job: As of the claim; its `fence` names the attempt.
        program: The version to run.
        arguments: What to give it.
        token: The job's own token, valid while this attempt is.
    """

    job: Job
    program: Program
    arguments: Payload
    token: str


def claim(
    transaction: Transaction, claimer: str, most: int, *, running_jobs: int | None = None
) -> tuple[Claim, ...]:
    """Takes up to `most` jobs out of the queue, in turn from the accounts with the fewest running.

    Args:
        claimer: Who will start them.
        most: How many there is room for.
        running_jobs: How many one account may have under way; None is no limit.
    """
    return tuple(
        _claimed(transaction, claimer, chosen)
        for _ in range(most)
        if (chosen := _next(transaction, running_jobs)) is not None
    )


def claimed(transaction: Transaction) -> tuple[Job, ...]:
    """All jobs that were claimed and have not ended, oldest first."""
    return tuple(map(job_of, transaction.all(select(job).where(CLAIMED).order_by(job.c.id))))


def get(transaction: Transaction, job_id: str) -> Job | None:
    """A job, whoever's it is."""
    row = transaction.first(select(job).where(job.c.id == job_id))
    return None if row is None else job_of(row)


def mark_running(transaction: Transaction, job_id: str, fence: int) -> bool:
    """Records that the program was started; True if this call did."""
    values = {"status": JobStatus.RUNNING, "started_us": transaction.now_us}
    return _change(transaction, job_id, fence, (JobStatus.PENDING,), values)


def put_back(transaction: Transaction, job_id: str, fence: int) -> bool:
    """Queues a job again that provably never started, or ends it if its end was asked for."""
    stopped = {
        "status": JobStatus.STOPPED,
        "reason": "STOPPED_BY_USER",
        "message": "It was stopped before it began.",
    }
    asked = job.c.stop_requested_us.is_not(None)
    pending = (JobStatus.PENDING,)
    if _change(transaction, job_id, fence, pending, stopped, asked):
        return True
    queued = {"status": JobStatus.QUEUED, "claimed_by": None}
    return _change(transaction, job_id, fence, pending, queued)


def run_again(transaction: Transaction, job_id: str, fence: int) -> bool:
    """Queues a job again that was started, if it has an attempt left; True if it has."""
    mark_running(transaction, job_id, fence)
    values = {
        "status": JobStatus.QUEUED,
        "claimed_by": None,
        "started_us": None,
        "sub_status": None,
        "attempts_left": job.c.attempts_left - 1,
    }
    left = (job.c.attempts_left > 0, job.c.stop_requested_us.is_(None))
    return _change(transaction, job_id, fence, (JobStatus.RUNNING,), values, *left)


def finish(transaction: Transaction, job_id: str, fence: int, ending: Ending) -> bool:
    """Records how a job ended, with its result; True if this call did, False if another had.

    The result and the state become visible together.
    """
    under_way = (job.c.id == job_id, job.c.fence == fence, CLAIMED)
    if transaction.first(select(job.c.id).where(*under_way)) is None:
        return False
    if ending.result is not None:
        insert_payload(transaction, job_id, "result", ending.result)
    values = {
        "status": ending.status,
        "reason": ending.reason,
        "message": cleaned(ending.message),
        "sub_status": None,
    }
    states = (JobStatus.PENDING, JobStatus.RUNNING)
    return _change(transaction, job_id, fence, states, values)


def _next(transaction: Transaction, running_jobs: int | None) -> str | None:
    """The oldest job of that account which has the fewest under way."""
    waiting = tally.alias()
    busy = (
        select(func.coalesce(func.sum(tally.c.jobs), 0))
        .where(
            tally.c.account_id == waiting.c.account_id,
            tally.c.status.in_([JobStatus.PENDING, JobStatus.RUNNING]),
        )
        .correlate(waiting)
        .scalar_subquery()
    )
    oldest = (
        select(func.min(job.c.id))
        .where(job.c.account_id == waiting.c.account_id, QUEUED)
        .correlate(waiting)
        .scalar_subquery()
    )
    candidates = select(oldest.label("id"), busy.label("busy")).where(
        waiting.c.status == JobStatus.QUEUED, waiting.c.jobs > 0
    )
    rows = [row for row in transaction.all(candidates) if row.id is not None]
    allowed = [row for row in rows if running_jobs is None or row.busy < running_jobs]
    return min(allowed, key=lambda row: (row.busy, row.id)).id if allowed else None


def _claimed(transaction: Transaction, claimer: str, job_id: str) -> Claim:
    values = {
        "status": JobStatus.PENDING,
        "fence": job.c.fence + 1,
        "claimed_by": claimer,
        "changed_us": transaction.now_us,
        "changed_by": RUNNER,
    }
    transaction.change(update(job).where(job.c.id == job_id, QUEUED).values(values))
    row = transaction.first(select(job).where(job.c.id == job_id))
    given = transaction.first(
        select(payload).where(payload.c.job_id == job_id, payload.c.kind == "arguments")
    )
    if row is None or given is None:  # the queue's index named it a moment ago
        raise LookupError(f"job {job_id} is incomplete in the database")
    minted, taken = mint(), job_of(row)
    insert_token(transaction, minted, taken.account_id, label="", job_id=job_id, fence=taken.fence)
    transaction.job_changed(job_id)
    program = programs.version(transaction, taken.program_version_id)
    arguments = Payload(given.text, given.sha256, given.size_bytes)
    return Claim(taken, program, arguments, minted.text)


def _change(
    transaction: Transaction,
    job_id: str,
    fence: int,
    states: tuple[JobStatus, ...],
    values: dict[str, Any],
    *conditions: Any,
) -> bool:
    """Changes the job if it is still in one of these states, under this fence."""
    here = (job.c.id == job_id, job.c.fence == fence, job.c.status.in_(states))
    stamped = {**values, "changed_us": transaction.now_us, "changed_by": RUNNER}
    done = transaction.change(update(job).where(*here, *conditions).values(stamped)) == 1
    if done:
        transaction.job_changed(job_id)
    return done
