"""The supervisor: owns the workers, knows what each is running, and survives any of them.

Whatever may happen (answers, deaths, deadlines) is served by one thread at a time: the one in the
seat. Work is sent by the thread that submits it, straight to an idle worker, and by the one in the
seat when a worker gets free. A worker has at most one batch, recorded here before it is sent, so
that a death is never a riddle.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from time import monotonic
from typing import Any

from shoal.errors import ExecutorBroken, ExecutorClosed
from shoal.tasks.processes import channel, surroundings
from shoal.tasks.processes.channel import Message
from shoal.tasks.processes.handle import WorkerHandle
from shoal.tasks.processes.launcher import STARTED
from shoal.tasks.processes.launching import Launching
from shoal.tasks.processes.limits import available_cores
from shoal.tasks.processes.lookout import READABLE, WRITABLE, Lookout
from shoal.tasks.processes.packing import Packed
from shoal.tasks.processes.parcels import Call, Parcel, Trimmed, numbers
from shoal.tasks.processes.seat import Seat
from shoal.tasks.processes.telling import Telling

GRACE_SECONDS = 1.0
NO_PID_SECONDS = 0.02
LONGEST_PAUSE_SECONDS = 3600.0
STILLBORN_LIMIT = 10


class Supervisor:
    """Runs parcels on workers; thread-safe.

    Attributes:
        seat: Where a thread that waits for a delivery can `Seat.attend` to the workers meanwhile.
    """

    def __init__(self, threads_per_task: int) -> None:
        """Starts nothing yet; `threads_per_task` is for the numerical libraries in workers."""
        self._threads_per_task = threads_per_task
        self._owner = os.getpid()
        self._lock = threading.RLock()
        self.seat = Seat(self._serve_once, self._in_use)
        self._shaken = False
        self._lookout = Lookout()
        self._launching: Launching | None = None
        self._workers: dict[int, WorkerHandle] = {}
        self._idle: list[WorkerHandle] = []
        self._pending: deque[Parcel] = deque()
        self._functions: dict[bytes, int] = {}
        self._width = 0
        self._cores = available_cores()
        self._stillborn = 0
        self._closed = self._ended = False
        self._to_do: deque[Callable[[], None]] = deque()
        self._telling = Telling()

    @property
    def ours(self) -> bool:
        """Whether this process made it: a forked child must leave it alone."""
        return self._owner == os.getpid()

    @property
    def usable(self) -> bool:
        """Whether work may be submitted, in this process."""
        return not self._closed and self.ours

    def pids(self) -> list[int]:
        """Process ids of the living workers."""
        with self._lock:
            return [worker.pid for worker in self._workers.values() if worker.pid is not None]

    def function_number(self, packed: Packed, *, by_reference: bool) -> int:
        """The number workers know a function by; the same for the same reference by name."""
        if not by_reference:
            return next(numbers)
        with self._lock:
            return self._functions.setdefault(packed.data, next(numbers))

    def forget_function(self, call: Call) -> None:
        """Sends a function anew next time, because workers could not load it this time."""
        with self._lock:
            self._functions.pop(call.function.data, None)

    def submit(self, parcel: Parcel, *, accepted: bool = False, attended: bool = False) -> None:
        """Runs a parcel as soon as a worker is free; answers come to ``parcel.deliver``.

        Args:
            accepted: It was submitted before and comes again after a fault.
            attended: The caller goes on to `attend` until it has the answer.

        Raises:
            ExecutorClosed: After `stop`, unless it was accepted before.
        """
        with self._guarded():
            if self._ended or not self.ours or (self._closed and not accepted):
                raise ExecutorClosed("this executor was shut down; make a new one")
            self._width = max(self._width, parcel.call.limit)
            self.seat.start()
            self._pending.append(parcel)
            self._dispatch()
        if parcel.call.timeout_seconds is not None:
            self._lookout.ring()
        if not attended or self._telling:
            self.seat.call()

    def withdraw(self, call: Call, *, at_once: bool) -> None:
        """Drops what is left of a call: its answers are no longer wanted.

        Args:
            at_once: Kill the workers that run it now, instead of after a second of grace.
        """
        self._to_do.append(lambda: self._withdraw(call, 0.0 if at_once else GRACE_SECONDS))
        self.wake()

    def finish(self, call: Call) -> None:
        """Frees what workers hold for a call that has ended by itself."""
        shares = bool(call.regions.descriptors) or call.out is not None
        if shares or call.number == call.function_number:
            self._to_do.append(lambda: self._forget(call))
        if shares:
            self.seat.start()
            self.wake()

    def stop(
        self, *, cancel_pending: bool = False, kill: bool = False, quiet: bool = False
    ) -> None:
        """Takes no more work; ends the workers when theirs is done. May be repeated.

        Args:
            cancel_pending: Drop what has not begun.
            kill: Give up what runs, too.
            quiet: Tell nobody who waits for it.
        """
        with self._lock:
            self._closed = True
            while self._pending and (cancel_pending or kill):
                self._drop(self._pending.popleft())
            for worker in self._workers.values() if kill else ():
                self._drop(worker.release())
                worker.kill()
            if quiet:
                self._telling.clear()
            if not self.seat.has_thread and not self._ended:
                self._end()
        self.wake()

    def join(self) -> None:
        """Waits until all workers have ended."""
        self.seat.join()

    def wake(self) -> None:
        """Makes whoever serves look again, and somebody serve."""
        self._lookout.ring()
        self.seat.call()

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        """Holds the lock; remembers when Ctrl-C struck inside, where anything may be half done."""
        with self._lock:
            try:
                yield
            except KeyboardInterrupt:
                self._shaken = True
                raise

    def _dispatch(self) -> None:
        if self._shaken:
            self._start_over()
        while self._to_do:
            self._to_do.popleft()()
        while self._pending and (self._idle or len(self._workers) < self._width):
            parcel = self._next_parcel()
            if parcel is None:
                return
            if parcel.claim is not None and not parcel.claim():
                self._pending.remove(parcel)
                continue
            parcel.claim = parcel.cancel = None
            try:
                worker = self._idle.pop() if self._idle else self._hire()
            except OSError as error:
                self._pending.remove(parcel)
                self._telling.deliver(parcel, ExecutorBroken(f"no worker can be started: {error}"))
                continue
            worker.give(parcel)
            self._pending.remove(parcel)
            self._flush(worker)

    def _next_parcel(self) -> Parcel | None:
        for parcel in self._pending:
            if parcel.call.running < parcel.call.limit:
                return parcel
        return None

    def _hire(self) -> WorkerHandle:
        if self._launching is None:
            self._launching = Launching(self._threads_per_task)
            self._lookout.watch(self._launching.control, self._launching)
        worker = WorkerHandle(next(numbers), self._launching)
        self._workers[worker.key] = worker
        self._lookout.watch(worker.end, worker)
        return worker

    def _flush(self, worker: WorkerHandle) -> None:
        with contextlib.suppress(OSError):  # a dead worker's report is on its way
            worker.outbox.flush(worker.end)
        if not worker.inbox.closed:
            self._lookout.watch(worker.end, worker, writable=bool(worker.outbox))

    def _withdraw(self, call: Call, grace_seconds: float) -> None:
        self._pending = deque(parcel for parcel in self._pending if parcel.call is not call)
        for worker in self._workers.values():
            if worker.parcel is not None and worker.parcel.call is call:
                worker.parcel.deliver = None
                worker.kill_at = monotonic() + grace_seconds
        self._forget(call)

    def _forget(self, call: Call) -> None:
        for worker in self._workers.values():
            if worker.forget(call):
                self._flush(worker)
        call.regions.close()

    def _in_use(self) -> bool:
        """Whether anything is left to serve."""
        work = self._closed or self._pending or self._telling or self._to_do
        busy = any(worker.parcel is not None for worker in list(self._workers.values()))
        return not self._ended and bool(work or busy)

    def _serve_once(self, seconds: float | None, *, awake: bool) -> None:
        """Waits for something to happen and sees to it; waits and tells without the lock."""
        with self._lock:
            pause = self._pause()
            running = sum(worker.parcel is not None for worker in self._workers.values())
        if seconds is not None:
            pause = seconds if pause is None else min(pause, seconds)
        ready = self._lookout.wait(pause, awake=awake and running < self._cores)
        with self._guarded():
            for source, mask in ready:
                self._handle(source, mask)
            self._kill_those_due()
            self._dispatch()
        self._telling.tell()
        with self._lock:
            busy = self._telling or any(worker.parcel for worker in self._workers.values())
            if self._closed and not self._pending and not busy and not self._ended:
                self._end()

    def _start_over(self) -> None:
        """After Ctrl-C struck in the middle of our own work: new workers, the same parcels."""
        self._shaken = False
        self._idle.clear()
        for worker in list(self._workers.values()):
            worker.kill()
            self._lookout.leave(worker.end)
            parcel = worker.release()
            if parcel is not None and parcel.deliver is not None and parcel not in self._pending:
                self._pending.appendleft(parcel)
            worker.close()
        self._workers.clear()

    def _pause(self) -> float | None:
        """Seconds until something must be looked at; None when there is nothing."""
        if self._telling or self._to_do or self._shaken:
            return 0.0
        now = monotonic()
        pauses = [NO_PID_SECONDS] if self._closed else []
        for worker in self._workers.values():
            left = worker.seconds_left()
            if worker.kill_at is not None:
                pauses.append(max(worker.kill_at - now, 0.001) if worker.pid else NO_PID_SECONDS)
            elif left is not None:
                pauses.append(left)
        return min(*pauses, LONGEST_PAUSE_SECONDS) if pauses else None

    def _handle(self, source: Any, mask: int) -> None:
        if isinstance(source, Launching):
            self._hear(source)
        elif source.key in self._workers:
            if mask & WRITABLE:
                self._flush(source)
            if mask & READABLE:
                self._read(source)

    def _read(self, worker: WorkerHandle) -> None:
        for message in worker.inbox.read(worker.end):
            self._take(worker, message)
        if worker.inbox.closed:  # the launcher's report will tell how it ended
            self._lookout.leave(worker.end)
            if worker in self._idle:
                self._idle.remove(worker)

    def _take(self, worker: WorkerHandle, message: Message) -> None:
        parcel = worker.parcel
        if message.kind not in (channel.REPLY, channel.TRIMMED):
            self._telling.add(
                surroundings.show_message, message.kind, message.tag, message.parts[0]
            )
            return
        if parcel is None or parcel.tag != message.tag:
            return
        if message.kind == channel.TRIMMED:
            self._telling.deliver(parcel, Trimmed(int(message.parts[0])))
            return
        self._stillborn = 0
        self._telling.deliver(parcel, message.parts)
        worker.release()
        if not worker.inbox.closed and not worker.timed_out:
            self._idle.append(worker)
            self._dispatch()

    def _hear(self, launching: Launching) -> None:
        reports = launching.reports()
        if reports is None:
            self._lose_launcher(launching)
            return
        for key, pid, status in reports:
            if (worker := self._workers.get(key)) is not None:
                worker.pid = pid
                if status != STARTED:
                    self._bury(worker, status)

    def _bury(self, worker: WorkerHandle, status: int) -> None:
        """Takes leave of a dead worker: its last messages first, then the batch it leaves."""
        if not worker.inbox.closed:
            self._read(worker)
        if not worker.inbox.closed:  # a process it forked holds its end open
            self._lookout.leave(worker.end)
        del self._workers[worker.key]
        if worker in self._idle:
            self._idle.remove(worker)
        begun = worker.begun or worker.timed_out
        parcel = worker.release()
        if parcel is not None and begun:
            self._telling.deliver(parcel, worker.obituary(status))
        elif parcel is not None and parcel.deliver is not None:
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
        self._telling.deliver(parcel, ExecutorBroken(text))

    def _lose_launcher(self, launching: Launching) -> None:
        """The launcher died: so do its workers. The next one is started when it is needed."""
        self._lookout.leave(launching.control)
        self._launching = None
        for worker in list(self._workers.values()):
            worker.kill()
            self._bury(worker, 9)
        launching.close()

    def _kill_those_due(self) -> None:
        now = monotonic()
        for worker in self._workers.values():
            if worker.kill_at is not None and now >= worker.kill_at and worker.pid is not None:
                worker.kill_at = None
                worker.kill()
            elif worker.overdue():
                worker.timed_out = worker.begun
                worker.kill()

    def _drop(self, parcel: Parcel | None) -> None:
        if parcel is not None and parcel.cancel is not None:
            self._telling.add(parcel.cancel)
        elif parcel is not None:
            self._telling.deliver(parcel, ExecutorClosed("the executor was shut down under a task"))

    def _end(self) -> None:
        """Closes everything, as the last act of the supervisor's thread."""
        with self._lock:
            self._ended = True
            for worker in self._workers.values():
                worker.close()
            self._workers.clear()
            self._idle.clear()
            self._lookout.close()
            self.seat.end()
            launching, self._launching = self._launching, None
        if launching is not None:
            launching.close()
