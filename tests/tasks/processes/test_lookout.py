"""The lookout tells which sockets have something to do, and can be called away from any thread."""

import socket
import threading

import pytest

from shoal.tasks.processes.lookout import READABLE, WRITABLE, Lookout


@pytest.fixture
def lookout():
    made = Lookout()
    yield made
    made.close()


@pytest.fixture
def ends():
    made = socket.socketpair()
    yield made
    for end in made:
        end.close()


def test_what_can_be_read_is_told_with_its_source(lookout, ends):
    lookout.watch(ends[0], "source")
    assert lookout.wait(0) == []
    ends[1].send(b"x")
    assert lookout.wait(10) == [("source", READABLE)]


def test_room_to_write_is_told_only_where_asked(lookout, ends):
    lookout.watch(ends[0], "source")
    assert lookout.wait(0) == []
    lookout.watch(ends[0], "source", writable=True)
    assert lookout.wait(0) == [("source", WRITABLE)]
    lookout.watch(ends[0], "source")
    assert lookout.wait(0) == []


def test_what_is_left_is_not_told_any_more_and_may_be_watched_again(lookout, ends):
    lookout.watch(ends[0], "source")
    ends[1].send(b"x")
    lookout.leave(ends[0])
    lookout.leave(ends[0])
    assert lookout.wait(0) == []
    lookout.watch(ends[0], "again")
    assert lookout.wait(0) == [("again", READABLE)]


def test_a_ring_from_another_thread_ends_the_wait(lookout):
    ringer = threading.Thread(target=lookout.ring)
    ringer.start()
    assert lookout.wait(20) == []
    ringer.join()


def test_rings_are_heard_by_the_next_wait_and_forgotten_then(lookout):
    for _ in range(100_000):
        lookout.ring()
    end = 200
    while lookout.wait(0) == [] and end:
        end -= 1
    lookout.ring()
    assert lookout.wait(20) == []


def test_ringing_a_closed_lookout_is_no_error():
    made = Lookout()
    made.close()
    made.ring()


def test_a_source_that_is_false_or_empty_is_still_a_source(lookout, ends):
    lookout.watch(ends[0], 0)
    ends[1].send(b"x")
    assert lookout.wait(10) == [(0, READABLE)]
