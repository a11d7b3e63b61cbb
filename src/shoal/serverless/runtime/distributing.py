"""Distributed tasks: functions that run elsewhere, at the same time, and give back references."""

from __future__ import annotations

import atexit
import functools
import importlib
import importlib.util
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from shoal.errors import MissingExtra
from shoal.serverless.runtime import forks
from shoal.serverless.runtime.references import Reference, found_in, with_results
from shoal.serverless.runtime.reports import logger

_here = threading.local()
_executors: dict[tuple[Any, ...], Executor] = {}
_lock = threading.Lock()


@dataclass
class Target:
    """What one run of a distributed task needs.

    Attributes:
        cpu: Cores: so many fewer tasks run at once, and numerical libraries use so many threads.
        gpu: GPUs. On a cluster they are asked for; on one machine such tasks run one at a time.
        qpu: Accepted and ignored.
        mem: Bytes of memory; as many tasks run at once as fit.
        resources: Named resources of a Ray cluster.
        env_vars: Environment variables for the time that the task runs.
        pip: Accepted, but nothing is installed; a line in the log says so.
    """

    cpu: float = 1
    gpu: float = 0
    qpu: int = 0
    mem: float = 1
    resources: dict[str, float] | None = None
    env_vars: dict[str, Any] | None = None
    pip: list[str] | None = None

    @classmethod
    def from_dict(cls, dictionary: Mapping[str, Any]) -> Target:
        """The target of these words."""
        return cls(**dictionary)

    def __post_init__(self) -> None:
        """Raises ValueError for a number below zero."""
        for name in ("cpu", "gpu", "mem"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}={getattr(self, name)}: expected 0 or more")


def distribute_task(target: Target | Mapping[str, Any] | Callable[..., Any] | None = None) -> Any:
    """Makes a function a distributed task: a call returns a reference at once, and runs elsewhere.

    Tasks start immediately and in parallel, on the executor that the variable `SHOAL_EXECUTOR`
    names, by default in processes on all cores of the job. A task that needs the results of others
    starts when they are there. Tasks that a task starts run within it.

    Args:
        target: What a run needs, as a `Target` or a dictionary of its words.

    Returns:
        A decorator.

    Example:
        >>> from shoal.serverless.runtime import distribute_task, get
        >>> @distribute_task(target={"cpu": 1})
        ... def square(x):
        ...     return x * x
        >>> get([square(3), square(square(2))])
        [9, 16]
    """
    if callable(target) and not isinstance(target, Target):
        return distribute_task()(target)
    if isinstance(target, Mapping):
        wanted = Target.from_dict(target)
    elif target is None or isinstance(target, Target):
        wanted = target or Target()
    else:
        raise TypeError(f"target={target!r}: expected a Target or a dictionary")
    if wanted.pip:
        logger.warning("pip=%s: nothing is installed; tasks find what the job finds", wanted.pip)

    def decorate(function: Callable[..., Any]) -> Callable[..., Reference]:
        if not callable(function):
            raise TypeError(f"distribute_task() of {function!r}: expected a function")

        @functools.wraps(function)
        def start(*args: Any, **kwargs: Any) -> Reference:
            return _start(Task(function, wanted.env_vars), wanted, args, kwargs)

        return start

    return decorate


class Task:
    """A function as it runs elsewhere: with its variables, and aware that it is within a task.

    Attributes:
        names_input: Whether it adds the arguments to an error itself, where nobody else does.
    """

    names_input = False

    def __init__(self, function: Callable[..., Any], variables: dict[str, Any] | None) -> None:
        self.function = function
        self.variables = variables

    def __repr__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        """The function's."""
        return getattr(self.function, "__name__", type(self.function).__name__)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Runs the function."""
        try:
            with _within(self.variables):
                return self.function(*args, **kwargs)
        except Exception as error:
            if self.names_input:
                forks.told(error, args, kwargs)
            raise


@contextmanager
def _within(variables: dict[str, Any] | None) -> Iterator[None]:
    """Marks this thread as within a task, with these environment variables meanwhile."""
    outer = getattr(_here, "in_task", False)
    before = {name: os.environ.get(name) for name in variables or {}}
    _here.in_task = True
    os.environ.update({name: str(value) for name, value in (variables or {}).items()})
    try:
        yield
    finally:
        _here.in_task = outer
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _start(task: Task, target: Target, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Reference:
    """Starts a task, now or when the references among its arguments have results."""
    awaited = [each.future for each in found_in((args, kwargs)) if not each.future.done()]
    if not awaited:
        return Reference(_submitted(task, target, args, kwargs), task.name)
    promise: Future[Any] = Future()
    promise.set_running_or_notify_cancel()

    def begin() -> None:
        _submitted(task, target, args, kwargs).add_done_callback(
            functools.partial(_pass_on, promise)
        )

    _when_done(awaited, begin)
    return Reference(promise, task.name)


def _submitted(
    task: Task, target: Target, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Future[Any]:
    """A task under way, its references replaced; failed already where one of theirs has."""
    for each in found_in((args, kwargs)):
        if each.future.exception() is not None:
            return each.future
    try:
        args, kwargs = with_results(args), with_results(kwargs)
        if getattr(_here, "in_task", False):
            return _run_here(task, args, kwargs)
        task.names_input = _executor_name() != "processes"
        return executor_for(target).submit(task, *args, **kwargs)
    except Exception as error:  # noqa: BLE001 - what happens to a task is for `get` to raise
        failed: Future[Any] = Future()
        failed.set_exception(error)
        return failed


def _run_here(task: Task, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Future[Any]:
    future: Future[Any] = Future()
    try:
        future.set_result(task(*args, **kwargs))
    except Exception as error:  # noqa: BLE001 - as for `_submitted`
        future.set_exception(forks.told(error, args, kwargs))
    return future


def _when_done(futures: list[Future[Any]], begin: Callable[[], None]) -> None:
    """Calls `begin` once, in whatever thread ends the last of the futures."""
    left, lock = [len(futures)], threading.Lock()

    def ended(_: Future[Any]) -> None:
        with lock:
            left[0] -= 1
            is_last = left[0] == 0
        if is_last:
            begin()

    for future in futures:
        future.add_done_callback(ended)


def _pass_on(promise: Future[Any], ended: Future[Any]) -> None:
    error = ended.exception()
    if error is None:
        promise.set_result(ended.result())
    else:
        promise.set_exception(error)


def executor_for(target: Target) -> Executor:
    """What runs tasks of a target in this process; the same one for the same needs.

    Raises:
        MissingExtra: If an executor is named and the engine is not there.
        Exception: As `shoal.executor`.
    """
    name = _executor_name()
    resources = tuple(sorted((target.resources or {}).items()))
    key = (os.getpid(), name, target.cpu, target.gpu, target.mem, resources)
    with _lock:
        if key not in _executors:
            _executors[key] = _made(name, target)
            if len(_executors) == 1:
                atexit.register(_give_up_after_failure)
        return _executors[key]


def _executor_name() -> str:
    return os.environ.get("SHOAL_EXECUTOR") or "processes"


def _made(name: str, target: Target) -> Executor:
    tasks = _engine()
    if tasks is None:
        if name != "processes":
            raise MissingExtra(
                f"SHOAL_EXECUTOR={name!r} needs shoal and its dependencies, with Python 3.11 or "
                f"newer, where programs run: {sys.executable}"
            )
        known = [each for each in _executors.values() if isinstance(each, forks.ForkExecutor)]
        return known[0] if known else forks.ForkExecutor(_cores())
    if name.startswith("ray"):
        needs: dict[str, Any] = {"num_cpus": target.cpu, "num_gpus": target.gpu}
        if target.mem > 1:
            needs["memory"] = target.mem
        if target.resources:
            needs["resources"] = target.resources
        options: dict[str, Any] = {"resources": needs}
    elif name.startswith("dask") or name == "serial":
        options = {}
    else:
        cores = tasks.available_cores()
        options = {
            "max_workers": _most_at_once(target, cores, tasks.free_memory_bytes()),
            "threads_per_task": min(max(int(target.cpu), 1), cores),
        }
    made: Executor = tasks.executor(name, **options)
    return made


def _most_at_once(target: Target, cores: int, memory_bytes: int) -> int:
    """How many tasks of a target fit on this machine; at least one, which then has all of it."""
    if target.gpu:
        return 1
    by_cores = cores // target.cpu if target.cpu else cores
    by_memory = memory_bytes // target.mem if target.mem else cores
    return max(int(min(by_cores, by_memory, cores)), 1)


def _engine() -> Any:
    """The engine's face, or None where its dependencies are not installed."""
    if sys.version_info < (3, 11):  # noqa: UP036 - the engine's minimum, not this file's
        return None
    if importlib.util.find_spec("cloudpickle") is None:  # told before any of the engine is imported
        return None
    try:
        importlib.import_module("shoal.tasks.executors")  # the face alone imports nothing
        return importlib.import_module("shoal.tasks")
    except ImportError:
        return None


def _cores() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _give_up_after_failure() -> None:
    """At the end of a program that failed: drops what has not begun; else all of it is finished."""
    if getattr(sys, "last_type", None) is not None:
        for key, executor in _executors.items():
            if key[0] == os.getpid():
                executor.shutdown(wait=False, cancel_futures=True)
