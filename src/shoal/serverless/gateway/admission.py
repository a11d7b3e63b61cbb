"""Before anybody is served: who may listen where, and the first accounts."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from shoal.serverless.errors import NotFound, ServerlessError
from shoal.serverless.gateway.people import found, hashed, matches
from shoal.serverless.settings import Settings
from shoal.serverless.store import Store, Transaction, accounts

ADMIN = "admin"
TOKEN_FILE = "admin-token"  # noqa: S105 - the file's name
DEMO_NAME, DEMO_PASSWORD = "user", "password123"


class CannotServe(ServerlessError):
    """The settings ask for a service that would not be safe, or the address is taken."""


def check_address(settings: Settings, store: Store) -> None:
    """Raises CannotServe for an address that others reach without encryption, or without users."""
    if settings.demo_user and not settings.is_loopback:
        raise CannotServe(
            f"--demo-user on {settings.host}: its password is known to everybody, so it is for "
            "addresses that only this machine reaches, such as 127.0.0.1"
        )
    if settings.is_loopback:
        return
    if not settings.tls_certificate and not settings.insecure:
        raise CannotServe(
            f"{settings.host} can be reached by others, who would see every token: give "
            "--tls-certificate and --tls-key, or --insecure if something else encrypts"
        )
    people = [each for each in store.read(accounts.everyone) if each.name != ADMIN]
    if not any(not each.is_disabled for each in people):
        raise CannotServe(
            f"{settings.host} can be reached by others, and there are no users yet: make them "
            f"first, with `shoal user add NAME --data {settings.data}`"
        )


def check_job_python(settings: Settings) -> None:
    """Raises CannotServe if the interpreter of the jobs cannot be run."""
    python = settings.job_python
    if not (Path(python).is_file() and os.access(python, os.X_OK)):
        raise CannotServe(f"job_python={python!r}: no program that can be run, so no job could be")


def first_token(store: Store, data: Path) -> str | None:
    """Makes the administrator and a token, if there is none that is valid; returns the token.

    It is written to a file before it is valid, so that there never is one that nobody knows.
    """
    return store.write(_first_token, data / TOKEN_FILE)


def demo_user(store: Store) -> None:
    """Makes the notebook's user, with the password of the notebook.

    Raises:
        CannotServe: If somebody has that name, and a password of their own.
    """
    account = store.read(found, DEMO_NAME)
    kept = None if account is None else account.password_hash
    if kept is not None and not matches(kept, DEMO_PASSWORD):
        raise CannotServe(
            f"--demo-user: there is a user named {DEMO_NAME!r} already, with another password"
        )
    store.write(_set_user, DEMO_NAME, kept or hashed(DEMO_PASSWORD))


def forget_demo_user(store: Store) -> None:
    """Takes a known password away again, where the demo user is not asked for any more."""
    account = store.read(found, DEMO_NAME)
    kept = None if account is None else account.password_hash
    if kept is not None and matches(kept, DEMO_PASSWORD):
        store.write(accounts.set_password, DEMO_NAME, None)


def _first_token(transaction: Transaction, path: Path) -> str | None:
    try:
        accounts.get(transaction, ADMIN)
    except NotFound:
        accounts.add(transaction, ADMIN, is_admin=True)
    valid = [each for each in accounts.tokens(transaction, ADMIN) if each.revoked_at is None]
    if valid:
        return None
    text, _ = accounts.add_token(transaction, ADMIN, label="first start")
    _write_private(path, f"{text}\n")
    return text


def _set_user(transaction: Transaction, name: str, password_hash: str) -> None:
    try:
        accounts.get(transaction, name)
    except NotFound:
        accounts.add(transaction, name)
    accounts.set_password(transaction, name, password_hash)


def _write_private(path: Path, text: str) -> None:
    """A file that its owner alone can read, complete or not there."""
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(unfinished, flags, 0o600), "w") as target:
        target.write(text)
        target.flush()
        os.fsync(target.fileno())
    unfinished.replace(path)
