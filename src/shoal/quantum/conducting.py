"""Chunks of circuits through the engine: when to start workers, and what runs here meanwhile.

Knows no SDK: a simulation is a function that takes the message of a chunk.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from shoal import tasks
from shoal.errors import ExecutorBroken, ExecutorClosed, FunctionNotSent
from shoal.quantum.splitting import Chunk, guided, joined, singly
from shoal.tasks import available_cores

if TYPE_CHECKING:
    from shoal.tasks import Outcomes

HERE_SECONDS = 0.1
SHORTEST_SECONDS, LONGEST_SECONDS = 0.003, 0.1  # of a chunk on this machine
ELSEWHERE_SECONDS, MANY_WORKERS = 0.02, 32  # of one elsewhere, where the engine puts more together
MOST_UNMEASURED = 16
WORTH_WARM_SECONDS = 0.15
WORTH_COLD_SECONDS = 6.0
LOADS_PER_PACKING = 8.0
FIRST_SECONDS = 0.5
SURE_SECONDS = 0.1
LOCAL = ("loky", "processes", "serial", "threads")
VARIABLE = "SHOAL_EXECUTOR"

Ended = tuple[Chunk, Any]

_warm: dict[int, set[str]] = {}
_warming: set[tuple[int, str]] = set()
_spent: dict[int, float] = {}  # seconds in each process that warm workers would have shortened


class Simulating(Protocol):
    """What runs the message of a chunk, here or in a worker."""

    def __call__(self, message: Any, /) -> Any:
        """Runs it."""

    def load(self, number: int, /) -> int:
        """Does nothing, where everything is loaded."""


@dataclass
class Pace:
    """How long things take here, for each second that was expected; learns from run to run.

    Attributes:
        seconds: That ratio. As long as nothing was measured, a guess counts for little.
        measured: Whether anything was.
    """

    seconds: float = 0.2
    measured: bool = False

    def learn(self, seconds: float, expected: float) -> None:
        """Takes a time into account; not a short first one, which imports may have made.

        A short time that is longer than expected says little: something else had the processor.
        """
        pace = max(seconds / max(expected, 1e-9), 1e-9)
        if self.measured:
            weight = 1 / 2 if pace < self.seconds or seconds > SURE_SECONDS else 1 / 8
            self.seconds += weight * (pace - self.seconds)
        elif seconds > FIRST_SECONDS:
            self.seconds, self.measured = pace, True
        else:
            self.seconds, self.measured = min(pace, 1.0), True


class Way(NamedTuple):
    """How chunks are run.

    Attributes:
        executor: As for `shoal.map`.
        max_workers: How many chunks run at once; None: as many as the executor can.
        by_cost: Whether chunks may be put together; each is a task of its own otherwise.
        progress: As for `shoal.map`.
        may_run_here: Whether chunks may run in this process where that is sooner.
        pace: What is known of how long things take here.
        name: Tells simulations apart that workers load; asked for only when it is needed.
    """

    executor: Any
    max_workers: int | None
    by_cost: bool
    progress: bool | None
    may_run_here: bool
    pace: Pace
    name: Callable[[], str]


class Conducting:
    """One list of chunks on its way: iterate it for how each has ended, in whatever order."""

    def __init__(
        self,
        simulation: Simulating,
        message: Callable[[Chunk], Any],
        chunks: Sequence[Chunk],
        way: Way,
        *,
        seconds: Sequence[float],
        stopped: Callable[[], bool],
    ) -> None:
        """Nothing runs before the first is asked for.

        Args:
            message: What a simulation is given for a chunk.
            seconds: What each chunk is expected to take; only their ratios have to be right.
            stopped: Asked between chunks; no more are begun once it is true.
        """
        self.here = 0
        self._simulation = simulation
        self._message = message
        self._way = way
        self._left = deque(zip(chunks, seconds, strict=True))
        self._expected = dict(self._left)
        self._seconds_left = sum(seconds)
        self._pace = way.pace
        self._stopped = stopped
        self._near = is_on_this_machine(way.executor)
        self._would_gain = False
        self._outcomes: Outcomes | None = None

    def __iter__(self) -> Iterator[Ended]:
        total = sum(len(part) for chunk, _ in self._left for part in chunk)
        bar = tasks.Progress(self._way.progress, total, "circuits", unit="circuit")
        try:
            for chunk, value in self._ended():
                bar.add(sum(map(len, chunk)))
                yield chunk, value
        finally:
            bar.close()

    def abandon(self) -> None:
        """Has what runs on the executor stopped, as far as it can be; from any thread.

        To be called when `stopped` has become true.
        """
        outcomes = self._outcomes
        if outcomes is not None:
            outcomes.abandon()

    def _ended(self) -> Iterator[Ended]:
        if self._way.may_run_here:
            yield from self._run_here()
        chunks = self._chunks_left()
        while chunks and not self._stopped():
            alone: list[Chunk] = []
            yield from self._run_there(chunks, alone)
            chunks = alone
            if self._way.may_run_here or self._way.executor == "processes":
                _warm_here().add(self._way.name())

    def _chunks_left(self) -> list[Chunk]:
        """The chunks to run on the executor: long ones first, where they may be put together."""
        left = list(self._left)
        if self._way.by_cost:
            pace = self._pace.seconds
            workers = available_cores() if self._near else MANY_WORKERS
            left = guided(
                left,
                workers=self._way.max_workers or workers,
                shortest=SHORTEST_SECONDS / pace,
                longest=(LONGEST_SECONDS if self._near else ELSEWHERE_SECONDS) / pace,
            )
            self._expected = dict(left)
        return [chunk for chunk, _ in left]

    def _run_here(self) -> Iterator[Ended]:
        """Runs chunks in this process until workers are ready and what is left is worth them."""
        while self._left and not self._stopped():
            if self._better_there():
                return
            chunk, expected = self._next_here()
            begun = monotonic()
            value = self._simulation(self._message(chunk))
            seconds = monotonic() - begun
            self._pace.learn(seconds, expected)
            if self._would_gain:
                _spent[os.getpid()] = _spent.get(os.getpid(), 0.0) + seconds
            self.here += 1
            yield chunk, value

    def _next_here(self) -> tuple[Chunk, float]:
        """The next chunks, as one: about 100 ms of work, or a few as long as that is a guess."""
        pace = self._pace.seconds if self._pace.measured else 1.0
        most = len(self._left) if self._pace.measured else MOST_UNMEASURED
        chunk, expected = self._left.popleft()
        chunks = [chunk]
        while self._left and len(chunks) < most:
            chunk, seconds = self._left[0]
            if (expected + seconds) * pace > HERE_SECONDS:
                break
            expected += seconds
            chunks.append(chunk)
            self._left.popleft()
        self._seconds_left -= expected
        return joined(chunks), expected

    def _better_there(self) -> bool:
        """Whether what is left is worth workers, and they are ready; starts them if they are not.

        Starting costs the processor as much as some seconds of simulation: every worker imports
        an SDK. So it waits until that much has been spent here, by this run and those before it,
        or will be. Meanwhile chunks go on here.
        """
        seconds = self._seconds_left * self._pace.seconds
        if seconds < WORTH_WARM_SECONDS or len(self._left) < 2:
            return False
        warm = _warm_here()
        self._would_gain = True
        if not warm and seconds + _spent.get(os.getpid(), 0.0) < WORTH_COLD_SECONDS:
            return False
        begun = monotonic()
        try:
            name = self._way.name()
        except TypeError:
            return False  # it cannot be sent, but it runs here
        packing_seconds = monotonic() - begun
        if name in warm:
            return True
        if warm:
            return seconds > WORTH_WARM_SECONDS + LOADS_PER_PACKING * packing_seconds
        if (os.getpid(), name) not in _warming:
            _warming.add((os.getpid(), name))
            threading.Thread(target=self._warm_up, args=(name,), name="shoal-warm-up").start()
        return False

    def _warm_up(self, name: str) -> None:
        """Has workers load the simulation, each once; not again where that fails."""
        workers = self._way.max_workers or available_cores()
        loads = [tasks.Task((number,)) for number in range(workers)]
        try:
            outcomes = list(
                tasks.run(
                    self._simulation.load,
                    loads,
                    max_workers=workers,
                    batch_size=1,
                    progress=False,
                )
            )
        except (ExecutorBroken, ExecutorClosed, FunctionNotSent):
            return  # everything runs here then
        if all(outcome.ok for outcome in outcomes):
            _warm_here().add(name)
            _warming.discard((os.getpid(), name))

    def _run_there(self, chunks: Sequence[Chunk], alone: list[Chunk]) -> Iterator[Ended]:
        """Runs chunks on the executor; a chunk that fails as a whole goes into `alone`, in parts.

        A chunk does that when it ends its worker each time it is tried: one of its circuits does.
        """
        way = self._way
        waiting = dict(enumerate(chunks))
        messages = [tasks.Task((self._message(chunk),), label=_label(chunk)) for chunk in chunks]
        try:
            outcomes = tasks.run(
                self._simulation,
                messages,
                executor=way.executor,
                max_workers=way.max_workers,
                batch_size="auto" if way.by_cost and not self._near else 1,
                progress=False,
            )
            with closing(outcomes):
                self._outcomes = outcomes
                if self._stopped():
                    return  # whoever abandoned it may have come too early
                for outcome in outcomes:
                    chunk = waiting.pop(outcome.index)
                    parts = singly(chunk)
                    if outcome.error is None:
                        self._learn_from_worker(chunk, outcome.seconds)
                        yield chunk, outcome.value
                    elif len(parts) > 1:
                        alone += parts
                    else:
                        yield chunk, outcome.error
                    if self._stopped():
                        return
        except (ExecutorBroken, ExecutorClosed, FunctionNotSent) as error:
            if len(waiting) == len(chunks):
                raise
            for chunk in waiting.values():
                yield chunk, error

    def _learn_from_worker(self, chunk: Chunk, seconds: float) -> None:
        """Corrects the pace where nothing runs here any more to do so; only one that was too slow.

        Where nothing ever runs here, it is the workers' own.
        """
        expected = self._expected.get(chunk, 0.0)
        too_slow = 0.0 < seconds < expected * self._pace.seconds
        if expected and (too_slow or not self._way.may_run_here):
            self._pace.learn(seconds, expected)


def _warm_here() -> set[str]:
    """The simulations that the workers of this process have loaded."""
    return _warm.setdefault(os.getpid(), set())


def is_on_this_machine(executor: Any) -> bool:
    """Whether what an executor runs shares memory and cores with this process, as far as known."""
    if executor is None:
        return default_is_ours()
    if isinstance(executor, str):
        return executor in LOCAL
    ours = type(executor).__module__.startswith("shoal.tasks.processes")
    return ours or isinstance(executor, ProcessPoolExecutor | ThreadPoolExecutor)


def default_is_ours() -> bool:
    """Whether an executor that is not given means our worker processes."""
    return os.environ.get(VARIABLE, "") in ("", "processes")


def _label(chunk: Iterable[Any]) -> str:
    parts = list(chunk)
    first, last = parts[0].start, parts[-1].stop - 1
    return f"experiment {first}" if first == last else f"experiments {first} to {last}"
