"""One function's batches on a cluster: packed here, and their replies read here."""

from __future__ import annotations

import pickle
import sys
import uuid
from collections.abc import Callable
from concurrent.futures import CancelledError
from dataclasses import dataclass
from typing import Any

from shoal.errors import ExecutorBroken
from shoal.tasks.clusters.cluster import Cluster, Running
from shoal.tasks.clusters.there import FUNCTION, Order, Parts
from shoal.tasks.dispatch import Answer, Batch, read_reply, write_here
from shoal.tasks.envelope import Calling, Raised
from shoal.tasks.inputs import Frozen
from shoal.tasks.processes.packing import (
    APART_BYTES,
    Packed,
    Regions,
    changed_modules,
    pack_batch,
    pack_function,
)


class Held(Regions):
    """The function and the big arrays of one call: each on the cluster once."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__()
        self._cluster = cluster
        self._values: dict[int, Any] = {}
        self._handles: dict[int, Any] = {}

    def add(self, buffer: memoryview) -> int:
        """Lays `buffer` down on the cluster; returns its number."""
        number = len(self._values)
        self.keep(number, _array(buffer))
        return number

    def keep(self, number: int, value: Any) -> None:
        """Lays `value` down on the cluster under `number`."""
        self._values[number] = value
        self._handles[number] = self._cluster.put(value)

    def handles(self, numbers: tuple[int, ...]) -> list[Any]:
        """What the cluster knows them by."""
        return [self._handles[number] for number in numbers]

    def renew(self) -> None:
        """Lays everything down again, after the cluster lost some of it."""
        for number, value in self._values.items():
            self._handles[number] = self._cluster.put(value)

    def close(self) -> None:
        """Lets go: the cluster frees what nobody holds."""
        self._values.clear()
        self._handles.clear()
        super().close()


@dataclass(frozen=True, slots=True)
class Parcel:
    """A batch, ready to be begun, as often as needed."""

    batch: Batch
    order: Order
    message_bytes: int


class Shipment:
    """Sends the batches of one function to a cluster."""

    def __init__(
        self,
        cluster: Cluster,
        function: Callable[..., Any],
        calling: Calling,
        *,
        lasting: bool = False,
        out: Any = None,
    ) -> None:
        """Packs the function; raises FunctionNotSent when that is impossible.

        Args:
            lasting: Whether an array that is met again still holds the same values.
            out: Array that takes the results here, or None.
        """
        self._cluster = cluster
        self._calling = calling
        self._lasting = lasting
        self._out = out
        self._key = uuid.uuid4().hex
        self._changed = changed_modules()
        self._path = tuple(sys.path)
        self._held = Held(cluster)
        packed, _ = pack_function(function, self._held, self._changed)
        self._function: Parts | None = _parts(packed)
        self._needed = tuple(packed.regions)
        if packed.message_bytes >= APART_BYTES:
            self._held.keep(FUNCTION, self._function)
            self._function = None
            self._needed += (FUNCTION,)

    def pack(self, batch: Batch) -> Parcel:
        """The batch, packed; raises whatever pickling an input raises."""
        items = batch.items
        frozen = not self._lasting and any(type(item) is Frozen for item in items)
        if frozen:
            items = [_bytes_of(item) for item in items]
        packed = pack_batch((), items, self._held, lasting=self._lasting, changed=self._changed)
        order = Order(
            key=self._key,
            function=self._function,
            items=_parts(packed),
            frozen=frozen,
            calling=self._calling,
            indices=batch.indices,
            held=tuple(dict.fromkeys((*self._needed, *packed.regions))),
            path=self._path,
        )
        return Parcel(batch, order, packed.message_bytes)

    def start(self, parcel: Parcel) -> Running:
        """Begins a batch on the cluster."""
        return self._cluster.start(parcel.order, self._held.handles(parcel.order.held))

    def answer(self, parcel: Parcel, running: Running) -> Answer:
        """What came of a batch that has ended, one way or another."""
        batch = parcel.batch
        try:
            reply = running.future.result()
        except (Exception, CancelledError) as error:  # whatever the cluster raises for its reasons
            return self._lost(batch, error)
        if isinstance(reply, Raised):
            return Answer(batch, unreadable=reply)
        size = parcel.message_bytes + len(reply)
        return write_here(read_reply(batch, reply, (), size), self._calling, self._out)

    def _lost(self, batch: Batch, error: BaseException) -> Answer:
        death = self._cluster.death(error)
        if death is None:
            return Answer(batch, error=broken(self._cluster, error))
        try:
            if self._cluster.forgets:
                self._held.renew()
        except Exception as failed:  # as above
            return Answer(batch, error=broken(self._cluster, failed))
        return Answer(batch, death=death)

    def close(self) -> None:
        """Frees what lies on the cluster."""
        self._held.close()


def broken(cluster: Cluster, error: BaseException) -> ExecutorBroken:
    """The error when a cluster fails for reasons of its own."""
    if isinstance(error, ExecutorBroken):
        return error
    text = " ".join(str(error).split())
    found = ExecutorBroken(f"{cluster.name} failed with {type(error).__name__}: {text[:1000]}")
    found.__cause__ = error
    return found


def _parts(packed: Packed) -> Parts:
    buffers = [each if isinstance(each, int) else _array(each) for each in packed.buffers]
    return packed.data, buffers


def _array(buffer: memoryview) -> Any:
    """The bytes as an array, which both Ray and Dask move without copying."""
    import numpy as np

    return np.frombuffer(buffer, "u1")


def _bytes_of(item: object) -> bytes:
    return item.pickled if type(item) is Frozen else pickle.dumps(item, 5)
