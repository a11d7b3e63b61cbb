"""The store: the only room that speaks SQL."""

from shoal.errors import MissingExtra

try:
    from shoal.serverless.store import accounts, attempts, jobs, programs
except ModuleNotFoundError as error:
    if error.name != "sqlalchemy":
        raise
    raise MissingExtra(
        "the store needs sqlalchemy, which is not installed: pip install 'shoal[serve]'"
    ) from error
from shoal.serverless.store.attempts import Claim
from shoal.serverless.store.blobs import Blobs, sync_folder
from shoal.serverless.store.jobs import Submitted
from shoal.serverless.store.store import Store, Transaction

__all__ = [
    "Blobs",
    "Claim",
    "Store",
    "Submitted",
    "Transaction",
    "accounts",
    "attempts",
    "jobs",
    "programs",
    "sync_folder",
]
