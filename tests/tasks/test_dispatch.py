"""A dispatcher answers every batch once, on any executor, whatever the batch does."""

import multiprocessing
import os
import pickle
import threading
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

import shoal
from shoal import errors
from shoal.tasks.dispatch import (
    Batch,
    FutureDispatcher,
    SerialDispatcher,
    read_reply,
    run_pickled,
)
from shoal.tasks.envelope import PROTOCOL, Calling, Ended, capture, dump_reply, run_batch
from shoal.tasks.seeds import check_seed


class Inline(Executor):
    """Runs at once, and sends everything through a pickle as a process pool would."""

    def submit(self, fn, /, *args, **kwargs):
        future = Future()
        fn, args, kwargs = pickle.loads(pickle.dumps((fn, args, kwargs)))
        try:
            future.set_result(pickle.loads(pickle.dumps(fn(*args, **kwargs))))
        except Exception as error:  # noqa: BLE001
            future.set_exception(error)
        return future


class Unloadable:
    """Pickles here and raises where it is loaded."""

    def __reduce__(self):
        return (_refuse, ())


class LeavesOnly:
    """Loads in a worker, and not when it comes back."""

    def __init__(self):
        self.home = os.getpid()

    def __reduce__(self):
        return (_refuse_at_home, (os.getpid(),))


class Counted:
    """Counts how often it is loaded, and loads as a function."""

    def __reduce__(self):
        return (_count, ())


LOADS = []


def _count():
    LOADS.append("loaded")
    return double


def _refuse():
    raise ImportError("not here")


def _refuse_at_home(_):
    raise ImportError("not back here")


def double(x):
    return 2 * x


def die(x):
    if x == 1:
        os._exit(3)
    return x


@pytest.fixture(scope="module")
def processes():
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool


@pytest.fixture
def threads():
    with ThreadPoolExecutor(2) as pool:
        yield pool


def dispatcher(executor, function=double, calling=None, **options):
    return FutureDispatcher(
        executor, function, calling or Calling(), workers=2, window=4, **options
    )


def answers(made, *batches):
    for batch in batches:
        made.send(batch)
    got = [made.receive() for _ in batches]
    made.finish()
    return {answer.batch.start: answer for answer in got}


@given(start=st.integers(0, 10**6), size=st.integers(0, 20), data=st.data())
def test_a_part_of_a_batch_keeps_the_indices_of_its_inputs(start, size, data):
    batch = Batch(start, [index * 10 for index in range(start, start + size)])
    assert list(batch.indices) == list(range(start, start + size))
    begin = data.draw(st.integers(0, size))
    end = data.draw(st.none() | st.integers(begin, size))
    part = batch.part(begin, end)
    assert list(part.items) == [index * 10 for index in part.indices]
    assert part.start == start + begin
    assert len(part.items) == (size if end is None else end) - begin


def test_the_serial_dispatcher_runs_a_batch_when_its_answer_is_asked_for():
    ran = []
    serial = SerialDispatcher(ran.append, Calling())
    serial.send(Batch(0, range(3)))
    assert ran == []
    answer = serial.receive()
    assert ran == [0, 1, 2]
    assert answer.ended.values == [None] * 3
    with pytest.raises(LookupError):
        serial.receive()


def test_the_serial_dispatcher_leaves_the_callers_list_alone():
    items = [1, 2]
    serial = SerialDispatcher(lambda x, rng: x, Calling(seed=check_seed(1)))
    serial.send(Batch(0, items))
    assert serial.receive().ended.values == [1, 2]
    assert items == [1, 2]


def test_control_c_passes_through_the_serial_dispatcher():
    def press(_):
        raise KeyboardInterrupt

    serial = SerialDispatcher(press, Calling())
    serial.send(Batch(0, [1]))
    with pytest.raises(KeyboardInterrupt):
        serial.receive()


@pytest.mark.parametrize("pool", ["threads", "processes", "inline"])
def test_every_batch_is_answered_with_its_own_values(pool, request):
    executor = Inline() if pool == "inline" else request.getfixturevalue(pool)
    batches = [Batch(0, range(3)), Batch(3, [3, 4]), Batch(5, [[5], [6]])]
    got = answers(dispatcher(executor), *batches)
    assert [got[batch.start].ended.values for batch in batches] == [
        [double(item) for item in batch.items] for batch in batches
    ]


def test_lambdas_and_closures_run_on_a_pool_that_could_not_pickle_them(processes):
    offset = 10
    got = answers(dispatcher(processes, lambda x: lambda: x + offset), Batch(0, [1]))
    [function] = got[0].ended.values
    assert function() == 11


def test_threads_get_the_objects_themselves(threads):
    item = threading.Lock()
    got = answers(dispatcher(threads, lambda x: x), Batch(0, [item]))
    assert got[0].ended.values[0] is item


def test_an_input_that_cannot_be_pickled_is_answered_as_unreadable():
    got = answers(dispatcher(Inline()), Batch(0, [1, threading.Lock()]), Batch(2, [2]))
    assert got[0].unreadable.kind == "input"
    assert "pickle" in got[0].unreadable.text
    assert got[2].ended.values == [4]


def test_an_input_that_cannot_be_loaded_in_the_worker_is_answered_as_unreadable():
    got = answers(dispatcher(Inline()), Batch(0, [Unloadable()]))
    assert got[0].unreadable.kind == "input"
    assert "not here" in got[0].unreadable.text


def test_a_function_that_cannot_be_pickled_is_refused_before_any_batch():
    lock = threading.Lock()
    with pytest.raises(errors.FunctionNotSent, match="lock"):
        dispatcher(Inline(), lambda _: lock)


def test_a_function_that_cannot_be_loaded_is_answered_as_unreadable():
    class Callable(Unloadable):
        def __call__(self, x):
            return x

    got = answers(dispatcher(Inline(), Callable()), Batch(0, [1]))
    assert got[0].unreadable.kind == "function"


def test_a_result_that_cannot_be_loaded_here_is_answered_as_unreadable():
    got = answers(dispatcher(Inline(), lambda _: LeavesOnly()), Batch(0, [1]))
    assert got[0].unreadable.kind == "result"
    assert "not back here" in got[0].unreadable.text


def test_a_result_that_cannot_be_pickled_costs_its_own_item():
    got = answers(
        dispatcher(Inline(), lambda x: threading.Lock() if x == 1 else x), Batch(0, range(3))
    )
    assert got[0].ended.values == [0, None, 2]
    assert got[0].ended.raised[1].kind == "result"


def test_a_closed_executor_is_an_error_of_the_call():
    pool = ThreadPoolExecutor(1)
    pool.shutdown()
    got = answers(dispatcher(pool), Batch(0, [1]))
    assert isinstance(got[0].error, errors.ExecutorClosed)


def test_a_cancelled_batch_is_an_error_of_the_call(threads):
    gate = threading.Event()
    made = dispatcher(threads, lambda _: gate.wait(30))
    for start in range(4):
        made.send(Batch(start, [0]))
    threads.shutdown(wait=False, cancel_futures=True)
    gate.set()
    got = [made.receive() for _ in range(4)]
    closed = [answer for answer in got if isinstance(answer.error, errors.ExecutorClosed)]
    assert 0 < len(closed) < 4
    assert all(answer.ended.values == [True] for answer in got if answer not in closed)


def test_a_broken_pool_is_an_error_that_names_the_inputs_it_was_running():
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        got = answers(dispatcher(pool, die), Batch(0, [0, 1, 2]))
    error = got[0].error
    assert isinstance(error, errors.ExecutorBroken)
    assert "inputs 0 to 2, from 0 to 2" in str(error)
    assert "BrokenProcessPool" in str(error)
    assert error.__cause__ is not None


def test_an_executor_that_fails_in_its_own_way_breaks_the_call_with_its_reason():
    class Odd(Executor):
        def submit(self, fn, /, *args, **kwargs):
            future = Future()
            future.set_exception(OSError("cluster gone"))
            return future

    got = answers(dispatcher(Odd()), Batch(0, [1]))
    assert isinstance(got[0].error, errors.ExecutorBroken)
    assert "cluster gone" in str(got[0].error)


def test_a_foreign_executor_is_never_shut_down(threads):
    made = dispatcher(threads)
    answers(made, Batch(0, [1]))
    made.withdraw(at_once=True)
    assert threads.submit(double, 4).result() == 8


@pytest.mark.parametrize("end", ["finish", "withdraw"])
def test_an_executor_of_our_own_is_shut_down_with_the_call(end):
    pool = ThreadPoolExecutor(1)
    made = dispatcher(pool, owned=True)
    made.send(Batch(0, [1]))
    made.receive()
    made.finish() if end == "finish" else made.withdraw(at_once=False)
    with pytest.raises(RuntimeError):
        pool.submit(double, 1)


def test_withdrawing_cancels_what_has_not_begun():
    gate, ran = threading.Event(), []

    def wait(x):
        ran.append(x)
        gate.wait(30)

    with ThreadPoolExecutor(1) as pool:
        made = dispatcher(pool, wait)
        for start in range(5):
            made.send(Batch(start, [start]))
        made.withdraw(at_once=False)
        gate.set()
    assert len(ran) <= 1


def test_the_function_is_loaded_once_for_many_batches():
    LOADS.clear()
    packed = pickle.dumps(Counted(), PROTOCOL)
    for start in range(4):
        indices = range(start, start + 1)
        run_pickled("one call", packed, Calling(), pickle.dumps([start]), indices)
    assert LOADS == ["loaded"]


def test_what_travelled_counts_both_ways():
    got = answers(dispatcher(Inline(), len), Batch(0, [b"x" * 10**6]))
    assert got[0].message_bytes >= 10**6
    got = answers(dispatcher(Inline(), lambda n: b"x" * n), Batch(0, [10**6]))
    assert got[0].message_bytes >= 10**6


def test_a_reply_is_an_answer_whatever_is_in_it():
    batch = Batch(0, [1])
    data, apart = dump_reply(run_batch(double, Calling(), [1], range(1)), 1 << 20)
    answer = read_reply(batch, data, apart, 9)
    assert (answer.ended.values, answer.message_bytes) == ([2], 9)
    assert read_reply(batch, b"no pickle", (), 9).unreadable.kind == "result"
    refused = capture(ImportError("gone"), crossing=True, kind="function")
    data, apart = dump_reply(Ended(raised={-1: refused}), 1 << 20)
    assert read_reply(batch, data, apart, 9).unreadable == refused


def test_a_pool_of_processes_runs_a_whole_call(processes):
    inputs = list(range(200))
    assert shoal.map(lambda x: x * 3, inputs, executor=processes) == [x * 3 for x in inputs]


def test_receiving_gives_nothing_when_it_is_woken():
    with ThreadPoolExecutor(1) as pool:
        made = FutureDispatcher(pool, abs, Calling(), workers=1, window=1)
        made.wake()
        assert made.receive() is None
        made.send(Batch(0, [-1]))
        assert made.receive().ended.values == [1]
        made.finish()
