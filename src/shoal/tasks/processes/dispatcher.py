"""The dispatcher of the supervised processes: packs batches, unpacks replies and deaths."""

from __future__ import annotations

import pickle
import signal
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from shoal.tasks.adapters import Needs
from shoal.tasks.batching import BATCH_SECONDS
from shoal.tasks.dispatch import Answer, Batch, Death, read_reply, write_here
from shoal.tasks.envelope import Calling, capture, worker_name
from shoal.tasks.inputs import Frozen, Inputs
from shoal.tasks.processes import surroundings
from shoal.tasks.processes.limits import available_cores, free_memory_bytes
from shoal.tasks.processes.memory import descriptor_of
from shoal.tasks.processes.packing import (
    Regions,
    changed_modules,
    pack_batch,
    pack_function,
)
from shoal.tasks.processes.parcels import Call, Delivery, Lost, Parcel, Trimmed, numbers
from shoal.tasks.processes.supervisor import Supervisor
from shoal.tasks.processes.worker import LOADING_FUNCTION


class Packer:
    """Makes the parcels of one call."""

    def __init__(
        self,
        supervisor: Supervisor,
        function: Callable[..., Any],
        calling: Calling,
        *,
        limit: int | None,
        timeout_seconds: float | None = None,
        lasting: bool = False,
        out: Any = None,
    ) -> None:
        """Packs the function; raises FunctionNotSent when that is impossible.

        Args:
            limit: How many batches of the call may run at once; None: as many as cores, or as
                have room for their objects in free memory.
        """
        self._changed = changed_modules()
        self._lasting = lasting
        self._calling = (calling.style, calling.seed, calling.timed)
        regions = Regions()
        try:
            packed, by_reference = pack_function(function, regions, self._changed)
        except BaseException:
            regions.close()
            raise
        number = supervisor.function_number(packed, by_reference=by_reference)
        self.call = Call(
            function=packed,
            function_number=number,
            limit=limit or workers_within_memory(packed.needs()),
            context=surroundings.packed_current(self._changed),
            timeout_seconds=timeout_seconds,
            regions=regions,
            number=next(numbers) if by_reference else number,
        )
        descriptor = None if out is None else descriptor_of(out)
        if descriptor is not None:
            self.call.out = (out, descriptor)

    def parcel(self, batch: Batch, deliver: Callable[[Delivery], None]) -> Parcel:
        """The batch, packed; raises whatever pickling an input raises."""
        items = batch.items
        frozen = not self._lasting and any(type(item) is Frozen for item in items)
        if frozen:
            items = [_bytes_of(item) for item in items]
        out = 0 if self.call.out is None else self.call.number
        head = (self.call.function_number, self._calling, batch.start, frozen, out)
        packed = pack_batch(
            head, items, self.call.regions, lasting=self._lasting, changed=self._changed
        )
        return Parcel(self.call, packed, deliver)


def workers_within_memory(needs: Needs) -> int:
    """As many as cores, or as states of the simulators in the function fit into free memory."""
    cores = available_cores()
    if needs.memory_bytes == 0:
        return cores
    return max(min(cores, free_memory_bytes() // needs.memory_bytes), 1)


def _bytes_of(item: object) -> bytes:
    return item.pickled if type(item) is Frozen else pickle.dumps(item, 5)


class ProcessDispatcher:
    """Runs the batches of one call on supervised worker processes."""

    in_step = False
    batch_seconds = BATCH_SECONDS

    def __init__(
        self,
        supervisor: Supervisor,
        function: Callable[..., Any],
        calling: Calling,
        *,
        workers: int | None,
        timeout_seconds: float | None,
        inputs: Inputs,
        out: Any = None,
    ) -> None:
        """Packs the function; raises FunctionNotSent when that is impossible.

        Args:
            workers: How many batches run at once; None: as many as cores, or as have room.
        """
        self._supervisor = supervisor
        self._calling = calling
        self._packer = Packer(
            supervisor,
            function,
            calling,
            limit=workers,
            timeout_seconds=timeout_seconds,
            lasting=inputs.lasting,
            out=out,
        )
        self.workers = self._packer.call.limit
        self.window = 2 * self.workers
        inputs.freeze()
        self._out_here = None if self._packer.call.out is not None else out
        self._answers: SimpleQueue[tuple[Batch, int, Delivery] | None] = SimpleQueue()

    def send(self, batch: Batch) -> int:
        """Packs and submits the batch; what cannot be packed is answered as unreadable."""
        answers = self._answers
        try:
            parcel = self._packer.parcel(batch, lambda got: answers.put((batch, size, got)))
        except Exception as error:  # pickling the user's inputs may raise anything
            answers.put((batch, 0, error))
            return 0
        size = parcel.packed.message_bytes
        self._supervisor.submit(parcel, attended=True)
        return size

    def receive(self) -> Answer | None:
        """The next answer, unpacked in the caller's thread; None after `wake`."""
        answers = self._answers
        if answers.empty():
            self._supervisor.seat.attend(lambda: not answers.empty())
        next_one = self._answers.get()
        if next_one is None:
            return None
        batch, size, got = next_one
        if size == 0 and isinstance(got, Exception):
            return Answer(batch, unreadable=capture(got, crossing=False, kind="input"))
        answer = read_delivery(batch, size, got)
        if answer.unreadable is not None and answer.unreadable.kind == "function":
            self._supervisor.forget_function(self._packer.call)
        return write_here(answer, self._calling, self._out_here)

    def wake(self) -> None:
        """Has `receive` give None, also where its thread serves the workers meanwhile."""
        self._answers.put(None)
        self._supervisor.wake()

    def withdraw(self, *, at_once: bool) -> None:
        """Drops the call; workers still running it after a second are replaced."""
        self._supervisor.withdraw(self._packer.call, at_once=at_once)

    def finish(self) -> None:
        """Frees the function and the shared arrays in the workers."""
        self._supervisor.finish(self._packer.call)


def read_delivery(batch: Batch, sent_bytes: int, got: Delivery) -> Answer:
    """What the supervisor delivered, as an answer."""
    if isinstance(got, Exception):
        return Answer(batch, error=got)
    if isinstance(got, Trimmed):
        return Answer(batch, kept=got.kept)
    if isinstance(got, Lost):
        return Answer(batch, death=_death(got))
    size = sent_bytes + sum(len(part) for part in got)
    return read_reply(batch, got[0], got[1:], size)


def _death(lost: Lost) -> Death:
    return Death(
        position=lost.position if lost.position >= 0 else None,
        cause=_cause(lost),
        signal=lost.signal,
        exit_code=lost.exit_code,
        timed_out=lost.timed_out,
        at_function=lost.position == LOADING_FUNCTION,
        trace=lost.trace,
        worker=f"{worker_name().rpartition(':')[0]}:{lost.pid}",
    )


def _cause(lost: Lost) -> str:
    if lost.signal is None:
        return f"the worker exited with status {lost.exit_code}"
    try:
        name = signal.Signals(lost.signal).name
    except ValueError:
        name = "unknown"
    text = f"the worker was killed by signal {lost.signal} ({name})"
    return f"{text}: the system ran out of memory" if lost.out_of_memory else text
