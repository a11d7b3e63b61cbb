"""The one loop through which all parallel work goes: when to send what, and what after a fault.

Nobody else splits, retries or counts. It knows nothing of how a batch is run (`dispatch`) or of
what its inputs mean.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import Any

from shoal.tasks.batching import BatchSizer
from shoal.tasks.dispatch import Answer, Batch, Death, Dispatcher
from shoal.tasks.envelope import Ended, Raised
from shoal.tasks.failing import Blame
from shoal.tasks.inputs import Inputs
from shoal.tasks.model import Policy


@dataclass(slots=True)
class Settled:
    """Consecutive tasks that have ended for good.

    Attributes:
        start: Index of the first.
        values: What they returned, in order; None where a task failed.
        errors: Index to error, of those that failed.
        item_seconds: Duration of each, where the call is timed.
        worker: Who ran them, as ``"host:pid"``.
        seconds: Time their batch took in its worker, counted once.
        cpu_seconds: Processor time their batch took, counted once.
    """

    start: int
    values: list[Any]
    errors: dict[int, Exception] = field(default_factory=dict)
    item_seconds: list[float] | None = None
    worker: str = ""
    seconds: float = 0.0
    cpu_seconds: float = 0.0

    @property
    def stop(self) -> int:
        """Index behind the last."""
        return self.start + len(self.values)


class Loop:
    """One call on its way: iterate it for what has settled, in the order of completion."""

    def __init__(
        self,
        inputs: Inputs,
        dispatcher: Dispatcher,
        sizer: BatchSizer,
        blame: Blame,
        policy: Policy,
        *,
        most_ahead: int | None = None,
    ) -> None:
        """Nothing runs before the first value is asked for.

        Args:
            most_ahead: How many batches may be in flight or `held` by the reader; None: no limit
                but the dispatcher's window.
        """
        self.held = 0
        self._attempts: dict[int, int] = {}
        self._inputs = inputs
        self._dispatcher = dispatcher
        self._sizer = sizer
        self._blame = blame
        self._policy = policy
        self._most_ahead = most_ahead
        self._again: deque[Batch] = deque()
        self._in_flight: dict[int, int] = {}
        self._deaths: dict[int, int] = {}
        self._kept: dict[int, int] = {}
        self._function_deaths = 0
        self._end: int | None = None
        self._drawing = True
        self._abandoned = False
        self._input_error: BaseException | None = None

    def stop_before(self, index: int) -> None:
        """Settles the tasks before `index` and no others: they may still fail first."""
        self._end = index if self._end is None else min(self._end, index)

    def draw_no_more(self) -> int:
        """Begins no further inputs; returns how many were begun, which still settle."""
        self._drawing = False
        return self._inputs.drawn

    def abandon(self) -> None:
        """Ends the iteration, from any thread: what still runs is withdrawn, not waited for."""
        self._abandoned = True
        self._dispatcher.wake()

    def attempt_of(self, index: int, *, failed: bool) -> int:
        """Which attempt of a settled task was its last, from 1."""
        before = self._attempts.get(index, 0) + self._deaths.get(index, 0)
        return max(before if failed else before + 1, 1)

    def __iter__(self) -> Generator[Settled, None, None]:
        at_once = False
        try:
            while not self._abandoned and self._fill():
                answer = self._receive()
                if answer is not None:
                    yield from self._settle(answer)
            if self._input_error is not None and self._end is None and not self._abandoned:
                raise self._input_error
        except KeyboardInterrupt:
            at_once = True
            raise
        finally:
            if self._in_flight:
                self._dispatcher.withdraw(at_once=at_once)
            else:
                self._dispatcher.finish()

    def _fill(self) -> bool:
        """Sends as much as may be in flight; False when nothing is left to wait for."""
        while len(self._in_flight) < self._room():
            batch = self._next_batch()
            if batch is None:
                break
            self._in_flight[batch.start] = len(batch.items)
            self._sizer.sent(len(batch.items), self._dispatcher.send(batch))
        if self._end is None:
            return bool(self._in_flight)
        wanted = [*self._in_flight, *(batch.start for batch in self._again)]
        return any(start < self._end for start in wanted)

    def _room(self) -> int:
        if self._sizer.probing:
            return self._dispatcher.workers
        room = self._dispatcher.window
        if self._most_ahead is not None:
            # What is run again was counted when it was first sent: it must never wait for room.
            room = min(room, max(self._most_ahead - self.held, 1 if self._again else 0))
        return room

    def _next_batch(self) -> Batch | None:
        while self._again:
            batch = self._again.popleft()
            if self._end is not None and batch.start >= self._end:
                continue
            size = self._sizer.next(len(batch.items) + (self._inputs.remaining or 0))
            if size < len(batch.items):
                self._again.appendleft(batch.part(size))
                batch = batch.part(0, size)
            return batch
        if self._end is not None or self._input_error is not None or not self._drawing:
            return None
        start = self._inputs.drawn
        try:
            items = self._inputs.draw(self._sizer.next(self._inputs.remaining))
        except Exception as error:  # the user's generator; raised when what it gave has settled
            self._input_error = error
            return None
        return Batch(start, items) if len(items) else None

    def _receive(self) -> Answer | None:
        answer = self._dispatcher.receive()
        if answer is None:
            return None
        start = answer.batch.start
        if answer.kept is not None:
            self._kept[start] = answer.kept
            self._again.append(answer.batch.part(answer.kept))
            return answer
        del self._in_flight[start]
        if start in self._kept:
            answer.batch = answer.batch.part(0, self._kept.pop(start))
        return answer

    def _settle(self, answer: Answer) -> Iterator[Settled]:
        batch = answer.batch
        if answer.error is not None:
            raise answer.error
        if answer.death is not None:
            yield from self._after_death(batch, answer.death)
        elif answer.unreadable is not None:
            yield from self._after_unreadable(batch, answer.unreadable)
        elif answer.ended is not None:
            self._function_deaths = 0  # it can be loaded: those workers died of something else
            done = len(answer.ended.values)
            self._sizer.record(done, answer.ended.seconds, answer.message_bytes)
            if done < len(batch.items):
                self._again.appendleft(batch.part(done))
            yield from self._after_end(batch, answer.ended)

    def _after_end(self, batch: Batch, ended: Ended) -> Iterator[Settled]:
        """What has ended, but for tasks that raised and are tried again."""
        errors: dict[int, Exception] = {}
        begin = 0
        for position, raised in sorted(ended.raised.items()):
            index = batch.start + position
            tried = self._attempts[index] = self._attempts.get(index, 0) + 1
            if tried > self._policy.retries or raised.kind != "raised":
                item = batch.items[position]
                errors[index] = self._blame.raised(index, item, raised, tried, ended.worker)
                continue
            self._again.append(batch.part(position, position + 1))
            if position > begin:
                yield _settled(batch, ended, begin, position, errors)
            begin = position + 1
        if begin < len(ended.values):
            yield _settled(batch, ended, begin, len(ended.values), errors)

    def _after_unreadable(self, batch: Batch, raised: Raised) -> Iterator[Settled]:
        """Halves a batch in which something cannot travel, until the culprit is alone."""
        if raised.kind == "function":
            raise self._blame.function_not_loaded(raised)
        if len(batch.items) > 1:
            self._halve(batch)
            return
        tried = self._attempts[batch.start] = self._attempts.get(batch.start, 0) + 1
        error = self._blame.raised(batch.start, batch.items[0], raised, tried, "")
        yield Settled(batch.start, [None], {batch.start: error})

    def _halve(self, batch: Batch) -> None:
        middle = len(batch.items) // 2
        self._again.extendleft([batch.part(middle), batch.part(0, middle)])

    def _after_death(self, batch: Batch, death: Death) -> Iterator[Settled]:
        """Runs the innocent again; tries the culprit alone, until it is found guilty."""
        if death.at_function:
            self._function_deaths += 1
            if self._function_deaths > self._policy.worker_death_retries:
                raise self._blame.function_kills(death, self._function_deaths)
            self._again.appendleft(batch)
            return
        position = 0 if len(batch.items) == 1 else death.position
        if position is None:
            self._halve(batch)
            return
        parts = [batch.part(0, position), batch.part(position + 1)]
        self._again.extendleft(part for part in parts if len(part.items))
        yield from self._suspect(batch.part(position, position + 1), death)

    def _suspect(self, alone: Batch, death: Death) -> Iterator[Settled]:
        index, item = alone.start, alone.items[0]
        if death.timed_out and self._policy.timeout_seconds is not None:
            tried = self._attempts[index] = self._attempts.get(index, 0) + 1
            allowed = self._policy.retries
            error = self._blame.timeout(
                index, item, self._policy.timeout_seconds, tried, death.worker
            )
        else:
            tried = self._deaths[index] = self._deaths.get(index, 0) + 1
            allowed = self._policy.worker_death_retries
            error = self._blame.died(index, item, death, tried)
        if tried <= allowed:
            self._again.append(alone)
        else:
            yield Settled(index, [None], {index: error}, [0.0], death.worker)


def _settled(
    batch: Batch, ended: Ended, begin: int, end: int, errors: dict[int, Exception]
) -> Settled:
    start, stop = batch.start + begin, batch.start + end
    last = end == len(ended.values)
    whole = begin == 0 and last
    seconds = ended.item_seconds
    return Settled(
        start,
        ended.values if whole else ended.values[begin:end],
        {index: error for index, error in errors.items() if start <= index < stop},
        seconds if seconds is None or whole else seconds[begin:end],
        ended.worker,
        ended.seconds if last else 0.0,
        ended.cpu_seconds if last else 0.0,
    )
