"""What the service refuses, and what its store may fail with, as one tree.

::

    ServerlessError
    ├── ArtifactRefused   an uploaded archive holds what is not accepted (also a ValueError)
    ├── NotFound          no such thing, or it is someone else's: the two look the same
    ├── Conflict          it contradicts what is there
    │   ├── KeyReused     an idempotency key came back with another request
    │   └── NotActive     the job has ended, or not begun, and cannot be changed
    ├── QuotaExceeded     the account has as much as it may
    └── StoreError        the store could not do it
        ├── StoreBusy     another process holds the database; nothing was written
        ├── StoreFull     the disk is full; nothing was written
        ├── StoreUnsure   it may or may not have been written; repeating is safe
        └── StoreUnusable not a database of this version, or in a place it cannot be kept
"""

from shoal.errors import ShoalError

__all__ = [
    "ArtifactRefused",
    "Conflict",
    "KeyReused",
    "NotActive",
    "NotFound",
    "QuotaExceeded",
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
