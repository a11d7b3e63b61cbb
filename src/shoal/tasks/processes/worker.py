"""A worker process: receives functions and batches, sends back envelopes."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import pickle
import signal
import socket
import threading
import time
from collections.abc import Callable
from time import monotonic, monotonic_ns
from typing import Any

from shoal.tasks.envelope import (
    CELL_BATCH,
    CELL_POSITION,
    CELL_STARTED,
    CELL_WORDS,
    WHOLE_BATCH,
    Calling,
    Ended,
    Raised,
    capture,
    dump_reply,
    run_batch,
)
from shoal.tasks.processes import channel, surroundings
from shoal.tasks.processes.channel import Message
from shoal.tasks.processes.memory import map_read_only, map_words, map_writable
from shoal.tasks.processes.packing import APART_BYTES

LOADING, RETURNING, LOADING_FUNCTION = -1, -2, -3
BUDGET_SECONDS = 0.2
IDLE_LOOKS = 10

_inside = False


def inside_worker() -> bool:
    """True in a worker of shoal: parallel calls made here run inline."""
    return _inside


def serve(end: socket.socket, cell_descriptor: int, trace_descriptor: int) -> None:
    """Serves one supervisor until it hangs up; the main function of a worker.

    Args:
        end: The worker's end of its duplex socket.
        cell_descriptor: Shared region with the worker's current batch, position and start.
        trace_descriptor: File that receives the stack of a fatal signal.
    """
    global _inside
    _inside = True
    faulthandler.enable(file=trace_descriptor)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    Worker(end, map_words(cell_descriptor, CELL_WORDS)).serve()


class Worker:
    """The state of a worker: the functions and shared arrays it holds."""

    def __init__(self, end: socket.socket, cell: memoryview) -> None:
        self._end = end
        self._pid = os.getpid()
        self._cell = cell
        self._inbox = channel.Inbox(with_descriptors=True)
        self._sending = threading.Lock()
        self._functions: dict[int, Callable[..., Any] | Raised] = {}
        self._regions: dict[int, dict[int, memoryview]] = {}
        self._outs: dict[int, Any] = {}
        self._surroundings: surroundings.Surroundings | None = None
        self._streams = surroundings.capture_streams(self._send)
        self._trimmer = Trimmer(cell, self._send)

    def serve(self) -> None:
        """Handles messages until the supervisor hangs up."""
        while messages := self._inbox.wait(self._end):
            for message in messages:
                self._handle(message)
            del message, messages

    def _handle(self, message: Message) -> None:
        if message.kind == channel.BATCH:
            self._run(message)
        elif message.kind == channel.FUNCTION:
            self._functions[message.tag] = self._load_function(message)
        elif message.kind == channel.CONTEXT:
            self._surroundings = surroundings.apply(message.parts)
        elif message.kind == channel.OUT:
            self._outs[message.tag] = _mapped_out(message)
        elif message.kind == channel.FORGET:
            self._functions.pop(message.tag, None)
            self._outs.pop(message.tag, None)
            self._regions.pop(message.tag, None)

    def _send(self, kind: int, tag: int, parts: list[Any]) -> None:
        if os.getpid() != self._pid:
            leave()  # a child that a task has forked must not speak for its parent
        with self._sending:
            channel.send(self._end, kind, tag, parts)

    def _load_function(self, message: Message) -> Callable[..., Any] | Raised:
        self._cell[CELL_STARTED] = 0
        self._cell[CELL_POSITION] = LOADING_FUNCTION
        self._cell[CELL_BATCH] = -message.tag
        try:
            function: Callable[..., Any] = self._unpack(message)
        except BaseException as error:  # importing the user's modules may raise anything
            return capture(error, crossing=True, kind="function")
        return function

    def _unpack(self, message: Message) -> Any:
        """Unpickles a message's data, its buffers taken from the message or from shared memory."""
        parts = message.parts
        if len(parts) == 1:
            return pickle.loads(parts[0])
        (call, new), layout = pickle.loads(parts[1])
        shared = self._regions.setdefault(call, {})
        for (number, size), descriptor in zip(new, message.descriptors, strict=True):
            shared[number] = map_read_only(descriptor, size)
        inline = iter(parts[2:])
        buffers = [next(inline) if number is None else shared[number] for number in layout]
        return pickle.loads(parts[0], buffers=buffers)

    def _run(self, message: Message) -> None:
        cell = self._cell
        cell[CELL_STARTED] = monotonic_ns()
        cell[CELL_POSITION] = LOADING
        cell[CELL_BATCH] = message.tag
        try:
            (number, calling, start, frozen, out), items = self._unpack(message)
            if frozen:
                items = [pickle.loads(item) for item in items]
        except BaseException as error:  # unpickling the user's objects may raise anything
            broken = capture(error, crossing=True, kind="input")
            self._reply(message.tag, Ended(raised={WHOLE_BATCH: broken}))
            return
        message.parts.clear()
        function = self._functions[number]
        if isinstance(function, Raised):
            self._reply(message.tag, Ended(raised={WHOLE_BATCH: function}))
            return
        if type(items) is not list:
            items = list(items)
        if self._surroundings is not None:
            surroundings.return_to(self._surroundings.directory)
        if len(items) > 1:
            self._trimmer.watch(items, message.tag)
        indices = range(start, start + len(items))
        into = self._outs.get(out)
        ended = run_batch(function, Calling(*calling), items, indices, out=into, cell=cell)
        self._trimmer.rest()
        cell[CELL_STARTED] = monotonic_ns()
        cell[CELL_POSITION] = RETURNING
        self._reply(message.tag, ended)

    def _reply(self, tag: int, ended: Ended) -> None:
        data, apart = dump_reply(ended, APART_BYTES)
        self._streams.flush()
        self._send(channel.REPLY, tag, [data, *(buffer.raw() for buffer in apart)])


def _mapped_out(message: Message) -> Any:
    """The array that takes the results, in memory shared with the parent."""
    import numpy as np

    shape, dtype = pickle.loads(message.parts[0])
    [descriptor] = message.descriptors
    size = os.fstat(descriptor).st_size
    mapped = map_writable(descriptor, size)
    os.close(descriptor)
    return np.ndarray(shape, dtype, buffer=mapped)


class Trimmer:
    """Gives back the untouched rest of a batch that turns out to take long.

    Batches are sized by what earlier inputs cost. When an input costs far more, the inputs behind
    it would wait although other workers are free. After `BUDGET_SECONDS` this thread cuts the list
    that the worker iterates behind the running item, and tells the supervisor, which deals the
    rest out again.
    """

    def __init__(self, cell: memoryview, send: Callable[[int, int, list[Any]], None]) -> None:
        self._cell = cell
        self._send = send
        self._watched: tuple[list[Any], int, float] | None = None
        self._busy = threading.Event()
        self._thread: threading.Thread | None = None

    def watch(self, items: list[Any], tag: int) -> None:
        """Begins to watch the items of a batch."""
        self._watched = (items, tag, monotonic())
        if self._thread is None:
            self._thread = threading.Thread(target=self._trim, name="shoal-trimmer", daemon=True)
            self._thread.start()
        if not self._busy.is_set():
            self._busy.set()

    def rest(self) -> None:
        """Ends watching."""
        self._watched = None

    def _trim(self) -> None:
        idle = 0
        while True:
            self._busy.wait()
            time.sleep(BUDGET_SECONDS / 2)
            watched = self._watched
            idle = 0 if watched is not None else idle + 1
            if idle > IDLE_LOOKS:
                self._busy.clear()
            elif watched is not None and monotonic() - watched[2] >= BUDGET_SECONDS:
                self._watched = None
                self._cut(*watched[:2])

    def _cut(self, items: list[Any], tag: int) -> None:
        """Cuts behind the running item; what the worker may have taken up meanwhile stays its."""
        count = len(items)
        del items[max(self._cell[CELL_POSITION], 0) + 1 :]
        kept = max(self._cell[CELL_POSITION] + 2, len(items))
        if kept < count and self._cell[CELL_BATCH] == tag:
            with contextlib.suppress(BrokenPipeError):  # the supervisor is gone: so are we, soon
                self._send(channel.TRIMMED, tag, [b"%d" % kept])


def leave(status: int = 0) -> None:
    """Ends a worker at once, without the exit handlers it inherited."""
    os._exit(status)
