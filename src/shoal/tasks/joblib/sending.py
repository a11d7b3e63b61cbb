"""One call of joblib's on a dispatcher: batches out, answers in, errors that name their task."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, NamedTuple, NoReturn

from shoal.tasks.dispatch import Answer, Batch, Dispatcher
from shoal.tasks.envelope import Calling
from shoal.tasks.failing import Blame
from shoal.tasks.joblib.mapped import lives_in_file, mapped

WORKER_DEATH_RETRIES = 2

Delayed = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]


class Filed(NamedTuple):
    """A task of joblib's some of whose arrays travel as their place in a file."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class _Unsendable:
    """What no dispatcher can send, and therefore answers at once."""

    def __reduce__(self) -> NoReturn:
        raise TypeError("the call was given up")


_LAST = Batch(-1, [_Unsendable()])


class _Whole:
    """A batch of joblib's, some parts of which may be on their way."""

    def __init__(self, start: int, items: list[Delayed], future: Future[Any]) -> None:
        self.start = start
        self.items = items
        self.future = future
        self.values: list[Any] = [None] * len(items)
        self.missing = len(items)


class Sending:
    """One call of joblib's on a dispatcher; a thread of its own receives the answers.

    joblib decides what goes together and what comes next. All that happens here is what a batch
    of the engine may meet on its way: cut short by a worker that finds it long, or its worker's
    death.
    """

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._expected: SimpleQueue[bool] = SimpleQueue()
        self._lock = threading.Lock()
        self._over = False
        self._count = 0
        self._open: set[_Whole] = set()
        self._wholes: dict[int, _Whole] = {}
        self._kept: dict[int, int] = {}
        self._deaths: dict[int, int] = {}
        threading.Thread(target=self._receive, name="shoal-joblib", daemon=True).start()

    def submit(self, items: list[Delayed], future: Future[Any]) -> None:
        """Sends the tasks of one batch; the future gets their values, or the first error."""
        with self._lock:
            whole = _Whole(self._count, items, future)
            self._count += len(items)
            self._open.add(whole)
        try:
            self._send(whole, Batch(whole.start, [_with_files(item) for item in items]))
        except Exception as error:  # an executor that was shut down, or is broken
            self._end(whole, error)

    def finish(self) -> None:
        """Frees what the call holds, when all answers are in."""
        with self._lock:
            self._over = True
            self._dispatcher.finish()
        self._expected.put(False)

    def withdraw(self, *, at_once: bool) -> None:
        """Drops what is still on its way; its futures are not told."""
        with self._lock:
            self._over = True
            self._dispatcher.send(_LAST)
            self._dispatcher.withdraw(at_once=at_once)
        self._expected.put(False)

    def _send(self, whole: _Whole, batch: Batch) -> None:
        with self._lock:
            if self._over:
                return
            self._wholes[batch.start] = whole
            self._dispatcher.send(batch)
        self._expected.put(True)

    def _receive(self) -> None:
        try:
            while self._expected.get():
                answer = self._dispatcher.receive()
                if answer is None or answer.batch is _LAST or self._over:
                    return
                self._take(answer)
        except Exception as error:  # joblib would wait for ever for what is never answered
            for whole in list(self._open):
                self._end(whole, error)

    def _take(self, answer: Answer) -> None:
        batch = answer.batch
        whole = self._wholes.pop(batch.start)
        if answer.kept is not None:
            self._wholes[batch.start] = whole
            self._kept[batch.start] = answer.kept
            self._expected.put(True)
            self._send(whole, batch.part(answer.kept))
            return
        batch = batch.part(0, self._kept.pop(batch.start, None))
        if answer.death is not None and self._deaths.get(batch.start, 0) < WORKER_DEATH_RETRIES:
            self._deaths[batch.start] = self._deaths.get(batch.start, 0) + 1
            self._send(whole, batch)
        elif _names_none(answer) and len(batch.items) > 1:
            for position in range(len(batch.items)):  # to find out which of them it is
                self._send(whole, batch.part(position, position + 1))
        else:
            self._settle(whole, batch, answer)

    def _settle(self, whole: _Whole, batch: Batch, answer: Answer) -> None:
        error = self._error_of(whole, batch, answer)
        if error is not None:
            self._end(whole, error)
            return
        values = answer.ended.values if answer.ended is not None else []
        if len(values) < len(batch.items):
            self._send(whole, batch.part(len(values)))
        first = batch.start - whole.start
        whole.values[first : first + len(values)] = values
        whole.missing -= len(values)
        if not whole.missing:
            self._end(whole)

    def _end(self, whole: _Whole, error: Exception | None = None) -> None:
        """Tells joblib, whose callback then submits the next batch."""
        if whole not in self._open:
            return  # another part of it has failed before
        self._open.discard(whole)
        if error is None:
            whole.future.set_result(whole.values)
        else:
            whole.future.set_exception(error)

    def _error_of(self, whole: _Whole, batch: Batch, answer: Answer) -> Exception | None:
        if answer.error is not None:
            return answer.error
        raised, worker, position = answer.unreadable, "", 0
        if answer.death is not None:
            position = answer.death.position or 0
        elif answer.ended is not None and answer.ended.raised:
            position = min(answer.ended.raised)
            raised, worker = answer.ended.raised[position], answer.ended.worker
        function, args, kwargs = whole.items[batch.start - whole.start + position]
        index, blame = batch.start + position, Blame(function, Calling("task"), {})
        attempts = self._deaths.get(batch.start, 0) + 1
        if answer.death is not None:
            return blame.died(index, (args, kwargs), answer.death, attempts)
        if raised is None:
            return None
        if raised.kind == "function":
            return blame.function_not_loaded(raised)
        return blame.raised(index, (args, kwargs), raised, attempts, worker)


def _with_files(delayed: Delayed) -> Delayed | Filed:
    """The task with places in files for arrays that live there; mostly the very same."""
    function, args, kwargs = delayed
    if not any(map(lives_in_file, args)) and not any(map(lives_in_file, kwargs.values())):
        return delayed
    named = {name: mapped(value) for name, value in kwargs.items()}
    return Filed(function, tuple(map(mapped, args)), named)


def _names_none(answer: Answer) -> bool:
    """Whether something is wrong with one of several tasks, and not known with which."""
    nowhere = answer.death is not None and answer.death.position is None
    return answer.unreadable is not None or nowhere
