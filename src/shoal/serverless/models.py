"""The nouns of the service: accounts, programs, jobs, their states and events. No server code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Generic, TypeVar

T = TypeVar("T")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class JobStatus(StrEnum):
    """Where a job is, in the words that go over the wire."""

    QUEUED = "QUEUED"
    PENDING = "PENDING"
    RUNNING = "RUNNING"
    STOPPED = "STOPPED"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"

    @property
    def is_terminal(self) -> bool:
        """Whether the job has ended; nothing about it changes after that."""
        return self in TERMINAL


TERMINAL = frozenset({JobStatus.STOPPED, JobStatus.SUCCEEDED, JobStatus.FAILED})
ACTIVE = frozenset(JobStatus) - TERMINAL

# Every change a job may go through. PENDING to SUCCEEDED is a job that ended between two looks;
# PENDING to QUEUED one that provably never started; RUNNING to QUEUED needs an attempt left.
EDGES: Mapping[JobStatus, frozenset[JobStatus]] = MappingProxyType(
    {
        JobStatus.QUEUED: frozenset({JobStatus.PENDING, JobStatus.STOPPED, JobStatus.FAILED}),
        JobStatus.PENDING: frozenset({JobStatus.RUNNING, JobStatus.QUEUED}) | TERMINAL,
        JobStatus.RUNNING: frozenset({JobStatus.QUEUED}) | TERMINAL,
        **dict.fromkeys(TERMINAL, frozenset()),
    }
)


class SubStatus(StrEnum):
    """What a running job says it is doing."""

    MAPPING = "MAPPING"
    OPTIMIZING_HARDWARE = "OPTIMIZING_HARDWARE"
    WAITING_QPU = "WAITING_QPU"
    EXECUTING_QPU = "EXECUTING_QPU"
    POST_PROCESSING = "POST_PROCESSING"


class Scope(StrEnum):
    """What a token may do: what its account may, or only report on one job."""

    ACCOUNT = "account"
    JOB = "job"


class EventKind(StrEnum):
    """What an event tells of."""

    STATUS = "STATUS"
    SUB_STATUS = "SUB_STATUS"
    ERROR = "ERROR"
    RUNTIME_JOB = "RUNTIME_JOB"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks. Everything that is read or changed for a user is so in somebody's name.

    Attributes:
        account_id: Whose things may be seen.
        name: The account's name, for people.
        is_admin: Whether accounts may be managed.
        token_id: The token that proved it.
        job_id: The only job that may be reported on, for a job's own token.
    """

    account_id: str
    name: str
    is_admin: bool = False
    token_id: str | None = None
    job_id: str | None = None

    @property
    def scope(self) -> Scope:
        """What the principal may do."""
        return Scope.ACCOUNT if self.job_id is None else Scope.JOB


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody, or something, that owns programs and jobs."""

    id: str
    name: str
    is_admin: bool
    created_at: datetime
    is_disabled: bool = False
    password_hash: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Token:
    """A token as the store knows it: never the secret, only its hash, which stays there."""

    id: str
    account_id: str
    label: str
    scope: Scope
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    job_id: str | None = None


@dataclass(frozen=True, slots=True)
class Payload:
    """JSON text that the service carries and never looks into: arguments, or a result.

    Short text is kept in the database, long text as a blob, under its hash.

    Attributes:
        text: The text itself, where it is short.
        sha256: The blob's name, where it is long.
        size_bytes: Of its UTF-8 form.
    """

    text: str | None
    sha256: str | None
    size_bytes: int

    @classmethod
    def of(cls, text: str) -> Payload:
        """Short text; for long text see the store's blobs."""
        return cls(text, None, len(text.encode()))


@dataclass(frozen=True, slots=True)
class NewProgram:
    """A program as it is uploaded.

    Attributes:
        title: Its name within the account and provider.
        entrypoint: The file that is run, relative to the artifact's root.
        artifact_sha256: Of the uploaded archive, which is kept as a blob.
        artifact_bytes: Its size.
        provider: The provider it belongs to; empty for an account's own.
        details: What else the upload said (description, dependencies, schema, …), as it was.
    """

    title: str
    entrypoint: str
    artifact_sha256: str
    artifact_bytes: int
    provider: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Program:
    """A program with one of its versions, which never change.

    Attributes:
        id: Of the program, the same for all its versions.
        version_id: Of this version.
        version: Its number, from 1.
    """

    id: str
    account_id: str
    title: str
    provider: str
    version_id: str
    version: int
    entrypoint: str
    artifact_sha256: str
    artifact_bytes: int
    details: Mapping[str, Any]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job as it is asked for.

    Attributes:
        id: Made by the caller, so that repeating a request whose answer was lost is safe.
        title: The program's.
        arguments: JSON text, kept as it came and never looked into.
        config: What the request said about workers and the like, as it was.
        idempotency_key: The caller's name for the request: the same key gives the same job.
        request_sha256: Of the request, to tell a repeated request from a different one.
        max_attempts: How often the job may be started, from 1. More than one only for programs
            that say that running twice does no harm.
    """

    id: str
    title: str
    arguments: Payload = field(default_factory=lambda: Payload.of("{}"))
    provider: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    idempotency_key: str | None = None
    request_sha256: str | None = None
    max_attempts: int = 1


@dataclass(frozen=True, slots=True)
class Job:
    """One run of a program.

    Attributes:
        reason: Why it ended as it did, as a code such as ``"EXIT_3"``; empty if all is well.
        message: The same as a sentence.
        fence: Counts how often it was claimed. A change must name the current one.
        attempts_left: How often it may still be queued again after it was started.
        stop_requested_at: When somebody asked for its end.
        started_at: When its program was started.
        changed_at: When its status changed last.
    """

    id: str
    account_id: str
    program_version_id: str
    title: str
    provider: str
    status: JobStatus
    sub_status: SubStatus | None
    reason: str
    message: str
    fence: int
    attempts_left: int
    claimed_by: str | None
    config: Mapping[str, Any]
    created_at: datetime
    changed_at: datetime
    stop_requested_at: datetime | None = None
    started_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a job; numbered in the order it was recorded."""

    number: int
    job_id: str
    kind: EventKind
    before: str | None
    after: str | None
    actor: str
    created_at: datetime
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Quotas:
    """How much of the service one account, and all together, may take; None is no limit.

    Attributes:
        active_jobs: Jobs of one account that are queued or under way.
        queued_jobs: Queued jobs of all accounts.
        running_jobs: Jobs of one account that are under way at the same time.
    """

    active_jobs: int | None = 50
    queued_jobs: int | None = 20_000
    running_jobs: int | None = None


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some of a list, and how long the whole is."""

    items: tuple[T, ...]
    total: int


@dataclass(frozen=True, slots=True)
class Ending:
    """How an attempt ended, and so its job.

    Attributes:
        status: One of the terminal states.
        reason: A code, empty for a success.
        message: A sentence for people.
        result: What the program saved, for a success only; None if it saved nothing.
    """

    status: JobStatus
    reason: str = ""
    message: str = ""
    result: Payload | None = None

    def __post_init__(self) -> None:
        """Raises ValueError for an ending that is none."""
        if not self.status.is_terminal:
            raise ValueError(f"status={self.status}: expected one of {', '.join(sorted(TERMINAL))}")
        if self.result is not None and self.status is not JobStatus.SUCCEEDED:
            raise ValueError(f"status={self.status} with a result: only a success has one")


def moment(microseconds: int) -> datetime:
    """The time so many microseconds after 1970, which is how the store keeps times."""
    return _EPOCH + timedelta(microseconds=microseconds)


def microseconds(at: datetime) -> int:
    """The inverse of `moment`; `at` must know its time zone."""
    return (at - _EPOCH) // timedelta(microseconds=1)
