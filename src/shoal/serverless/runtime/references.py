"""References: what a distributed task gives back at once, in place of its result."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any

from shoal.serverless.runtime import forks


class Reference:
    """Stands for the result of a task that may still run, or for a value that was `put`.

    References may be arguments of other tasks, also inside of lists, tuples, sets and dictionaries;
    the task gets their results.
    """

    __slots__ = ("future", "name")

    def __init__(self, future: Future[Any], name: str) -> None:
        self.future = future
        self.name = name

    def __repr__(self) -> str:
        if not self.future.done():
            return f"<Reference | {self.name}, under way>"
        failed = self.future.cancelled() or self.future.exception() is not None
        return f"<Reference | {self.name}, {'failed' if failed else 'done'}>"

    def __reduce__(self) -> Any:
        """Travels with its result, for which it waits: a task may use what it finds in scope."""
        return arrived, (get(self), self.name)


def arrived(value: Any, name: str) -> Reference:
    """A reference to a value that is there."""
    future: Future[Any] = Future()
    future.set_result(value)
    return Reference(future, name)


def put(value: Any, **options: Any) -> Reference:  # noqa: ARG001 - Ray's options change nothing here
    """A reference to a value, for use as the argument of several tasks."""
    return arrived(value, f"a {type(value).__name__}")


def get(object_refs: Any, *, timeout: float | None = None) -> Any:
    """The results of tasks; waits for them.

    Args:
        object_refs: A reference, or a list, tuple or iterator of them. What is no reference is its
            own result: a task is given the results of references that were its arguments, and may
            ask for them again.
        timeout: Seconds to wait in all; None: as long as it takes.

    Returns:
        The result, or the list of results in the order of the references.

    Raises:
        TimeoutError: If that takes longer; the tasks go on.
        Exception: What a task raised, with its type, a note that names the task's arguments, and
            its traceback as cause; of several the first in the order of the references.
    """
    end = None if timeout is None else time.monotonic() + timeout
    if isinstance(object_refs, (list, tuple, Iterator)):
        return [_result(each, end) for each in object_refs]
    return _result(object_refs, end)


def get_refs_by_status(
    object_refs: Any,
    num_returns: int = 1,
    timeout: float | None = None,
    **options: Any,  # noqa: ARG001 - as for `put`
) -> tuple[list[Any], list[Any]]:
    """Those references whose tasks have ended, and the others, each in the order given.

    Args:
        object_refs: References, no two the same.
        num_returns: How many must have ended before this returns, from 1; no more than so many are
            returned as ended.
        timeout: Seconds to wait for so many; None: as long as it takes.

    Raises:
        ValueError: For a number out of range, or the same reference twice.
    """
    asked = list(object_refs)
    if not 1 <= num_returns <= len(asked):
        raise ValueError(f"num_returns={num_returns}: expected 1 to {len(asked)}")
    if len({id(each) for each in asked}) < len(asked):
        raise ValueError("object_refs: expected each reference once")
    end = None if timeout is None else time.monotonic() + timeout
    while True:
        open_ones = [each for each in asked if not _has_ended(each)]
        left = _left(end)
        if len(asked) - len(open_ones) >= num_returns or left == 0:
            break
        _await_one([each.future for each in open_ones], left)
    pending = {id(each) for each in open_ones}
    ready = [each for each in asked if id(each) not in pending][:num_returns]
    chosen = {id(each) for each in ready}
    return ready, [each for each in asked if id(each) not in chosen]


def found_in(value: Any) -> list[Reference]:
    """All references in a value of built-in containers."""
    return list(_found(value, set()))


def with_results(value: Any) -> Any:
    """The value with results in place of its references, all of whose tasks have ended.

    Containers that hold none stay the same objects. Raises what one of the tasks raised.
    """
    if isinstance(value, Reference):
        return value.future.result()
    if not found_in(value):
        return value
    if isinstance(value, dict):
        return {key: with_results(part) for key, part in value.items()}
    parts = [with_results(part) for part in value]
    return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)


def _found(value: Any, seen: set[int]) -> Iterator[Reference]:
    if isinstance(value, Reference):
        yield value
    elif isinstance(value, (dict, list, tuple, set, frozenset)) and id(value) not in seen:
        seen.add(id(value))
        for part in value.values() if isinstance(value, dict) else value:
            yield from _found(part, seen)


def _result(each: Any, end: float | None) -> Any:
    if not isinstance(each, Reference):
        return each
    future = each.future
    forks.attend(future.done, _left(end))
    try:
        return future.result(_left(end))
    except FutureTimeout:
        if future.done():  # the task itself raised it, or ended just now
            return future.result()
        raise TimeoutError(f"{each!r}: it takes longer than the timeout") from None


def _await_one(futures: list[Future[Any]], seconds: float | None) -> None:
    if not forks.attend(lambda: any(future.done() for future in futures), seconds):
        wait(futures, seconds, FIRST_COMPLETED)


def _has_ended(each: Any) -> bool:
    return not isinstance(each, Reference) or each.future.done()


def _left(end: float | None) -> float | None:
    return None if end is None else max(end - time.monotonic(), 0.0)
