"""A handle knows what its worker was sent, what it runs, since when, and how it ended."""

import os
import select
import signal
from time import monotonic, monotonic_ns

import pytest

from shoal.tasks.envelope import CELL_BATCH, CELL_POSITION, CELL_STARTED
from shoal.tasks.processes import channel
from shoal.tasks.processes.handle import WorkerHandle
from shoal.tasks.processes.packing import Packed
from shoal.tasks.processes.parcels import Call, Parcel


class Recorder:
    """Stands where the launcher would, and keeps the worker's end of the socket."""

    def __init__(self):
        self.end = self.cell = self.trace = None

    def fork(self, key, descriptors):
        self.end, self.cell, self.trace = (os.dup(each) for each in descriptors)

    def close(self):
        for each in (self.end, self.cell, self.trace):
            os.close(each)


@pytest.fixture
def recorder():
    made = Recorder()
    yield made
    made.close()


@pytest.fixture
def handle(recorder):
    made = WorkerHandle(1, recorder)
    yield made
    made.close()


def call(**options):
    return Call(
        **{"function": Packed(b"f"), "function_number": 5, "limit": 1, "context": (b"c",)} | options
    )


def parcel(of):
    return Parcel(of, Packed(b"items"), None)


def sent(handle, recorder):
    """Kinds and tags of what the worker would receive."""
    handle.outbox.flush(handle.end)
    end = channel.socket.socket(fileno=os.dup(recorder.end))
    with end:
        end.setblocking(False)
        inbox = channel.Inbox(with_descriptors=True)
        messages = []
        while got := inbox.read(end):
            messages += got
    for message in messages:
        for descriptor in message.descriptors:
            os.close(descriptor)
    return [(message.kind, message.tag) for message in messages]


def test_context_and_function_are_sent_once_and_batches_each_time(handle, recorder):
    mine = call()
    one, other = parcel(mine), parcel(mine)
    handle.give(one)
    assert sent(handle, recorder) == [
        (channel.CONTEXT, 0),
        (channel.FUNCTION, 5),
        (channel.BATCH, one.tag),
    ]
    handle.release()
    handle.give(other)
    assert sent(handle, recorder) == [(channel.BATCH, other.tag)]


def test_a_changed_context_is_sent_before_the_batch(handle, recorder):
    handle.give(parcel(call()))
    sent(handle, recorder)
    handle.release()
    changed = parcel(call(context=(b"other",)))
    handle.give(changed)
    assert sent(handle, recorder) == [(channel.CONTEXT, 0), (channel.BATCH, changed.tag)]


def test_a_forgotten_function_is_sent_again(handle, recorder):
    mine = call(number=5)
    handle.give(parcel(mine))
    handle.release()
    handle.forget(mine)
    handle.give(parcel(mine))
    kinds = [kind for kind, _ in sent(handle, recorder)]
    assert kinds.count(channel.FUNCTION) == 2
    assert kinds.index(channel.FORGET) < len(kinds) - 1


def test_forgetting_what_was_never_sent_sends_nothing(handle, recorder):
    assert not handle.forget(call(number=5))
    assert sent(handle, recorder) == []


def test_a_region_is_sent_once_to_a_worker(handle, recorder):
    mine = call(number=9)
    try:
        region = mine.regions.add(memoryview(bytes(100)))
        for _ in range(2):
            handle.give(Parcel(mine, Packed(b"items", [region, region]), None))
            handle.release()
        handle.outbox.flush(handle.end)
        with channel.socket.socket(fileno=os.dup(recorder.end)) as end:
            inbox, messages = channel.Inbox(with_descriptors=True), []
            while len(messages) < 4:
                messages += inbox.wait(end)
        assert [len(message.descriptors) for message in messages] == [0, 0, 1, 0]
        for descriptor in messages[2].descriptors:
            os.close(descriptor)
        assert handle.forget(mine), "worth a send: it frees memory"
    finally:
        mine.regions.close()


def test_the_parcels_of_a_call_that_run_are_counted(handle):
    mine = call()
    given = parcel(mine)
    handle.give(given)
    assert (mine.running, handle.parcel) == (1, given)
    handle.kill_at = 5.0
    assert handle.release() is given
    assert (mine.running, handle.parcel, handle.kill_at) == (0, None, None)
    assert handle.release() is None
    assert mine.running == 0


def test_a_parcel_has_begun_when_the_worker_says_so_in_the_cell(handle):
    assert not handle.begun
    given = parcel(call())
    handle.give(given)
    assert not handle.begun
    handle._cell[CELL_BATCH] = given.tag
    assert handle.begun
    handle._cell[CELL_BATCH] = -5
    assert handle.begun, "loading its function is a beginning"
    handle._cell[CELL_BATCH] = given.tag - 1
    assert not handle.begun


@pytest.fixture
def timed(handle):
    given = parcel(call(timeout_seconds=1.0))
    handle.give(given)
    handle.pid = os.getpid()

    def running_since(seconds, position=0):
        handle._cell[CELL_BATCH] = given.tag
        handle._cell[CELL_POSITION] = position
        handle._cell[CELL_STARTED] = monotonic_ns() - int(seconds * 1e9)
        return handle

    return running_since


def test_an_item_is_overdue_when_it_alone_has_run_too_long(timed):
    assert not timed(0.1).overdue()
    assert timed(1.1).overdue()


@pytest.mark.parametrize("position", [-1, -2])
def test_loading_and_returning_get_a_second_more_than_an_item(timed, position):
    assert not timed(1.5, position).overdue()
    assert timed(100, position).overdue()


def test_loading_a_function_is_never_overdue(timed):
    assert not timed(100, -3).overdue()


def test_what_was_stopped_already_is_not_overdue_again(timed):
    handle = timed(100)
    handle.timed_out = True
    assert not handle.overdue()


def test_without_a_limit_nothing_is_overdue_and_nothing_is_left(handle):
    handle.give(parcel(call()))
    handle.pid = 1
    assert not handle.overdue()
    assert handle.seconds_left() is None


def test_the_time_left_is_that_of_the_running_item(timed, handle):
    assert 0 < handle.seconds_left() <= 0.05
    assert 0.5 < timed(0.3).seconds_left() <= 0.7
    assert timed(100).seconds_left() == 0.001


@pytest.mark.parametrize(
    ("status", "number", "code"), [(0, None, 0), (3 << 8, None, 3), (9, 9, None), (11, 11, None)]
)
def test_an_obituary_tells_signal_or_status_position_and_trace(
    handle, recorder, status, number, code
):
    handle.pid = 77
    handle._cell[CELL_POSITION] = 4
    os.write(recorder.trace, "Fatal Python error: é".encode())
    lost = handle.obituary(status)
    assert (lost.signal, lost.exit_code) == (number, code)
    assert (lost.position, lost.pid, lost.timed_out) == (4, 77, False)
    assert lost.trace == "Fatal Python error: é"


def test_a_worker_stopped_for_its_time_did_not_run_out_of_memory(handle, monkeypatch):
    monkeypatch.setattr("shoal.tasks.processes.handle.new_out_of_memory_kills", lambda: 1)
    assert handle.obituary(signal.SIGKILL).out_of_memory
    assert not handle.obituary(signal.SIGSEGV).out_of_memory
    handle.timed_out = True
    assert not handle.obituary(signal.SIGKILL).out_of_memory


def test_killing_before_the_process_id_is_known_is_no_error(handle):
    handle.kill()


def test_closing_ends_the_workers_side(handle, recorder):
    handle.close()
    ready, _, _ = select.select([recorder.end], [], [], 10)
    assert ready
    assert os.read(recorder.end, 1) == b""


def test_the_process_knows_when_an_item_started_by_the_same_clock(handle):
    assert abs(monotonic_ns() * 1e-9 - monotonic()) < 1
