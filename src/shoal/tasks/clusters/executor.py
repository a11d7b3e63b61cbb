"""ClusterExecutor: a cluster as a complete concurrent.futures.Executor."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import Any

from shoal.errors import ExecutorBroken, ExecutorClosed
from shoal.tasks.chunks import ChunkedExecutor
from shoal.tasks.clusters.cluster import LOOK_SECONDS, Cluster, Running, Watch
from shoal.tasks.clusters.shipment import Parcel, Shipment, broken
from shoal.tasks.dispatch import Answer, Batch
from shoal.tasks.envelope import Calling, capture
from shoal.tasks.failing import Blame

WORKER_DEATH_RETRIES = 2

_CALLING = Calling("task")


class ClusterExecutor(ChunkedExecutor):
    """Runs calls on a cluster.

    As many calls as the cluster has room for are there at a time; the others wait here, where they
    can be cancelled. A worker that dies costs the call it was running, which is tried again.
    """

    def __init__(
        self,
        cluster: Cluster,
        *,
        max_workers: int | None = None,
        let_go: Callable[[], None] | None = None,
    ) -> None:
        """Uses a connection that is there.

        Args:
            cluster: The connection.
            max_workers: How many calls run at once; None: as many as the cluster has room for.
            let_go: Called once when this executor needs the cluster no more.

        Raises:
            ExecutorBroken: If the cluster cannot be reached.
        """
        self.cluster = cluster
        self.max_workers = max_workers
        self._let_go = let_go
        self._watch = Watch(cluster)
        self._lock = threading.Lock()
        self._waiting: deque[_Submission] = deque()
        self._running: dict[Running, _Submission] = {}
        self._starting = 0
        self._news: SimpleQueue[Running | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._closed = False

    def check_open(self) -> None:
        """Raises ExecutorClosed after `shutdown`."""
        if self._closed:
            raise ExecutorClosed("this executor was shut down; make a new one")

    @property
    def width(self) -> int:
        """How many calls run at once, as the cluster was last seen."""
        width = self._watch.width
        return width if self.max_workers is None else min(width, self.max_workers)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Runs ``fn(*args, **kwargs)`` in a worker of the cluster.

        Returns:
            Its future. An exception of `fn` arrives with its type, a note that names the
            arguments, and the worker's traceback as cause.

        Raises:
            ExecutorClosed: After `shutdown`.
            ExecutorBroken: If the cluster cannot be reached.
            FunctionNotSent: If `fn` cannot be pickled.
            TypeError: If `fn` is not callable.
        """
        if not callable(fn):
            raise TypeError(f"fn={fn!r} is not callable")
        self.check_open()
        submission = _Submission(self.cluster, fn, args, kwargs)
        if submission.parcel is None:
            return submission.future
        with self._lock:
            self.check_open()
            self._waiting.append(submission)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._serve, name="shoal-cluster", daemon=True
                )
                self._thread.start()
        self._begin()
        self._news.put(None)
        return submission.future

    def map(
        self, fn: Callable[..., Any], *iterables: Iterable[Any], **options: Any
    ) -> Iterator[Any]:
        """As `ChunkedExecutor.map`; raises ExecutorClosed after `shutdown`, for no input too."""
        self.check_open()
        return super().map(fn, *iterables, **options)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Takes no more work, and lets go of the cluster when what was submitted is done.

        What somebody else started is left running.

        Args:
            wait: Return only then.
            cancel_futures: Cancel what has not begun.
        """
        with self._lock:
            self._closed = True
            dropped = list(self._waiting) if cancel_futures else []
            if cancel_futures:
                self._waiting.clear()
            thread = self._thread
        for submission in dropped:
            submission.drop()
        if thread is None:
            self._leave()
            return
        self._news.put(None)
        if wait and thread is not threading.current_thread():
            thread.join()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Shuts down; after Ctrl-C without waiting for what runs, which is stopped if it can be."""
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            with self._lock:
                running = list(self._running)
            self.cluster.stop(running, at_once=True)
            self.shutdown(wait=False, cancel_futures=True)
            return
        self.shutdown()

    def _begin(self) -> None:
        """Begins as many waiting calls as there is room for."""
        while True:
            with self._lock:
                if not self._waiting or len(self._running) + self._starting >= self.width:
                    return
                submission = self._waiting.popleft()
                if not submission.claim():
                    continue
                self._starting += 1
            self._start(submission)

    def _start(self, submission: _Submission) -> None:
        try:
            running = submission.start()
        except Exception as error:  # whatever the cluster raises for its own reasons
            with self._lock:
                self._starting -= 1
            submission.settle(Answer(submission.batch, error=broken(self.cluster, error)))
            return
        with self._lock:
            self._starting -= 1
            self._running[running] = submission
        running.future.add_done_callback(lambda _: self._news.put(running))

    def _serve(self) -> None:
        """Takes what has ended, and begins what waits, until all is done after a shutdown."""
        while True:
            try:
                running = self._news.get(timeout=None if self._idle() else LOOK_SECONDS)
            except Empty:
                self._look()
                continue
            if running is not None:
                with self._lock:
                    submission = self._running.pop(running, None)
                if submission is not None and not submission.settle(submission.answer(running)):
                    with self._lock:
                        self._starting += 1
                    self._start(submission)
            self._begin()
            if self._closed and self._idle():
                self._leave()
                return

    def _idle(self) -> bool:
        with self._lock:
            return not (self._running or self._waiting or self._starting)

    def _look(self) -> None:
        """Fails all calls once the cluster is gone."""
        try:
            self._watch.look()
        except ExecutorBroken as error:
            with self._lock:
                lost = list(self._running.values())
                lost += [each for each in self._waiting if each.claim()]
                self._running.clear()
                self._waiting.clear()
            for submission in lost:
                submission.settle(Answer(submission.batch, error=error))
            self._news.put(None)
        else:
            self._begin()

    def _leave(self) -> None:
        let_go, self._let_go = self._let_go, None
        if let_go is not None:
            let_go()


class _Submission:
    """One submitted call until its future is done."""

    def __init__(
        self,
        cluster: Cluster,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        self.future: Future[Any] = Future()
        self.batch = Batch(0, [(args, kwargs)])
        self.parcel: Parcel | None = None
        self._blame = Blame(fn, _CALLING, {})
        self._deaths = 0
        self._shipment = Shipment(cluster, fn, _CALLING)
        try:
            self.parcel = self._shipment.pack(self.batch)
        except Exception as error:  # pickling the arguments may raise anything
            self.future.set_running_or_notify_cancel()
            raised = capture(error, crossing=False, kind="input")
            self.settle(Answer(self.batch, unreadable=raised))

    def claim(self) -> bool:
        """Whether the call may begin: it was not cancelled while it waited."""
        if self.future.set_running_or_notify_cancel():
            return True
        self.close()
        return False

    def start(self) -> Running:
        """Begins the call, or begins it again."""
        if self.parcel is None:
            raise LookupError("what cannot be packed cannot be started")
        return self._shipment.start(self.parcel)

    def answer(self, running: Running) -> Answer:
        """What came of it."""
        if self.parcel is None:
            raise LookupError("what was not packed was not started")
        return self._shipment.answer(self.parcel, running)

    def settle(self, answer: Answer) -> bool:
        """Ends the future; False if the call is to be begun again, because its worker died."""
        if answer.death is not None:
            self._deaths += 1
            if self._deaths <= WORKER_DEATH_RETRIES:
                return False
        self.close()
        error = self._blame.of_submitted(answer, self._deaths)
        if error is not None:
            self.future.set_exception(error)
        elif answer.ended is not None:
            self.future.set_result(answer.ended.values[0])
        return True

    def drop(self) -> None:
        """Cancels the call, which has not begun."""
        self.future.cancel()
        self.future.set_running_or_notify_cancel()
        self.close()

    def close(self) -> None:
        """Frees what lies on the cluster."""
        self._shipment.close()
