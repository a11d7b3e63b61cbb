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
        self._stopped = False
        self._abandon: Callable[[], None] | None = None
        self._future: Future[Result] | None = None

    def submit(self, *, at_once: bool = False) -> None:
        """Begins.

        Args:
            at_once: Runs all of it here, before this returns: little work is done sooner than it
                is handed to another thread.

        Raises:
            JobError: If it was begun before.
        """
        if self._future is not None:
            raise JobError(f"job {self.job_id()} was submitted before")
        if not at_once:
            self._future = _threads(os.getpid()).submit(self._run, self)
            return
        self._future = Future()
        self._future.set_running_or_notify_cancel()
        try:
            self._future.set_result(self._run(self))
        except Exception as error:  # noqa: BLE001  (it is told where the result is asked for)
            self._future.set_exception(error)

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
            if self._stopped and not _ended_well(future):
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
        if future.cancelled() or (self._stopped and not _ended_well(future)):
            return JobStatus.CANCELLED
        if future.done():
            return JobStatus.ERROR if future.exception() else JobStatus.DONE
        return JobStatus.RUNNING if future.running() else JobStatus.QUEUED

    def cancel(self) -> bool:
        """Gives the job up: no further circuits are begun, and those that run are stopped.

        Worker processes of shoal, and of Ray, that still run circuits of this job a second later
        are ended and replaced; other jobs on them go on. What cannot be stopped (in this process,
        in threads, on Dask and on executors of your own) runs to its end, and its result is lost.

        Returns:
            False if the job had ended before.
        """
        future = self._submitted()
        if future.done() and not future.cancelled():
            return False
        self._stopped = True
        future.cancel()
        abandon = self._abandon
        if abandon is not None:
            abandon()
        return True

    def progress(self) -> Progress:
        """How many experiments have ended, of how many."""
        return Progress(min(self._finished, self._total), self._total)

    def stopped(self) -> bool:
        """Whether the job was cancelled."""
        return self._stopped

    def on_cancel(self, abandon: Callable[[], None]) -> None:
        """Has `abandon` called, in whatever thread, once the job is cancelled."""
        self._abandon = abandon
        if self._stopped:
            abandon()

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


class Threads:
    """The threads that jobs run in.

    Jobs that follow one another run in one and the same, also where the last is only just over:
    what a simulator keeps for each thread, such as OpenMP's own threads, is there already.
    """

    def __init__(self) -> None:
        """Starts none yet."""
        self._first = ThreadPoolExecutor(1, thread_name_prefix="shoal-circuits")
        self._others = ThreadPoolExecutor(JOBS_AT_ONCE, thread_name_prefix="shoal-circuits")
        self._free = threading.Lock()

    def submit(self, run: Callable[[CircuitsJob], Result], job: CircuitsJob) -> Future[Result]:
        """Runs a job in the first thread, or in another while that one is taken."""
        if not self._free.acquire(blocking=False):
            return self._others.submit(run, job)
        future = self._first.submit(self._in_first, run, job)
        future.add_done_callback(self._never_began)
        return future

    def _in_first(self, run: Callable[[CircuitsJob], Result], job: CircuitsJob) -> Result:
        try:
            return run(job)
        finally:
            self._free.release()  # before anybody learns the result, and submits the next

    def _never_began(self, future: Future[Result]) -> None:
        if future.cancelled():
            self._free.release()


@lru_cache(maxsize=1)
def _threads(pid: int) -> Threads:  # noqa: ARG001  (a forked child has no threads of its parent)
    """The threads of this process."""
    return Threads()
