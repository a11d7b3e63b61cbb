"""The backend of joblib that runs on our executors, one dispatcher for each of its calls."""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

from joblib.parallel import (  # type: ignore[import-untyped]
    AutoBatchingMixin,
    FallbackToBackend,
    ParallelBackendBase,
    SequentialBackend,
    parallel_config,
    register_parallel_backend,
)

from shoal.errors import ExecutorClosed
from shoal.tasks.arguments import check_executor
from shoal.tasks.envelope import Calling
from shoal.tasks.executors import SerialExecutor, default_name, dispatcher_for
from shoal.tasks.inputs import Inputs
from shoal.tasks.joblib import BACKEND
from shoal.tasks.joblib.mapped import opened
from shoal.tasks.joblib.sending import Delayed, Filed, Sending
from shoal.tasks.model import shorten
from shoal.tasks.processes import available_cores, inside_worker

PRIVATE_COPIES = (None, "c")


class ShoalBackend(AutoBatchingMixin, ParallelBackendBase):  # type: ignore[misc]
    """Runs the batches of `joblib.Parallel` on an executor of shoal or of the user's."""

    default_n_jobs = -1  # whoever names a backend wants its workers, as with joblib's for Dask
    supports_inner_max_num_threads = True
    supports_retrieve_callback = True

    def __init__(
        self,
        nesting_level: int | None = None,
        inner_max_num_threads: int | None = None,
        *,
        executor: str | Executor | None = None,
    ) -> None:
        """Starts nothing yet.

        Args:
            nesting_level: joblib's count of the parallel calls around this one.
            inner_max_num_threads: Threads of numerical libraries in each worker; None: one.
            executor: As for `shoal.map`.
        """
        check_executor(executor)
        super().__init__(nesting_level=nesting_level, inner_max_num_threads=inner_max_num_threads)
        self.parallel: Any = None
        self._executor = executor
        self._chosen: str | Executor = ""
        self._workers = 1
        self._lasting = True
        self._sending: Sending | None = None

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """How many tasks run at once; negative numbers count back from all workers."""
        return self._width(self._executor, n_jobs)

    def _width(self, executor: str | Executor | None, n_jobs: int | None) -> int:
        if n_jobs == 0:
            raise ValueError("n_jobs=0: expected an integer from 1, or a negative one")
        chosen = default_name() if executor is None else executor
        if chosen == "serial" or isinstance(chosen, SerialExecutor) or inside_worker():
            return 1
        widest = getattr(chosen, "max_workers", None)
        wanted = self.default_n_jobs if n_jobs is None else int(n_jobs)
        if wanted < 0:
            wanted = max((widest or available_cores()) + 1 + wanted, 1)
        return wanted if widest is None else min(wanted, widest)

    def configure(
        self,
        n_jobs: int = 1,
        parallel: Any = None,
        *,
        executor: str | Executor | None = None,
        max_nbytes: int | None = 1 << 20,
        mmap_mode: str | None = "r",
        prefer: str | None = None,
        require: str | None = None,
        temp_folder: str | None = None,
        verbose: int = 0,
        context: Any = None,
    ) -> int:
        """Prepares a call of joblib's; the arguments are those of `joblib.Parallel`.

        Raises:
            ValueError: If workers are to write into arrays of this process, or if threads are
                asked of the workers of somebody else's executor.
        """
        del prefer, require, temp_folder, verbose, context  # nothing here depends on them
        if self.parallel not in (None, parallel):  # one context, and a call of it still going on
            raise FallbackToBackend(
                ShoalBackend(
                    self.nesting_level, self.inner_max_num_threads, executor=self._executor
                )
            )
        check_executor(executor)
        chosen = self._executor if executor is None else executor
        if mmap_mode not in ("r", *PRIVATE_COPIES):
            raise ValueError(
                f"mmap_mode={mmap_mode!r}: expected 'r', 'c' or None; to have workers write into "
                "an array, pass a numpy.memmap of your own"
            )
        if self.inner_max_num_threads is not None and isinstance(chosen, Executor):
            raise ValueError(
                f"inner_max_num_threads={self.inner_max_num_threads}: the workers of "
                f"executor={shorten(chosen)} have their own number of threads"
            )
        workers = self._width(chosen, n_jobs)
        if workers == 1:
            raise FallbackToBackend(SequentialBackend(nesting_level=self.nesting_level))
        self.parallel = parallel
        self._chosen = default_name() if chosen is None else chosen
        self._workers = workers
        self._lasting = max_nbytes is not None and mmap_mode not in PRIVATE_COPIES
        return workers

    def get_nested_backend(self) -> tuple[Any, int | None]:
        """Parallel calls inside a task run inline: the workers are all in use."""
        return SequentialBackend(nesting_level=(self.nesting_level or 0) + 1), None

    def start_call(self) -> None:
        """Begins a call of joblib's: its arrays are shared once, among its tasks."""
        left = getattr(self.parallel, "_ready_batches", None)
        if left is not None:  # joblib would run what a call that failed has left there
            left.queue.clear()
        dispatcher = dispatcher_for(
            self._chosen,
            call_delayed,
            Calling("one"),
            max_workers=self._workers,
            threads_per_task=self.inner_max_num_threads or 1,
            timeout_seconds=None,
            inputs=Inputs([() if self._lasting else iter(())]),
        )
        self._sending = Sending(dispatcher)

    def submit(self, func: Any, callback: Callable[[Any], None] | None = None) -> Future[Any]:
        """Sends a batch; never raises, since joblib may call from a thread nobody looks at.

        Args:
            func: joblib's `BatchedCalls`.
            callback: Called with the future when that is done.
        """
        future: Future[Any] = Future()
        if callback is not None:
            future.add_done_callback(callback)
        if self._sending is None:
            future.set_exception(ExecutorClosed("this call of joblib.Parallel has ended"))
        else:
            self._sending.submit(func.items, future)
        return future

    def retrieve_result_callback(self, out: Future[Any]) -> Any:
        """The values of a batch, or its error."""
        return out.result()

    def stop_call(self) -> None:
        """Ends a call whose tasks have all been answered."""
        sending, self._sending = self._sending, None
        if sending is not None:
            sending.finish()

    def abort_everything(self, ensure_ready: bool = True) -> None:  # noqa: ARG002  (always ready)
        """Gives up what is left of a call; at once after Ctrl-C, else after a second of grace."""
        sending, self._sending = self._sending, None
        if sending is not None:
            sending.withdraw(at_once=isinstance(sys.exc_info()[1], KeyboardInterrupt))

    def terminate(self) -> None:
        """Makes the backend ready for another `joblib.Parallel`; the workers stay warm."""
        self.stop_call()
        self.parallel = None
        self.reset_batch_stats()


def call_delayed(delayed: Delayed | Filed) -> Any:
    """Runs one task of joblib's, in a worker; parallel calls inside it run inline."""
    function, args, kwargs = delayed
    if type(delayed) is Filed:
        args = tuple(map(opened, args))
        kwargs = {name: opened(value) for name, value in kwargs.items()}
    with parallel_config(backend=SequentialBackend(nesting_level=1)):
        return function(*args, **kwargs)


register_parallel_backend(BACKEND, ShoalBackend)  # in workers too: a task may ask for it by name
