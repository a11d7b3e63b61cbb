"""PennyLane's tapes: cut along their batch dimension, joined again, named in messages."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from functools import reduce
from itertools import pairwise
from typing import Any

import cloudpickle
import pennylane as qml
from pennylane.transforms import broadcast_expand

from shoal.tasks import shorten


class Label:
    """Names a tape in messages; costs nothing until it is shown."""

    def __init__(self, index: int, tape: Any) -> None:
        self._index = index
        self._tape = tape

    def __repr__(self) -> str:
        names = [each.name for each in self._tape.operations]
        return f"tape {self._index}: {self._tape!r} with operations {shorten(names)}"


def batch_size(tape: Any) -> int | None:
    """The tape's `batch_size`, told at once where all parameters are single numbers.

    PennyLane asks every gate how many dimensions it expects, which takes longer than some gates.
    """
    for op in tape.operations:
        for value in op.data:
            if type(value) is not float and getattr(value, "shape", None) != ():
                size: int | None = tape.batch_size
                return size
    return None


def cut(tape: Any, count: int) -> list[Any]:
    """A tape whose parameters have a batch dimension, as `count` tapes with a part of it each.

    As `pennylane.transforms.broadcast_expand`, which gives one tape for each of its entries.
    """
    size = tape.batch_size
    bounds = [size * part // count for part in range(count + 1)]
    spans = [slice(*each) for each in pairwise(bounds)]
    return [
        type(tape)(
            [_part(op, span) for op in tape.operations],
            tape.measurements,
            shots=tape.shots,
            trainable_params=tape.trainable_params,
        )
        for span in spans
    ]


def _part(op: Any, span: slice) -> Any:
    if not op.batch_size:
        return op
    parameters = tuple(
        value if qml.math.ndim(value) == op.ndim_params[place] else value[span]
        for place, value in enumerate(op.data)
    )
    return qml.ops.functions.bind_new_parameters(op, parameters)


def joined(results: Sequence[Any]) -> Any:
    """The results of the parts as the result of the whole: along the first axis of each array."""
    first = results[0]
    if isinstance(first, tuple):
        return tuple(joined(each) for each in zip(*results, strict=True))
    if isinstance(first, list):  # counts come as a list of dictionaries
        return reduce(operator.add, results)
    return qml.math.concatenate(results)


def apart(
    tapes: Sequence[Any], *, as_list: bool
) -> tuple[Sequence[Any], Callable[[list[Any]], list[Any]] | None]:
    """Circuits with shots and a batch dimension as one circuit for each of its entries.

    Each then has a random stream of its own, however the batch is spread.

    Args:
        as_list: Whether counts are to be a list, as those devices return them that take a batch
            dimension, or an array, as PennyLane makes them for the others.

    Returns:
        The circuits, and what makes of their results those of the given ones, or None.
    """
    if not any(tape.shots and batch_size(tape) for tape in tapes):
        return tapes, None
    parts = [
        broadcast_expand(tape) if tape.shots and tape.batch_size else ((tape,), None)
        for tape in tapes
    ]

    def finish(values: list[Any]) -> list[Any]:
        whole, at = [], 0
        for some, join in parts:
            mine = values[at : at + len(some)]
            whole.append(mine[0] if join is None else stacked(mine) if as_list else join(mine))
            at += len(some)
        return whole

    return [tape for some, _ in parts for tape in some], finish


def stacked(results: Sequence[Any]) -> Any:
    """The results of single entries as those of the whole batch: along a new first axis."""
    if isinstance(results[0], tuple):
        return tuple(stacked(each) for each in zip(*results, strict=True))
    return list(results) if isinstance(results[0], dict) else qml.math.stack(results)


def what_is_stuck(tape: Any) -> str:
    """Which operation or measurement of a tape cannot be pickled, in words; empty if all can."""
    for kind, parts in (("operation", tape.operations), ("measurement", tape.measurements)):
        for place, part in enumerate(parts):
            error = _error_of(cloudpickle.dumps, part)
            if error is not None:
                text = f"{type(error).__name__}: {error}"
                return f"{kind} {place}, {shorten(part)}, cannot be pickled: {text}"
    return ""


def _error_of(function: Callable[[Any], Any], value: Any) -> Exception | None:
    try:
        function(value)
    except Exception as error:  # noqa: BLE001  (pickling may raise anything)
        return error
    return None
