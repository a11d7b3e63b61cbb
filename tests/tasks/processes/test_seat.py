"""One thread serves at a time: a waiting one if there is one, else the seat's own."""

import threading
from collections import deque
from time import monotonic

import pytest

from shoal.tasks.processes.seat import Seat


class Work:
    """Pieces of work that are served one by one, each by whichever thread has the seat."""

    def __init__(self):
        self.left = deque()
        self.served = []
        self.serving = 0
        self.most_serving = 0
        self.changed = threading.Condition()
        self.seat = Seat(self._serve_once, lambda: bool(self.left))

    def add(self, *pieces):
        with self.changed:
            self.left += pieces
            self.changed.notify_all()

    def _serve_once(self, seconds, *, awake):
        with self.changed:
            self.serving += 1
            self.most_serving = max(self.most_serving, self.serving)
            if not self.left:
                self.changed.wait(0.01 if seconds is None else min(seconds, 0.01))
            piece = self.left.popleft() if self.left else None
        if callable(piece):
            piece()
        with self.changed:
            self.serving -= 1
            if piece is not None:
                self.served.append((piece, threading.current_thread().name))
                self.changed.notify_all()

    def wait_for(self, count):
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.served) >= count, 20)


@pytest.fixture
def work():
    made = Work()
    yield made
    made.seat.end()
    made.seat.join()


def test_a_waiting_thread_serves_until_it_has_what_it_waits_for(work):
    work.add("a", "b", "c")
    work.seat.attend(lambda: ("b", "MainThread") in work.served)
    assert work.served == [("a", "MainThread"), ("b", "MainThread")]


def test_what_is_left_when_a_waiting_thread_leaves_is_served_by_the_seats_own(work):
    work.seat.start()
    work.add("a", "b", "c")
    work.seat.attend(lambda: len(work.served) == 1)
    work.wait_for(3)
    assert [name for _, name in work.served[1:]] == ["shoal-supervisor"] * 2


def test_a_call_brings_the_seats_own_thread(work):
    work.seat.start()
    assert work.seat.has_thread
    work.add("a")
    work.seat.call()
    work.wait_for(1)
    assert work.served == [("a", "shoal-supervisor")]


def test_nothing_to_wait_for_returns_at_once(work):
    work.seat.attend(lambda: True)
    work.seat.attend(lambda: False)
    assert work.served == []


def test_waiting_ends_with_its_time(work):
    work.left.append(lambda: None)
    begun = monotonic()
    blocked = Seat(lambda seconds, *, awake: threading.Event().wait(seconds), lambda: True)
    blocked.attend(lambda: False, 0.05)
    assert monotonic() - begun >= 0.05


def test_a_second_waiting_thread_returns_at_once_while_the_first_serves(work):
    inside, go_on = threading.Event(), threading.Event()

    def long_piece():
        inside.set()
        go_on.wait(20)

    work.add(long_piece)
    first = threading.Thread(target=work.seat.attend, args=(lambda: False,))
    first.start()
    inside.wait(20)
    work.add("left for later")
    work.seat.attend(lambda: False)
    assert work.served == []
    go_on.set()
    first.join(20)
    assert len(work.served) == 2


def test_a_callback_may_wait_for_an_answer_and_serves_meanwhile(work):
    def outer():
        work.seat.attend(lambda: any(piece == "inner" for piece, _ in work.served))

    work.add(outer, "inner")
    work.seat.attend(lambda: len(work.served) == 2)
    assert [piece for piece, _ in work.served] == ["inner", outer]


def test_an_exception_while_serving_frees_the_seat(work):
    def fails():
        raise KeyboardInterrupt

    work.add(fails, "after")
    with pytest.raises(KeyboardInterrupt):
        work.seat.attend(lambda: False)
    work.seat.attend(lambda: False)
    assert [piece for piece, _ in work.served] == ["after"]


def test_whatever_threads_wait_every_piece_is_served_once(work):
    work.seat.start()
    pieces = [f"piece {number}" for number in range(300)]

    def wait_for_mine(mine):
        for piece in mine:
            work.add(piece)
            work.seat.call()
            work.seat.attend(lambda piece=piece: piece in {each for each, _ in work.served})
            with work.changed:
                assert work.changed.wait_for(
                    lambda piece=piece: piece in {each for each, _ in work.served}, 20
                )

    threads = [threading.Thread(target=wait_for_mine, args=(pieces[at::4],)) for at in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(piece for piece, _ in work.served) == sorted(pieces)


def test_the_seats_own_thread_ends_when_told(work):
    work.seat.start()
    work.seat.start()
    work.seat.end()
    work.seat.join()
    assert "shoal-supervisor" not in {
        thread.name for thread in threading.enumerate() if thread is work.seat._thread
    }


def test_a_seat_without_a_thread_is_joined_at_once(work):
    work.seat.join()
    assert not work.seat.has_thread
