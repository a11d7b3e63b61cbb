"""What the database itself refuses and records, whoever writes to it; SQLite's dialect."""

from __future__ import annotations

from shoal.serverless.models import TERMINAL

_ENDED = ", ".join(f"'{status}'" for status in sorted(TERMINAL))


def _refuse(name: str, moment: str, condition: str, message: str) -> str:
    return (
        f"CREATE TRIGGER {name} BEFORE {moment} FOR EACH ROW WHEN {condition} "
        f"BEGIN SELECT RAISE(ABORT, '{message}'); END"
    )


def _count(account: str, status: str, change: int) -> str:
    return (
        "INSERT INTO tally (account_id, status, jobs) "  # noqa: S608 - constants, below
        f"VALUES ({account}, {status}, {change}) "
        f"ON CONFLICT (account_id, status) DO UPDATE SET jobs = jobs + {change};"
    )


def _record(before: str) -> str:
    return (
        "INSERT INTO event (job_id, kind, before, after, actor, created_us, data) "  # noqa: S608
        f"VALUES (NEW.id, 'STATUS', {before}, NEW.status, NEW.changed_by, NEW.changed_us, '{{}}');"
    )


def _follow(name: str, moment: str, condition: str, *statements: str) -> str:
    return (
        f"CREATE TRIGGER {name} AFTER {moment} FOR EACH ROW WHEN {condition} "
        f"BEGIN {' '.join(statements)} END"
    )


_NEW_ONE = _count("NEW.account_id", "NEW.status", 1)

SQLITE = (
    # A job goes only where an edge leads, and never anywhere once it has ended.
    _refuse("job_begins_queued", "INSERT ON job", "NEW.status <> 'QUEUED'", "a job begins queued"),
    _refuse(
        "job_keeps_to_edges",
        "UPDATE OF status ON job",
        "NEW.status <> OLD.status AND NOT EXISTS (SELECT 1 FROM edge "
        "WHERE edge.before = OLD.status AND edge.after = NEW.status)",
        "no such change of status",
    ),
    _refuse(
        "job_stays_ended",
        "UPDATE ON job",
        f"OLD.status IN ({_ENDED})",
        "a job that has ended never changes",
    ),
    _refuse(
        "job_fences_claims",
        "UPDATE ON job",
        "NEW.fence <> OLD.fence + (OLD.status = 'QUEUED' AND NEW.status = 'PENDING')",
        "the fence counts claims",
    ),
    _refuse(
        "job_restarts_only_as_declared",
        "UPDATE ON job",
        "NEW.attempts_left < 0 OR NEW.attempts_left <> OLD.attempts_left "
        "- (OLD.status = 'RUNNING' AND NEW.status = 'QUEUED')",
        "no attempt is left",
    ),
    # What was recorded stays as it was.
    _refuse("payload_stays", "UPDATE ON payload", "1", "a payload never changes"),
    _refuse("event_stays", "UPDATE ON event", "1", "an event never changes"),
    _refuse("version_stays", "UPDATE ON program_version", "1", "a version never changes"),
    # A result comes with the success it belongs to: before it, in the same transaction.
    _refuse(
        "result_comes_in_time",
        "INSERT ON payload",
        "NEW.kind = 'result' AND NOT EXISTS (SELECT 1 FROM job WHERE job.id = NEW.job_id "
        "AND job.status IN ('PENDING', 'RUNNING'))",
        "the job is not under way",
    ),
    _refuse(
        "result_means_success",
        "UPDATE OF status ON job",
        "NEW.status IN ('FAILED', 'STOPPED', 'QUEUED') AND EXISTS (SELECT 1 FROM payload "
        "WHERE payload.job_id = NEW.id AND payload.kind = 'result')",
        "only a success has a result",
    ),
    _follow("job_is_recorded", "INSERT ON job", "1", _record("NULL"), _NEW_ONE),
    _follow(
        "job_change_is_recorded",
        "UPDATE OF status ON job",
        "NEW.status <> OLD.status",
        _record("OLD.status"),
        _count("OLD.account_id", "OLD.status", -1),
        _NEW_ONE,
    ),
)
