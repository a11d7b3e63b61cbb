"""How many inputs go into the next batch: measured cost and size in, a number out."""

from __future__ import annotations

BATCH_SECONDS = 0.05
SHORTEST_SECONDS = 0.001
MESSAGE_BYTES = 1 << 20
FORGET = 0.5


class BatchSizer:
    """Sizes batches by time and bytes, from what the finished ones took.

    Until the first batch has come back everything goes out singly: the probe. From then on a batch
    is worth about 50 ms (100 on clusters) and at most 1 MB each way. Towards the end of a known
    input batches shrink with the work that is left ("guided self-scheduling", Polychronopoulos and
    Kuck 1987), down to 1 ms, so that all workers end together.
    """

    def __init__(
        self,
        workers: int,
        *,
        fixed: int | None = None,
        most_items: int,
        batch_seconds: float = BATCH_SECONDS,
    ) -> None:
        """Sizes for `workers` workers; `fixed` turns measuring off."""
        self._workers = workers
        self._fixed = fixed
        self._most_items = most_items
        self._batch_seconds = batch_seconds
        self._items = 0.0
        self._seconds = 0.0
        self._bytes = 0.0

    @property
    def probing(self) -> bool:
        """True until the first batch has been measured."""
        return self._fixed is None and self._items == 0.0

    def record(self, items: int, seconds: float, message_bytes: int) -> None:
        """Learns from a finished batch; older ones count for half each time."""
        self._items = self._items * FORGET + items
        self._seconds = self._seconds * FORGET + seconds
        self._bytes = self._bytes * FORGET + message_bytes

    def next(self, remaining: int | None) -> int:
        """Size of the next batch, from 1, for `remaining` inputs not yet drawn (None: unknown)."""
        if self._fixed is not None:
            return self._fixed
        if self.probing:
            return 1
        seconds = max(self._seconds / self._items, 1e-9)
        size = min(self._batch_seconds / seconds, self._most_items)
        if self._bytes > 0:
            size = min(size, MESSAGE_BYTES * self._items / self._bytes)
        if remaining is not None:
            fair = remaining / (2 * self._workers)
            size = min(size, max(fair, SHORTEST_SECONDS / seconds))
        return max(int(size), 1)
