"""Inputs, drawn a batch at a time and never further ahead than asked."""

from __future__ import annotations

import itertools
import operator
import pickle
import sys
from collections.abc import Iterable, Iterator, Sequence
from time import monotonic
from typing import Any

import cloudpickle

DRAW_SECONDS = 0.01
MOST_PLAIN = 64
ATOMS = frozenset({int, float, complex, str, bytes, bool, type(None)})


class Frozen:
    """An input pickled at the moment it was drawn.

    A generator may yield one buffer again and again with new contents. The serial loop would have
    seen each content; so must a task that runs later, elsewhere.
    """

    __slots__ = ("pickled",)

    def __init__(self, pickled: bytes) -> None:
        self.pickled = pickled


def thawed(items: Iterable[Any]) -> list[Any]:
    """The inputs with those that were pickled when drawn as objects again."""
    return [pickle.loads(item.pickled) if type(item) is Frozen else item for item in items]


class Inputs:
    """The zipped iterables of one call, as a source of batches.

    Attributes:
        remaining: How many inputs are left, or None where the iterables do not tell.
        lasting: True where all inputs exist for the whole call, so that an array met twice is
            known to be the same array. False for generators.
        drawn: How many inputs were taken so far.
    """

    def __init__(self, iterables: Sequence[Iterable[Any]]) -> None:
        """Takes one iterable for f(x), several for f(x, y, …), which end with the shortest.

        Raises:
            TypeError: If one of them is not iterable; names its position and value.
        """
        self.drawn = 0
        self._alone = len(iterables) == 1
        self._sequences = [_as_sequence(iterable) for iterable in iterables]
        self.lasting = all(sequence is not None for sequence in self._sequences)
        self._freeze = False
        self._error: Exception | None = None
        self._iterator: Iterator[Any] = iter(())
        if not self.lasting:
            iterators = [_iterator(each, place) for place, each in enumerate(iterables)]
            self._iterator = iterators[0] if self._alone else zip(*iterators, strict=False)
        self._length = _common_length(iterables)

    def freeze(self) -> None:
        """From now on, pickles at once whatever a generator yields that could change later."""
        self._freeze = True

    @property
    def remaining(self) -> int | None:
        """Inputs not yet drawn, or None where that is not known."""
        return None if self._length is None else max(self._length - self.drawn, 0)

    def first_bytes(self) -> int | None:
        """Size of the first input, before it is drawn; None where that is not told at once."""
        items = self._slice(1) if self.lasting and self.drawn == 0 else ()
        return plain_bytes(items[0]) if len(items) else None

    def draw(self, count: int) -> Sequence[Any]:
        """The next inputs, at most `count` and at least one; empty at the end.

        A slow generator is not waited for: after 10 ms it gives what there is.
        """
        items = self._slice(count) if self.lasting else self._pull(count)
        self.drawn += len(items)
        return items

    def _slice(self, count: int) -> Sequence[Any]:
        span = slice(self.drawn, self.drawn + count)
        parts = [_part(sequence, span) for sequence in self._sequences]
        return parts[0] if self._alone else list(zip(*parts, strict=False))

    def _pull(self, count: int) -> list[Any]:
        if self._error is not None:
            raise self._error
        items: list[Any] = []
        stop = monotonic() + DRAW_SECONDS
        try:
            for item in itertools.islice(self._iterator, count):
                items.append(_frozen(item) if self._freeze and not _is_atomic(item) else item)
                if monotonic() > stop:
                    break
        except Exception as error:  # the user's generator may raise anything
            if not items:
                raise
            self._error = error  # for the next time: what it gave before is run first
        return items


def plain_bytes(item: Any, depth: int = 3) -> int | None:
    """About the size of a pickled number, text or array, or a few of them; None for all else."""
    kind = type(item)
    if kind in (tuple, list) and depth and len(item) <= MOST_PLAIN:
        sizes = [plain_bytes(each, depth - 1) for each in item]
        return None if None in sizes else sum(sizes)  # type: ignore[arg-type]
    if kind is str or kind is bytes:
        return len(item)
    if kind is int:
        return 8 + int(item.bit_length()) // 8
    numpy = sys.modules.get("numpy")
    if numpy is not None and (kind is numpy.ndarray or isinstance(item, numpy.generic)):
        return None if item.dtype.hasobject else int(item.nbytes)
    return 16 if kind in ATOMS else None


def _is_atomic(item: Any) -> bool:
    kind = type(item)
    return kind in ATOMS or (kind is tuple and ATOMS.issuperset(type(each) for each in item))


def _frozen(item: object) -> object:
    """The item as bytes; itself where it cannot be pickled, which then becomes its failure."""
    try:
        return Frozen(cloudpickle.dumps(item, protocol=5))
    except Exception:  # a user's __reduce__ may raise anything
        return item


def _as_sequence(iterable: Iterable[Any]) -> Any:
    """The iterable itself where slices of it equal its iteration, else None."""
    kind = type(iterable)
    if kind in (list, tuple, range):
        return iterable
    if kind is itertools.repeat:
        return iterable
    if _is_array(iterable) and getattr(iterable, "ndim", 0) > 0:
        return iterable
    return None


def _is_array(value: object) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and type(value) is numpy.ndarray


def _part(sequence: Any, span: slice) -> Any:
    if type(sequence) is itertools.repeat:
        left = _repeat_length(sequence)
        count = span.stop - span.start
        if left is not None:
            count = max(min(count, left - span.start), 0)
        return [_repeated(sequence)] * count
    return sequence[span]


def _repeated(repeat: itertools.repeat[Any]) -> Any:
    return repeat.__reduce__()[1][0]


def _repeat_length(repeat: itertools.repeat[Any]) -> int | None:
    arguments: tuple[Any, ...] = tuple(repeat.__reduce__()[1])
    return int(arguments[1]) if len(arguments) > 1 else None


def _iterator(iterable: Iterable[Any], place: int) -> Iterator[Any]:
    try:
        return iter(iterable)
    except TypeError:
        from shoal.tasks.model import shorten

        raise TypeError(
            f"iterable {place + 1} is not iterable: {shorten(iterable)} "
            f"({type(iterable).__name__}); expected a list, an array, a generator, …"
        ) from None


def _common_length(iterables: Sequence[Iterable[Any]]) -> int | None:
    """Length of the shortest; None where one does not tell, or all are endless."""
    lengths: list[int] = []
    for iterable in iterables:
        if type(iterable) is itertools.repeat:
            left = _repeat_length(iterable)
            if left is None:
                continue
            lengths.append(left)
            continue
        try:
            lengths.append(operator.index(len(iterable)))  # type: ignore[arg-type]
        except TypeError:
            return None
    return min(lengths) if lengths else None
