"""What the service refuses, what its store may fail with, and what its clients meet, as one tree.

::

    ServerlessError
    ├── ArtifactRefused   an uploaded archive holds what is not accepted (also a ValueError)
    ├── NotFound          no such thing, or it is someone else's: the two look the same
    ├── Conflict          it contradicts what is there
    │   ├── KeyReused     an idempotency key came back with another request
    │   └── NotActive     the job has ended, or not begun, and cannot be changed
    ├── QuotaExceeded     the account has as much as it may
    ├── StoreError        the store could not do it
    │   ├── StoreBusy     another process holds the database; nothing was written
    │   ├── StoreFull     the disk is full; nothing was written
    │   ├── StoreUnsure   it may or may not have been written; repeating is safe
    │   └── StoreUnusable not a database of this version, or in a place it cannot be kept
    ├── GatewayUnreachable  nobody answers, or no gateway does (also a ConnectionError)
    ├── GatewayFailed     the gateway answered that it could not
    ├── GatewayRefused    the gateway does not do what is asked, and says why
    │   └── NotAuthenticated  the token, or the password, is not one it knows
    ├── JobFailed         a job ended without a result; tells its program's traceback
    │   └── JobStopped    it was stopped
    └── ResultNotReady    the job has not ended within the time given (also a TimeoutError)
"""

from __future__ import annotations

from shoal.errors import ShoalError

__all__ = [
    "ArtifactRefused",
    "Conflict",
    "GatewayFailed",
    "GatewayRefused",
    "GatewayUnreachable",
    "JobFailed",
    "JobStopped",
    "KeyReused",
    "NotActive",
    "NotAuthenticated",
    "NotFound",
    "QuotaExceeded",
    "ResultNotReady",
    "ServerlessError",
    "StoreBusy",
    "StoreError",
    "StoreFull",
    "StoreUnsure",
    "StoreUnusable",
]


class ServerlessError(ShoalError):
    """The root of what the service raises on purpose."""


class ArtifactRefused(ServerlessError, ValueError):
    """An uploaded archive is none, or holds what is not accepted."""


class NotFound(ServerlessError):
    """There is no such thing, or it belongs to somebody else."""


class Conflict(ServerlessError):
    """What is asked contradicts what is there."""


class KeyReused(Conflict):
    """The idempotency key was used before, for another request."""


class NotActive(Conflict):
    """The job is not in a state in which this can be done to it."""


class QuotaExceeded(ServerlessError):
    """The account has as many as it may.

    Attributes:
        most: How many are allowed.
    """

    most: int = 0


class StoreError(ServerlessError):
    """The store could not do what was asked."""


class StoreBusy(StoreError):
    """Another process holds the database for too long; nothing was written."""


class StoreFull(StoreError):
    """The disk, or a limit, is full; nothing was written, and reading still works."""


class StoreUnsure(StoreError):
    """The store failed while it wrote; repeating the same call is safe."""


class StoreUnusable(StoreError):
    """The data directory cannot hold a store, or holds one this version does not know."""


class GatewayUnreachable(ServerlessError, ConnectionError):
    """Nobody answers at the address, or what answers there is no gateway."""


class GatewayFailed(ServerlessError):
    """The gateway answered that it could not do it; asking again later may help.

    Attributes:
        status_code: Of its answer, from 500.
        retry_after_seconds: How long it asks to be left alone, 30 at most.
    """

    status_code: int = 0
    retry_after_seconds: float = 0.0


class GatewayRefused(ServerlessError):
    """The gateway does not do what is asked, and says why.

    Attributes:
        status_code: Of its answer, from 400 to 499.
    """

    status_code: int = 0


class NotAuthenticated(GatewayRefused):
    """The gateway does not know the token, or the username with this password."""


class JobFailed(ServerlessError):
    """A job ended without success; the message ends with its program's traceback, if it wrote one.

    Attributes:
        job_id: The job's.
        reason: Why, as a code such as ``"EXIT_1"``; empty if the gateway tells none.
        logs: What the program wrote.
    """

    job_id: str = ""
    reason: str = ""
    logs: str = ""


class JobStopped(JobFailed):
    """The job was stopped before it ended by itself, and so has no result."""


class ResultNotReady(ServerlessError, TimeoutError):
    """The job has not ended within the time that was given; it goes on all the same."""
