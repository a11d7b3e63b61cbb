"""A job of circuits: runs in a thread of its own, and is asked about from any other."""

from __future__ import annotations

import os
import random
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from qiskit.providers import BackendV2, JobError, JobStatus, JobV1

if TYPE_CHECKING:
    from qiskit.result import Result

JOBS_AT_ONCE = 64


class Progress(NamedTuple):
    """How far a job is.

    Attributes:
        finished: Experiments that have ended, well or not.
        total: All of them.
    """

    finished: int
    total: int


class CircuitsJob(JobV1):  # type: ignore[misc]  # Qiskit has no types
    """A list of circuits on its way through a parallel backend."""

    def __init__(
        self, backend: BackendV2, job_id: str, run: Callable[[CircuitsJob], Result], total: int
    ) -> None:
        """Runs nothing before `submit`, which the backend's `run` calls."""
        super().__init__(backend, job_id)
        self._run = run
        self._total = total
        self._finished = 0
        self._stop = threading.Event()
        self._future: Future[Result] | None = None

    def submit(self) -> None:
        """Begins.

        Raises:
            JobError: If it was begun before.
        """
        if self._future is not None:
            raise JobError(f"job {self.job_id()} was submitted before")
        self._future = _threads(os.getpid()).submit(self._run, self)

    def result(self, timeout: float | None = None) -> Result:
        """The merged result; waits for it.

        A circuit that fails is an experiment with ``success`` False and the reason in its
        ``status``; then ``result.success`` is False too, and the other circuits are there. A job
        that was cancelled has no result: this raises `concurrent.futures.CancelledError`.

        Args:
            timeout: Longest time to wait, in seconds; None: no limit. The job runs on.

        Raises:
            TimeoutError: If the result is not there by then.
            shoal.errors.ShoalError: If no circuit at all could be run.
        """
        future = self._submitted()
        try:
            if self._stop.is_set() and not _ended_well(future):
                raise CancelledError(f"job {self.job_id()} was cancelled")
            return future.result(timeout)
        except TimeoutError as error:
            if future.done():
                raise
            done, total = self.progress()
            raise TimeoutError(
                f"job {self.job_id()} has run {done} of {total} experiments after {timeout} s"
            ) from error
        except KeyboardInterrupt:
            self.cancel()
            raise

    def status(self) -> JobStatus:
        """Where the job is: DONE also where circuits have failed, as with Aer."""
        future = self._submitted()
        if future.cancelled() or (self._stop.is_set() and not _ended_well(future)):
            return JobStatus.CANCELLED
        if future.done():
            return JobStatus.ERROR if future.exception() else JobStatus.DONE
        return JobStatus.RUNNING if future.running() else JobStatus.QUEUED

    def cancel(self) -> bool:
        """Gives the job up: no further circuits are begun; those that run end by themselves.

        Returns:
            False if the job had ended before.
        """
        future = self._submitted()
        if future.done() and not future.cancelled():
            return False
        self._stop.set()
        future.cancel()
        return True

    def progress(self) -> Progress:
        """How many experiments have ended, of how many."""
        return Progress(min(self._finished, self._total), self._total)

    def stopped(self) -> bool:
        """Whether the job was cancelled."""
        return self._stop.is_set()

    def finish(self, experiments: int) -> None:
        """Counts experiments that have ended."""
        self._finished += experiments

    def _submitted(self) -> Future[Any]:
        if self._future is None:
            raise JobError(f"job {self.job_id()} was not submitted yet: call submit() first")
        return self._future


def job_number() -> str:
    """A random id in the form of a UUID, without asking the system for each."""
    return str(uuid.UUID(int=_random(os.getpid()).getrandbits(128), version=4))


@lru_cache(maxsize=1)
def _random(pid: int) -> random.Random:  # noqa: ARG001  (a forked child draws ids of its own)
    return random.Random()  # noqa: S311  (ids are no secrets)


def _ended_well(future: Future[Any]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None


@lru_cache(maxsize=1)
def _threads(pid: int) -> ThreadPoolExecutor:  # noqa: ARG001  (a forked child has no threads of its parent)
    """The threads that jobs of this process run in: an idle one is used again."""
    return ThreadPoolExecutor(JOBS_AT_ONCE, thread_name_prefix="shoal-circuits")
