"""map, imap and run: the ways into the loop."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from typing import Any, Literal

from shoal.tasks.arguments import check_function, checked_policy
from shoal.tasks.call import Blocks, Call, Outcomes
from shoal.tasks.envelope import Calling
from shoal.tasks.indexed import ArgumentTable, Indexed
from shoal.tasks.model import Task, shorten
from shoal.tasks.seeds import check_seed

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
    call = Call(
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
    call = Call(
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
) -> Outcomes:
    """Runs tasks and yields how each ended, in the order of completion.

    Args:
        f: Called as ``f(*task.args, **task.kwargs)`` for each task.
        tasks: The tasks; may be a generator, which is read a bounded number of batches ahead.
        executor: As for `map`, like all the other arguments.
        out: As for `map`; the outcomes' values are then None.

    Returns:
        An iterator over outcomes. A task that fails is an outcome with an error, never an
        exception here. Its `abandon` ends it from another thread.

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
    call = Call(
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


def run_indexed(
    f: Callable[..., Any],
    arguments: ArgumentTable,
    indices: Sequence[int],
    *,
    executor: str | Executor | None = None,
    max_workers: int | None = None,
    batch_size: int | Literal["auto"] = "auto",
    timeout_seconds: float | None = None,
    retries: int = 0,
    worker_death_retries: int = 2,
    threads_per_task: int = 1,
    on_error: OnError = "return",
    progress: bool | None = None,
    seed: Any = None,
    out: Any = None,
) -> Blocks:
    """Runs tasks that are computed where they run, from their index; yields them by the batch.

    The cheapest way in for many tasks: nothing but indices travels to the workers.

    Args:
        f: Called as ``f(**arguments[index])``; with a seed, also with `rng` of that index.
        arguments: The keyword arguments of each task; travels with the function, once.
        indices: Which tasks to run: a list, a tuple or a range of integers.
        executor: As for `map`, like all the other arguments.
        on_error: ``"return"`` runs all tasks. ``"raise"`` raises, after the last block, the error
            of the first task, in the order of `indices`, that failed; no later ones are begun.
        out: As for `map`, with the task's index along its first axis. A value that was written is
            None in its block, one that does not fit there is a `shoal.tasks.NotWritten`.

    Returns:
        An iterator over blocks (`shoal.tasks.Settled`): tasks that are consecutive in `indices` and
        ended together. Starts and errors of a block count along `indices`. Its `begin_no_more`
        ends the drawing of tasks, its `close` also what runs.

    Raises:
        TypeError: For arguments of the wrong kind, at the call.
        ValueError: For arguments out of range, at the call.
        shoal.errors.FunctionNotSent: If no task can run at all.
        shoal.errors.ExecutorBroken: If the executor can run nothing more.

    Example:
        >>> from shoal.tasks import run_indexed
        >>> squares = run_indexed(pow, [{"base": 3, "exp": 2}, {"base": 4, "exp": 2}], range(2))
        >>> sorted(value for block in squares for value in block.values)
        [9, 16]
    """
    check_function(f)
    if not isinstance(indices, list | tuple | range):
        raise TypeError(f"indices={shorten(indices)}: expected a list, a tuple or a range")
    call = Call(
        Indexed(f, arguments),
        [indices],
        Calling("indexed", check_seed(seed)),
        executor=executor,
        max_workers=max_workers,
        batch_size=batch_size,
        policy=checked_policy(retries, worker_death_retries, timeout_seconds),
        threads_per_task=threads_per_task,
        on_error=on_error,
        progress=progress,
        out=out,
    )
    return call.blocks()


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
