"""The dispatcher of clusters: keeps their workers busy, and notices when they are gone."""

from __future__ import annotations

from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any

from shoal.errors import ExecutorBroken
from shoal.tasks.clusters.cluster import LOOK_SECONDS, Cluster, Running, Watch
from shoal.tasks.clusters.shipment import Parcel, Shipment, broken
from shoal.tasks.dispatch import Answer, Batch
from shoal.tasks.envelope import Calling, Raised, capture
from shoal.tasks.inputs import Inputs

BATCH_SECONDS = 0.1


class ClusterDispatcher:
    """Runs the batches of one call on a cluster."""

    in_step = False
    batch_seconds = BATCH_SECONDS

    def __init__(
        self,
        cluster: Cluster,
        function: Callable[..., Any],
        calling: Calling,
        *,
        max_workers: int | None,
        inputs: Inputs,
        out: Any = None,
    ) -> None:
        """Packs the function and lays it down on the cluster.

        Raises:
            FunctionNotSent: If it cannot be pickled.
            ExecutorBroken: If the cluster cannot be reached.
        """
        self._cluster = cluster
        self._most = max_workers
        self._watch = Watch(cluster)
        self._deaths = False
        self._fit()
        self._shipment = Shipment(cluster, function, calling, lasting=inputs.lasting, out=out)
        inputs.freeze()
        self._running: dict[Running, Parcel] = {}
        self._done: SimpleQueue[Running | tuple[Batch, Raised | ExecutorBroken] | None] = (
            SimpleQueue()
        )

    def _fit(self) -> None:
        """Fits workers and window to the cluster: two batches a worker, one once one has died.

        What waits behind a batch that kills its worker would be lost with it, again and again.
        """
        width, most = self._watch.width, self._most
        self.workers = width if most is None else min(width, most)
        self.window = width if self._deaths else 2 * width
        if most is not None and most < width:
            self.window = most

    def send(self, batch: Batch) -> int:
        """Packs and begins the batch; what cannot be packed is answered as unreadable."""
        try:
            parcel = self._shipment.pack(batch)
        except Exception as error:  # pickling the user's inputs may raise anything
            self._done.put((batch, capture(error, crossing=False, kind="input")))
            return 0
        try:
            running = self._shipment.start(parcel)
        except Exception as error:  # whatever the cluster raises for its own reasons
            self._done.put((batch, broken(self._cluster, error)))
            return 0
        self._running[running] = parcel
        running.future.add_done_callback(lambda _: self._done.put(running))
        return parcel.message_bytes

    def receive(self) -> Answer | None:
        """The next answer; an error when the cluster is gone; None after `wake`."""
        while True:
            try:
                done = self._done.get(timeout=LOOK_SECONDS)
            except Empty:
                lost = self._look()
                if lost is None:
                    continue
                return lost
            if done is None:
                return None
            if isinstance(done, Running):
                answer = self._shipment.answer(self._running.pop(done), done)
                self._deaths = self._deaths or answer.death is not None
                self._fit()
                return answer
            batch, what = done
            if isinstance(what, ExecutorBroken):
                return Answer(batch, error=what)
            return Answer(batch, unreadable=what)

    def _look(self) -> Answer | None:
        """Looks at the cluster; the answer to any one batch if nothing more will come."""
        try:
            self._watch.look()
        except ExecutorBroken as error:
            parcel = next(iter(self._running.values()))
            return Answer(parcel.batch, error=error)
        self._fit()
        return None

    def wake(self) -> None:
        """Has `receive` give None."""
        self._done.put(None)

    def withdraw(self, *, at_once: bool) -> None:
        """Drops what is on its way; see the cluster for what becomes of what runs."""
        self._cluster.stop(list(self._running), at_once=at_once)
        self._running.clear()
        self._shipment.close()

    def finish(self) -> None:
        """Frees what lies on the cluster."""
        self._shipment.close()
