"""ProcessExecutor: the supervised workers as a complete concurrent.futures.Executor."""

from __future__ import annotations

import atexit
import sys
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from time import monotonic
from typing import Any

from shoal.errors import ExecutorClosed
from shoal.tasks.chunks import ChunkedExecutor
from shoal.tasks.dispatch import Batch
from shoal.tasks.envelope import Calling, capture
from shoal.tasks.failing import Blame
from shoal.tasks.processes.dispatcher import Packer, read_delivery
from shoal.tasks.processes.limits import available_cores
from shoal.tasks.processes.parcels import Delivery
from shoal.tasks.processes.supervisor import Supervisor

WORKER_DEATH_RETRIES = 2

_CALLING = Calling("task")
_shared: dict[int, Supervisor] = {}
_lock = threading.Lock()
_living: weakref.WeakSet[Supervisor] = weakref.WeakSet()


def shared_supervisor(threads_per_task: int) -> Supervisor:
    """The workers that calls without an executor of their own share, and that stay warm."""
    with _lock:
        supervisor = _shared.get(threads_per_task)
        if supervisor is None or not supervisor.usable:
            supervisor = _shared[threads_per_task] = _supervisor(threads_per_task)
        return supervisor


def _supervisor(threads_per_task: int) -> Supervisor:
    supervisor = Supervisor(threads_per_task)
    _living.add(supervisor)
    return supervisor


@atexit.register
def _end_all() -> None:
    """Waits for work that was submitted, as the standard library does; not after Ctrl-C."""
    interrupted = getattr(sys, "last_type", None) is KeyboardInterrupt
    supervisors = [supervisor for supervisor in _living if supervisor.ours]
    try:
        for supervisor in supervisors:
            supervisor.stop(kill=interrupted, quiet=interrupted)
        for supervisor in supervisors:
            supervisor.join()
    except KeyboardInterrupt:
        for supervisor in supervisors:
            supervisor.stop(kill=True, quiet=True)


class ProcessExecutor(ChunkedExecutor):
    """Runs calls in supervised worker processes.

    A complete `concurrent.futures.Executor`: what is special is what cannot happen. A worker that
    dies costs the call it was running, which is tried again; a result or an exception that cannot
    be pickled costs its own call. Lambdas, closures and functions of notebooks and unguarded
    scripts work.
    """

    def __init__(self, max_workers: int | None = None, *, threads_per_task: int = 1) -> None:
        """Starts nothing yet: workers start with the first call.

        Args:
            max_workers: How many calls run at once, from 1; None: the cores available.
            threads_per_task: Threads of numerical libraries in each worker.
        """
        if max_workers is not None and max_workers < 1:
            raise ValueError(f"max_workers={max_workers}: expected an integer of at least 1")
        self.max_workers = max_workers or available_cores()
        self.supervisor = _supervisor(threads_per_task)
        weakref.finalize(self, self.supervisor.stop).atexit = False

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Runs ``fn(*args, **kwargs)`` in a worker.

        Returns:
            Its future. An exception of `fn` arrives with its type, a note that names the
            arguments, and the worker's traceback as cause.

        Raises:
            ExecutorClosed: After `shutdown`.
            FunctionNotSent: If `fn` cannot be pickled.
            TypeError: If `fn` is not callable.
        """
        if not callable(fn):
            raise TypeError(f"fn={fn!r} is not callable")
        if not self.supervisor.usable:
            raise ExecutorClosed("this executor was shut down; make a new one")
        return _Submission(self, fn, args, kwargs).future

    @property
    def width(self) -> int:
        """How many calls run at once."""
        return self.max_workers

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Takes no more work, and ends the workers when what was submitted is done.

        Args:
            wait: Return only then.
            cancel_futures: Cancel what has not begun.
        """
        self.supervisor.stop(cancel_pending=cancel_futures)
        if wait:
            self.supervisor.join()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Shuts down; after Ctrl-C without waiting for what runs, which is killed."""
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            self.supervisor.stop(kill=True)
        self.shutdown()


class _Awaited(Future[Any]):
    """A future whose waiting thread serves the workers meanwhile, if no other thread does."""

    def __init__(self, supervisor: Supervisor) -> None:
        super().__init__()
        self._supervisor = supervisor

    def result(self, timeout: float | None = None) -> Any:
        """As `concurrent.futures.Future.result`."""
        return super().result(self._attend(timeout))

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """As `concurrent.futures.Future.exception`."""
        return super().exception(self._attend(timeout))

    def _attend(self, timeout: float | None) -> float | None:
        """Serves until the future is done; what is left of the timeout."""
        begun = monotonic()
        if not self.done():
            self._supervisor.seat.attend(self.done, timeout)
        return None if timeout is None else max(timeout - (monotonic() - begun), 0.0)


class _Submission:
    """One submitted call until its future is done."""

    def __init__(
        self,
        executor: ProcessExecutor,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        self.future = _Awaited(executor.supervisor)
        self._supervisor = executor.supervisor
        self._blame = Blame(fn, _CALLING, {})
        self._batch = Batch(0, [(args, kwargs)])
        self._deaths = 0
        self._packer = Packer(executor.supervisor, fn, _CALLING, limit=executor.max_workers)
        try:
            parcel = self._packer.parcel(self._batch, self._deliver)
        except Exception as error:  # pickling the arguments may raise anything
            self._supervisor.finish(self._packer.call)
            self.future.set_running_or_notify_cancel()
            self._fail(error)
            return
        parcel.claim = self._claim
        parcel.cancel = self._cancel
        self._supervisor.submit(parcel)

    def _claim(self) -> bool:
        """Whether the call may begin: it was not cancelled while it waited."""
        if self.future.set_running_or_notify_cancel():
            return True
        self._supervisor.finish(self._packer.call)
        return False

    def _cancel(self) -> None:
        self.future.cancel()
        self._claim()

    def _fail(self, error: Exception) -> None:
        raised = capture(error, crossing=False, kind="input")
        self.future.set_exception(self._blame.raised(0, self._batch.items[0], raised, 1, ""))

    def _deliver(self, got: Delivery) -> None:
        answer = read_delivery(self._batch, 0, got)
        if answer.death is not None and self._deaths < WORKER_DEATH_RETRIES:
            self._deaths += 1
            self._supervisor.submit(self._packer.parcel(self._batch, self._deliver), accepted=True)
            return
        self._supervisor.finish(self._packer.call)
        if answer.unreadable is not None and answer.unreadable.kind == "function":
            self._supervisor.forget_function(self._packer.call)
        error = self._blame.of_submitted(answer, self._deaths + 1)
        if error is not None:
            self.future.set_exception(error)
        elif answer.ended is not None:
            self.future.set_result(answer.ended.values[0])
