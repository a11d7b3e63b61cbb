"""One contract for every executor: what `concurrent.futures.Executor` promises its users."""

import logging
import os
import threading
from concurrent.futures import (
    FIRST_COMPLETED,
    FIRST_EXCEPTION,
    CancelledError,
    Executor,
    as_completed,
    wait,
)

import pytest

from tests.contracts.conftest import FOREIGN, OURS, PROCESSES, make_executor
from tests.contracts.payloads import (
    Odd,
    add,
    fail_if_three,
    hold,
    hold_unless_zero,
    leave,
    pair,
    square,
    touch,
    touch_and_hold,
)
from tests.faults.watching import until

pytestmark = pytest.mark.timeout(60)
ALL = OURS + FOREIGN
CONCURRENT = tuple(name for name in ALL if name != "serial")
SECONDS = 30


@pytest.fixture(params=ALL)
def executor(request, warm):
    return warm(request.param)


@pytest.fixture(params=CONCURRENT)
def concurrent(request, warm):
    return warm(request.param)


@pytest.fixture(params=ALL)
def fresh(request):
    with make_executor(request.param) as made:
        yield made


@pytest.fixture(params=CONCURRENT)
def fresh_concurrent(request):
    with make_executor(request.param) as made:
        yield made


@pytest.fixture(params=PROCESSES)
def crossing(request, warm):
    return warm(request.param)


# submit


def test_it_is_an_executor(executor):
    assert isinstance(executor, Executor)


def test_submit_passes_all_arguments(executor):
    expected = ((1, "two"), {"three": 3, "fn": 4, "self": 5})
    assert executor.submit(pair, 1, "two", three=3, fn=4, self=5).result(SECONDS) == expected


def test_many_submitted_calls_give_their_own_results(executor):
    futures = [executor.submit(square, x) for x in range(200)]
    assert [future.result(SECONDS) for future in futures] == [x * x for x in range(200)]


def test_submit_does_not_wait_for_the_call(concurrent, gate):
    future = concurrent.submit(hold, str(gate))
    assert not future.done()
    until(future.running)
    gate.touch()
    assert future.result(SECONDS) == str(gate)
    assert future.done()


def test_two_workers_run_two_calls_at_once(concurrent, tmp_path, gate):
    marks = [tmp_path / "a", tmp_path / "b"]
    futures = [concurrent.submit(touch_and_hold, str(mark), str(gate)) for mark in marks]
    until(lambda: all(mark.exists() for mark in marks))
    gate.touch()
    assert wait(futures, SECONDS).not_done == set()


def test_what_is_not_callable_is_a_type_error(executor):
    with pytest.raises(TypeError):
        executor.submit(5).result(SECONDS)
    assert executor.submit(square, 3).result(SECONDS) == 9


def test_result_with_a_timeout_raises_timeout_error_and_the_call_goes_on(concurrent, gate):
    future = concurrent.submit(hold, str(gate))
    with pytest.raises(TimeoutError):
        future.result(0.01)
    gate.touch()
    assert future.result(SECONDS) == str(gate)


def test_several_threads_may_submit(executor):
    results = {}

    def work(number):
        futures = [executor.submit(add, number, x) for x in range(20)]
        results[number] = [future.result(SECONDS) for future in futures]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    assert results == {number: [number + x for x in range(20)] for number in range(4)}


# exceptions


def test_an_exception_keeps_its_type_and_message(executor):
    future = executor.submit(fail_if_three, 3)
    with pytest.raises(Odd, match="x = 3") as caught:
        future.result(SECONDS)
    assert type(caught.value) is Odd
    assert type(future.exception(SECONDS)) is Odd


def test_a_success_has_no_exception(executor):
    assert executor.submit(square, 2).exception(SECONDS) is None


def test_an_exception_costs_its_own_call_only(executor):
    futures = [executor.submit(fail_if_three, x) for x in range(8)]
    failed = [future.exception(SECONDS) is not None for future in futures]
    assert failed == [x == 3 for x in range(8)]


def test_system_exit_in_a_call_is_that_call_s_failure(executor):
    assert executor.submit(leave, 3).exception(SECONDS) is not None
    assert executor.submit(square, 3).result(SECONDS) == 9


def test_an_argument_that_cannot_be_pickled_is_that_call_s_failure(crossing):
    future = crossing.submit(pair, threading.Lock())
    assert isinstance(future.exception(SECONDS), Exception)
    assert crossing.submit(square, 3).result(SECONDS) == 9


# map


def test_map_keeps_the_order(executor):
    assert list(executor.map(square, range(50))) == [x * x for x in range(50)]


def test_map_zips_several_iterables_to_the_shortest(executor):
    assert list(executor.map(add, [1, 2, 3], (x for x in (10, 20)))) == [11, 22]


def test_map_of_nothing_is_nothing(executor):
    assert list(executor.map(square, [])) == []


def test_map_begins_all_calls_at_once_unread(executor, tmp_path):
    paths = [str(tmp_path / str(number)) for number in range(6)]
    inputs = iter(paths)
    results = executor.map(touch, inputs)
    assert next(inputs, None) is None
    until(lambda: all(map(os.path.exists, paths)))
    assert list(results) == paths


def test_map_gives_a_result_while_later_ones_still_run(concurrent, gate):
    results = concurrent.map(hold_unless_zero, [0, 1, 2], [str(gate)] * 3)
    assert iter(results) is results
    assert next(results) == 0
    gate.touch()
    assert list(results) == [1, 2]


def test_map_raises_where_the_failing_input_stands(executor):
    results = executor.map(fail_if_three, [1, 2, 3, 4])
    assert [next(results), next(results)] == [1, 2]
    with pytest.raises(Odd, match="x = 3"):
        next(results)


def test_map_with_a_timeout_raises_timeout_error(concurrent, gate):
    results = concurrent.map(hold_unless_zero, [0, 1], [str(gate)] * 2, timeout=0.05)
    with pytest.raises(TimeoutError):
        list(results)
    gate.touch()


@pytest.mark.parametrize("chunksize", [1, 3, 7, 100])
def test_map_with_chunks_gives_the_same(executor, chunksize):
    results = executor.map(add, range(20), range(20), chunksize=chunksize)
    assert list(results) == [2 * x for x in range(20)]


@pytest.mark.parametrize("chunksize", [0, -1])
def test_map_refuses_chunks_of_nothing(crossing, chunksize):
    with pytest.raises(ValueError, match="chunksize"):
        crossing.map(square, [1, 2], chunksize=chunksize)


# cancellation


def test_a_call_that_waits_can_be_cancelled_and_never_runs(concurrent, tmp_path, gate):
    busy = [concurrent.submit(hold, str(gate)) for _ in range(8)]
    path = tmp_path / "ran"
    waiting = concurrent.submit(touch, str(path))
    assert waiting.cancel()
    assert waiting.cancelled()
    gate.touch()
    assert wait([*busy, waiting], SECONDS).not_done == set()
    with pytest.raises(CancelledError):
        waiting.result(SECONDS)
    assert concurrent.submit(square, 3).result(SECONDS) == 9
    assert not path.exists()


def test_a_running_call_cannot_be_cancelled(concurrent, gate):
    future = concurrent.submit(hold, str(gate))
    until(future.running)
    assert not future.cancel()
    gate.touch()
    assert future.result(SECONDS) == str(gate)


def test_a_finished_call_cannot_be_cancelled(executor):
    future = executor.submit(square, 4)
    assert future.result(SECONDS) == 16
    assert not future.cancel()
    assert future.result() == 16


# callbacks


def test_a_callback_gets_the_finished_future(executor):
    seen, called = [], threading.Event()
    future = executor.submit(square, 5)
    future.add_done_callback(lambda done: (seen.append((done, done.done())), called.set()))
    assert called.wait(SECONDS)
    assert seen == [(future, True)]
    future.add_done_callback(seen.append)
    assert seen[-1] is future


def test_a_callback_that_raises_harms_nothing(executor, caplog):
    with caplog.at_level(logging.CRITICAL, logger="concurrent.futures"):
        future = executor.submit(square, 5)
        future.add_done_callback(lambda done: 1 / 0)
        assert future.result(SECONDS) == 25
        assert executor.submit(square, 6).result(SECONDS) == 36


def test_a_callback_may_submit(executor):
    results, finished = [], threading.Event()

    def go_on(done):
        results.append(done.result())
        if len(results) == 5:
            finished.set()
        else:
            executor.submit(add, done.result(), 1).add_done_callback(go_on)

    executor.submit(add, 0, 1).add_done_callback(go_on)
    assert finished.wait(SECONDS)
    assert results == [1, 2, 3, 4, 5]


# waiting for several


def test_as_completed_gives_the_early_one_first(concurrent, gate):
    late = concurrent.submit(hold, str(gate))
    early = concurrent.submit(square, 2)
    order = as_completed([late, early], timeout=SECONDS)
    assert next(order) is early
    gate.touch()
    assert next(order) is late


def test_as_completed_gives_each_future_once(executor):
    futures = [executor.submit(square, x) for x in range(20)]
    assert set(as_completed(futures, timeout=SECONDS)) == set(futures)


def test_wait_returns_at_the_first_completion(concurrent, gate):
    late = concurrent.submit(hold, str(gate))
    early = concurrent.submit(square, 2)
    done, not_done = wait([late, early], SECONDS, FIRST_COMPLETED)
    assert (done, not_done) == ({early}, {late})
    gate.touch()
    assert wait([late], SECONDS).done == {late}


def test_wait_returns_at_the_first_exception(concurrent, gate):
    late = concurrent.submit(hold, str(gate))
    bad = concurrent.submit(fail_if_three, 3)
    assert bad in wait([late, bad], SECONDS, FIRST_EXCEPTION).done
    gate.touch()
    assert wait([late], SECONDS).done == {late}


# shutdown


def test_after_shutdown_nothing_more_is_taken(fresh):
    assert fresh.submit(square, 3).result(SECONDS) == 9
    fresh.shutdown()
    with pytest.raises(RuntimeError):
        fresh.submit(square, 4)
    with pytest.raises(RuntimeError):
        fresh.map(square, [1, 2])
    fresh.shutdown()


def test_shutdown_unused_is_fine(fresh):
    fresh.shutdown()
    with pytest.raises(RuntimeError):
        fresh.submit(square, 4)


def test_shutdown_waits_for_all_that_was_submitted(fresh, tmp_path):
    paths = [tmp_path / str(number) for number in range(6)]
    futures = [fresh.submit(touch, str(path)) for path in paths]
    fresh.shutdown(wait=True)
    assert all(future.done() for future in futures)
    assert all(path.exists() for path in paths)


def test_shutdown_without_waiting_returns_at_once_and_work_is_finished(fresh_concurrent, gate):
    futures = [fresh_concurrent.submit(hold, str(gate)) for _ in range(6)]
    fresh_concurrent.shutdown(wait=False)
    assert not futures[0].done()
    with pytest.raises(RuntimeError):
        fresh_concurrent.submit(square, 4)
    gate.touch()
    assert [future.result(SECONDS) for future in futures] == [str(gate)] * 6


def test_shutdown_can_cancel_what_has_not_begun(fresh_concurrent, tmp_path, gate):
    mark = tmp_path / "begun"
    running = fresh_concurrent.submit(touch_and_hold, str(mark), str(gate))
    waiting = [fresh_concurrent.submit(hold, str(gate)) for _ in range(8)]
    until(mark.exists)
    fresh_concurrent.shutdown(wait=False, cancel_futures=True)
    until(waiting[-1].cancelled)
    gate.touch()
    assert running.result(SECONDS) == str(gate)
    until(lambda: all(future.done() for future in waiting))
    assert waiting[-1].cancelled()


def test_the_with_statement_waits_and_shuts_down(fresh, tmp_path):
    path = tmp_path / "done"
    with fresh as entered:
        assert entered is fresh
        future = fresh.submit(touch, str(path))
    assert future.done()
    assert path.exists()
    with pytest.raises(RuntimeError):
        fresh.submit(square, 4)


def test_a_callback_may_shut_down(fresh_concurrent):
    finished = threading.Event()

    def end(done):
        fresh_concurrent.shutdown(wait=False)
        finished.set()

    fresh_concurrent.submit(square, 3).add_done_callback(end)
    assert finished.wait(SECONDS)
    with pytest.raises(RuntimeError):
        fresh_concurrent.submit(square, 4)
