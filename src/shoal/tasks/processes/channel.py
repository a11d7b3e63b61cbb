"""Messages between the supervisor and a worker: framing over one duplex socket.

A message is a header (kind, number of file descriptors, number of parts, tag), the length of each
part, and the parts. Buffers of arrays are parts of their own, so that they are neither copied into
a pickle nor out of one. The worker blocks; the supervisor never does.
"""

from __future__ import annotations

import array
import contextlib
import os
import socket
import struct
import sys
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

CONTEXT, FUNCTION, OUT, BATCH, FORGET = range(5)
REPLY, TRIMMED, PRINTED, LOGGED, WARNED = range(5, 10)

HEADER = struct.Struct("<BBHIQ")
JOINED_BYTES = 32 * 1024
READ_BYTES = 64 * 1024
MOST_BUFFERS = 500
SOCKET_BYTES = 1 << 20
AWAKE_SECONDS = 100e-6

Buffer = bytes | bytearray | memoryview


@dataclass(slots=True)
class Message:
    """One message: what it is, which batch or function it is about, and its parts."""

    kind: int
    tag: int
    parts: list[Any] = field(default_factory=list)
    descriptors: list[int] = field(default_factory=list)


def pair() -> tuple[socket.socket, socket.socket]:
    """Two connected sockets with room for a message of ordinary size."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    for end in ends:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BYTES)
    return ends


def encode(kind: int, tag: int, parts: Sequence[Any], descriptors: int = 0) -> list[Buffer]:
    """The buffers that make up a message; a small message is one buffer."""
    sizes = [part.nbytes if isinstance(part, memoryview) else len(part) for part in parts]
    header = HEADER.pack(kind, descriptors, len(sizes), 0, tag)
    lengths = struct.pack(f"<{len(sizes)}Q", *sizes)
    if sum(sizes) <= JOINED_BYTES:
        return [b"".join((header, lengths, *parts))]
    views = [part.cast("B") if isinstance(part, memoryview) else part for part in parts]
    return [header + lengths, *views]


def send(end: socket.socket, kind: int, tag: int, parts: Sequence[Any]) -> None:
    """Sends a whole message, waiting as long as that takes."""
    buffers = deque(encode(kind, tag, parts))
    while buffers:
        if len(buffers) == 1:
            end.sendall(buffers[0])
            return
        _drop(buffers, end.sendmsg([buffers[at] for at in range(min(len(buffers), MOST_BUFFERS))]))


def _drop(buffers: deque[Buffer], sent: int) -> None:
    """Removes the first `sent` bytes, and empty buffers."""
    while buffers and sent >= len(buffers[0]):
        sent -= len(buffers.popleft())
    if sent:
        buffers[0] = memoryview(buffers[0])[sent:]


class Outbox:
    """What is still to be sent on a non-blocking socket."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[deque[Buffer], list[int]]] = deque()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(
        self, kind: int, tag: int, parts: Sequence[Any], descriptors: Sequence[int] = ()
    ) -> None:
        """Queues a message; keeps the descriptors open until it is sent."""
        kept = [os.dup(descriptor) for descriptor in descriptors]
        self._waiting.append((deque(encode(kind, tag, parts, len(kept))), kept))

    def close(self) -> None:
        """Drops what is not sent."""
        for _, descriptors in self._waiting:
            for descriptor in descriptors:
                os.close(descriptor)
        self._waiting.clear()

    def flush(self, end: socket.socket) -> None:
        """Sends what the socket takes now; raises OSError when the other side is gone."""
        while self._waiting:
            buffers, descriptors = self._waiting[0]
            if not descriptors:
                self._join_small()
                buffers, descriptors = self._waiting[0]
            try:
                sent = self._send(end, buffers, descriptors)
            except BlockingIOError:
                return
            while descriptors:
                os.close(descriptors.pop())
            _drop(buffers, sent)
            if not buffers:
                self._waiting.popleft()

    def _join_small(self) -> None:
        """Joins a small first message with a small second one: one system call for both."""
        while len(self._waiting) > 1:
            (first, _), (second, descriptors) = self._waiting[0], self._waiting[1]
            if descriptors or len(first) > 1 or len(second) > 1:
                return
            if len(first[0]) + len(second[0]) > JOINED_BYTES:
                return
            self._waiting.popleft()
            self._waiting[0] = (deque([bytes(first[0]) + bytes(second[0])]), [])

    @staticmethod
    def _send(end: socket.socket, buffers: deque[Buffer], descriptors: list[int]) -> int:
        ancillary = []
        if descriptors:
            rights = array.array("i", descriptors)
            ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)]
        if len(buffers) == 1 and not ancillary:
            return end.send(buffers[0])
        return end.sendmsg([buffers[i] for i in range(min(len(buffers), MOST_BUFFERS))], ancillary)


class Inbox:
    """What arrives on a socket, cut into messages."""

    def __init__(self, *, with_descriptors: bool = False) -> None:
        """Takes file descriptors too, where the other side sends them."""
        self.closed = False
        self._buffer = bytearray(READ_BYTES)
        self._view = memoryview(self._buffer)
        self._start = self._end = 0
        self._message: Message | None = None
        self._lengths: list[int] = []
        self._large: memoryview | None = None
        self._with_descriptors = with_descriptors
        self._descriptors: deque[int] = deque()

    def wait(self, end: socket.socket) -> list[Message]:
        """The next messages, at least one, from a blocking socket; none when it is closed.

        For a short time it looks without sleeping: to be woken can take longer than the work.
        """
        messages: list[Message] = []
        awake_until = perf_counter() + AWAKE_SECONDS
        while not messages and not self.closed:
            awake = perf_counter() < awake_until
            try:
                self._read_once(end, socket.MSG_DONTWAIT if awake else 0)
            except BlockingIOError:
                os.sched_yield()
            self._cut(messages)
        return messages

    def read(self, end: socket.socket) -> list[Message]:
        """All messages that are complete after reading what a non-blocking socket has now."""
        messages: list[Message] = []
        while not self.closed:
            try:
                filled = self._read_once(end)
            except BlockingIOError:
                break
            self._cut(messages)
            if not filled and self._large is None:
                break
        return messages

    def _read_once(self, end: socket.socket, flags: int = 0) -> bool:
        """Reads once, to where the next bytes belong; True when that place is full then."""
        if self._large is None:
            self._make_room()
        into = self._view[self._end :] if self._large is None else self._large
        try:
            got = self._receive(end, into, flags)
        except BlockingIOError:
            raise
        except OSError:
            got = 0
        self.closed = got == 0
        if self._large is None:
            self._end += got
        else:
            self._large = self._large[got:] if got < len(into) else None
        return got == len(into)

    def _receive(self, end: socket.socket, into: memoryview, flags: int) -> int:
        if not self._with_descriptors:
            return end.recv_into(into, flags=flags)
        got, ancillary, _, _ = end.recvmsg_into([into], _DESCRIPTOR_ROOM, flags)
        self._descriptors += descriptors_in(ancillary)
        return got

    def _make_room(self) -> None:
        if self._start == self._end:
            self._start = self._end = 0
        elif self._end > READ_BYTES // 2:
            left = bytes(self._view[self._start : self._end])
            self._view[: len(left)] = left
            self._start, self._end = 0, len(left)

    def _cut(self, messages: list[Message]) -> None:
        """Moves what is complete from the buffer to messages."""
        while self._large is None:
            message = self._message or self._begin()
            if message is None:
                return
            while self._lengths and self._large is None:
                if not self._take_part(message, self._lengths[-1]):
                    return
                self._lengths.pop()
            if self._large is None:
                messages.append(message)
                self._message = None

    def _begin(self) -> Message | None:
        have = self._end - self._start
        if have < HEADER.size:
            return None
        kind, descriptors, count, _, tag = HEADER.unpack_from(self._buffer, self._start)
        if have < HEADER.size + 8 * count:
            return None
        lengths = struct.unpack_from(f"<{count}Q", self._buffer, self._start + HEADER.size)
        self._start += HEADER.size + 8 * count
        self._lengths = list(lengths[::-1])
        taken = [self._descriptors.popleft() for _ in range(descriptors)]
        self._message = Message(kind, tag, [], taken)
        return self._message

    def _take_part(self, message: Message, length: int) -> bool:
        """Takes the next part from the buffer; a large one gets memory to be read into."""
        start, have = self._start, self._end - self._start
        if length <= have:
            message.parts.append(self._buffer[start : start + length])
            self._start += length
            return True
        if length <= READ_BYTES // 4:
            return False
        part = unset_memory(length)
        part[:have] = self._view[start : self._end]
        self._start = self._end = 0
        message.parts.append(part)
        self._large = part[have:]
        return True


_DESCRIPTOR_ROOM = 16 + 254 * array.array("i").itemsize + 16  # header, descriptors, alignment


def descriptors_in(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    """The file descriptors among ancillary data."""
    descriptors = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors.frombytes(data[: len(data) - len(data) % descriptors.itemsize])
    return list(descriptors)


def unset_memory(size: int) -> memoryview:
    """Writable memory of `size` bytes, left unset where numpy is at hand."""
    numpy = sys.modules.get("numpy")
    if numpy is None:
        return memoryview(bytearray(size))
    return memoryview(numpy.empty(size, dtype="u1"))


def close_quietly(descriptor: int) -> None:
    """Closes a descriptor that may be closed already."""
    with contextlib.suppress(OSError):
        os.close(descriptor)
