"""The parent's view of one worker: what it has been sent, what it runs, how it ended."""

from __future__ import annotations

import os
import pickle
from time import monotonic_ns

from shoal.tasks.envelope import (
    CELL_BATCH,
    CELL_POSITION,
    CELL_STARTED,
    CELL_WORDS,
    PROTOCOL,
)
from shoal.tasks.processes import channel
from shoal.tasks.processes.channel import Inbox, Outbox
from shoal.tasks.processes.launcher import kill_group
from shoal.tasks.processes.launching import Launching
from shoal.tasks.processes.limits import new_out_of_memory_kills
from shoal.tasks.processes.memory import map_words, new_region
from shoal.tasks.processes.packing import Packed
from shoal.tasks.processes.parcels import Call, Lost, Parcel
from shoal.tasks.processes.worker import LOADING_FUNCTION

TRACE_BYTES = 64 * 1024
NOT_BEGUN_SECONDS = 0.05
GRACE_SECONDS = 1.0


class WorkerHandle:
    """One worker, from its fork to its death.

    Attributes:
        key: What the launcher knows it by.
        pid: Its process id, once the launcher has told it.
        parcel: What it runs now, or None.
        kill_at: Monotonic time at which it is to be killed, or None.
        timed_out: Whether it was killed because its item ran too long.
        end: Our end of the socket, non-blocking.
    """

    def __init__(self, key: int, launching: Launching) -> None:
        self.key = key
        self.pid: int | None = None
        self.parcel: Parcel | None = None
        self.kill_at: float | None = None
        self.timed_out = False
        self.inbox = Inbox()
        self.outbox = Outbox()
        self._functions: set[int] = set()
        self._regions: set[tuple[int, int]] = set()
        self._outs: set[int] = set()
        self._context: tuple[bytes, ...] = ()
        self._given = 0
        self._tried = False
        new_out_of_memory_kills()
        self.end, theirs = channel.pair()
        self.end.setblocking(False)
        cell = new_region(CELL_WORDS * 8, "cell")
        self._trace = new_region(0, "trace")
        with theirs:
            self._cell = map_words(cell, CELL_WORDS)
            launching.fork(key, [theirs.fileno(), cell, self._trace])
        os.close(cell)

    def give(self, parcel: Parcel) -> None:
        """Queues a parcel and whatever of its call the worker does not have yet."""
        call = parcel.call
        self.parcel = parcel
        self._given = monotonic_ns()
        call.running += 1
        if self._context != call.context:
            self._context = call.context
            self.outbox.add(channel.CONTEXT, 0, call.context)
        number = call.function_number
        if number not in self._functions:
            self._functions.add(number)
            self._add(call, channel.FUNCTION, number, call.function)
        if call.out is not None and call.number not in self._outs:
            self._outs.add(call.number)
            array, descriptor = call.out
            described = pickle.dumps((array.shape, array.dtype), PROTOCOL)
            self.outbox.add(channel.OUT, call.number, [described], [descriptor])
        self._add(call, channel.BATCH, parcel.tag, parcel.packed)

    def _add(self, call: Call, kind: int, tag: int, packed: Packed) -> None:
        """Queues a packed message, with the shared regions that the worker does not have yet."""
        if not packed.buffers:
            self.outbox.add(kind, tag, [packed.data])
            return
        known = self._regions
        regions = dict.fromkeys(packed.regions)
        new = [region for region in regions if (call.number, region) not in known]
        known.update((call.number, region) for region in new)
        described = [(region, call.regions.descriptors[region][1]) for region in new]
        descriptors = [call.regions.descriptors[region][0] for region in new]
        self.outbox.add(kind, tag, packed.parts((call.number, described)), descriptors)

    def forget(self, call: Call) -> bool:
        """Queues the order to free what the worker holds for a call; whether it is worth a send."""
        shared = {each for each in self._regions if each[0] == call.number}
        if not shared and call.number not in self._functions | self._outs:
            return False
        self._regions -= shared
        self._outs.discard(call.number)
        self._functions.discard(call.number)
        self.outbox.add(channel.FORGET, call.number, [])
        return bool(shared) or call.out is not None

    def release(self) -> Parcel | None:
        """Takes back the parcel, which has ended one way or the other."""
        self._tried = self._tried or self.begun
        parcel, self.parcel = self.parcel, None
        self.kill_at = None
        if parcel is not None:
            parcel.call.running -= 1
        return parcel

    @property
    def begun(self) -> bool:
        """Whether the worker has taken up the parcel it was given, or the function it needs."""
        if self.parcel is None:
            return False
        return self._cell[CELL_BATCH] in (self.parcel.tag, -self.parcel.call.function_number)

    def seconds_left(self) -> float | None:
        """Until the item it runs is due, from 1 ms; None without a limit. Items start the clock."""
        if self.parcel is None or self.parcel.call.timeout_seconds is None:
            return None
        limit = self.parcel.call.timeout_seconds
        started = self._cell[CELL_STARTED]
        if not self.begun or started == 0:
            return min(limit, NOT_BEGUN_SECONDS)
        return max(limit - (monotonic_ns() - started) * 1e-9, 0.001)

    def overdue(self) -> bool:
        """Whether the item it runs has had its time, or the worker does not even begin."""
        if self.parcel is None or self.timed_out or self.pid is None:
            return False
        limit = self.parcel.call.timeout_seconds
        started = self._cell[CELL_STARTED]
        if limit is None:
            return False
        if not self.begun:
            return self._tried and monotonic_ns() - self._given > (limit + GRACE_SECONDS) * 1e9
        position = self._cell[CELL_POSITION]
        if started == 0 or position == LOADING_FUNCTION:
            return False
        if position < 0:  # inputs that are unpickled, or results pickled
            limit += GRACE_SECONDS
        late = monotonic_ns() - started > limit * 1e9
        return late and self._cell[CELL_STARTED] == started

    def kill(self) -> None:
        """Kills it, and what it has started, at once."""
        if self.pid is not None:
            kill_group(self.pid)

    def obituary(self, status: int) -> Lost:
        """What is known of its death, from the wait status."""
        code = os.waitstatus_to_exitcode(status)
        killed_for_memory = new_out_of_memory_kills() > 0 and code == -9
        return Lost(
            position=self._cell[CELL_POSITION],
            signal=-code if code < 0 else None,
            exit_code=code if code >= 0 else None,
            timed_out=self.timed_out,
            out_of_memory=killed_for_memory and not self.timed_out,
            trace=os.pread(self._trace, TRACE_BYTES, 0).decode("utf-8", "replace"),
            pid=self.pid or 0,
        )

    def close(self) -> None:
        """Lets go of everything shared with it."""
        self.end.close()
        self.outbox.close()
        channel.close_quietly(self._trace)
