"""The tables of the newest version, in SQLAlchemy's words.

What makes them, and the triggers that enforce more, are the files in ``revisions/versions``.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from shoal.serverless.models import TERMINAL

metadata = MetaData()

_ID = String(36)
_CODE = String(32)
_HASH = String(64)
_TIME = BigInteger  # microseconds since 1970, UTC: the same in every database
_NUMBER = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts up integers only

_ENDED = ", ".join(f"'{status}'" for status in sorted(TERMINAL))


def _partial(name: str, condition: str, *columns: Column[object], unique: bool = False) -> Index:
    where = text(condition)
    return Index(name, *columns, unique=unique, sqlite_where=where, postgresql_where=where)


account = Table(
    "account",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("name", String(255), nullable=False, unique=True),
    Column("password_hash", Text),
    Column("is_admin", Boolean, nullable=False),
    Column("is_disabled", Boolean, nullable=False),
    Column("created_us", _TIME, nullable=False),
)

token = Table(
    "token",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("account_id", ForeignKey("account.id"), nullable=False, index=True),
    Column("secret_sha256", _HASH, nullable=False),
    Column("label", String(255), nullable=False),
    Column("job_id", ForeignKey("job.id")),
    Column("fence", Integer),
    Column("created_us", _TIME, nullable=False),
    Column("expires_us", _TIME),
    Column("revoked_us", _TIME),
)

program = Table(
    "program",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("account_id", ForeignKey("account.id"), nullable=False),
    Column("provider", String(255), nullable=False),
    Column("title", String(255), nullable=False),
    Column("newest", Integer, nullable=False),
    UniqueConstraint("account_id", "provider", "title"),
)

program_version = Table(
    "program_version",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("program_id", ForeignKey("program.id"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("entrypoint", Text, nullable=False),
    Column("artifact_sha256", _HASH, nullable=False, index=True),
    Column("artifact_bytes", BigInteger, nullable=False),
    Column("details", Text, nullable=False),
    Column("created_us", _TIME, nullable=False),
    UniqueConstraint("program_id", "version"),
)

job = Table(
    "job",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("account_id", ForeignKey("account.id"), nullable=False),
    Column("program_version_id", ForeignKey("program_version.id"), nullable=False),
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
Index("job_of_account", job.c.account_id, job.c.id)
_partial("job_queued", "status = 'QUEUED'", job.c.account_id, job.c.id)
_partial("job_claimed", "status IN ('PENDING', 'RUNNING')", job.c.id)

# Arguments and results. Wide, and apart from the jobs, so that lists of jobs stay quick.
payload = Table(
    "payload",
    metadata,
    Column("job_id", ForeignKey("job.id"), primary_key=True),
    Column("kind", _CODE, primary_key=True),
    Column("text", Text),
    Column("sha256", _HASH, index=True),
    Column("size_bytes", BigInteger, nullable=False),
)

event = Table(
    "event",
    metadata,
    Column("number", _NUMBER, primary_key=True, autoincrement=True),
    Column("job_id", ForeignKey("job.id"), nullable=False),
    Column("kind", _CODE, nullable=False),
    Column("before", _CODE),
    Column("after", _CODE),
    Column("actor", String(64), nullable=False),
    Column("created_us", _TIME, nullable=False),
    Column("data", Text, nullable=False),
    sqlite_autoincrement=True,
)
Index("event_of_job", event.c.job_id, event.c.number)
_partial(
    "event_one_end",
    f"kind = 'STATUS' AND after IN ({_ENDED})",
    event.c.job_id,
    unique=True,
)

# The changes of status that are allowed, for the trigger that refuses all others.
edge = Table(
    "edge",
    metadata,
    Column("before", _CODE, primary_key=True),
    Column("after", _CODE, primary_key=True),
)

# How many jobs each account has in each status, kept by triggers: quotas cost the same however
# long the queue is.
tally = Table(
    "tally",
    metadata,
    Column("account_id", ForeignKey("account.id"), primary_key=True),
    Column("status", _CODE, primary_key=True),
    Column("jobs", Integer, nullable=False),
)
