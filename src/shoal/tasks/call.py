"""One call of the engine: from checked arguments to the loop, and back to what was asked for."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from typing import Any

from shoal.tasks import executors
from shoal.tasks.arguments import check_call, check_count, check_executor
from shoal.tasks.batching import BatchSizer
from shoal.tasks.costs import Costs, signature
from shoal.tasks.envelope import Calling
from shoal.tasks.failing import Blame
from shoal.tasks.inplace import check_out
from shoal.tasks.inputs import Inputs
from shoal.tasks.loop import Loop, Settled
from shoal.tasks.model import Outcome, Policy
from shoal.tasks.progress import Progress

EAGER_ITEMS = 1 << 18
LAZY_ITEMS = 1 << 12
LAZY_BATCHES_PER_WORKER = 8

PROBED = "indexed"  # its callers decide by the first results how the rest is to be run

_costs = Costs()


class Call:
    """One call of the engine: its checked arguments, and four ways to read it."""

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
        _check_place(executor, max_workers, threads_per_task, out)
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
        if dispatcher.in_step and (lazy or not self._inputs.lasting):
            fixed = 1
        self._function = (signature(f), calling.style, type(dispatcher))
        self._sizer = BatchSizer(
            workers,
            fixed=fixed,
            most_items=LAZY_ITEMS if lazy else EAGER_ITEMS,
            batch_seconds=dispatcher.batch_seconds,
            known=None if calling.style == PROBED else _costs.of(self._function),
            first_bytes=self._inputs.first_bytes(),
        )
        self._labels = {} if labels is None else labels
        self._loop = Loop(
            self._inputs,
            dispatcher,
            self._sizer,
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

    def outcomes(self) -> Outcomes:
        """Outcomes one by one, in the order of completion."""
        return Outcomes(self._outcomes(), self._loop)

    def _outcomes(self) -> Generator[Outcome, None, None]:
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

    def blocks(self) -> Blocks:
        """What has settled, in the order of completion; may end with the first error."""
        return Blocks(self._blocks(), self._loop)

    def _blocks(self) -> Generator[Settled, None, None]:
        errors: dict[int, Exception] = {}
        for settled in self._settled():
            if settled.errors and self._raising:
                errors.update(settled.errors)
                self._loop.stop_before(min(errors))
            yield settled
        if errors:
            raise errors[min(errors)]

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
            if self._sizer.cost is not None:
                _costs.learn(self._function, self._sizer.cost)


class Blocks(Iterator[Settled]):
    """Blocks of tasks that ended together, in the order of completion."""

    def __init__(self, settling: Generator[Settled, None, None], loop: Loop) -> None:
        """Wraps what the loop settles."""
        self._settling = settling
        self._loop = loop

    def __next__(self) -> Settled:
        return next(self._settling)

    def close(self) -> None:
        """Ends what still runs."""
        self._settling.close()

    def begin_no_more(self) -> int:
        """Begins no further task; those already begun still come.

        Returns:
            The number of tasks that were begun, which are the first of the `indices`.
        """
        return self._loop.draw_no_more()


class Outcomes(Iterator[Outcome]):
    """Outcomes one by one, in the order of completion."""

    def __init__(self, ending: Generator[Outcome, None, None], loop: Loop) -> None:
        """Wraps how tasks end."""
        self._ending = ending
        self._loop = loop

    def __next__(self) -> Outcome:
        return next(self._ending)

    def close(self) -> None:
        """Ends what still runs; only in the thread that reads the outcomes."""
        self._ending.close()

    def abandon(self) -> None:
        """Ends the iteration soon, from any thread, also while another one waits for an outcome.

        That thread finds no more outcomes. What waits is dropped. What runs in worker processes of
        shoal or of Ray is stopped, after a second in which it may end; other calls on the same
        workers go on. Elsewhere it runs to its end, and nobody waits for it.
        """
        self._loop.abandon()


def _check_place(executor: Any, max_workers: Any, threads_per_task: Any, out: Any) -> None:
    """Raises for what can run nothing, or take no results."""
    if out is not None:
        check_out(out)
    check_executor(executor)
    check_count("max_workers", max_workers, optional=True)
    check_count("threads_per_task", threads_per_task)


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
