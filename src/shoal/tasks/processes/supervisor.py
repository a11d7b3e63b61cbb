"""The supervisor: owns the workers, knows what each is running, and survives any of them.

One thread waits for whatever may happen (answers, deaths, deadlines). Work is sent by the thread
that submits it, straight to an idle worker, and by the supervisor's thread when a worker gets free.
A worker has at most one batch, recorded here before it is sent, so that a death is never a riddle.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import selectors
import socket
import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic, monotonic_ns
from typing import Any

from shoal.errors import ExecutorBroken, ExecutorClosed
from shoal.tasks.envelope import CELL_BATCH, CELL_POSITION, CELL_STARTED, CELL_WORDS
from shoal.tasks.processes import channel, surroundings
from shoal.tasks.processes.channel import Inbox, Message, Outbox
from shoal.tasks.processes.launcher import STARTED, kill_group
from shoal.tasks.processes.launching import Launching
from shoal.tasks.processes.limits import out_of_memory_kills
from shoal.tasks.processes.memory import map_words, new_region
from shoal.tasks.processes.packing import Packed, Regions

_log = logging.getLogger(__name__)

GRACE_SECONDS = 1.0
STILLBORN_LIMIT = 10
TRACE_BYTES = 64 * 1024

numbers = itertools.count(1)


@dataclass(slots=True, eq=False)
class Call:
    """What all batches of one call share.

    Attributes:
        function: The packed function.
        function_number: What workers know it by.
        limit: How many batches of the call may run at once.
        context: The packed surroundings that its tasks expect.
        timeout_seconds: Longest time one item may run, or None.
        regions: Its shared arrays.
        number: What workers know the call by.
        running: How many of its batches are in workers now.
    """

    function: Packed
    function_number: int
    limit: int
    context: bytes
    timeout_seconds: float | None = None
    regions: Regions = field(default_factory=Regions)
    number: int = 0
    running: int = 0


@dataclass(slots=True)
class Lost:
    """A worker that went down with a batch.

    Attributes:
        position: Which item of the batch it was running; negative when it was loading or returning.
        signal: The signal that ended it, or None.
        exit_code: Its exit status, or None.
        timed_out: Whether we ended it because the item ran too long.
        out_of_memory: Whether the kernel ran out of memory at that time.
        trace: The stack that a fatal signal left behind, as text.
        pid: Its process id.
    """

    position: int
    signal: int | None
    exit_code: int | None
    timed_out: bool
    out_of_memory: bool
    trace: str
    pid: int


Delivery = list[Any] | Lost | Exception


@dataclass(slots=True, eq=False)
class Parcel:
    """One batch on its way to a worker and back.

    Attributes:
        call: The call it belongs to.
        items: The packed inputs.
        head: What the worker must know besides: calling, index of the first, whether frozen.
        deliver: Gets the parts of the reply, a `Lost`, or the error that ended the supervisor.
        claim: Asked before the parcel is sent for the first time; False drops it.
        cancel: Called when the parcel is dropped before that; `deliver` is then not called.
    """

    call: Call
    items: Packed
    head: tuple[Any, ...]
    deliver: Callable[[Delivery], None] | None
    claim: Callable[[], bool] | None = None
    cancel: Callable[[], object] | None = None
    tag: int = field(default_factory=lambda: next(numbers))


class WorkerHandle:
    """The parent's view of one worker."""

    def __init__(self, key: int, launching: Launching) -> None:
        self.key = key
        self.pid: int | None = None
        self.parcel: Parcel | None = None
        self.kill_at: float | None = None
        self.timed_out = False
        self.inbox = Inbox()
        self.outbox = Outbox()
        self.functions: set[int] = set()
        self.regions: set[tuple[int, int]] = set()
        self.context = b""
        self.out_of_memory_before = out_of_memory_kills()
        self.end, theirs = channel.pair()
        self.end.setblocking(False)
        cell = new_region(CELL_WORDS * 8, "cell")
        self._trace = new_region(0, "trace")
        with theirs:
            self.cell = map_words(cell, CELL_WORDS)
            launching.fork(key, [theirs.fileno(), cell, self._trace])
        os.close(cell)

    def trace(self) -> str:
        """What a fatal signal made the worker write."""
        return os.pread(self._trace, TRACE_BYTES, 0).decode("utf-8", "replace")

    def kill(self) -> None:
        """Kills it, and what it has started, at once."""
        if self.pid is not None:
            kill_group(self.pid)

    def close(self) -> None:
        """Lets go of everything shared with it."""
        self.end.close()
        self.outbox.close()
        channel.close_quietly(self._trace)


class Supervisor:
    """Runs parcels on workers; thread-safe."""

    def __init__(self, threads_per_task: int) -> None:
        self._threads_per_task = threads_per_task
        self._owner = os.getpid()
        self._lock = threading.RLock()
        self._selector = selectors.DefaultSelector()
        self._launching: Launching | None = None
        self._workers: dict[int, WorkerHandle] = {}
        self._idle: list[WorkerHandle] = []
        self._pending: deque[Parcel] = deque()
        self._functions: OrderedDict[bytes, int] = OrderedDict()
        self._width = 0
        self._stillborn = 0
        self._closed = self._ended = False
        self._thread: threading.Thread | None = None
        self._events: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
        self._wake_read, self._wake_write = socket.socketpair()
        self._wake_read.setblocking(False)
        self._wake_write.setblocking(False)
        self._selector.register(self._wake_read, selectors.EVENT_READ, None)

    @property
    def usable(self) -> bool:
        """Whether work may be submitted, in this process."""
        return not self._closed and self._owner == os.getpid()

    def pids(self) -> list[int]:
        """Process ids of the living workers."""
        with self._lock:
            return [worker.pid for worker in self._workers.values() if worker.pid is not None]

    def function_number(self, packed: Packed, *, by_reference: bool) -> int:
        """The number workers know a function by; the same for the same reference by name."""
        if not by_reference:
            return next(numbers)
        with self._lock:
            number = self._functions.get(packed.data)
            if number is None:
                number = self._functions[packed.data] = next(numbers)
            return number

    def forget_function(self, call: Call) -> None:
        """Sends a function anew next time, because workers could not load it this time."""
        with self._lock:
            self._functions.pop(call.function.data, None)

    def warm_up(self, workers: int) -> None:
        """Starts workers up to this number, without waiting for them."""
        with self._lock:
            self._check_open()
            self._width = max(self._width, workers)
            self._start_thread()
            while len(self._workers) < workers:
                self._idle.append(self._hire())

    def submit(self, parcel: Parcel, *, accepted: bool = False) -> None:
        """Runs a parcel as soon as a worker is free; answers come to ``parcel.deliver``.

        Args:
            accepted: It was submitted before and comes again after a fault.

        Raises:
            ExecutorClosed: After `stop`, unless it was accepted before.
        """
        with self._lock:
            if not accepted or self._ended:
                self._check_open()
            self._width = max(self._width, parcel.call.limit)
            self._start_thread()
            self._pending.append(parcel)
            self._dispatch()
            if parcel.call.timeout_seconds is not None or self._events:
                self._wake()

    def withdraw(self, call: Call, *, at_once: bool) -> None:
        """Drops what is left of a call: its answers are no longer wanted.

        Args:
            at_once: Kill the workers that run it now, instead of after a second of grace.
        """
        with self._lock:
            self._pending = deque(parcel for parcel in self._pending if parcel.call is not call)
            for worker in self._workers.values():
                if worker.parcel is not None and worker.parcel.call is call:
                    worker.parcel.deliver = None
                    worker.kill_at = monotonic() + (0.0 if at_once else GRACE_SECONDS)
            self._forget(call)
            if self._workers:
                self._wake()

    def _forget(self, call: Call) -> None:
        for worker in self._workers.values():
            known = call.function_number in worker.functions
            shared = any(number == call.number for number, _ in worker.regions)
            if shared or (known and call.function_number == call.number):
                worker.functions.discard(call.number)
                worker.regions = {each for each in worker.regions if each[0] != call.number}
                worker.outbox.add(channel.FORGET, call.number, [])
                if shared:
                    self._flush(worker)
        call.regions.close()

    def finish(self, call: Call) -> None:
        """Frees what workers hold for a call that has ended by itself."""
        with self._lock:
            if not self._closed:
                self._forget(call)

    def stop(self, *, cancel_pending: bool = False, kill: bool = False) -> None:
        """Takes no more work; ends the workers when theirs is done. May be repeated.

        Args:
            cancel_pending: Drop what has not begun; its `claim` is told by ``deliver``.
            kill: Give up what runs too.
        """
        with self._lock:
            self._closed = True
            if cancel_pending or kill:
                self._drop_pending()
            if kill:
                self._drop_running(ExecutorClosed("the executor was shut down under this task"))
            if self._thread is None and not self._ended:
                self._end()
        self._wake()

    def join(self) -> None:
        """Waits until all workers have ended."""
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def close(self, *, kill: bool) -> None:
        """Stops and waits."""
        self.stop(kill=kill)
        self.join()

    @property
    def ours(self) -> bool:
        """Whether this process made it: a forked child must leave it alone."""
        return self._owner == os.getpid()

    # Everything below runs under the lock.

    def _check_open(self) -> None:
        if not self.usable:
            raise ExecutorClosed("this executor was shut down; make a new one")

    def _start_thread(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._serve, name="shoal-supervisor", daemon=True
            )
            self._thread.start()

    def _wake(self) -> None:
        if self._ended:
            return
        with contextlib.suppress(OSError):
            self._wake_write.send(b"w")

    def _later(self, function: Callable[..., None], *arguments: Any) -> None:
        """Calls `function` from the supervisor's thread, without the lock."""
        self._events.append((function, arguments))

    def _dispatch(self) -> None:
        while self._pending:
            if not self._idle and len(self._workers) >= self._width:
                return
            parcel = self._next_parcel()
            if parcel is None:
                return
            if parcel.claim is not None and not parcel.claim():
                continue
            parcel.claim = parcel.cancel = None
            try:
                worker = self._idle.pop() if self._idle else self._hire()
            except OSError as error:
                self._later_deliver(parcel, ExecutorBroken(f"no worker can be started: {error}"))
                continue
            self._send(worker, parcel)

    def _next_parcel(self) -> Parcel | None:
        for position, parcel in enumerate(self._pending):
            if parcel.call.running < parcel.call.limit:
                del self._pending[position]
                return parcel
        return None

    def _hire(self) -> WorkerHandle:
        if self._launching is None:
            self._launching = Launching(self._threads_per_task)
            self._selector.register(
                self._launching.control, selectors.EVENT_READ, self._launching
            )
        worker = WorkerHandle(next(numbers), self._launching)
        self._workers[worker.key] = worker
        self._selector.register(worker.end, selectors.EVENT_READ, worker)
        return worker

    def _send(self, worker: WorkerHandle, parcel: Parcel) -> None:
        call = parcel.call
        worker.parcel = parcel
        call.running += 1
        outbox = worker.outbox
        if worker.context != call.context:
            worker.context = call.context
            outbox.add(channel.CONTEXT, 0, [call.context])
        if call.function_number not in worker.functions:
            worker.functions.add(call.function_number)
            number, function = call.function_number, call.function
            self._add(worker, call, channel.FUNCTION, number, function, (parcel.tag,))
        head = (call.function_number, *parcel.head)
        self._add(worker, call, channel.BATCH, parcel.tag, parcel.items, head)
        self._flush(worker)

    def _add(
        self,
        worker: WorkerHandle,
        call: Call,
        kind: int,
        tag: int,
        packed: Packed,
        head: tuple[Any, ...],
    ) -> None:
        """Queues a packed message, with the shared regions that this worker does not have yet."""
        new: list[int] = []
        if packed.buffers:
            known = worker.regions
            new = [each for each in dict.fromkeys(packed.regions) if (call.number, each) not in known]
            known.update((call.number, region) for region in new)
        described = [(region, call.regions.descriptors[region][1]) for region in new]
        descriptors = [call.regions.descriptors[region][0] for region in new]
        parts = packed.parts(((call.number, described), *head))
        worker.outbox.add(kind, tag, parts, descriptors)

    def _flush(self, worker: WorkerHandle) -> None:
        with contextlib.suppress(OSError):  # a dead worker's report is on its way
            worker.outbox.flush(worker.end)
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if worker.outbox else 0)
        if self._selector.get_key(worker.end).events != wanted:
            self._selector.modify(worker.end, wanted, worker)

    # The supervisor's thread.

    def _serve(self) -> None:
        while True:
            with self._lock:
                pause = self._pause()
            ready = self._selector.select(pause)
            with self._lock:
                for key, mask in ready:
                    self._handle(key.data, mask)
                self._check_deadlines()
                self._dispatch()
                events, self._events = self._events, []
                done = self._closed and not self._pending and all(
                    worker.parcel is None for worker in self._workers.values()
                )
            for function, arguments in events:
                try:
                    function(*arguments)
                except Exception:  # a callback of the user's must not end the supervisor
                    _log.exception("an exception in a callback was ignored")
            if done:
                self._end()
                return

    def _handle(self, source: Any, mask: int) -> None:
        if source is None:
            with contextlib.suppress(BlockingIOError):
                self._wake_read.recv(4096)
        elif isinstance(source, Launching):
            self._hear(source)
        elif source.key in self._workers:
            if mask & selectors.EVENT_WRITE:
                self._flush(source)
            if mask & selectors.EVENT_READ:
                self._read(source)

    def _read(self, worker: WorkerHandle) -> None:
        for message in worker.inbox.read(worker.end):
            self._take(worker, message)
        if worker.inbox.closed:  # the launcher's report will tell how it ended
            with contextlib.suppress(KeyError):
                self._selector.unregister(worker.end)
            if worker in self._idle:
                self._idle.remove(worker)

    def _take(self, worker: WorkerHandle, message: Message) -> None:
        if message.kind != channel.REPLY:
            self._later(surroundings.show_message, message.kind, message.tag, message.parts[0])
            return
        parcel = worker.parcel
        if parcel is None or parcel.tag != message.tag:
            return
        self._stillborn = 0
        self._release(worker)
        self._later_deliver(parcel, message.parts)
        if not worker.inbox.closed and not worker.timed_out:
            self._idle.append(worker)
            self._dispatch()

    def _later_deliver(self, parcel: Parcel, delivery: Delivery) -> None:
        if parcel.deliver is not None:
            self._later(parcel.deliver, delivery)

    def _release(self, worker: WorkerHandle) -> None:
        if worker.parcel is not None:
            worker.parcel.call.running -= 1
        worker.parcel = None
        worker.kill_at = None

    def _hear(self, launching: Launching) -> None:
        reports = launching.reports()
        if reports is None:
            self._lose_launcher(launching)
            return
        for key, pid, status in reports:
            worker = self._workers.get(key)
            if worker is None:
                continue
            if status == STARTED:
                worker.pid = pid
            else:
                self._bury(worker, status)

    def _bury(self, worker: WorkerHandle, status: int) -> None:
        """Takes leave of a dead worker: its last messages first, then the batch it leaves."""
        if not worker.inbox.closed:
            self._read(worker)
        if not worker.inbox.closed:  # a process it forked holds its end open
            self._selector.unregister(worker.end)
        del self._workers[worker.key]
        if worker in self._idle:
            self._idle.remove(worker)
        parcel = worker.parcel
        if parcel is not None:
            self._release(worker)
            if worker.cell[CELL_BATCH] == parcel.tag or worker.timed_out:
                self._later_deliver(parcel, self._obituary(worker, status))
            elif parcel.deliver is not None:
                self._put_back(parcel)
        worker.close()

    def _put_back(self, parcel: Parcel) -> None:
        """A worker died before it began the parcel: another gets it, unless none ever begins."""
        self._stillborn += 1
        if self._stillborn < STILLBORN_LIMIT:
            self._pending.appendleft(parcel)
            return
        self._stillborn = 0
        text = f"{STILLBORN_LIMIT} workers in a row ended before they could begin"
        self._later_deliver(parcel, ExecutorBroken(text))

    def _obituary(self, worker: WorkerHandle, status: int) -> Lost:
        code = os.waitstatus_to_exitcode(status)
        return Lost(
            position=worker.cell[CELL_POSITION],
            signal=-code if code < 0 else None,
            exit_code=code if code >= 0 else None,
            timed_out=worker.timed_out,
            out_of_memory=code == -9 and out_of_memory_kills() > worker.out_of_memory_before,
            trace=worker.trace(),
            pid=worker.pid or 0,
        )

    def _lose_launcher(self, launching: Launching) -> None:
        """The launcher died: so do its workers. The next one is started when it is needed."""
        self._selector.unregister(launching.control)
        self._launching = None
        for worker in list(self._workers.values()):
            worker.kill()
            self._bury(worker, 9)
        launching.close()

    def _pause(self) -> float | None:
        """Seconds until a deadline may have passed; None when there is none."""
        if self._events or (self._closed and not self._workers):
            return 0.0
        now = monotonic()
        pauses = []
        for worker in self._workers.values():
            if worker.kill_at is not None:
                pauses.append(max(worker.kill_at - now, 0.001) if worker.pid else 0.02)
            elif worker.parcel is not None and worker.parcel.call.timeout_seconds is not None:
                pauses.append(self._seconds_left(worker, worker.parcel.call.timeout_seconds))
        return min(pauses, default=None)

    def _seconds_left(self, worker: WorkerHandle, timeout_seconds: float) -> float:
        """Until the item now running is due; the clock starts when the item does."""
        started = worker.cell[CELL_STARTED]
        parcel = worker.parcel
        if parcel is None or worker.cell[CELL_BATCH] != parcel.tag or started == 0:
            return min(timeout_seconds, 0.05)
        return max(timeout_seconds - (monotonic_ns() - started) * 1e-9, 0.001)

    def _check_deadlines(self) -> None:
        now = monotonic()
        for worker in list(self._workers.values()):
            if worker.kill_at is not None and now >= worker.kill_at and worker.pid is not None:
                worker.kill_at = None
                worker.kill()
            elif worker.parcel is not None and self._overdue(worker, worker.parcel):
                worker.timed_out = True
                worker.kill()

    def _overdue(self, worker: WorkerHandle, parcel: Parcel) -> bool:
        limit = parcel.call.timeout_seconds
        started = worker.cell[CELL_STARTED]
        if limit is None or started == 0 or worker.timed_out or worker.pid is None:
            return False
        if worker.cell[CELL_BATCH] != parcel.tag or worker.cell[CELL_POSITION] < 0:
            return False
        late = (monotonic_ns() - started) * 1e-9 > limit
        return late and worker.cell[CELL_STARTED] == started

    def _drop_pending(self) -> None:
        for parcel in self._pending:
            if parcel.cancel is not None:
                self._later(parcel.cancel)
            else:
                text = "the executor was shut down while this task waited"
                self._later_deliver(parcel, ExecutorClosed(text))
        self._pending.clear()

    def _drop_running(self, error: Exception) -> None:
        for worker in self._workers.values():
            if worker.parcel is not None:
                self._later_deliver(worker.parcel, error)
                self._release(worker)
            worker.kill()

    def _end(self) -> None:
        """Closes everything, as the last act of the supervisor's thread."""
        with self._lock:
            self._ended = True
            for worker in self._workers.values():
                worker.close()
            self._workers.clear()
            self._idle.clear()
            self._selector.close()
            self._wake_read.close()
            self._wake_write.close()
            launching, self._launching = self._launching, None
        if launching is not None:
            launching.close()
