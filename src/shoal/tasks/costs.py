"""What the tasks of recent functions cost, so that the next call need not begin by finding out."""

from __future__ import annotations

import functools
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from types import CodeType
from typing import Any, NamedTuple

from shoal.tasks.indexed import Indexed

MOST_FUNCTIONS = 256


class Cost(NamedTuple):
    """What a task costs, on average.

    Attributes:
        seconds: Time in its worker.
        message_bytes: Size of what travels for it, both ways.
    """

    seconds: float
    message_bytes: float


class Costs:
    """The last cost of each of the functions used last; thread-safe."""

    def __init__(self, most: int = MOST_FUNCTIONS) -> None:
        """Knows none yet; keeps at most so many."""
        self._costs: OrderedDict[Hashable, Cost] = OrderedDict()
        self._most = most
        self._lock = threading.Lock()

    def of(self, function: Hashable) -> Cost | None:
        """What the tasks of a function, by its `signature`, cost last time; None if unknown."""
        with self._lock:
            return self._costs.get(function)

    def learn(self, function: Hashable, cost: Cost) -> None:
        """Replaces what is known of a function; forgets the one that was used longest ago."""
        with self._lock:
            self._costs[function] = cost
            self._costs.move_to_end(function)
            if len(self._costs) > self._most:
                self._costs.popitem(last=False)


def signature(function: Callable[..., Any]) -> Hashable:
    """What a function is, whatever it holds: its code, or the names of its class and of itself.

    Closures, arguments that are bound and attributes do not count. They may change the cost, as
    inputs may: it is a first guess in any case.
    """
    while isinstance(function, Indexed | functools.partial):
        function = function.function if isinstance(function, Indexed) else function.func
    kind = type(function)
    names = [kind.__module__, kind.__qualname__]
    try:
        inner = getattr(function, "__func__", function)
        code = getattr(inner, "__code__", None)
        names += [str(inner.__module__), str(inner.__qualname__)]
    except Exception:  # most have no such names, and a user's __getattr__ may raise anything
        code = None
    return code if isinstance(code, CodeType) else tuple(names)
