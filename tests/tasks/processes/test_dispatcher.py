"""A batch becomes a parcel and a delivery an answer, whatever was delivered."""

import signal
import threading

import numpy as np
import pytest

from shoal import errors
from shoal.tasks.adapters import Needs
from shoal.tasks.dispatch import Batch
from shoal.tasks.envelope import Calling, Ended, capture, dump_reply
from shoal.tasks.inputs import Inputs
from shoal.tasks.processes import dispatcher as dispatching
from shoal.tasks.processes.dispatcher import Packer, ProcessDispatcher, read_delivery
from shoal.tasks.processes.executor import shared_supervisor
from shoal.tasks.processes.memory import SHARED_BYTES
from shoal.tasks.processes.parcels import Lost
from tests.tasks.regions import open_regions

BATCH = Batch(4, ["a", "b", "c"])


def lost(**known):
    plain = {
        "position": 1,
        "signal": None,
        "exit_code": None,
        "timed_out": False,
        "out_of_memory": False,
        "trace": "",
        "pid": 12,
    }
    return Lost(**plain | known)


def dispatcher(function, inputs, calling=None):
    return ProcessDispatcher(
        shared_supervisor(1),
        function,
        calling or Calling(),
        workers=2,
        timeout_seconds=None,
        inputs=inputs,
    )


def drawn_batch(inputs, count):
    items = []
    while len(items) < count:
        items += inputs.draw(count - len(items))
    return Batch(0, items)


@pytest.mark.parametrize(
    ("known", "cause"),
    [
        ({"signal": 11}, "killed by signal 11 (SIGSEGV)"),
        ({"signal": 9}, "killed by signal 9 (SIGKILL)"),
        ({"signal": 9, "out_of_memory": True}, "SIGKILL): the system ran out of memory"),
        ({"signal": 250}, "killed by signal 250 (unknown)"),
        ({"exit_code": 0}, "exited with status 0"),
        ({"exit_code": 3}, "exited with status 3"),
    ],
)
def test_a_loss_is_a_death_whose_cause_is_one_sentence(known, cause):
    death = read_delivery(BATCH, 9, lost(**known)).death
    assert cause in death.cause
    assert (death.signal, death.exit_code) == (known.get("signal"), known.get("exit_code"))
    assert death.worker.endswith(":12")


def test_a_loss_while_loading_or_returning_has_no_position():
    assert read_delivery(BATCH, 9, lost(position=0)).death.position == 0
    for position in (-1, -2, -3):
        death = read_delivery(BATCH, 9, lost(position=position, signal=9)).death
        assert death.position is None
        assert death.at_function == (position == -3)


def test_a_loss_for_its_time_says_so():
    assert read_delivery(BATCH, 9, lost(signal=9, timed_out=True)).death.timed_out


def test_an_error_ends_the_call():
    error = errors.ExecutorClosed("closed")
    answer = read_delivery(BATCH, 9, error)
    assert answer.error is error
    assert answer.batch is BATCH


def test_a_reply_is_its_values_and_counts_what_travelled_both_ways():
    data, apart = dump_reply(Ended(values=[1, 2, 3]), 1 << 20)
    answer = read_delivery(BATCH, 100, [data, *apart])
    assert answer.ended.values == [1, 2, 3]
    assert answer.message_bytes == 100 + len(data)


def test_a_reply_about_the_whole_batch_is_unreadable():
    refused = capture(ImportError("gone"), crossing=True, kind="input")
    data, _ = dump_reply(Ended(raised={-1: refused}), 1 << 20)
    assert read_delivery(BATCH, 9, [data]).unreadable == refused


@pytest.mark.parametrize("signal_number", list(signal.Signals))
def test_every_signal_has_its_name_in_the_cause(signal_number):
    death = read_delivery(BATCH, 9, lost(signal=int(signal_number))).death
    assert signal.Signals(signal_number).name in death.cause


def test_batches_are_answered_with_their_own_values():
    made = dispatcher(lambda x: -x, Inputs([range(10)]))
    for start in (0, 5):
        made.send(Batch(start, range(start, start + 5)))
    answers = sorted((made.receive() for _ in range(2)), key=lambda answer: answer.batch.start)
    assert [answer.ended.values for answer in answers] == [
        [0, -1, -2, -3, -4],
        [-5, -6, -7, -8, -9],
    ]
    made.finish()


def test_an_input_that_cannot_be_pickled_is_answered_as_unreadable():
    made = dispatcher(abs, Inputs([[1]]))
    made.send(Batch(0, [1, threading.Lock()]))
    answer = made.receive()
    assert answer.unreadable.kind == "input"
    assert "lock" in answer.unreadable.text
    made.finish()


def test_frozen_and_plain_inputs_of_one_batch_arrive_side_by_side():
    def mixed():
        buffer = [0]
        for number in range(6):
            buffer[0] = number
            yield buffer if number % 2 else number

    inputs = Inputs([mixed()])
    made = dispatcher(lambda x: x, inputs)
    made.send(drawn_batch(inputs, 6))
    assert made.receive().ended.values == [0, [1], 2, [3], 4, [5]]
    made.finish()


def test_an_input_that_cannot_be_frozen_is_found_when_it_is_sent():
    inputs = Inputs([iter([[1], threading.Lock()])])
    made = dispatcher(abs, inputs)
    made.send(drawn_batch(inputs, 2))
    assert made.receive().unreadable.kind == "input"
    made.finish()


def test_what_was_withdrawn_is_not_waited_for():
    made = dispatcher(lambda _: threading.Event().wait(), Inputs([range(2)]))
    made.send(Batch(0, [0]))
    made.withdraw(at_once=True)
    other = dispatcher(abs, Inputs([[1]]))
    other.send(Batch(0, [-1]))
    assert other.receive().ended.values == [1]
    other.finish()


def test_receiving_ends_when_another_thread_wakes_it():
    made = dispatcher(lambda _: threading.Event().wait(), Inputs([range(2)]))
    made.send(Batch(0, [0]))
    waker = threading.Timer(0.05, made.wake)
    waker.start()
    assert made.receive() is None
    waker.join()
    made.withdraw(at_once=True)


def test_a_function_that_cannot_be_loaded_is_sent_anew_by_the_next_call(tmp_path, monkeypatch):
    class Loads:
        def __init__(self, path):
            self.path = str(path)

        def __call__(self, x):
            return x

        def __reduce__(self):
            return eval, (f"open({self.path!r}).read() and abs",)

    path = tmp_path / "content"
    first = dispatcher(Loads(path), Inputs([[1]]))
    first.send(Batch(0, [-1]))
    assert first.receive().unreadable.kind == "function"
    path.write_text("now")
    second = dispatcher(Loads(path), Inputs([[1]]))
    second.send(Batch(0, [-1]))
    assert second.receive().ended.values == [1]


def test_a_function_that_cannot_be_sent_leaves_no_shared_array_behind():
    array, lock, before = np.zeros(SHARED_BYTES), threading.Lock(), open_regions()
    with pytest.raises(errors.FunctionNotSent):
        Packer(shared_supervisor(1), lambda _: (array, lock), Calling(), limit=1)
    assert open_regions() == before


def test_there_are_no_more_workers_than_have_room_for_their_objects(monkeypatch):
    monkeypatch.setattr(dispatching, "available_cores", lambda: 8)
    monkeypatch.setattr(dispatching, "free_memory_bytes", lambda: 1000)
    for needed, workers in ((300, 3), (5000, 1), (1, 8), (0, 8)):
        assert dispatching.workers_within_memory(Needs(needed)) == workers


def test_the_window_keeps_every_worker_supplied():
    made = dispatcher(abs, Inputs([[1]]))
    assert (made.workers, made.window) == (2, 4)
    made.finish()
