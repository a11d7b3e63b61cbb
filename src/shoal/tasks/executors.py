"""Executors by name, the default one, and how each is made to run batches."""

from __future__ import annotations

import importlib
import os
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any

from shoal.errors import ExecutorClosed
from shoal.tasks.adapters import needs_of
from shoal.tasks.arguments import CAN_FORK, check_count, check_name, check_resources, is_dask_client
from shoal.tasks.dispatch import FOREIGN_WINDOW, Dispatcher, FutureDispatcher, SerialDispatcher
from shoal.tasks.envelope import Calling
from shoal.tasks.extras import require
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

    max_workers = 1

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
    name: str | None = None,
    *,
    max_workers: int | None = None,
    threads_per_task: int = 1,
    resources: Mapping[str, Any] | None = None,
) -> Executor:
    """A complete `concurrent.futures.Executor`, by name.

    Args:
        name: ``"serial"``, ``"threads"``, ``"processes"`` (supervised worker processes), or
            ``"loky"``, ``"ray"`` or ``"dask"``, which need the extra of that name. Clusters that
            are there: ``"ray:host:port"``, ``"ray://host:port"``, ``"dask://host:port"``. None
            takes the variable `SHOAL_EXECUTOR`, else ``"processes"``.
        max_workers: How many tasks run at once, from 1; None: the cores this process may use, or
            what the cluster has room for.
        threads_per_task: Threads that numerical libraries use in each worker process.
        resources: On Ray, what each task needs: ``num_cpus`` (1 by default), ``num_gpus``,
            ``memory`` in bytes, and ``resources`` by name, as options of a Ray task.

    Returns:
        The executor; use it in a ``with`` statement, or call its `shutdown`. Inside a worker of
        shoal, ``"processes"`` gives a serial one: nested work runs inline.

    Raises:
        ValueError: For an unknown name, a number below 1, or resources where there are none.
        TypeError: For a number that is not an integer.
        ExecutorBroken: If a cluster cannot be reached, or is none that can run this program.
        MissingExtra: If the executor needs a package that is not installed.
    """
    name = default_name() if name is None else name
    workers = check_count("max_workers", max_workers, optional=True) or available_cores()
    check_count("threads_per_task", threads_per_task)
    check_name(name)
    on_ray = name.startswith("ray")
    check_resources(resources, name, allowed=on_ray)
    on_cluster = on_ray or name.startswith("dask")
    if name == "serial" or ((name == "processes" or on_cluster) and inside()):
        return SerialExecutor()
    if on_cluster:
        _require_cluster(name)
        on: Executor = clusters().executor_on(
            name,
            threads_per_task=threads_per_task,
            max_workers=max_workers,
            resources=resources,
        )
        return on
    if name == "threads":
        return ThreadPoolExecutor(workers, thread_name_prefix="shoal")
    if name == "loky":
        return _loky(workers, threads_per_task)
    return ProcessExecutor(workers, threads_per_task=threads_per_task)


def _loky(workers: int, threads_per_task: int) -> Executor:
    require("loky", extra="loky", purpose="executor='loky'")
    from shoal.tasks.loky import LokyExecutor

    return LokyExecutor(workers, threads_per_task=threads_per_task)


def clusters() -> Any:
    """The room of the clusters, imported at first use: most programs need none."""
    return importlib.import_module("shoal.tasks.clusters")


def _require_cluster(name: str) -> None:
    """Raises MissingExtra unless the package behind a cluster's name is installed."""
    extra, module = ("ray", "ray") if name.startswith("ray") else ("dask", "distributed")
    require(module, extra=extra, purpose=f"executor={name!r}")


def inside() -> bool:
    """True in a task of our processes or on a cluster: parallel calls made there run inline."""
    there = sys.modules.get("shoal.tasks.clusters.there")
    return inside_worker() or (there is not None and there.inside_task())


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
        ValueError: If a timeout is asked of an executor that cannot stop a task, or threads for a
            function that must not be shared between them.
    """
    chosen = default_name() if chosen is None else chosen
    if isinstance(chosen, str):
        check_name(chosen)
    if chosen == "threads" or isinstance(chosen, ThreadPoolExecutor):
        _check_threads(chosen, function)
    ours = chosen == "processes" or isinstance(chosen, ProcessExecutor)
    if ours and not inside():
        supervisor, workers = _supervised(chosen, max_workers, threads_per_task)
        return ProcessDispatcher(
            supervisor,
            function,
            calling,
            workers=workers,
            timeout_seconds=timeout_seconds,
            inputs=inputs,
            out=out,
        )
    on_cluster = _is_cluster(chosen)
    nested = (ours or on_cluster) and inside()
    if timeout_seconds is not None and not nested:
        raise ValueError(
            f"timeout_seconds={timeout_seconds:g} needs executor='processes': a task on "
            f"{shorten(chosen)} cannot be stopped"
        )
    if nested or chosen == "serial" or isinstance(chosen, SerialExecutor):
        if isinstance(chosen, SerialExecutor):
            chosen.check_open()
        return SerialDispatcher(function, calling, out)
    if on_cluster:
        cluster, most = _cluster_of(chosen, max_workers, threads_per_task)
        dispatcher: Dispatcher = clusters().ClusterDispatcher(
            cluster, function, calling, max_workers=most, inputs=inputs, out=out
        )
        return dispatcher
    workers = max_workers or available_cores()
    inputs.freeze()
    if isinstance(chosen, str):
        made = executor(chosen, max_workers=workers, threads_per_task=threads_per_task)
        return FutureDispatcher(
            made, function, calling, workers=workers, window=2 * workers, owned=True, out=out
        )
    window = 2 * max_workers if max_workers is not None else max(FOREIGN_WINDOW, 2 * workers)
    return FutureDispatcher(chosen, function, calling, workers=workers, window=window, out=out)


def _check_threads(chosen: Any, function: Callable[..., Any]) -> None:
    """Raises ValueError for a function that threads must not share, and says why."""
    reason = needs_of(function).no_threads
    if reason:
        raise ValueError(f"executor={shorten(chosen)} with {shorten(function)}: {reason}")


def _supervised(
    chosen: Any, max_workers: int | None, threads_per_task: int
) -> tuple[Any, int | None]:
    """The supervisor of an executor of ours, or the one that calls share, and how many workers."""
    if isinstance(chosen, ProcessExecutor):
        return chosen.supervisor, min(max_workers or chosen.max_workers, chosen.max_workers)
    return shared_supervisor(threads_per_task), max_workers


def _is_cluster(chosen: object) -> bool:
    if isinstance(chosen, str):
        return chosen.startswith(("ray", "dask"))
    if is_dask_client(chosen):
        return True
    made = sys.modules.get("shoal.tasks.clusters.executor")
    return made is not None and isinstance(chosen, made.ClusterExecutor)


def _cluster_of(
    chosen: Any, max_workers: int | None, threads_per_task: int
) -> tuple[Any, int | None]:
    """The cluster meant by a name, an address, a Dask client or an executor, and its limit."""
    if isinstance(chosen, str):
        _require_cluster(chosen)
        kept = clusters().kept(chosen, threads_per_task=threads_per_task, max_workers=max_workers)
        return kept, max_workers
    if is_dask_client(chosen):
        return clusters().of_client(chosen, threads_per_task), max_workers
    chosen.check_open()
    limits = [each for each in (max_workers, chosen.max_workers) if each is not None]
    return chosen.cluster, min(limits, default=None)
