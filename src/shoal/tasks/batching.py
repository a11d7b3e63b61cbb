"""How many inputs go into the next batch: measured cost and size in, a number out."""

from __future__ import annotations

import math

from shoal.tasks.costs import Cost

BATCH_SECONDS = 0.05
SHORTEST_SECONDS = 0.001
MESSAGE_BYTES = 1 << 20
FORGET = 0.5
SHARED_OUT = 2 / 3


class BatchSizer:
    """Sizes batches by time and bytes, from what the finished ones took.

    Until the first batch has come back everything goes out singly: the probe. From then on a batch
    is worth about 50 ms (100 on clusters) and at most 1 MB each way. Towards the end of a known
    input batches shrink, down to 1 ms, so that all workers end together: two thirds of what is left
    go out in equal batches, one a worker, then two thirds of what is left then, and so on
    ("factoring", Hummel, Schonberg and Flynn 1992).

    Where it is known what tasks of this function cost last time, batches are sized by that until
    there is a newer cost. Of inputs whose size is not known the first goes out singly, to show it.
    """

    def __init__(
        self,
        workers: int,
        *,
        fixed: int | None = None,
        most_items: int,
        batch_seconds: float = BATCH_SECONDS,
        known: Cost | None = None,
        first_bytes: int | None = None,
    ) -> None:
        """Sizes for `workers` workers.

        Args:
            fixed: Turns measuring off.
            most_items: No batch has more.
            batch_seconds: What a batch should take.
            known: What a task cost when the function was last mapped.
            first_bytes: Size of the first input, where it is told without pickling it.
        """
        self._workers = workers
        self._fixed = fixed
        self._most_items = most_items
        self._batch_seconds = batch_seconds
        self._known = known
        self._sent_bytes: float | None = first_bytes
        self._items = 0.0
        self._seconds = 0.0
        self._bytes = 0.0
        self._share = 0
        self._shares_left = 0

    @property
    def probing(self) -> bool:
        """True while nothing is known of what tasks cost."""
        return self._fixed is None and self._known is None and self._items == 0.0

    @property
    def cost(self) -> Cost | None:
        """What a task costs now; None if none was measured in this call."""
        if self._items == 0.0:
            return None
        return Cost(self._seconds / self._items, self._bytes / self._items)

    def sent(self, items: int, message_bytes: int) -> None:
        """Learns the size of inputs from a batch on its way."""
        self._sent_bytes = max(self._sent_bytes or 0.0, message_bytes / items)

    def record(self, items: int, seconds: float, message_bytes: int) -> None:
        """Learns from a finished batch; older ones count for half each time."""
        self._items = self._items * FORGET + items
        self._seconds = self._seconds * FORGET + seconds
        self._bytes = self._bytes * FORGET + message_bytes

    def next(self, remaining: int | None) -> int:
        """Size of the next batch, from 1, for `remaining` inputs not yet drawn (None: unknown)."""
        if self._fixed is not None:
            return self._fixed
        cost = self.cost or self._expected()
        if cost is None:
            return 1
        seconds = max(cost.seconds, 1e-9)
        size = min(self._batch_seconds / seconds, self._most_items)
        if cost.message_bytes > 0:
            size = min(size, MESSAGE_BYTES / cost.message_bytes)
        if remaining is not None:
            size = min(size, max(self._next_share(remaining), SHORTEST_SECONDS / seconds))
        return max(int(size), 1)

    def _next_share(self, remaining: int) -> int:
        """A worker's part of two thirds of the rest; the same for as many batches as workers."""
        if self._shares_left == 0:
            self._shares_left = self._workers
            self._share = math.ceil(SHARED_OUT * remaining / self._workers)
        self._shares_left -= 1
        return self._share

    def _expected(self) -> Cost | None:
        """The cost that is known from before, with the size that inputs have this time."""
        if self._known is None or self._sent_bytes is None:
            return None
        return self._known._replace(message_bytes=max(self._known.message_bytes, self._sent_bytes))
