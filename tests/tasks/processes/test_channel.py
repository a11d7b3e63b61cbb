"""Any messages through any fragmentation of the stream arrive whole and in order."""

import os
import random
import select
import socket
import threading
from collections import deque

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.tasks.processes.channel import (
    HEADER,
    JOINED_BYTES,
    MOST_BUFFERS,
    READ_BYTES,
    Inbox,
    Outbox,
    close_quietly,
    descriptors_in,
    encode,
    pair,
    send,
    unset_memory,
)
from tests.searching import examples

ODD_SIZES = [
    0,
    1,
    HEADER.size,
    READ_BYTES // 4,
    READ_BYTES // 4 + 1,
    JOINED_BYTES,
    JOINED_BYTES + 1,
]
ODD_SIZES += [READ_BYTES - 1, READ_BYTES, READ_BYTES + 1, 3 * READ_BYTES]
part_sizes = st.integers(0, 300) | st.sampled_from(ODD_SIZES)
messages = st.lists(
    st.tuples(st.integers(0, 7), st.integers(0, 2**63), st.lists(part_sizes, max_size=6)),
    max_size=8,
)
few = examples(60)


def content(sizes, seed):
    """Parts of these sizes, each of bytes of its own, as the kinds of buffers that are sent."""
    rng = random.Random(seed)
    made = [rng.randbytes(size) for size in sizes]
    kinds = (bytes, bytearray, memoryview, lambda data: memoryview(np.frombuffer(data, "u1")))
    return made, [rng.choice(kinds)(data) if data else data for data in made]


def stream_of(expected):
    return b"".join(
        bytes(buffer) for kind, tag, parts in expected for buffer in encode(kind, tag, parts)
    )


def prepared(made):
    """Messages to send, and what should arrive."""
    sent, expected = [], []
    for number, (kind, tag, sizes) in enumerate(made):
        plain, parts = content(sizes, number)
        sent.append((kind, tag, parts))
        expected.append((kind, tag, plain))
    return sent, expected


def plain(received):
    return [(each.kind, each.tag, [bytes(part) for part in each.parts]) for each in received]


@pytest.fixture
def ends():
    made = pair()
    yield made
    for end in made:
        end.close()


def fed(stream, fragments, *, with_descriptors=False):
    """What an inbox makes of a stream that arrives in these fragments."""
    ours, theirs = socket.socketpair()
    inbox, received = Inbox(with_descriptors=with_descriptors), []
    with ours, theirs:
        ours.setblocking(False)
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        at = 0
        for size in fragments:
            theirs.sendall(stream[at : at + size])
            at += size
            received += inbox.read(ours)
        assert at >= len(stream)
        assert not inbox.closed
        theirs.close()
        assert inbox.read(ours) == []
        assert inbox.closed
    return received


@few
@given(made=messages, seed=st.integers(0, 2**32), largest=st.sampled_from([1, 20, 5000, 200_000]))
def test_messages_arrive_whole_through_any_fragmentation(made, seed, largest):
    sent, expected = prepared(made)
    stream, rng, fragments = stream_of(sent), random.Random(seed), []
    if largest < 100 and len(stream) > 20_000:
        largest = 5000
    while sum(fragments) < len(stream):
        fragments.append(rng.randint(1, largest))
    assert plain(fed(stream, fragments, with_descriptors=bool(seed % 2))) == expected


@few
@given(made=messages)
def test_a_blocking_sender_and_a_blocking_reader_exchange_any_messages(made):
    sent, expected = prepared(made)
    ours, theirs = pair()

    def write():
        with theirs:
            for message in sent:
                send(theirs, *message)

    writer = threading.Thread(target=write)
    writer.start()
    inbox, received = Inbox(), []
    with ours:
        while messages := inbox.wait(ours):
            received += messages
    writer.join()
    assert inbox.closed
    assert plain(received) == expected


@few
@given(made=messages, seed=st.integers(0, 2**32))
def test_what_an_outbox_could_not_send_at_once_follows_when_there_is_room(made, seed):
    sent, expected = prepared(made)
    ours, theirs = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    outbox, inbox, received = Outbox(), Inbox(), []
    rng, waiting = random.Random(seed), deque(sent)
    with ours, theirs:
        ours.setblocking(False)
        theirs.setblocking(False)
        while waiting or outbox:
            while waiting and rng.random() < 0.7:
                outbox.add(*waiting.popleft())
            outbox.flush(ours)
            received += inbox.read(theirs)
        received += inbox.read(theirs)
    assert plain(received) == expected


def carrying_pipes(number, count):
    """Descriptors of pipes, each with the number of its message and its place to be read."""
    carried = []
    for place in range(count):
        read, write = os.pipe()
        os.write(write, b"%d %d" % (number, place))
        os.close(write)
        carried.append(read)
    return carried


@few
@given(
    made=st.lists(st.tuples(st.lists(part_sizes, max_size=3), st.integers(0, 4)), max_size=6),
    seed=st.integers(0, 2**32),
)
def test_descriptors_arrive_with_their_own_message(made, seed):
    ours, theirs = pair()
    rng, received = random.Random(seed), []

    def read():
        inbox = Inbox(with_descriptors=True)
        while messages := inbox.wait(theirs):
            received.extend(messages)

    reader = threading.Thread(target=read)
    reader.start()
    with ours, theirs:
        outbox = Outbox()
        ours.setblocking(False)
        for number, (sizes, count) in enumerate(made):
            carried = carrying_pipes(number, count)
            outbox.add(1, number, content(sizes, number)[1], carried)
            for descriptor in carried:
                os.close(descriptor)  # the outbox keeps its own
            if rng.random() < 0.5:
                outbox.flush(ours)
        while outbox:
            select.select([], [ours], [])
            outbox.flush(ours)
        ours.shutdown(socket.SHUT_WR)
        reader.join()
    assert [message.tag for message in received] == list(range(len(made)))
    for message, (sizes, count) in zip(received, made, strict=True):
        assert [len(part) for part in message.parts] == sizes
        told = []
        for descriptor in message.descriptors:
            told.append(os.read(descriptor, 100))
            os.close(descriptor)
        assert told == [b"%d %d" % (message.tag, place) for place in range(count)]


def test_more_parts_than_one_system_call_takes_arrive(ends):
    ours, theirs = ends
    parts = [np.full(100, at % 256, "u1").data for at in range(MOST_BUFFERS + 10)]
    writer = threading.Thread(target=send, args=(theirs, 1, 2, parts))
    writer.start()
    [message] = Inbox().wait(ours)
    writer.join()
    assert [bytes(part) for part in message.parts] == [bytes(part) for part in parts]


def test_an_array_of_any_shape_and_type_is_sent_as_its_bytes(ends):
    ours, theirs = ends
    array = np.arange(60_000, dtype="i4").reshape(200, 300)
    writer = threading.Thread(target=send, args=(theirs, 1, 2, [memoryview(array)]))
    writer.start()
    [message] = Inbox().wait(ours)
    writer.join()
    assert bytes(message.parts[0]) == array.tobytes()


@pytest.mark.parametrize("size", [0, 10, READ_BYTES // 4, 10 * READ_BYTES])
def test_parts_that_arrive_may_be_written_to(ends, size):
    ours, theirs = ends
    writer = threading.Thread(target=send, args=(theirs, 1, 2, [bytes(size)]))
    writer.start()
    [message] = Inbox().wait(ours)
    writer.join()
    assert not memoryview(message.parts[0]).readonly


def test_a_small_message_is_one_buffer_and_a_large_one_is_not_copied():
    assert len(encode(1, 2, [b"small", b"parts"])) == 1
    large = bytes(JOINED_BYTES + 1)
    assert encode(1, 2, [large])[1] is large


def test_a_message_cut_off_by_the_end_of_the_stream_is_no_message(ends):
    ours, theirs = ends
    [whole] = encode(1, 2, [b"abc"])
    theirs.sendall(whole + whole[:-1])
    theirs.close()
    inbox = Inbox()
    assert len(inbox.wait(ours)) == 1
    assert inbox.wait(ours) == []
    assert inbox.closed


def test_a_reader_of_a_socket_that_was_reset_sees_its_end(ends):
    ours, theirs = ends
    ours.sendall(b"never read")
    theirs.close()
    inbox = Inbox()
    assert inbox.wait(ours) == []
    assert inbox.closed


def test_flushing_to_a_reader_who_is_gone_raises_oserror(ends):
    ours, theirs = ends
    theirs.close()
    ours.setblocking(False)
    outbox = Outbox()
    outbox.add(1, 2, [b"x"])
    with pytest.raises(OSError, match="pipe"):
        outbox.flush(ours)


def test_a_closed_outbox_lets_go_of_the_descriptors_it_kept():
    read, write = os.pipe()
    outbox = Outbox()
    outbox.add(1, 2, [], [write])
    os.close(write)
    outbox.close()
    assert not outbox
    assert os.read(read, 1) == b"", "somebody still holds the other end"
    os.close(read)


def test_only_rights_are_descriptors():
    assert (
        descriptors_in([(socket.SOL_SOCKET, 99, b"\1\0\0\0"), (99, socket.SCM_RIGHTS, b"")]) == []
    )


def test_unset_memory_is_writable_and_as_large_as_asked():
    memory = unset_memory(10)
    assert memory.nbytes == 10
    memory[:] = bytes(10)


def test_closing_what_is_closed_is_no_error():
    read, write = os.pipe()
    os.close(write)
    close_quietly(read)
    close_quietly(read)
