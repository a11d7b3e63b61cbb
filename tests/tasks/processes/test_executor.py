"""ProcessExecutor: what is its own beyond the contract that every executor passes."""

import os
import subprocess
import sys
import threading
from concurrent.futures import FIRST_COMPLETED, CancelledError, as_completed, wait

import numpy as np
import pytest

import shoal
from shoal import errors
from shoal.tasks.processes import ProcessExecutor, available_cores
from shoal.tasks.processes.executor import shared_supervisor
from shoal.tasks.processes.memory import SHARED_BYTES
from tests.faults.watching import until
from tests.tasks.regions import open_regions


@pytest.fixture(scope="module")
def executor():
    with ProcessExecutor(2) as made:
        yield made


def wait_for_file(path):
    until(lambda: os.path.exists(path))
    return str(path)


def run_program(text):
    return subprocess.run(
        ["timeout", "-k", "1", "30", sys.executable, "-c", text],
        capture_output=True,
        text=True,
        check=False,
    )


def test_workers_start_with_the_first_call():
    with ProcessExecutor(1) as executor:
        assert executor.supervisor.pids() == []
        assert executor.submit(os.getpid).result() in executor.supervisor.pids()


def test_as_many_workers_as_cores_unless_asked_otherwise():
    for executor, width in ((ProcessExecutor(), available_cores()), (ProcessExecutor(5), 5)):
        assert executor.max_workers == width
        executor.shutdown()


@pytest.mark.parametrize("chunksize", [0, -1])
def test_chunks_of_nothing_are_refused_by_name_and_value(executor, chunksize):
    with pytest.raises(ValueError, match=f"chunksize={chunksize}"):
        executor.map(abs, [1], chunksize=chunksize)


@pytest.mark.parametrize("chunksize", [None, 1, 3, 1000])
def test_map_equals_the_loop_whatever_the_chunks(executor, chunksize):
    inputs = range(100)
    assert list(executor.map(pow, inputs, inputs, chunksize=chunksize)) == [x**x for x in inputs]


def test_an_error_names_the_arguments_and_can_be_replayed(executor):
    error = executor.submit(int, "ff", base=10).exception()
    assert isinstance(error, ValueError)
    assert "failed on input ('ff', base=10)" in "".join(error.__notes__)
    with pytest.raises(ValueError, match="ff"):
        shoal.failure(error).replay()


def test_an_argument_that_cannot_be_pickled_is_the_failure_of_its_own_call(executor):
    error = executor.submit(abs, threading.Lock()).exception()
    assert isinstance(error, errors.InputNotSent)
    assert executor.submit(abs, -1).result() == 1


def test_a_result_that_cannot_be_pickled_is_the_failure_of_its_own_call(executor):
    assert isinstance(executor.submit(threading.Lock).exception(), errors.ResultNotReturned)
    assert executor.submit(abs, -1).result() == 1


def test_a_function_that_cannot_be_pickled_is_refused_at_once(executor):
    lock = threading.Lock()
    with pytest.raises(errors.FunctionNotSent):
        executor.submit(lambda: lock)


def test_a_function_that_cannot_be_loaded_fails_its_call(executor):
    class Refuses:
        def __call__(self):
            pass

        def __reduce__(self):
            return (__import__, ("no_such_module_anywhere",))

    error = executor.submit(Refuses()).exception()
    assert isinstance(error, errors.FunctionNotSent)
    assert executor.submit(abs, -1).result() == 1


def test_waiting_for_several_futures_in_any_way_gets_all(executor, tmp_path):
    gate = tmp_path / "gate"
    held = executor.submit(wait_for_file, gate)
    quick = [executor.submit(abs, -x) for x in range(5)]
    done, waiting = wait([held, *quick], return_when=FIRST_COMPLETED, timeout=20)
    assert held in waiting
    assert done
    assert sorted(future.result() for future in as_completed(quick, timeout=20)) == [0, 1, 2, 3, 4]
    gate.touch()
    assert held.result(timeout=20) == str(gate)


def test_several_threads_may_wait_for_one_future(executor, tmp_path):
    gate, got = tmp_path / "gate", []
    future = executor.submit(wait_for_file, gate)
    threads = [threading.Thread(target=lambda: got.append(future.result(20))) for _ in range(4)]
    for thread in threads:
        thread.start()
    gate.touch()
    for thread in threads:
        thread.join()
    assert got == [str(gate)] * 4


def test_a_result_that_is_not_there_in_time_is_a_timeout(executor, tmp_path):
    gate = tmp_path / "gate"
    future = executor.submit(wait_for_file, gate)
    for seconds in (0, 0.05):
        with pytest.raises(TimeoutError):
            future.result(timeout=seconds)
        with pytest.raises(TimeoutError):
            future.exception(timeout=seconds)
    gate.touch()
    assert future.result() == str(gate)


def test_a_callback_may_submit_and_wait(executor):
    got = []
    future = executor.submit(abs, -1)
    future.add_done_callback(lambda done: got.append(executor.submit(abs, -5).result(20)))
    future.result()
    until(lambda: got)
    assert got == [5]


def test_shared_arrays_are_freed_when_their_call_is_done(executor):
    array, before = np.zeros(SHARED_BYTES), open_regions()
    assert executor.submit(lambda: float(array[0])).result() == 0.0
    until(lambda: open_regions() == before)


def test_shared_arrays_of_a_cancelled_call_are_freed(executor, tmp_path):
    gate, array, before = tmp_path / "gate", np.zeros(SHARED_BYTES), open_regions()
    held = [executor.submit(wait_for_file, gate) for _ in range(2)]
    cancelled = executor.submit(lambda: float(array[0]))
    assert cancelled.cancel()
    gate.touch()
    for future in held:
        future.result()
    with pytest.raises(CancelledError):
        cancelled.result()
    assert executor.submit(abs, -1).result() == 1
    until(lambda: open_regions() == before)


def test_shared_arrays_of_a_call_whose_arguments_cannot_be_sent_are_freed(executor):
    array, before = np.zeros(SHARED_BYTES), open_regions()
    future = executor.submit(lambda _: float(array[0]), threading.Lock())
    assert isinstance(future.exception(), errors.InputNotSent)
    until(lambda: open_regions() == before)


def test_calls_without_an_executor_share_one_supervisor_per_number_of_threads():
    assert shared_supervisor(1) is shared_supervisor(1)
    assert shared_supervisor(1) is not shared_supervisor(2)


def test_a_shared_supervisor_that_was_stopped_is_replaced():
    before = shared_supervisor(3)
    before.stop()
    assert shared_supervisor(3) is not before
    assert shoal.map(abs, [-1], threads_per_task=3) == [1]


def test_the_programs_end_waits_for_what_was_submitted(tmp_path):
    path = tmp_path / "written"
    done = run_program(
        "import shoal, pathlib, time\n"
        "executor = shoal.executor('processes', max_workers=1)\n"
        f"executor.submit(lambda: time.sleep(0.3) or pathlib.Path({str(path)!r}).write_text('x'))\n"
    )
    assert done.returncode == 0, done.stderr
    assert path.read_text() == "x"


def test_a_program_that_uses_no_executor_any_more_ends_silently():
    done = run_program("import shoal; print(shoal.map(abs, [-1, -2]))")
    assert (done.stdout, done.stderr, done.returncode) == ("[1, 2]\n", "", 0)


def test_an_executor_that_is_forgotten_unused_ends_silently():
    done = run_program("import shoal; shoal.executor('processes'); shoal.executor('threads')")
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)
