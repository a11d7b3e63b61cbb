"""Executors by name, the default one, and how each is made to run batches."""

from __future__ import annotations

import importlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any

from shoal.errors import ExecutorClosed, MissingExtra
from shoal.tasks.arguments import CAN_FORK, check_count, check_name
from shoal.tasks.dispatch import FOREIGN_WINDOW, Dispatcher, FutureDispatcher, SerialDispatcher
from shoal.tasks.envelope import Calling
from shoal.tasks.inputs import Inputs
from shoal.tasks.model import shorten
from shoal.tasks.processes import (
    ProcessDispatcher,
    ProcessExecutor,
    available_cores,
    inside_worker,
    shared_supervisor,
)

VARIABLE = "SHOAL_EXECUTOR"


class SerialExecutor(Executor):
    """Runs each call at once, in the caller's thread; its futures are always done."""

    def __init__(self) -> None:
        self._closed = False
        self._lock = threading.Lock()

    def check_open(self) -> None:
        """Raises ExecutorClosed after `shutdown`."""
        with self._lock:
            if self._closed:
                raise ExecutorClosed("this executor was shut down; make a new one")

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Calls ``fn(*args, **kwargs)`` now and returns its future.

        Raises:
            ExecutorClosed: After `shutdown`.
        """
        self.check_open()
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()
        try:
            future.set_result(fn(*args, **kwargs))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # the future carries whatever the function raised
            future.set_exception(error)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002
        """Refuses further work; there is never anything to wait for or to cancel."""
        with self._lock:
            self._closed = True


def executor(
    name: str | None = None, *, max_workers: int | None = None, threads_per_task: int = 1
) -> Executor:
    """A complete `concurrent.futures.Executor`, by name.

    Args:
        name: ``"serial"``, ``"threads"``, ``"processes"`` (supervised worker processes) or
            ``"loky"`` (needs the extra of that name). None takes the variable `SHOAL_EXECUTOR`,
            else ``"processes"``.
        max_workers: How many tasks run at once, from 1; None: the cores this process may use.
        threads_per_task: Threads that numerical libraries use in each worker process.

    Returns:
        The executor; use it in a ``with`` statement, or call its `shutdown`. Inside a worker of
        shoal, ``"processes"`` gives a serial one: nested work runs inline.

    Raises:
        ValueError: For an unknown name, or a number below 1.
        TypeError: For a number that is not an integer.
        MissingExtra: If the executor needs a package that is not installed.
    """
    name = default_name() if name is None else name
    workers = check_count("max_workers", max_workers, optional=True) or available_cores()
    check_count("threads_per_task", threads_per_task)
    check_name(name)
    if name == "serial" or (name == "processes" and inside_worker()):
        return SerialExecutor()
    if name == "threads":
        return ThreadPoolExecutor(workers, thread_name_prefix="shoal")
    if name == "loky":
        return _loky(workers, threads_per_task)
    return ProcessExecutor(workers, threads_per_task=threads_per_task)


def _loky(workers: int, threads_per_task: int) -> Executor:
    require("loky", extra="loky", purpose="executor='loky'")
    from shoal.tasks.loky import LokyExecutor

    return LokyExecutor(workers, threads_per_task=threads_per_task)


def require(module: str, *, extra: str, purpose: str) -> Any:
    """Imports an optional dependency.

    Raises:
        MissingExtra: If it is not installed; says what to install.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtra(
            f"{purpose} needs {module}, which is not installed: pip install 'shoal[{extra}]'"
        ) from error


def default_name() -> str:
    """The executor that None stands for; raises ValueError if the variable names none of ours."""
    name = os.environ.get(VARIABLE)
    if not name:
        return "processes" if CAN_FORK else "loky"
    check_name(name, f"the variable {VARIABLE}")
    return name


def dispatcher_for(
    chosen: str | Executor | None,
    function: Callable[..., Any],
    calling: Calling,
    *,
    max_workers: int | None,
    threads_per_task: int,
    timeout_seconds: float | None,
    inputs: Inputs,
    out: Any = None,
) -> Dispatcher:
    """What runs the batches of one call on the chosen executor.

    Raises:
        ValueError: If a timeout is asked of an executor that cannot stop a task.
    """
    chosen = default_name() if chosen is None else chosen
    if isinstance(chosen, str):
        check_name(chosen)
    ours = chosen == "processes" or isinstance(chosen, ProcessExecutor)
    if ours and not inside_worker():
        if isinstance(chosen, ProcessExecutor):
            supervisor = chosen.supervisor
            workers = min(max_workers or chosen.max_workers, chosen.max_workers)
        else:
            supervisor = shared_supervisor(threads_per_task)
            workers = max_workers or available_cores()
        return ProcessDispatcher(
            supervisor,
            function,
            calling,
            workers=workers,
            timeout_seconds=timeout_seconds,
            inputs=inputs,
            out=out,
        )
    if timeout_seconds is not None and not ours:
        raise ValueError(
            f"timeout_seconds={timeout_seconds:g} needs executor='processes': a task on "
            f"{shorten(chosen)} cannot be stopped"
        )
    if ours or chosen == "serial" or isinstance(chosen, SerialExecutor):
        if isinstance(chosen, SerialExecutor):
            chosen.check_open()
        return SerialDispatcher(function, calling, out)
    workers = max_workers or available_cores()
    inputs.freeze()
    if isinstance(chosen, str):
        made = executor(chosen, max_workers=workers, threads_per_task=threads_per_task)
        return FutureDispatcher(
            made, function, calling, workers=workers, window=2 * workers, owned=True, out=out
        )
    window = 2 * max_workers if max_workers is not None else max(FOREIGN_WINDOW, 2 * workers)
    return FutureDispatcher(chosen, function, calling, workers=workers, window=window, out=out)
