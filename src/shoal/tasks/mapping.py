"""map, imap and run: the ways into the loop."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from typing import Any, Literal

from shoal.tasks import executors
from shoal.tasks.arguments import check_call, check_count, check_executor, checked_policy
from shoal.tasks.batching import BatchSizer
from shoal.tasks.envelope import Calling
from shoal.tasks.failing import Blame
from shoal.tasks.inplace import check_out
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
    out: Any = None,
) -> Any:
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
        out: A numpy array that takes the results, the task's index along its first axis: each is
            written where it belongs, by the workers themselves if the array is a
            `shoal.tasks.shared_array`. Not with ``on_error="return"``.

    Returns:
        The results in the order of the inputs, as a list or in `out`.

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
    if out is not None and on_error == "return":
        raise ValueError("on_error='return' with out: an array cannot hold exceptions")
    call = _Call(
        f,
        iterables,
        Calling("one" if len(iterables) == 1 else "star", check_seed(seed)),
        executor=executor,
        max_workers=max_workers,
        batch_size=batch_size,
        policy=checked_policy(retries, worker_death_retries, timeout_seconds),
        threads_per_task=threads_per_task,
        on_error=on_error,
        progress=progress,
        out=out,
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
        policy=checked_policy(retries, worker_death_retries, timeout_seconds),
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
    out: Any = None,
) -> Iterator[Outcome]:
    """Runs tasks and yields how each ended, in the order of completion.

    Args:
        f: Called as ``f(*task.args, **task.kwargs)`` for each task.
        tasks: The tasks; may be a generator, which is read a bounded number of batches ahead.
        executor: As for `map`, like all the other arguments.
        out: As for `map`; the outcomes' values are then None.

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
        policy=checked_policy(retries, worker_death_retries, timeout_seconds),
        threads_per_task=threads_per_task,
        on_error="return",
        progress=progress,
        lazy=True,
        labels=labels,
        out=out,
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
        policy: Policy,
        threads_per_task: int,
        on_error: str,
        progress: bool | None,
        lazy: bool = False,
        labels: dict[int, Any] | None = None,
        out: Any = None,
    ) -> None:
        check_call(f, iterables, on_error, progress)
        if out is not None:
            check_out(out)
        check_executor(executor)
        check_count("max_workers", max_workers, optional=True)
        check_count("threads_per_task", threads_per_task)
        if policy.timeout_seconds is not None:
            calling = replace(calling, timed=True)
        auto = isinstance(batch_size, str) and batch_size == "auto"
        fixed = None if auto else check_count("batch_size", batch_size)
        self._raising = on_error == "raise"
        self._out = out
        self._progress = progress
        self._name = getattr(f, "__name__", type(f).__name__)
        self._inputs = Inputs(iterables)
        dispatcher = executors.dispatcher_for(
            executor,
            f,
            calling,
            max_workers=max_workers,
            threads_per_task=threads_per_task,
            timeout_seconds=policy.timeout_seconds,
            inputs=self._inputs,
            out=out,
        )
        workers = dispatcher.workers
        most_items = LAZY_ITEMS if lazy else EAGER_ITEMS
        if dispatcher.in_step and (lazy or not self._inputs.lasting):
            fixed = 1
        self._labels = {} if labels is None else labels
        self._loop = Loop(
            self._inputs,
            dispatcher,
            BatchSizer(workers, fixed=fixed, most_items=most_items),
            Blame(f, calling, self._labels),
            policy,
            most_ahead=max(LAZY_BATCHES_PER_WORKER * workers, dispatcher.window) if lazy else None,
        )

    def collect(self) -> Any:
        """All results, in input order: a list, or the array they were written into."""
        results: list[Any] = []
        errors: dict[int, Exception] = {}
        for settled in self._settled():
            if self._out is None:
                _place(results, settled)
            if settled.errors:
                errors.update(settled.errors)
                if self._raising:
                    self._loop.stop_before(min(errors))
        if errors and self._raising:
            raise errors[min(errors)]
        return results if self._out is None else self._out

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
