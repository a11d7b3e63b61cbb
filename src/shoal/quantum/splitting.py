"""Circuits, bindings and shots into chunks, and shots back into one; pure, and knows no SDK.

An experiment is one circuit with one binding of its parameters. Experiments are numbered flat, over
circuits and within each over its bindings, which is the order of Aer's results.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Literal

import numpy as np

SeedRule = Literal["strided", "spawned", "none"]

AER_STRIDE = 2113
SEED_BITS = 64


@dataclass(frozen=True, slots=True)
class Part:
    """What goes to a simulator in one call: experiments that are consecutive.

    Attributes:
        start: The first experiment.
        stop: The one behind the last.
        first_shot: Its first shot, where the shots of one experiment are split.
        shots: How many shots; None: all.
    """

    start: int
    stop: int
    first_shot: int = 0
    shots: int | None = None

    def __len__(self) -> int:
        return self.stop - self.start


Chunk = tuple[Part, ...]
Pieces = Sequence[tuple[int, int]]


@dataclass(frozen=True)
class Layout:
    """Which circuit and which binding every experiment is.

    Attributes:
        counts: How many experiments each circuit is: its bindings, or 1.
    """

    counts: tuple[int, ...]
    _starts: tuple[int, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Adds up where the experiments of each circuit start."""
        object.__setattr__(self, "_starts", (0, *accumulate(self.counts)))

    def __len__(self) -> int:
        return self._starts[-1]

    def circuit_of(self, experiment: int) -> int:
        """The circuit, from 0, that an experiment belongs to."""
        return bisect_right(self._starts, experiment) - 1

    def segments(self, part: Part) -> list[tuple[int, range]]:
        """The circuits of a part, in order, each with those of its bindings that are in it."""
        segments = []
        at = part.start
        while at < part.stop:
            circuit = self.circuit_of(at)
            start, stop = self._starts[circuit], min(self._starts[circuit + 1], part.stop)
            segments.append((circuit, range(at - start, stop - start)))
            at = stop
        return segments


def by_size(total: int, size: int | None, split: Mapping[int, Pieces] | None = None) -> list[Chunk]:
    """Chunks of at most `size` each, in order: Aer's `max_job_size`.

    Args:
        total: How many experiments there are.
        size: Most experiments, or pieces of one whose shots are split, in a chunk; None: all.
        split: Experiment to the `pieces` its shots are cut into, where they are.

    Returns:
        The chunks; in each, experiments that are whole and consecutive are one part.

    Example:
        >>> [[(part.start, part.stop) for part in chunk] for chunk in by_size(5, 2)]
        [[(0, 2)], [(2, 4)], [(4, 5)]]
    """
    units = _units(total, split or {})
    step = size or len(units)
    return [joined([units[at : at + step]]) for at in range(0, len(units), step)]


def _units(total: int, split: Mapping[int, Pieces]) -> list[Part]:
    units: list[Part] = []
    for experiment in range(total):
        if experiment not in split:
            units.append(Part(experiment, experiment + 1))
            continue
        units += [
            Part(experiment, experiment + 1, first, shots) for first, shots in split[experiment]
        ]
    return units


def pieces(shots: int, most: int) -> Pieces:
    """Shots cut into pieces of at most `most`: the first shot of each, and how many.

    Example:
        >>> pieces(1000, 400)
        [(0, 400), (400, 400), (800, 200)]
    """
    return [(first, min(most, shots - first)) for first in range(0, shots, most)]


def by_cost(layout: Layout, seconds: Sequence[float], *, aim: float, workers: int) -> list[Chunk]:
    """One chunk for each circuit, but bindings in runs worth about `aim` seconds.

    Args:
        layout: The experiments.
        seconds: What one experiment of each circuit is expected to take.
        aim: Seconds that a run of bindings should take.
        workers: How many run at once: a circuit alone is cut so that each gets several runs.
    """
    chunks: list[Chunk] = []
    at = 0
    for circuit, count in enumerate(layout.counts):
        run = max(min(int(aim / max(seconds[circuit], 1e-9)), -(-count // (4 * workers))), 1)
        chunks += [
            (Part(start, min(start + run, at + count)),) for start in range(at, at + count, run)
        ]
        at += count
    return chunks


def guided(
    units: Iterable[tuple[Chunk, float]], *, workers: int, shortest: float, longest: float
) -> list[tuple[Chunk, float]]:
    """Chunks put together, so that few calls run them and all workers end at the same time.

    Each takes a share of the work that is left, so that what was guessed wrongly in the first is
    made up for by the last ("guided self-scheduling", Polychronopoulos and Kuck 1987).

    Args:
        units: The chunks, with the seconds that each is expected to take.
        workers: How many run at once.
        shortest: Seconds below which a chunk is not worth a message of its own.
        longest: Seconds that a chunk should not take longer than, unless it is one unit.

    Returns:
        The chunks and their seconds, long ones first.

    Example:
        >>> chunks = guided(
        ...     [(chunk, 1.0) for chunk in by_size(8, 1)], workers=2, shortest=0.5, longest=9.0
        ... )
        >>> [[(part.start, part.stop) for part in chunk] for chunk, _ in chunks]
        [[(0, 2)], [(2, 3)], [(3, 4)], [(4, 5)], [(5, 6)], [(6, 7)], [(7, 8)]]
    """
    waiting = list(units)
    left = sum(seconds for _, seconds in waiting)
    made: list[tuple[Chunk, float]] = []
    at = 0
    while at < len(waiting):
        most = min(max(left / (2 * workers), shortest), longest)
        first, held = at, waiting[at][1]
        at += 1
        while at < len(waiting) and held + waiting[at][1] <= most:
            held += waiting[at][1]
            at += 1
        made.append((joined(chunk for chunk, _ in waiting[first:at]), held))
        left -= held
    return sorted(made, key=lambda each: -each[1])


def joined(chunks: Iterable[Iterable[Part]]) -> Chunk:
    """Several chunks as one; parts that are whole and adjacent become one part."""
    parts: list[Part] = []
    growing: Part | None = None  # a whole part, to which those behind it are added
    stop = 0
    for part in (part for chunk in chunks for part in chunk):
        if growing is not None and part.shots is None and part.start == stop:
            stop = part.stop
            continue
        if growing is not None:
            parts.append(Part(growing.start, stop))
            growing = None
        if part.shots is None:
            growing, stop = part, part.stop
        else:
            parts.append(part)
    if growing is not None:
        parts.append(Part(growing.start, stop))
    return tuple(parts)


def singly(chunk: Chunk) -> list[Chunk]:
    """A chunk taken apart: every experiment, or piece of its shots, alone."""
    return [
        (replace(part, start=at, stop=at + 1),)
        for part in chunk
        for at in range(part.start, part.stop)
    ]


@dataclass(frozen=True, slots=True)
class Seeding:
    """How the seed of every experiment follows from the one of the run.

    Attributes:
        rule: ``"strided"`` is Aer's: experiment i gets ``seed + 2113 * i``, and where it runs shot
            by shot, shot s gets that + s (``controller_execute.hpp``, ``circuit_executor.hpp``).
            ``"spawned"`` gives experiment i child i of `numpy.random.SeedSequence`. ``"none"``:
            the seed goes to the backend as it is, which then must run all in one call.
        seed: The seed of the run; None where the backend takes none.
        bits: How long the seeds that are spawned may be.
    """

    rule: SeedRule
    seed: int | None
    bits: int = 31

    def of(self, experiment: int, shot: int = 0) -> int | None:
        """The seed of an experiment, from one of its shots on; a signed number of 64 bits."""
        if self.seed is None:
            return None
        if self.rule == "strided":
            return _wrapped(self.seed + AER_STRIDE * experiment + shot)
        if self.rule == "spawned":
            child = np.random.SeedSequence(self.seed, spawn_key=(experiment,))
            return int(child.generate_state(1, np.uint64)[0] >> np.uint64(64 - self.bits)) + shot
        return self.seed

    @property
    def together(self) -> bool:
        """Whether one call may run several experiments."""
        return self.rule != "spawned"


def _wrapped(number: int) -> int:
    """A number as C++ wraps it into 64 bits, with the sign that a Python binding wants."""
    half = 1 << (SEED_BITS - 1)
    return (number + half) % (1 << SEED_BITS) - half


def merged_counts(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """The counts of all shots from those of the pieces.

    Example:
        >>> merged_counts([{"0x0": 2, "0x1": 1}, {"0x1": 4}])
        {'0x0': 2, '0x1': 5}
    """
    total: dict[str, int] = {}
    for each in counts:
        for outcome, number in each.items():
            total[outcome] = total.get(outcome, 0) + number
    return total
