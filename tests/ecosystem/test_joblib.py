"""joblib on our executors: its own idioms, its own semantics, and our errors."""

import gc
import multiprocessing
import os
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pytest

import shoal
from shoal.errors import ExecutorClosed, InputNotSent, ResultNotReturned, WorkerDied
from tests.faults.watching import alive, lines, until

pytest.importorskip("joblib")

from joblib import Parallel, delayed, effective_n_jobs, parallel_config
from joblib.parallel import get_active_backend

pytestmark = [pytest.mark.timeout(60), pytest.mark.usefixtures("joblib")]

MEGABYTE = 1 << 20


def square(x):
    return x * x


def fail_on_five(x):
    if x == 5:
        raise KeyError(x)
    return x


def pid_after(seconds):
    time.sleep(seconds)
    return os.getpid()


def run(tasks, **options):
    return Parallel(**{"n_jobs": 2, "backend": "shoal", **options})(tasks)


def threads_of_joblib():
    return [each for each in threading.enumerate() if each.name == "shoal-joblib"]


def test_a_backend_by_name_gives_what_the_loop_gives_in_its_order():
    assert run(delayed(square)(x) for x in range(2000)) == [x * x for x in range(2000)]
    assert run([]) == []
    offset = 3
    assert run(delayed(lambda x, y: x + y + offset)(x, y=1) for x in range(5)) == [4, 5, 6, 7, 8]


def test_the_tasks_run_in_supervised_workers_and_not_here():
    before = set(run(delayed(pid_after)(0.02) for _ in range(8)))
    assert os.getpid() not in before
    assert set(run(delayed(pid_after)(0.02) for _ in range(8))) <= before
    assert run(delayed(os.getenv)("OPENBLAS_NUM_THREADS") for _ in range(2)) == ["1", "1"]


def test_a_context_sets_the_backend_for_code_that_knows_nothing_of_it():
    with parallel_config(backend="shoal"):
        assert effective_n_jobs() == effective_n_jobs(-1) == shoal.tasks.available_cores()
        assert os.getpid() not in Parallel()(delayed(os.getpid)() for _ in range(3))
    with parallel_config(backend="shoal", n_jobs=1):
        assert Parallel()(delayed(os.getpid)() for _ in range(3)) == [os.getpid()] * 3
    with pytest.raises(ValueError, match="n_jobs=0"):
        run([delayed(square)(1)], n_jobs=0)


def test_inner_max_num_threads_is_what_the_libraries_in_the_workers_see():
    with parallel_config(backend="shoal", n_jobs=2, inner_max_num_threads=2):
        seen = Parallel()(delayed(os.getenv)("OMP_NUM_THREADS") for _ in range(4))
    assert seen == ["2"] * 4


def test_the_executor_may_be_named_or_given(workers):
    given = set(workers.supervisor.pids())
    with parallel_config(backend="shoal", executor=workers):
        assert effective_n_jobs() == workers.max_workers
        assert effective_n_jobs(50) == workers.max_workers
        pids = set(Parallel()(delayed(os.getpid)() for _ in range(20)))
    assert pids <= (given or pids) | set(workers.supervisor.pids())
    assert workers.submit(square, 3).result() == 9
    with parallel_config(backend="shoal", executor="serial"):
        assert effective_n_jobs(4) == 1
        assert Parallel(n_jobs=4)(delayed(os.getpid)() for _ in range(2)) == [os.getpid()] * 2
    with parallel_config(backend="shoal", executor="threads"):
        assert Parallel(n_jobs=2)(delayed(os.getpid)() for _ in range(3)) == [os.getpid()] * 3


@pytest.mark.parametrize("kind", [ThreadPoolExecutor, ProcessPoolExecutor, "loky"])
def test_any_other_executor_serves_with_original_and_named_errors(kind):
    made = shoal.executor("loky", max_workers=2) if kind == "loky" else kind(2)
    with made as executor, parallel_config(backend="shoal", executor=executor, n_jobs=2):
        assert Parallel()(delayed(square)(x) for x in range(50)) == [x * x for x in range(50)]
        with pytest.raises(KeyError, match="5") as caught:
            Parallel()(delayed(fail_on_five)(x) for x in range(10))
        assert Parallel()(delayed(square)(x) for x in range(3)) == [0, 1, 4]
    assert shoal.failure(caught.value).args == (5,)


def test_an_executor_that_was_shut_down_is_an_error_and_not_a_hang():
    executor = shoal.executor("processes", max_workers=2)
    executor.shutdown()
    with parallel_config(backend="shoal", executor=executor), pytest.raises(ExecutorClosed):
        Parallel()(delayed(square)(x) for x in range(3))


def test_the_functions_own_error_arrives_names_its_input_and_can_be_replayed():
    with pytest.raises(KeyError, match="5") as caught:
        run((delayed(fail_on_five)(x) for x in range(100)), batch_size=4)
    failure = shoal.failure(caught.value)
    assert (failure.function, failure.args, failure.index) == (fail_on_five, (5,), 5)
    assert "fail_on_five" in failure.traceback
    with pytest.raises(KeyError):
        failure.replay()


@pytest.mark.parametrize("batch_size", [1, 4])
def test_a_task_that_kills_its_worker_is_named_and_the_next_call_works(batch_size):
    with pytest.raises(WorkerDied, match="status 7, 3 attempts") as caught:
        run(
            (delayed(lambda x: os._exit(7) if x == 6 else x)(x) for x in range(9)),
            batch_size=batch_size,
        )
    assert shoal.failure(caught.value).args == (6,)
    assert run(delayed(square)(x) for x in range(3)) == [0, 1, 4]


class Deadly:
    """Ends the worker that unpickles it."""

    def __reduce__(self):
        return os._exit, (8,)


def test_an_input_that_kills_on_arrival_is_named():
    with pytest.raises(WorkerDied, match="status 8") as caught:
        run((delayed(id)(x) for x in [1, Deadly(), 3]), batch_size=3)
    assert shoal.failure(caught.value).index == 1


def test_a_worker_that_dies_once_costs_nothing(tmp_path):
    def die_once(x, marker=str(tmp_path / "died")):
        if x == 2 and not os.path.exists(marker):
            open(marker, "x").close()
            os._exit(9)
        return x

    assert run((delayed(die_once)(x) for x in range(6)), batch_size=3) == list(range(6))


def test_what_cannot_travel_is_an_error_of_its_task_alone():
    with pytest.raises(InputNotSent) as caught:
        run((delayed(id)(x) for x in [1, threading.Lock(), 3]), batch_size=3)
    assert shoal.failure(caught.value).index == 1
    with pytest.raises(ResultNotReturned) as caught:
        run((delayed(lambda x: threading.Lock() if x else x)(x) for x in [0, 1, 0]), batch_size=3)
    assert shoal.failure(caught.value).index == 1


def test_a_batch_that_turns_out_long_is_shared_with_the_idle_worker(tmp_path):
    def wait_for_another(x, folder=str(tmp_path)):
        """Ends when tasks of one batch run in two processes."""
        open(os.path.join(folder, str(os.getpid())), "w").close()
        while len(os.listdir(folder)) < 2:
            time.sleep(0.005)
        return x

    tasks = [delayed(wait_for_another)(x) for x in range(8)]
    assert run(tasks, batch_size=8, pre_dispatch="all") == list(range(8))


def test_results_come_as_a_generator_in_order_or_as_they_are_ready():
    ordered = run((delayed(square)(x) for x in range(30)), return_as="generator")
    assert next(ordered) == 0
    assert list(ordered) == [x * x for x in range(1, 30)]
    free = run((delayed(square)(x) for x in range(30)), return_as="generator_unordered")
    assert sorted(free) == [x * x for x in range(30)]


def test_two_generators_of_one_context_do_not_disturb_each_other():
    with parallel_config(backend="shoal", n_jobs=2):
        first = Parallel(return_as="generator")(delayed(square)(x) for x in range(40))
        second = Parallel(return_as="generator")(delayed(abs)(-x) for x in range(40))
        assert [*zip(first, second, strict=True)] == [(x * x, x) for x in range(40)]


@pytest.mark.filterwarnings("ignore:.*tasks.*:UserWarning")
def test_a_generator_that_is_dropped_leaves_no_thread_and_no_work():
    results = run((delayed(pid_after)(0.01) for _ in range(1000)), return_as="generator")
    next(results)
    del results
    gc.collect()
    until(lambda: not threads_of_joblib(), what="the end of the receiving thread")
    assert run(delayed(square)(x) for x in range(3)) == [0, 1, 4]


def test_a_timeout_of_joblib_ends_the_call():
    begun = time.monotonic()
    with pytest.raises(multiprocessing.TimeoutError):
        run([delayed(time.sleep)(30), delayed(time.sleep)(30)], timeout=0.2)
    assert time.monotonic() - begun < 10
    until(lambda: not threads_of_joblib(), what="the end of the receiving thread")
    assert run(delayed(square)(x) for x in range(3)) == [0, 1, 4]


def test_a_managed_parallel_serves_many_calls_and_outlives_an_error():
    with Parallel(n_jobs=2, backend="shoal") as parallel:
        for count in (5, 0, 7):
            assert parallel(delayed(square)(x) for x in range(count)) == [
                x * x for x in range(count)
            ]
        with pytest.raises(KeyError):
            parallel(delayed(fail_on_five)(x) for x in range(10))
        assert parallel(delayed(square)(x) for x in range(3)) == [0, 1, 4]


def nested(x):
    inner = Parallel(n_jobs=2)(delayed(os.getpid)() for _ in range(2))
    named = run(delayed(os.getpid)() for _ in range(2))
    assert inner == named == [os.getpid()] * 2, "nested calls run inline"
    return type(get_active_backend()[0]).__name__, effective_n_jobs(-1)


def test_nested_calls_run_inline():
    assert run(delayed(nested)(x) for x in range(4)) == [("SequentialBackend", 1)] * 4


def test_code_that_needs_shared_memory_gets_threads():
    with parallel_config(backend="shoal", n_jobs=2):
        seen = Parallel(n_jobs=2, require="sharedmem")(delayed(os.getpid)() for _ in range(2))
    assert seen == [os.getpid()] * 2


def flags(array):
    return float(array.sum()), array.flags.writeable


def test_a_large_array_used_by_many_tasks_is_shared_read_only():
    array = np.arange(MEGABYTE / 4)
    seen = run((delayed(flags)(array) for _ in range(6)), batch_size=1)
    assert {total for total, _ in seen} == {array.sum()}
    assert [writable for _, writable in seen].count(False) == 5  # the first is sent, then shared


@pytest.mark.parametrize("options", [{"mmap_mode": None}, {"mmap_mode": "c"}, {"max_nbytes": None}])
def test_private_copies_can_be_asked_for(options):
    array = np.arange(MEGABYTE / 4)
    assert all(writable for _, writable in run([delayed(flags)(array)] * 4, **options))


def test_writing_into_arrays_of_this_process_is_refused_with_what_to_do():
    with pytest.raises(ValueError, match="mmap_mode='w\\+'.*numpy.memmap"):
        run([delayed(square)(1)], mmap_mode="w+")


def fill(row, value, *, seen=None):
    row[:] = value if seen is None else seen[0, 0] + value


def test_workers_write_into_a_memmap_and_into_views_of_it(tmp_path):
    out = np.memmap(tmp_path / "out.bin", "f8", "w+", shape=(6, 4), offset=24)
    run(delayed(fill)(out[i], i) for i in range(6))
    assert out.tolist() == [[float(i)] * 4 for i in range(6)]
    run(delayed(fill)(out[::-1, 1:][i], i, seen=out) for i in range(5))
    assert out[1:, 1].tolist() == [4.0, 3.0, 2.0, 1.0, 0.0]
    fixed = np.memmap(tmp_path / "out.bin", "f8", "r", shape=(6, 4), offset=24)
    with pytest.raises(ValueError, match="read-only"):
        run([delayed(fill)(fixed, 1), delayed(fill)(fixed, 1)])


def test_an_input_that_changes_after_it_was_drawn_was_sent_as_it_was():
    def buffers():
        buffer = np.zeros(3)
        for x in range(20):
            buffer[:] = x
            yield delayed(float)(buffer[0])

    assert run(buffers()) == [float(x) for x in range(20)]


def test_errors_of_the_input_generator_are_its_own():
    def inputs():
        yield delayed(square)(1)
        raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"):
        run(inputs())


@pytest.mark.parametrize(
    ("options", "kind", "text"),
    [
        ({"executor": "nowhere"}, ValueError, "executor='nowhere'"),
        ({"executor": 3}, TypeError, "executor=3"),
        ({"colour": "red"}, TypeError, "colour"),
    ],
)
def test_a_wrong_argument_is_refused_by_name(options, kind, text):
    with pytest.raises(kind, match=text), parallel_config(backend="shoal", **options):
        pass


def test_threads_are_not_asked_of_somebody_elses_workers(workers):
    with (
        parallel_config(backend="shoal", executor=workers, inner_max_num_threads=2),
        pytest.raises(ValueError, match="inner_max_num_threads=2"),
    ):
        Parallel()(delayed(square)(x) for x in range(2))


def test_ctrl_c_ends_a_call_and_its_workers(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent(
            """
            import os, sys, time
            from joblib import Parallel, delayed
            from shoal.tasks.joblib import register_joblib

            def stay(folder):
                with open(folder, "a") as file:
                    file.write(f"{os.getpid()}\\n")
                time.sleep(60)

            register_joblib()
            try:
                Parallel(n_jobs=2, backend="shoal")(delayed(stay)(sys.argv[1]) for _ in range(2))
            except KeyboardInterrupt:
                print("interrupted")
            """
        )
    )
    pids = tmp_path / "pids"
    with subprocess.Popen(
        [sys.executable, program, pids], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        begun = until(lambda: len(lines(pids)) == 2 and lines(pids), what="two tasks that run")
        process.send_signal(2)
        assert process.communicate(timeout=60)[0] == "interrupted\n"
    until(lambda: not any(alive(int(pid)) for pid in begun), what="the end of the workers")
