"""A batch of tapes: which run in the parent and which in workers, and their results in order."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from time import perf_counter
from typing import Any, Literal, cast

from shoal.errors import InputNotSent
from shoal.quantum.pennylane.adapters import state_bytes
from shoal.quantum.pennylane.crew import Crew
from shoal.quantum.pennylane.lightning import MOST_WIRES, GateCalls
from shoal.quantum.pennylane.tapes import Label, batch_size, cut, joined, what_is_stuck
from shoal.quantum.pennylane.templates import Patterns
from shoal.quantum.pennylane.work import (
    EXECUTE,
    Bench,
    Done,
    Item,
    Job,
    Prepared,
    may_call,
    run_tape,
    run_tapes,
    work,
)
from shoal.tasks import Outcome, Task, free_memory_bytes, run

HERE_SECONDS = 0.01
GROUP_SECONDS = 0.05
PARTS_PER_WORKER, MOST_ROUNDS = 4, 8
GATE_SECONDS = 5e-6
AMPLITUDE_SECONDS = 1.5e-9
GRADIENT_COST = 3.0
CALL_SECONDS = 5e-3  # workers that were asleep share a core for some milliseconds
MESSAGE_SECONDS = 400e-6
DELAY_SHARE = 0.1  # of a message's time: how much later than the others a worker may end
TAPE_SENT_SECONDS, GATE_SENT_SECONDS = 20e-6, 1.5e-6
SLIM_SENT_SECONDS = 15e-6
TAPE_BUILT_SECONDS, GATE_BUILT_SECONDS = 70e-6, 1.5e-6
GAIN = 0.9
MEASURED_SHARE = 20
MANY = 16  # tapes of one structure, for which to find its gates' calls is worth it
COUNTED_WIRES = 18  # below, states are too small to count


@dataclass(slots=True)
class Costs:
    """What gates cost on one base device, learnt from every batch.

    Attributes:
        paces: Seconds for one gate, by method (and "there" for workers), number of wires, and
            whether there are shots.
    """

    paces: dict[tuple[str, int, bool], float] = field(default_factory=dict)

    def known(self, key: tuple[str, int, bool]) -> bool:
        """Whether such tapes have been measured."""
        return key in self.paces

    def pace(self, key: tuple[str, int, bool]) -> float:
        """Seconds a gate, measured or guessed."""
        if key in self.paces:
            return self.paces[key]
        guess = GATE_SECONDS + AMPLITUDE_SECONDS * 2.0 ** min(key[1], 60)
        return guess * (1.0 if key[0] == EXECUTE else GRADIENT_COST)

    def learn(self, key: tuple[str, int, bool], seconds: float, gates: float) -> None:
        """Takes in what some tapes cost; older measurements fade."""
        pace = seconds / max(gates, 1.0)
        self.paces[key] = (self.paces[key] + pace) / 2 if key in self.paces else pace


@dataclass
class Batch:
    """One call of the device.

    Attributes:
        items: What is to be run.
        how: The plan, with its transforms for the base device in this process.
        bench: That device, and what was compiled for it; the caller holds its lock.
        recipe: By which workers build theirs.
        base_name: Its name, by which workers know what they have loaded.
        crew: The workers.
        width: How many of them it may use.
        costs: What gates cost.
        patterns: What recent tapes were like.
        wires: How many there are.
        max_job_size: Most tapes in a message, or None.
        may_cut: Whether parameters with a batch dimension may be cut into parts.
    """

    items: Sequence[Item]
    how: Prepared
    bench: Bench
    recipe: bytes
    base_name: str
    crew: Crew
    width: int
    costs: Costs
    patterns: Patterns
    wires: int
    max_job_size: int | None
    may_cut: bool

    def run(self) -> list[Done]:
        """What became of each item, in order."""
        items, count = self.items, len(self.items)
        alone = self.crew.alone or self.width == 1
        if alone or (count == 1 and not self._cuttable(items[0][0])):
            return self._here(0, count)
        gates = [_gates(tape) for tape, _, _ in items]
        key = (self.how[0].method, self.wires, bool(items[0][0].shots))
        done: list[Done] = []
        while len(done) < count:
            at = len(done)
            left = sum(gates[at:]) * self.costs.pace(key)
            measured = self.costs.known(key) or count < MEASURED_SHARE
            worth = measured and self._worth_sending(left, gates, at)
            if worth and self.crew.prepare(self.base_name, self.recipe, left):
                width = self._width_in_memory(items[at][0])
                if width > 1:
                    return done + self._there(at, gates[at:], key, width)
            stop = self._group(gates, at, key) if measured else at + 1
            begun = perf_counter()
            done += self._here(at, stop)
            seconds = perf_counter() - begun
            self.costs.learn(key, seconds, sum(gates[at:stop]))
            if worth:
                self.crew.spend(seconds)
        return done

    @cached_property
    def job(self) -> Job:
        """What travels with every tape."""
        return self.recipe, self.how[0].packed()

    @cached_property
    def _sent(self) -> list[Any]:
        """The tapes as they are sent."""
        return self.patterns.slimmed([tape for tape, _, _ in self.items])

    @cached_property
    def _calls(self) -> list[GateCalls | None]:
        """What runs each tape here, faster than the base device would; None: that runs it.

        It takes some tapes to pay: so many now, or those of an earlier batch.
        """
        tapes = [tape for tape, _, _ in self.items]
        may = self.wires <= MOST_WIRES and may_call(self.how[0], self.bench.device(self.recipe))
        if not may or not (len(tapes) >= MANY or self.patterns.met(tapes)):
            return [None] * len(tapes)
        return [
            self.bench.calls(self.job, *sent) if type(sent) is tuple else None
            for sent in self._sent
        ]

    def _worth_sending(self, seconds: float, gates: Sequence[float], at: int) -> bool:
        """Whether the tapes from `at` on, which would take so long here, are done sooner there."""
        slim = sum(calls is not None for calls in self._calls[at:])
        return worth_sending(
            seconds,
            sum(gates[at:]),
            len(gates) - at,
            self.width,
            slim_share=slim / (len(gates) - at),
        )

    def _group(self, gates: Sequence[float], at: int, key: tuple[str, int, bool]) -> int:
        """Where the next group ends that runs here: it takes about 50 ms."""
        most = GROUP_SECONDS / self.costs.pace(key)
        stop, total = at + 1, gates[at]
        while stop < len(gates) and total + gates[stop] <= most:
            total += gates[stop]
            stop += 1
        return stop

    def _cuttable(self, tape: Any) -> bool:
        return self.may_cut and (batch_size(tape) or 1) > 1

    def _width_in_memory(self, tape: Any) -> int:
        """How many workers have room for their states in memory."""
        width = self.width
        if self.wires < COUNTED_WIRES:
            return width
        states = 1 if self.how[0].method == EXECUTE else 1 + len(tape.measurements)
        if not self.how[0].expand:
            states *= math.ceil((batch_size(tape) or 1) / (PARTS_PER_WORKER * width))
        return max(min(width, free_memory_bytes() // (states * state_bytes(range(self.wires)))), 1)

    def _here(self, at: int, stop: int) -> list[Done]:
        """Runs the items from `at` to `stop` in this process."""
        device = self.bench.device(self.recipe)
        items = self.items[at:stop]
        if self.how[0].tracked or any(seed is not None for _, _, seed in items):
            return [run_tape(device, self.how, item) for item in items]
        done = [
            None if calls is None else Done(calls(self._sent[place][1]), [])
            for place, calls in enumerate(self._calls[at:stop], at)
        ]
        left = [place for place, each in enumerate(done) if each is None]
        tapes = [items[place][0] for place in left]
        extras = None if items[0][1] is None else [items[place][1] for place in left]
        values = iter(run_tapes(device, self.how, tapes, extras)) if left else iter(())
        return [Done(next(values), []) if each is None else each for each in done]

    def _there(
        self, at: int, gates: Sequence[float], key: tuple[str, int, bool], width: int
    ) -> list[Done]:
        """Runs the items from `at` on in workers, those with a batch dimension in parts."""
        items = self.items[at:]
        units: list[Item] = []
        counts = []
        for (tape, extra, seed), sent in zip(items, self._sent[at:], strict=True):
            parts = [sent]
            if self._cuttable(tape) and len(items) < PARTS_PER_WORKER * width:
                parts = cut(tape, min(tape.batch_size, PARTS_PER_WORKER * width))
            counts.append(len(parts))
            units += [(part, extra, seed) for part in parts]
        size = self._batch_size(sum(gates) / len(units), len(units), key, width)
        done = self._outcomes(units, counts, at=at, size=size, width=width)
        there = (f"{key[0]} there", *key[1:])
        seconds = sum(each.seconds for each in done)
        self.costs.learn(there, seconds, sum(gates))
        if seconds < sum(gates) * self.costs.pace(key):  # here they would take no longer either
            self.costs.learn(key, seconds, sum(gates))
        values = iter([cast("Done", each.value) for each in done])
        return [_whole([next(values) for _ in range(count)]) for count in counts]

    def _batch_size(
        self, gates: float, count: int, key: tuple[str, int, bool], width: int
    ) -> int | Literal["auto"]:
        """Tapes in a message, from what tapes of so many gates have cost."""
        if self.max_job_size is not None:
            return self.max_job_size
        there = (f"{key[0]} there", *key[1:])
        known = there if self.costs.known(there) else key
        if not self.costs.known(known):
            return "auto"
        return even_size(count, width, gates * self.costs.pace(known))

    def _outcomes(
        self, units: Sequence[Item], counts: Sequence[int], *, at: int, size: Any, width: int
    ) -> list[Outcome]:
        """How each unit ended; raises the error of the first that failed."""
        places = [at + place for place, count in enumerate(counts) for _ in range(count)]
        tasks = [
            Task((self.job, sent, extra, seed), label=Label(place, self.items[place][0]))
            for place, (sent, extra, seed) in zip(places, units, strict=True)
        ]
        running = run(
            work,
            tasks,
            executor=self.crew.executor,
            max_workers=width,
            batch_size=size,
            progress=False,
        )
        done: dict[int, Outcome] = {}
        failed: int | None = None
        with closing(cast("Generator[Outcome, None, None]", running)):
            for outcome in running:
                done[outcome.index] = outcome
                if outcome.error is not None:
                    failed = min(outcome.index, outcome.index if failed is None else failed)
                if failed is not None and all(index in done for index in range(failed)):
                    break
        if failed is not None:
            raise _told(cast("Exception", done[failed].error), self.items[places[failed]][0])
        return [done[index] for index in range(len(units))]


def worth_sending(
    seconds: float, gates: float, tapes: int, width: int, *, slim_share: float = 0.0
) -> bool:
    """Whether tapes are done clearly sooner by workers that are ready than here.

    The parent packs tapes one after the other; the workers unpack and run them side by side.

    Args:
        seconds: What all would take here.
        gates: How many gates they have.
        tapes: How many there are.
        width: How many workers there are.
        slim_share: How many of them are templates with their angles, from 0 to 1.
    """
    whole = 1.0 - slim_share
    sending = whole * (tapes * TAPE_SENT_SECONDS + gates * GATE_SENT_SECONDS)
    building = whole * (tapes * TAPE_BUILT_SECONDS + gates * GATE_BUILT_SECONDS)
    sending += slim_share * tapes * SLIM_SENT_SECONDS
    there = CALL_SECONDS + max(sending, (seconds + building) / width)
    return seconds >= HERE_SECONDS and there < GAIN * seconds


def even_size(count: int, width: int, seconds: float) -> int:
    """Tapes in a message, so that all workers end at about the same time.

    A message takes at most about 50 ms. More messages cost their way; fewer leave more to wait
    for when one worker is slowed down; and their number should be a multiple of the workers'.

    Args:
        count: How many tapes there are.
        width: How many workers there are.
        seconds: What a tape takes there.
    """
    fewest = max(math.ceil(count * seconds / (width * GROUP_SECONDS)), 1)

    def seconds_with(size: int) -> float:
        messages = math.ceil(count / size)
        rounds = math.ceil(messages / width)
        last = size if messages % width != 1 else count - (messages - 1) * size
        longest = (rounds - 1) * size + last
        return (longest + DELAY_SHARE * size) * seconds + rounds * MESSAGE_SECONDS

    rounds = range(fewest, fewest + MOST_ROUNDS)
    return min((math.ceil(count / (width * each)) for each in rounds), key=seconds_with)


def _gates(tape: Any) -> float:
    """How much work a tape is, in gates."""
    return float((len(tape.operations) + len(tape.measurements)) * (batch_size(tape) or 1))


def _whole(parts: Sequence[Done]) -> Done:
    if len(parts) == 1:
        return parts[0]
    return Done(joined([part.value for part in parts]), [])


def _told(error: Exception, tape: Any) -> Exception:
    """The error, with the operation that does not travel where that is the reason."""
    stuck = what_is_stuck(tape) if isinstance(error, InputNotSent) else ""
    if stuck:
        error.add_note(f"shoal: {stuck}")
    return error
