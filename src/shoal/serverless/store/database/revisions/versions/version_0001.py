"""Version 0001: all tables, and the triggers that refuse and record, whoever writes."""

from __future__ import annotations

from alembic import op
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Integer,
    String,
    Text,
    UniqueConstraint,
    text,
)

revision = "0001"
down_revision = None

_ID = String(36)
_CODE = String(32)
_HASH = String(64)
_TIME = BigInteger
_NUMBER = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts up integers only

_ENDED = "'FAILED', 'STOPPED', 'SUCCEEDED'"
_EDGES = {
    "QUEUED": ("FAILED", "PENDING", "STOPPED"),
    "PENDING": ("FAILED", "QUEUED", "RUNNING", "STOPPED", "SUCCEEDED"),
    "RUNNING": ("FAILED", "QUEUED", "STOPPED", "SUCCEEDED"),
}


def upgrade() -> None:
    """Makes everything, in an empty database."""
    _make_accounts()
    _make_programs()
    _make_jobs()
    _make_tokens()
    _make_records()
    _make_edges()
    for trigger in _TRIGGERS:
        op.execute(trigger)


def _make_accounts() -> None:
    op.create_table(
        "account",
        Column("id", _ID, primary_key=True),
        Column("name", String(255), nullable=False, unique=True),
        Column("password_hash", Text),
        Column("is_admin", Boolean, nullable=False),
        Column("is_disabled", Boolean, nullable=False),
        Column("created_us", _TIME, nullable=False),
    )


def _make_programs() -> None:
    op.create_table(
        "program",
        Column("id", _ID, primary_key=True),
        Column("account_id", _ID, ForeignKey("account.id"), nullable=False),
        Column("provider", String(255), nullable=False),
        Column("title", String(255), nullable=False),
        Column("newest", Integer, nullable=False),
        UniqueConstraint("account_id", "provider", "title"),
    )
    op.create_table(
        "program_version",
        Column("id", _ID, primary_key=True),
        Column("program_id", _ID, ForeignKey("program.id"), nullable=False),
        Column("version", Integer, nullable=False),
        Column("entrypoint", Text, nullable=False),
        Column("artifact_sha256", _HASH, nullable=False, index=True),
        Column("artifact_bytes", BigInteger, nullable=False),
        Column("details", Text, nullable=False),
        Column("created_us", _TIME, nullable=False),
        UniqueConstraint("program_id", "version"),
    )


def _make_jobs() -> None:
    op.create_table(
        "job",
        Column("id", _ID, primary_key=True),
        Column("account_id", _ID, ForeignKey("account.id"), nullable=False),
        Column("program_version_id", _ID, ForeignKey("program_version.id"), nullable=False),
        Column("title", String(255), nullable=False),
        Column("provider", String(255), nullable=False),
        Column("status", _CODE, nullable=False),
        Column("sub_status", _CODE),
        Column("reason", _CODE, nullable=False),
        Column("message", Text, nullable=False),
        Column("fence", Integer, nullable=False),
        Column("attempts_left", Integer, nullable=False),
        Column("claimed_by", String(64)),
        Column("changed_by", String(64), nullable=False),
        Column("idempotency_key", String(255)),
        Column("request_sha256", _HASH),
        Column("created_us", _TIME, nullable=False),
        Column("changed_us", _TIME, nullable=False),
        Column("started_us", _TIME),
        Column("stop_requested_us", _TIME),
        Column("config", Text, nullable=False),
        UniqueConstraint("account_id", "idempotency_key"),
    )
    op.create_index("job_of_account", "job", ["account_id", "id"])
    _make_partial_index("job_queued", "job", ["account_id", "id"], "status = 'QUEUED'")
    _make_partial_index("job_claimed", "job", ["id"], "status IN ('PENDING', 'RUNNING')")


def _make_tokens() -> None:
    op.create_table(
        "token",
        Column("id", String(16), primary_key=True),
        Column("account_id", _ID, ForeignKey("account.id"), nullable=False, index=True),
        Column("secret_sha256", _HASH, nullable=False),
        Column("label", String(255), nullable=False),
        Column("job_id", _ID, ForeignKey("job.id")),
        Column("fence", Integer),
        Column("created_us", _TIME, nullable=False),
        Column("expires_us", _TIME),
        Column("revoked_us", _TIME),
    )


def _make_records() -> None:
    op.create_table(
        "payload",
        Column("job_id", _ID, ForeignKey("job.id"), primary_key=True),
        Column("kind", _CODE, primary_key=True),
        Column("text", Text),
        Column("sha256", _HASH, index=True),
        Column("size_bytes", BigInteger, nullable=False),
    )
    op.create_table(
        "event",
        Column("number", _NUMBER, primary_key=True, autoincrement=True),
        Column("job_id", _ID, ForeignKey("job.id"), nullable=False),
        Column("kind", _CODE, nullable=False),
        Column("before", _CODE),
        Column("after", _CODE),
        Column("actor", String(64), nullable=False),
        Column("created_us", _TIME, nullable=False),
        Column("data", Text, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("event_of_job", "event", ["job_id", "number"])
    ends = f"kind = 'STATUS' AND after IN ({_ENDED})"
    _make_partial_index("event_one_end", "event", ["job_id"], ends, unique=True)
    op.create_table(
        "tally",
        Column("account_id", _ID, ForeignKey("account.id"), primary_key=True),
        Column("status", _CODE, primary_key=True),
        Column("jobs", Integer, nullable=False),
    )


def _make_edges() -> None:
    edge = op.create_table(
        "edge",
        Column("before", _CODE, primary_key=True),
        Column("after", _CODE, primary_key=True),
    )
    rows = [{"before": before, "after": each} for before in _EDGES for each in _EDGES[before]]
    op.bulk_insert(edge, rows)


def _make_partial_index(
    name: str, table: str, columns: list[str], condition: str, *, unique: bool = False
) -> None:
    where = text(condition)
    op.create_index(name, table, columns, unique=unique, sqlite_where=where, postgresql_where=where)


# The triggers, in SQLite's dialect.


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

_TRIGGERS = (
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
