"""What the engine asks of a cluster, whichever it is: Cluster, Running, and a watch over it."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from time import monotonic, sleep
from typing import Any, Protocol
from weakref import WeakSet

from shoal.errors import ExecutorBroken
from shoal.tasks.clusters.there import Order
from shoal.tasks.dispatch import Death
from shoal.tasks.envelope import Raised

LOOK_SECONDS = 1.0
GONE_SECONDS = 6.0  # for the first worker, of a cluster that is there
LOST_SECONDS = 60.0  # for those that were there, to be started again


@dataclass(slots=True, eq=False)
class Running:
    """A batch on its way.

    Attributes:
        future: Of the reply's bytes, or of what made it impossible to begin.
        native: What the cluster itself knows it by.
    """

    future: Future[bytes | Raised]
    native: Any


class Cluster(Protocol):
    """A connection to an engine that runs batches.

    Attributes:
        name: What messages call it: the name or address it was asked for by.
        forgets: Whether what was put there may be lost with a worker.
    """

    name: str
    forgets: bool

    @property
    def usable(self) -> bool:
        """Whether it is still connected, as far as is known without asking."""

    def width(self) -> int:
        """How many tasks run at once, now; 0 when it has no worker for them.

        Raises:
            ExecutorBroken: If it cannot be reached any more.
        """

    def put(self, value: Any) -> Any:
        """Lays a value down on the cluster; returns what it is fetched by, as often as needed."""

    def start(self, order: Order, held: Sequence[Any]) -> Running:
        """Begins a batch, with what `put` returned for what it needs."""

    def death(self, error: BaseException) -> Death | None:
        """What an error of a batch says of the end of its worker; None if it says nothing."""

    def stop(self, running: Sequence[Running], *, at_once: bool) -> None:
        """Drops batches: those that have not begun, and as far as possible those that have."""

    def close(self) -> None:
        """Ends what was started here, and the connection if it was made here."""


_had_workers: WeakSet[Cluster] = WeakSet()


class Watch:
    """Knows how wide a cluster is, and when nothing is left of it.

    Attributes:
        width: How many tasks ran at once when it was last looked at, at least 1.
    """

    def __init__(self, cluster: Cluster) -> None:
        """Waits for the first worker; raises ExecutorBroken if there is none, or no cluster."""
        self._cluster = cluster
        self._last_look = self._last_seen = monotonic()
        self.width = 1
        while not self._seen():
            sleep(LOOK_SECONDS / 8)

    def look(self) -> None:
        """Asks how wide the cluster is, at most once a second.

        Raises:
            ExecutorBroken: If it cannot be reached, or all its workers went a minute ago.
        """
        if monotonic() - self._last_look >= LOOK_SECONDS:
            self._seen()

    def _seen(self) -> bool:
        """Whether it has a worker."""
        width = self._cluster.width()
        self.width = max(width, 1)
        self._last_look = monotonic()
        patience = LOST_SECONDS if self._cluster in _had_workers else GONE_SECONDS
        if width:
            _had_workers.add(self._cluster)
            self._last_seen = self._last_look
        elif self._last_look - self._last_seen > patience:
            raise ExecutorBroken(
                f"{self._cluster.name} has had no worker for {patience:g} s, and nothing runs: "
                "start workers, or wait until they are there, and call again"
            )
        return width > 0
