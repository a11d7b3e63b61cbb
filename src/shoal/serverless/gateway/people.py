"""Who asks: tokens, remembered for a moment, and passwords for clients that have no token."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from functools import cache
from http import HTTPStatus
from typing import TYPE_CHECKING

from shoal.errors import MissingExtra
from shoal.serverless.errors import NotFound
from shoal.serverless.gateway.web.refusals import Refusal
from shoal.serverless.models import Account, Principal
from shoal.serverless.store import Transaction, accounts

if TYPE_CHECKING:
    from argon2 import PasswordHasher

REMEMBERED_SECONDS = 1.0  # how long a token revoked by another process may go on
REMEMBERED_TOKENS = 10_000
LOGIN_TOKEN_SECONDS = 30 * 24 * 3600.0
MOST_PASSWORD_BYTES = 1024
VERIFIED_AT_ONCE = 2  # each takes 64 MiB
FAILED_LOGINS = 10
FAILED_WITHIN_SECONDS = 60.0
_MOST_WATCHED = 10_000


class Tokens:
    """Who holds which token, remembered for a second so that polls cost no look into the store."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: OrderedDict[str, tuple[float, Principal]] = OrderedDict()
        self._of_jobs: dict[str, set[str]] = {}

    def remembered(self, text: str) -> Principal | None:
        """Who held this token a moment ago."""
        found = self._known.get(text)
        if found is None:
            return None
        if self._clock() > found[0]:
            self._drop(text)
            return None
        return found[1]

    def remember(self, text: str, principal: Principal) -> None:
        """Keeps who holds a token, for a moment."""
        self._known[text] = (self._clock() + REMEMBERED_SECONDS, principal)
        if principal.job_id is not None:
            self._of_jobs.setdefault(principal.job_id, set()).add(text)
        if len(self._known) > REMEMBERED_TOKENS:
            self._drop(next(iter(self._known)))

    def jobs_changed(self, job_ids: frozenset[str]) -> None:
        """Forgets the tokens of jobs that may have ended."""
        for job_id in job_ids & self._of_jobs.keys():
            for text in tuple(self._of_jobs[job_id]):
                self._drop(text)

    def _drop(self, text: str) -> None:
        _, principal = self._known.pop(text)
        mine = self._of_jobs.get(principal.job_id or "")
        if mine is not None:
            mine.discard(text)
            if not mine:
                del self._of_jobs[principal.job_id or ""]


class Throttle:
    """Slows down guessing: so many failures of one name from one address, then a pause."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: OrderedDict[tuple[str, str], deque[float]] = OrderedDict()

    def check(self, who: tuple[str, str]) -> None:
        """Raises Refusal 429 while there are too many recent failures."""
        failures = self._failures.get(who)
        while failures and failures[0] < self._clock() - FAILED_WITHIN_SECONDS:
            failures.popleft()
        if failures and len(failures) >= FAILED_LOGINS:
            seconds = round(failures[0] + FAILED_WITHIN_SECONDS - self._clock()) + 1
            message = f"Too many failed logins. Try again in {seconds} s."
            raise Refusal(HTTPStatus.TOO_MANY_REQUESTS, message, {"Retry-After": str(seconds)})

    def failed(self, who: tuple[str, str]) -> None:
        """Counts a failure."""
        self._failures.setdefault(who, deque()).append(self._clock())
        self._failures.move_to_end(who)
        if len(self._failures) > _MOST_WATCHED:
            self._failures.popitem(last=False)

    def succeeded(self, who: tuple[str, str]) -> None:
        """Forgets the failures of somebody who knew the password after all."""
        self._failures.pop(who, None)


class Logins:
    """Checks passwords: few at once, as slowly for names that do not exist, and not for ever."""

    def __init__(self) -> None:
        self.throttle = Throttle()
        self._room = asyncio.Semaphore(VERIFIED_AT_ONCE)

    async def check(self, account: Account | None, password: str) -> bool:
        """Whether this is the account's password; as slow where there is no account."""
        kept = None if account is None or account.is_disabled else account.password_hash
        async with self._room:
            same = await asyncio.to_thread(matches, kept or _nobodys(), password)
        return same and kept is not None


def found(transaction: Transaction, name: str) -> Account | None:
    """The account of a name, or None."""
    try:
        return accounts.get(transaction, name)
    except NotFound:
        return None


def hashed(password: str) -> str:
    """A password as it may be kept: argon2id with a salt of its own.

    Raises:
        ValueError: If it is empty or longer than 1024 bytes.
    """
    if not 1 <= len(password.encode(errors="replace")) <= MOST_PASSWORD_BYTES:
        raise ValueError(f"password: expected 1 to {MOST_PASSWORD_BYTES} bytes")
    return _hasher().hash(password)


def matches(kept: str, password: str) -> bool:
    """Whether this is the password whose hash was kept."""
    from argon2.exceptions import InvalidHashError, VerificationError

    if len(password.encode(errors="replace")) > MOST_PASSWORD_BYTES:
        password = ""
    try:
        return _hasher().verify(kept, password)
    except (InvalidHashError, VerificationError):
        return False


@cache
def _nobodys() -> str:
    """A hash that costs as much to compare with as anybody's."""
    import secrets

    return _hasher().hash(secrets.token_hex(16))


@cache
def _hasher() -> PasswordHasher:
    try:
        from argon2 import PasswordHasher as Hasher
    except ModuleNotFoundError as error:
        raise MissingExtra(
            "passwords need argon2-cffi, which is not installed: pip install 'shoal[serve]'"
        ) from error
    return Hasher()
