"""What every request is answered with: the store, threads for what blocks, and who is waiting."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Concatenate, ParamSpec, TypeVar

from shoal.serverless.gateway.following import Following
from shoal.serverless.gateway.people import Logins, Tokens
from shoal.serverless.models import Principal
from shoal.serverless.runner import Place
from shoal.serverless.settings import Settings
from shoal.serverless.store import Store, Transaction, accounts

P = ParamSpec("P")
T = TypeVar("T")

THREADS = 8
_ASKED_AT_ONCE = 2
_KEPT_ANSWERS = 4096
_KEPT_ANSWER_BYTES = 16 * 1024
_TOLD = 20_000


class Gateway:
    """Made in the event loop that serves, and closed there.

    Attributes:
        settings: What the operator decided.
        store: What is kept.
        requests: How many requests were answered, by status.
    """

    def __init__(self, store: Store, settings: Settings) -> None:
        self.store = store
        self.settings = settings
        self.logins = Logins()
        self.tokens = Tokens()
        self.following = Following(store, self._jobs_changed)
        self.told = Told()
        self.finished = Finished()
        self.requests: Counter[int] = Counter()
        self._asking = asyncio.Semaphore(_ASKED_AT_ONCE)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="shoal-gateway")

    async def read(
        self, operation: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Looks into the store, in a thread."""
        return await self.apart(partial(self.store.read, operation, *args, **kwargs))

    async def write(
        self, operation: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Changes the store; it is on the disk when this returns."""
        return await asyncio.wrap_future(self.store.enqueue(operation, *args, **kwargs))

    async def apart(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Does in a thread what would keep everybody else waiting."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, partial(work, *args, **kwargs))

    async def output_of(
        self, command: Sequence[str], given: bytes = b"", *, seconds: float
    ) -> bytes | None:
        """What another program writes, which is given some bytes and no environment.

        Few are asked at once. None if it fails, or takes longer than so many seconds.
        """
        pipe = asyncio.subprocess.PIPE
        async with self._asking:
            process = await asyncio.create_subprocess_exec(
                *command, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.DEVNULL, env={}
            )
            try:
                async with asyncio.timeout(seconds):
                    said, _ = await process.communicate(given)
            except TimeoutError:
                return None
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
        return said if process.returncode == 0 else None

    async def principal(self, text: str) -> Principal | None:
        """Who holds a token."""
        known = self.tokens.remembered(text)
        if known is None:
            known = await self.read(accounts.authenticate, text)
            if known is not None:
                self.tokens.remember(text, known)
        return known

    def place(self, job_id: str, fence: int) -> Place:
        """Where an attempt of a job lives on the disk."""
        return Place(self.settings.data / "jobs", job_id, fence)

    def leave(self) -> None:
        """Has everybody who waits go on, so that the server can end."""
        self.following.close()

    def close(self) -> None:
        """Ends the threads; the store is its owner's."""
        self.following.close()
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _jobs_changed(self, job_ids: frozenset[str]) -> None:
        self.tokens.jobs_changed(job_ids)


class Told:
    """What each token was told of each job last: asking again for the same may wait for news."""

    def __init__(self) -> None:
        self._told: OrderedDict[tuple[str, str], object] = OrderedDict()

    def is_news(self, token_id: str, job_id: str, state: object) -> bool:
        """Whether this token was told something else of the job, or nothing, before."""
        return self._told.get((token_id, job_id)) != state

    def tell(self, token_id: str, job_id: str, state: object) -> None:
        """It is told this now."""
        self._told[token_id, job_id] = state
        self._told.move_to_end((token_id, job_id))
        if len(self._told) > _TOLD:
            self._told.popitem(last=False)


class Finished:
    """Answers about jobs that have ended, which never change, as they go over the wire."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str, str], bytes] = OrderedDict()

    def get(self, principal: Principal, job_id: str, form: str) -> bytes | None:
        """The answer, for the job's owner."""
        if principal.job_id not in (None, job_id):
            return None
        return self._kept.get((principal.account_id, job_id, form))

    def keep(self, account_id: str, job_id: str, form: str, answer: bytes) -> None:
        """Keeps an answer, if it is short."""
        if len(answer) <= _KEPT_ANSWER_BYTES:
            self._kept[account_id, job_id, form] = answer
            if len(self._kept) > _KEPT_ANSWERS:
                self._kept.popitem(last=False)
