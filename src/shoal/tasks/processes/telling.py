"""What is to be told to the outside, by callbacks that may be the user's, when no lock is held."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import Any

from shoal.tasks.processes.parcels import Delivery, Parcel

_log = logging.getLogger(__name__)


class Telling:
    """Callbacks in the order in which they became due."""

    def __init__(self) -> None:
        """Nothing is due yet."""
        self._due: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()

    def __bool__(self) -> bool:
        return bool(self._due)

    def add(self, function: Callable[..., None], *arguments: Any) -> None:
        """Makes a callback due."""
        self._due.append((function, arguments))

    def deliver(self, parcel: Parcel, delivery: Delivery) -> None:
        """Makes a delivery due, if anybody wants it."""
        if parcel.deliver is not None:
            self.add(parcel.deliver, delivery)

    def clear(self) -> None:
        """Tells nobody anything."""
        self._due.clear()

    def tell(self) -> None:
        """Calls what is due; nothing that a callback raises, but Ctrl-C, comes through."""
        while self._due:
            function, arguments = self._due.popleft()
            try:
                function(*arguments)
            except KeyboardInterrupt:
                raise
            except BaseException:  # a callback of the user's must not end whoever serves
                _log.exception("an exception in a callback was ignored")
