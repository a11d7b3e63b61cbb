"""Runs jobs: claims them, starts their shims, adopts those of others, and records how they end."""

from __future__ import annotations

import logging
import os
import queue
import selectors
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from shoal.serverless.errors import ServerlessError, StoreError
from shoal.serverless.models import Ending, Job, JobStatus
from shoal.serverless.runner import outcomes
from shoal.serverless.runner.launcher import Launcher
from shoal.serverless.runner.launching import SHIM
from shoal.serverless.runner.leftovers import end_leftovers
from shoal.serverless.runner.places import Exit, Place, Stage
from shoal.serverless.runner.presence import Presence
from shoal.serverless.settings import Settings
from shoal.serverless.store import Claim, Store, attempts, jobs

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0  # how often all folders are looked at, should an event have been missed
SHIM_PATIENCE_SECONDS = 5.0  # beyond the grace time, until a shim that does not stop is killed
MOST_AT_ONCE = 16
MOST_CLAIMS = 50  # until a job that nobody manages to start fails
THREADS = 4


@dataclass(slots=True, eq=False)
class Watch:
    """An attempt that is watched.

    Attributes:
        job: As it was when we came across it.
        handle: Of the shim's process, readable when it ends; None where there is none.
        begun: A pipe that tells that the program runs; None where there is none.
        shim: The process id of a shim that is our child and has not ended yet.
        busy: Whether a thread is at work on it.
        stop_asked: When the shim was first asked to stop, by the monotonic clock.
    """

    job: Job
    place: Place
    handle: int | None = None
    begun: int | None = None
    shim: int | None = None
    busy: bool = False
    stop_asked: float | None = None

    @property
    def job_id(self) -> str:
        """The job's."""
        return self.job.id


class Runner:
    """Runs the jobs of a store on this machine, `max_jobs` at a time.

    Jobs outlive the runner: whichever is there when one ends records its end, and several may be.
    """

    def __init__(
        self,
        store: Store,
        settings: Settings,
        *,
        gateway: str = "http://127.0.0.1:8000",
        shim: Sequence[str] = SHIM,
        step: Callable[[str], None] = lambda name: None,  # noqa: ARG005
    ) -> None:
        """Is there from now on; `start` makes it work.

        Args:
            store: What to run, and where to record.
            settings: How to run it.
            gateway: The address at which jobs reach the gateway.
            shim: The command of the shim; the attempt's folder is added.
            step: Called with the name of each step of a start once it is done, for tests.
        """
        self._store = store
        self._settings = settings
        self._launcher = Launcher(store, settings, gateway, shim)
        self._step = step
        self._folder = settings.data / "jobs"
        self._presence = Presence(settings.data / "runners")
        self._watches: dict[str, Watch] = {}
        self._orphans: set[int] = set()  # shims that we started and watch no more
        self._news: queue.SimpleQueue[Watch | frozenset[str]] = queue.SimpleQueue()
        self._selector = selectors.DefaultSelector()
        self._wakes, self._waker = os.pipe()
        for end in (self._wakes, self._waker):
            os.set_blocking(end, False)
        self._selector.register(self._wakes, selectors.EVENT_READ, None)
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="shoal-runner")
        self._draining = False
        self._thread: threading.Thread | None = None

    @property
    def name(self) -> str:
        """What the store calls us."""
        return self._presence.name

    def start(self) -> None:
        """Adopts what is running, and begins to claim."""
        self._presence.clear()
        self._launcher.tend()
        self._unfollow = self._store.follow(self._hear)
        self._thread = threading.Thread(target=self._run, name="shoal-runner", daemon=True)
        self._thread.start()

    def drain(self) -> None:
        """Claims nothing more and leaves; jobs run on, and the next runner adopts them."""
        self._draining = True
        self._wake()
        if self._thread is not None:
            self._thread.join()
            self._unfollow()
        self._pool.shutdown(wait=True)
        while not self._news.empty():
            news = self._news.get()
            if isinstance(news, Watch):
                self._close(news)
        for watch in self._watches.values():
            self._close(watch)
        self._reap()
        self._launcher.close()
        self._selector.close()
        os.close(self._wakes)
        os.close(self._waker)
        self._presence.close()

    # --- one thread looks and decides -------------------------------------------------------------

    def _run(self) -> None:
        due = time.monotonic()
        while not self._draining:
            try:
                changed = self._await(due - time.monotonic())
                if time.monotonic() >= due:
                    due = time.monotonic() + LOOK_SECONDS
                    self._look_at_all()
                    changed.add("")
                for job_id in changed & self._watches.keys():
                    self._look(self._watches[job_id], self._store.read(attempts.get, job_id))
                if changed:
                    self._claim()
            except ServerlessError:
                logger.exception("The store failed; the runner goes on in %s s", LOOK_SECONDS)
                due = time.monotonic() + LOOK_SECONDS
            except Exception:
                logger.exception("The runner failed; it goes on in %s s", LOOK_SECONDS)
                due = time.monotonic() + LOOK_SECONDS

    def _await(self, seconds: float) -> set[str]:
        """Waits for something to happen; returns the ids of the jobs it happened to."""
        changed: set[str] = set()
        for key, _ in self._selector.select(max(seconds, 0)):
            watch = key.data
            if watch is None:
                with suppress(BlockingIOError):
                    os.read(self._wakes, 65536)
                continue
            changed.add(watch.job_id)
            if key.fd == watch.begun:
                self._program_runs(watch)
            else:
                self._shim_ended(watch)
        while True:
            try:
                news = self._news.get_nowait()
            except queue.Empty:
                return changed
            if isinstance(news, Watch):
                self._resume(news)
                changed.add(news.job_id)
            else:
                changed |= news

    def _look_at_all(self) -> None:
        """Adopts attempts that are not watched yet, and looks at those that are."""
        self._reap()
        self._launcher.tend()
        claimed = {job.id: job for job in self._store.read(attempts.claimed)}
        for job in claimed.values():
            if job.id not in self._watches:
                self._watch(job)
        for watch in tuple(self._watches.values()):
            self._look(watch, claimed.get(watch.job_id))

    def _look(self, watch: Watch, job: Job | None) -> None:
        try:
            self._attend(watch, job)
        except (OSError, ValueError):  # one folder that is odd must not cost the other jobs
            logger.exception("Job %s needs another look", watch.job_id)

    def _attend(self, watch: Watch, job: Job | None) -> None:
        """Does what an attempt needs now."""
        if job is not None and job.stop_requested_at:
            watch.place.ask_to_stop()
        if watch.busy:
            return
        claimed = job is not None and job.status in (JobStatus.PENDING, JobStatus.RUNNING)
        if job is None or not claimed or job.fence != watch.job.fence:
            self._forget(watch)
            return
        stage, ended = watch.place.stage()
        if ended is not None:
            self._later(watch, self._finish, ended)
        elif stage is Stage.ALIVE:
            self._attend_living(watch, job)
        elif stage is Stage.LOST or job.status is JobStatus.RUNNING:
            # It started, even if its folder knows nothing of that any more.
            self._later(watch, self._give_up, job)
        elif stage is Stage.FENCED or self._never_starts(watch, job):
            self._later(watch, self._put_back, job)

    def _attend_living(self, watch: Watch, job: Job) -> None:
        if watch.handle is None:
            self._follow_shim(watch, watch.place.open_shim())
        if job.status is JobStatus.PENDING and (watch.place.folder / "started").exists():
            self._store.enqueue(attempts.mark_running, job.id, job.fence)
        if job.stop_requested_at and watch.handle is not None:
            now = time.monotonic()
            if watch.stop_asked is None:
                watch.stop_asked = now
            patience = self._settings.grace_seconds + SHIM_PATIENCE_SECONDS
            hangs = now - watch.stop_asked > patience
            with suppress(ProcessLookupError):
                number = signal.SIGKILL if hangs else signal.SIGTERM
                signal.pidfd_send_signal(watch.handle, number)

    def _never_starts(self, watch: Watch, job: Job) -> bool:
        """Whether nobody is about to start an attempt that has not started."""
        if watch.shim is not None or watch.handle is not None:
            return False
        if job.claimed_by == self.name or not self._presence.is_alive(job.claimed_by):
            return True  # our own launch is over, or its claim was never answered
        return time.time() - job.changed_at.timestamp() > self._settings.claim_seconds

    def _claim(self) -> None:
        free = min(self._settings.max_jobs - len(self._watches), MOST_AT_ONCE)
        if free <= 0 or not self._store.read(jobs.counts)[JobStatus.QUEUED]:
            return
        most = self._settings.running_jobs_per_account or None
        claims = self._store.write(attempts.claim, self.name, free, running_jobs=most)
        for claim in claims:
            watch = self._watch(claim.job)
            self._later(watch, self._launch, claim)

    def _watch(self, job: Job) -> Watch:
        old = self._watches.get(job.id)
        if old is not None and not old.busy:
            self._close(old)
        place = Place(self._folder, job.id, job.fence)
        watch = self._watches[job.id] = Watch(job, place)
        return watch

    def _forget(self, watch: Watch) -> None:
        self._close(watch)
        if self._watches.get(watch.job_id) is watch:
            del self._watches[watch.job_id]

    def _close(self, watch: Watch) -> None:
        for descriptor in (watch.handle, watch.begun):
            if descriptor is not None:
                with suppress(KeyError):
                    self._selector.unregister(descriptor)
                os.close(descriptor)
        watch.handle = watch.begun = None
        if watch.shim is not None:
            self._orphans.add(watch.shim)
            watch.shim = None

    def _program_runs(self, watch: Watch) -> None:
        if watch.begun is not None:
            if os.read(watch.begun, 1):
                self._store.enqueue(attempts.mark_running, watch.job_id, watch.job.fence)
            self._selector.unregister(watch.begun)
            os.close(watch.begun)
            watch.begun = None

    def _shim_ended(self, watch: Watch) -> None:
        if watch.handle is not None:
            self._selector.unregister(watch.handle)
            os.close(watch.handle)
            watch.handle = None
        if watch.shim is not None and _is_reaped(watch.shim):
            watch.shim = None

    def _follow_shim(self, watch: Watch, handle: int | None) -> None:
        watch.handle = handle
        if handle is not None:
            self._selector.register(handle, selectors.EVENT_READ, watch)

    def _resume(self, watch: Watch) -> None:
        """Takes an attempt back from the thread that was at work on it."""
        watch.busy = False
        if self._watches.get(watch.job_id) is not watch:  # the job is at its next attempt by now
            self._close(watch)
            return
        if watch.shim is not None and watch.handle is None:
            with suppress(OSError, AttributeError):
                self._follow_shim(watch, os.pidfd_open(watch.shim))
        for descriptor in (watch.handle, watch.begun):
            if descriptor is not None and descriptor not in self._selector.get_map():
                self._selector.register(descriptor, selectors.EVENT_READ, watch)

    def _reap(self) -> None:
        self._orphans = {pid for pid in self._orphans if not _is_reaped(pid)}
        for watch in self._watches.values():
            if not watch.busy and watch.shim is not None and _is_reaped(watch.shim):
                watch.shim = None

    def _hear(self, changed: frozenset[str]) -> None:
        self._news.put(changed)
        self._wake()

    def _wake(self) -> None:
        with suppress(BlockingIOError):
            os.write(self._waker, b"1")

    # --- and a few do what takes time -------------------------------------------------------------

    def _later(self, watch: Watch, work: Callable[..., None], *args: Any) -> None:
        watch.busy = True

        def done(future: Future[None]) -> None:
            error = future.exception()
            if error is not None:
                trace = None if isinstance(error, StoreError | OSError) else error
                logger.error("Job %s needs another look: %s", watch.job_id, error, exc_info=trace)
                time.sleep(0.2)  # in a thread of the pool: a full disk is not asked ceaselessly
            self._news.put(watch)
            self._wake()

        self._pool.submit(work, watch, *args).add_done_callback(done)

    def _launch(self, watch: Watch, claim: Claim) -> None:
        self._step("claimed")
        try:
            self._launcher.prepare(claim, watch.place)
        except (ServerlessError, OSError, ValueError) as error:
            self._end(watch, outcomes.not_set_up(error))
            return
        self._step("prepared")
        watch.shim, watch.handle, watch.begun = self._launcher.start(claim, watch.place)
        self._step("spawned")

    def _finish(self, watch: Watch, ended: Exit) -> None:
        self._step("ended")
        most = self._settings.result_bytes
        ending = outcomes.ending_of(
            ended, lambda: watch.place.read_result(most), self._store.blobs.pack
        )
        self._end(watch, ending)

    def _give_up(self, watch: Watch, job: Job) -> None:
        """Records the end of an attempt whose shim is gone, once its processes are too."""
        if not end_leftovers(watch.place.attempt):
            return  # some process cannot be killed now; the next look tries again
        if job.stop_requested_at:
            self._end(watch, outcomes.stopped())
        elif not self._store.write(attempts.run_again, watch.job_id, watch.job.fence):
            self._end(watch, outcomes.lost())

    def _put_back(self, watch: Watch, job: Job) -> None:
        """Queues a job again, after making sure that this attempt of it never starts."""
        if not watch.place.fence():
            return
        if job.fence >= MOST_CLAIMS and not job.stop_requested_at:
            self._end(watch, outcomes.never_started(job.fence))
            return
        self._store.write(attempts.put_back, watch.job_id, watch.job.fence)
        self._launcher.clear(watch.job, watch.place)

    def _end(self, watch: Watch, ending: Ending) -> None:
        self._store.write(attempts.finish, watch.job_id, watch.job.fence, ending)
        self._step("recorded")
        self._launcher.clear(watch.job, watch.place)


def _is_reaped(pid: int) -> bool:
    """Collects a child if it has ended; True if it is gone."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:  # collected already, or by a system told to ignore children
        return True
