"""map, imap and run: the ways into the loop."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from typing import Any, Literal

from shoal.tasks import executors
from shoal.tasks.batching import BatchSizer
from shoal.tasks.envelope import Calling
from shoal.tasks.failing import Blame
from shoal.tasks.inputs import Inputs
from shoal.tasks.loop import Loop, Policy, Settled
from shoal.tasks.model import Outcome, Task, shorten
from shoal.tasks.progress import Progress
from shoal.tasks.seeds import check_seed

EAGER_ITEMS = 1 << 18
LAZY_ITEMS = 1 << 12
LAZY_BATCHES_PER_WORKER = 8

OnError = Literal["raise", "return"]


def map(
    f: Callable[..., Any],
    *iterables: Iterable[Any],
    executor: str | Executor | None = None,
    max_workers: int | None = None,
    batch_size: int | Literal["auto"] = "auto",
    timeout_seconds: float | None = None,
    retries: int = 0,
    worker_death_retries: int = 2,
    threads_per_task: int = 1,
    on_error: OnError = "raise",
    progress: bool | None = None,
    seed: Any = None,
) -> list[Any]:
    """Calls `f` on every input, in parallel, and returns what the serial loop would have.

    ``shoal.map(f, xs)`` equals ``[f(x) for x in xs]``, bit for bit, at one numerical thread;
    ``shoal.map(f, xs, ys)`` equals ``[f(x, y) for x, y in zip(xs, ys)]``.

    Args:
        f: Any callable: lambdas, closures and functions of notebooks and scripts included.
        iterables: One for each argument of `f`. They end with the shortest.
        executor: A name (see `shoal.executor`) or any `concurrent.futures.Executor`. None:
            the variable `SHOAL_EXECUTOR`, else supervised processes on all cores, which stay
            warm for the next call.
        max_workers: How many tasks run at once, from 1. None: as many as cores.
        batch_size: Inputs per message. ``"auto"`` measures the first ones and aims at 50 ms.
        timeout_seconds: Longest time one task may run, above 0. One that runs longer is stopped,
            and only it; needs processes.
        retries: How often a task that raised, or ran too long, is run again, from 0.
        worker_death_retries: How often a task that ended its worker is run again, from 0.
        threads_per_task: Threads that numerical libraries use in each worker.
        on_error: ``"raise"`` raises what the serial loop would have raised: the error of the
            first input, in input order, that fails. ``"return"`` finishes the others and puts the
            exception at its place in the result.
        progress: True shows a bar, False none; None: in terminals and notebooks, after half a
            second.
        seed: With a seed, `f` gets a keyword ``rng``, a `numpy.random.Generator` that depends on
            the seed and the input's position alone. An int, a sequence of ints, or a
            `numpy.random.SeedSequence`.

    Returns:
        The results, in the order of the inputs.

    Raises:
        TypeError: For arguments of the wrong kind, before any work.
        ValueError: For arguments out of range, before any work.
        shoal.errors.ShoalError: See `shoal.errors`. An ordinary exception of `f` keeps its type;
            a note names the input, the cause holds the worker's traceback, and
            ``shoal.failure(error).replay()`` runs it again here.

    Example:
        >>> import shoal
        >>> shoal.map(pow, [2, 3, 4], [5, 2, 2])
        [32, 9, 16]
    """
    call = _Call(
        f,
        iterables,
        Calling("one" if len(iterables) == 1 else "star", check_seed(seed)),
        executor=executor,
        max_workers=max_workers,
        batch_size=batch_size,
        timeout_seconds=timeout_seconds,
        policy=_policy(retries, worker_death_retries, timeout_seconds),
        threads_per_task=threads_per_task,
        on_error=on_error,
        progress=progress,
    )
    return call.collect()


def imap(
    f: Callable[..., Any],
    *iterables: Iterable[Any],
    executor: str | Executor | None = None,
    max_workers: int | None = None,
    batch_size: int | Literal["auto"] = "auto",
    timeout_seconds: float | None = None,
    retries: int = 0,
    worker_death_retries: int = 2,
    threads_per_task: int = 1,
    on_error: OnError = "raise",
    progress: bool | None = None,
    seed: Any = None,
) -> Iterator[Any]:
    """As `map`, lazily: results one by one, in input order, in bounded memory.

    Inputs are drawn only a bounded number of batches ahead of the reader, so that they may be
    endless. Nothing runs before the first result is asked for; closing the iterator, or dropping
    it, ends what still runs.

    Args:
        f: As for `map`, like all the other arguments.
        iterables: One for each argument of `f`; generators are read as results are.
        on_error: ``"raise"`` ends the iteration with the first error; ``"return"`` yields the
            exception in its place.

    Returns:
        An iterator over the results, in the order of the inputs.

    Raises:
        TypeError: For arguments of the wrong kind, at the call.
        ValueError: For arguments out of range, at the call.
        shoal.errors.ShoalError: As `map`, when the iteration arrives there.

    Example:
        >>> import itertools, shoal
        >>> squares = shoal.imap(lambda x: x * x, itertools.count())
        >>> [next(squares) for _ in range(4)]
        [0, 1, 4, 9]
    """
    call = _Call(
        f,
        iterables,
        Calling("one" if len(iterables) == 1 else "star", check_seed(seed)),
        executor=executor,
        max_workers=max_workers,
        batch_size=batch_size,
        timeout_seconds=timeout_seconds,
        policy=_policy(retries, worker_death_retries, timeout_seconds),
        threads_per_task=threads_per_task,
        on_error=on_error,
        progress=progress,
        lazy=True,
    )
    return call.stream()


def run(
    f: Callable[..., Any],
    tasks: Iterable[Task],
    *,
    executor: str | Executor | None = None,
    max_workers: int | None = None,
    batch_size: int | Literal["auto"] = "auto",
    timeout_seconds: float | None = None,
    retries: int = 0,
    worker_death_retries: int = 2,
    threads_per_task: int = 1,
    progress: bool | None = None,
    seed: Any = None,
) -> Iterator[Outcome]:
    """Runs tasks and yields how each ended, in the order of completion.

    Args:
        f: Called as ``f(*task.args, **task.kwargs)`` for each task.
        tasks: The tasks; may be a generator, which is read a bounded number of batches ahead.
        executor: As for `map`, like all the other arguments.

    Returns:
        An iterator over outcomes. A task that fails is an outcome with an error, never an
        exception here.

    Raises:
        TypeError: For arguments of the wrong kind, at the call.
        ValueError: For arguments out of range, at the call.
        shoal.errors.FunctionNotSent: If no task can run at all.
        shoal.errors.ExecutorBroken: If the executor can run nothing more.

    Example:
        >>> from shoal.tasks import Task, run
        >>> [outcome] = run(int, [Task(("ff",), {"base": 16}, label="hex")])
        >>> outcome.label, outcome.value
        ('hex', 255)
    """
    labels: dict[int, Any] = {}
    call = _Call(
        f,
        [_unpacked(tasks, labels)],
        Calling("task", check_seed(seed), timed=True),
        executor=executor,
        max_workers=max_workers,
        batch_size=batch_size,
        timeout_seconds=timeout_seconds,
        policy=_policy(retries, worker_death_retries, timeout_seconds),
        threads_per_task=threads_per_task,
        on_error="return",
        progress=progress,
        lazy=True,
        labels=labels,
    )
    return call.outcomes()


class _Call:
    """One call of map, imap or run: its checked arguments, and three ways to read it."""

    def __init__(
        self,
        f: Callable[..., Any],
        iterables: Sequence[Iterable[Any]],
        calling: Calling,
        *,
        executor: str | Executor | None,
        max_workers: int | None,
        batch_size: int | str,
        timeout_seconds: float | None,
        policy: Policy,
        threads_per_task: int,
        on_error: str,
        progress: bool | None,
        lazy: bool = False,
        labels: dict[int, Any] | None = None,
    ) -> None:
        _check(f, iterables, on_error, progress)
        executors.check_executor(executor)
        executors.check_count("max_workers", max_workers, optional=True)
        executors.check_count("threads_per_task", threads_per_task)
        if policy.timeout_seconds is not None:
            calling = replace(calling, timed=True)
        fixed = None if batch_size == "auto" else executors.check_count("batch_size", batch_size)
        self._raising = on_error == "raise"
        self._progress = progress
        self._name = getattr(f, "__name__", type(f).__name__)
        self._inputs = Inputs(iterables)
        dispatcher = executors.dispatcher_for(
            executor,
            f,
            calling,
            max_workers=max_workers,
            threads_per_task=threads_per_task,
            timeout_seconds=timeout_seconds,
            inputs=self._inputs,
        )
        workers = dispatcher.workers
        most_items = LAZY_ITEMS if lazy else EAGER_ITEMS
        self._labels = {} if labels is None else labels
        self._loop = Loop(
            self._inputs,
            dispatcher,
            BatchSizer(workers, fixed=fixed, most_items=most_items),
            Blame(f, calling, self._labels),
            policy,
            most_ahead=max(LAZY_BATCHES_PER_WORKER * workers, dispatcher.window) if lazy else None,
        )

    def collect(self) -> list[Any]:
        """All results, in input order."""
        results: list[Any] = []
        errors: dict[int, Exception] = {}
        for settled in self._settled():
            _place(results, settled)
            if settled.errors:
                errors.update(settled.errors)
                if self._raising:
                    self._loop.stop_before(min(errors))
        if errors and self._raising:
            raise errors[min(errors)]
        return results

    def stream(self) -> Iterator[Any]:
        """Results one by one, in input order."""
        waiting: dict[int, Settled] = {}
        due = 0
        for settled in self._settled():
            waiting[settled.start] = settled
            self._loop.held = len(waiting)
            while due in waiting:
                first = waiting.pop(due)
                due = first.stop
                if first.errors:
                    yield from self._with_errors(first)
                else:
                    yield from first.values
                self._loop.held = len(waiting)

    def _with_errors(self, settled: Settled) -> Iterator[Any]:
        for index, value in enumerate(settled.values, settled.start):
            error = settled.errors.get(index)
            if error is not None and self._raising:
                raise error
            yield value if error is None else error

    def outcomes(self) -> Iterator[Outcome]:
        """Outcomes one by one, in the order of completion."""
        for settled in self._settled():
            seconds = settled.item_seconds or [0.0] * len(settled.values)
            for position, value in enumerate(settled.values):
                index = settled.start + position
                error = settled.errors.get(index)
                yield Outcome(
                    index=index,
                    value=value,
                    error=error,
                    label=self._labels.pop(index, None),
                    attempt=self._loop.attempt_of(index, failed=error is not None),
                    seconds=seconds[position],
                    worker=settled.worker,
                )

    def _settled(self) -> Iterator[Settled]:
        bar = Progress(self._progress, self._inputs.remaining, self._name)
        settling = iter(self._loop)
        try:
            for settled in settling:
                bar.add(len(settled.values))
                yield settled
        finally:
            settling.close()
            bar.close()


def _place(results: list[Any], settled: Settled) -> None:
    """Puts settled values where their inputs were; grows the list as far as needed."""
    start, stop = settled.start, settled.stop
    if start == len(results):
        results += settled.values
    else:
        if stop > len(results):
            results += [None] * (stop - len(results))
        results[start:stop] = settled.values
    for index, error in settled.errors.items():
        results[index] = error


def _unpacked(tasks: Iterable[Task], labels: dict[int, Any]) -> Iterable[Any]:
    """The arguments of each task; fills `labels` as they are drawn."""
    if isinstance(tasks, list | tuple):
        return [_arguments(index, task, labels) for index, task in enumerate(tasks)]
    try:
        return (_arguments(index, task, labels) for index, task in enumerate(tasks))
    except TypeError:
        raise TypeError(
            f"tasks={shorten(tasks)}: expected an iterable of shoal.tasks.Task"
        ) from None


def _arguments(index: int, task: Task, labels: dict[int, Any]) -> tuple[Any, Any]:
    if not isinstance(task, Task):
        raise TypeError(f"task {index} is {shorten(task)}: expected a shoal.tasks.Task")
    if task.label is not None:
        labels[index] = task.label
    return task.args, task.kwargs


def _policy(retries: int, worker_death_retries: int, timeout_seconds: Any) -> Policy:
    executors.check_count("retries", retries, least=0)
    executors.check_count("worker_death_retries", worker_death_retries, least=0)
    if timeout_seconds is not None:
        if isinstance(timeout_seconds, bool) or not isinstance(timeout_seconds, int | float):
            raise TypeError(
                f"timeout_seconds={shorten(timeout_seconds)}: expected a number of seconds"
            )
        if not 0 < timeout_seconds < math.inf:
            raise ValueError(
                f"timeout_seconds={timeout_seconds!r}: expected seconds above 0, or None"
            )
    return Policy(int(retries), int(worker_death_retries), timeout_seconds)


def _check(
    f: object, iterables: Sequence[Iterable[Any]], on_error: object, progress: object
) -> None:
    if not callable(f):
        raise TypeError(f"f={shorten(f)} is not callable: expected a function")
    if not iterables:
        raise TypeError("nothing to map over: expected at least one iterable after the function")
    if on_error not in ("raise", "return"):
        raise ValueError(f"on_error={shorten(on_error)}: expected 'raise' or 'return'")
    if progress not in (None, True, False):
        raise TypeError(f"progress={shorten(progress)}: expected True, False or None")
