"""Workers that are killed, crash or vanish cost no more than the call they were running."""

import contextlib
import gc
import os
import random
import signal
import subprocess
import sys
import threading
from collections import Counter

import psutil
import pytest

import shoal
from shoal.errors import WorkerDied
from shoal.tasks import Task, run
from tests.faults.watching import alive, lines, until

pytestmark = pytest.mark.timeout(60)


def note_of(error):
    return "\n".join(error.__notes__)


def die_once(mark):
    """A task that kills its first worker and returns in the second."""

    def task(x):
        if not os.path.exists(mark):
            open(mark, "x").close()
            os.kill(os.getpid(), signal.SIGKILL)
        return x

    return task


def test_a_sweep_under_a_storm_of_kills_gives_the_serial_results(pool, tmp_path):
    """E01: every point once in the result, and run at most once more than workers were killed."""
    ledger = tmp_path / "ledger"
    finished = threading.Event()
    kills = []

    def point(x):
        import time

        with open(ledger, "a") as file:
            file.write(f"{x}\n")
        time.sleep(0.004)
        return x * 1.1

    def storm():
        dice, due = random.Random(1), 1
        while not finished.wait(0.005):
            begun, pids = len(lines(ledger)), pool.supervisor.pids()
            if begun < due or not pids:
                continue
            with contextlib.suppress(ProcessLookupError):  # it may just have been reaped
                os.kill(dice.choice(pids), signal.SIGKILL)
                kills.append(begun)
            due = begun + dice.randint(10, 50)  # work goes on between two kills

    thread = threading.Thread(target=storm)
    thread.start()
    try:
        got = shoal.map(point, range(200), executor=pool, worker_death_retries=100)
    finally:
        finished.set()
        thread.join()
    assert got == [x * 1.1 for x in range(200)]
    assert len(kills) >= 3
    runs = Counter(map(int, lines(ledger)))
    assert set(runs) == set(range(200))
    assert max(runs.values()) <= 1 + len(kills)


def test_a_poison_point_fails_alone_and_is_named(pool):
    """E02: 499 results and one WorkerDied with signal, attempts and input."""

    def point(x):
        if x == 137:
            os.kill(os.getpid(), signal.SIGKILL)
        return x * x

    got = shoal.map(point, range(500), executor=pool, on_error="return")
    error = got[137]
    assert got[:137] + got[138:] == [x * x for x in range(500) if x != 137]
    assert isinstance(error, WorkerDied)
    assert (error.signal, error.exit_code, error.attempts, error.index) == (9, None, 3, 137)
    assert "signal 9" in str(error)
    assert "3 attempts" in str(error)
    assert "137" in note_of(error)
    assert shoal.failure(error).args == (137,)


@pytest.mark.parametrize("place", [0, 3, 11])
def test_the_input_that_kills_is_named_wherever_it_stands(pool, place):
    """E02: index 0, the probe, too; with twelve inputs, as the peers were tried."""
    values = [0.1 * x for x in range(12)]
    values[place] = 0.7390851

    def point(x):
        if x == 0.7390851:
            os.kill(os.getpid(), signal.SIGKILL)
        return x

    with pytest.raises(WorkerDied, match=r"signal 9.*3 attempts") as caught:
        shoal.map(point, values, executor=pool)
    assert "0.7390851" in note_of(caught.value)
    assert shoal.map(point, [1.5, 2.5], executor=pool) == [1.5, 2.5]


def test_how_often_a_deadly_task_is_tried_can_be_chosen(pool, tmp_path):
    """E02: worker_death_retries counts deaths, retries counts exceptions."""
    ledger = tmp_path / "ledger"

    def point(x):
        with open(ledger, "a") as file:
            file.write("run\n")
        os.kill(os.getpid(), signal.SIGKILL)

    [error] = shoal.map(
        point, [1], executor=pool, worker_death_retries=0, retries=5, on_error="return"
    )
    assert (error.attempts, len(lines(ledger))) == (1, 1)


def test_a_segmentation_fault_is_named_with_the_stack_it_left(pool):
    """E03: as E02, and the text of faulthandler is the cause."""

    def segfault_here(x):
        import ctypes

        return ctypes.string_at(0) if x == 5 else x

    got = shoal.map(segfault_here, range(50), executor=pool, on_error="return")
    error = got.pop(5)
    assert got == [x for x in range(50) if x != 5]
    assert isinstance(error, WorkerDied)
    assert error.signal == signal.SIGSEGV
    assert "SIGSEGV" in str(error)
    assert "Segmentation fault" in str(error.__cause__)
    assert "in segfault_here" in str(error.__cause__)
    assert "segfault_here" in shoal.failure(error).traceback


@pytest.mark.parametrize("status", [0, 1, 255])
def test_a_task_that_leaves_the_process_is_named_with_its_status(pool, status):
    """E07: os._exit, with 0 too, is a failure of that task."""

    def point(x):
        if x == 2:
            os._exit(status)
        return x

    got = shoal.map(point, range(6), executor=pool, on_error="return")
    error = got.pop(2)
    assert got == [0, 1, 3, 4, 5]
    assert isinstance(error, WorkerDied)
    assert (error.signal, error.exit_code, error.attempts) == (None, status, 3)
    assert f"status {status}" in str(error)


def test_death_while_an_input_is_unpacked_costs_that_task(pool):
    """E06: unpickling may kill, and is isolated like a task that does."""

    class Deadly:
        def __reduce__(self):
            return os._exit, (7,)

    values = [1, 2, Deadly(), 4]
    got = shoal.map(type, values, executor=pool, batch_size=4, on_error="return")
    assert [got[0], got[1], got[3]] == [int] * 3
    assert isinstance(got[2], WorkerDied)
    assert got[2].exit_code == 7


def test_death_while_a_result_is_packed_costs_that_task(pool):
    """E06: pickling a result may kill, and is isolated like a task that does."""

    class Deadly:
        def __reduce__(self):
            os._exit(7)

    def point(x):
        return Deadly() if x == 2 else x

    got = shoal.map(point, range(5), executor=pool, batch_size=5, on_error="return")
    assert got[:2] + got[3:] == [0, 1, 3, 4]
    assert isinstance(got[2], WorkerDied)
    assert got[2].exit_code == 7


def test_a_function_that_kills_whoever_loads_it_is_named(pool):
    """E02: no task can run, and the error says so instead of trying for ever."""

    class Deadly:
        def __call__(self, x):
            return x

        def __reduce__(self):
            return os._exit, (7,)

    with pytest.raises(WorkerDied, match="while it loaded the function"):
        shoal.map(Deadly(), range(5), executor=pool)
    assert shoal.map(abs, [-1], executor=pool) == [1]


def test_run_reports_deaths_as_attempts(pool, tmp_path):
    """E01: an outcome after a death counts the attempt that was lost."""
    [outcome] = run(die_once(tmp_path / "mark"), [Task((5,))], executor=pool)
    assert (outcome.value, outcome.attempt) == (5, 2)


def test_a_submitted_call_survives_the_death_of_its_worker(pool, tmp_path):
    """E01: submit as well as map."""
    assert pool.submit(die_once(tmp_path / "mark"), 5).result(20) == 5


def test_a_submitted_call_that_kills_is_named(pool):
    """E02: submit as well as map."""

    def deadly(x, power):
        os.kill(os.getpid(), signal.SIGKILL)

    error = pool.submit(deadly, 5, power=3).exception(30)
    assert isinstance(error, WorkerDied)
    assert (error.signal, error.attempts) == (9, 3)
    assert "(5, power=3)" in note_of(error)


def test_shutdown_waits_for_a_call_whose_worker_dies_meanwhile(pool, tmp_path):
    """E01: no future is left pending for ever."""
    mark, gate = tmp_path / "mark", tmp_path / "gate"

    def task(x):
        if mark.exists():
            return x
        mark.touch()
        while not gate.exists():
            pass
        os.kill(os.getpid(), signal.SIGKILL)

    future = pool.submit(task, 5)
    until(mark.exists)
    pool.shutdown(wait=False)
    gate.touch()
    assert future.result(20) == 5


def test_idle_workers_that_are_killed_cost_nothing(pool):
    """E01: the next call finds new workers."""
    assert shoal.map(abs, range(20), executor=pool, batch_size=1) == list(range(20))
    for pid in pool.supervisor.pids():
        os.kill(pid, signal.SIGKILL)
    assert shoal.map(abs, range(20), executor=pool) == list(range(20))


def test_the_death_of_the_launcher_costs_nothing(pool, tmp_path):
    """E01: it takes its workers with it; the next one starts new ones."""
    ledger = tmp_path / "pids"

    def point(x):
        if x == 0 and not ledger.exists():
            ledger.write_text(str(os.getppid()))
            while True:
                signal.pause()
        return x

    def kill_launcher():
        os.kill(int(until(lambda: lines(ledger))[0]), signal.SIGKILL)

    thread = threading.Thread(target=kill_launcher)
    thread.start()
    assert shoal.map(point, range(50), executor=pool) == list(range(50))
    thread.join()


def test_what_a_dead_worker_had_started_is_gone_too(pool, tmp_path):
    """E02: a worker's own children, as far as they stay in its process group, die with it."""
    ledger = tmp_path / "pids"

    def point(x):
        child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
        with ledger.open("a") as file:
            file.write(f"{child.pid}\n")
        os.kill(os.getpid(), signal.SIGKILL)

    shoal.map(point, [1], executor=pool, on_error="return")
    children = list(map(int, lines(ledger)))
    assert len(children) == 3
    until(lambda: not any(map(alive, children)), 20)


@pytest.mark.parametrize("ending", ["exit", "raise", "return"])
def test_a_task_s_forked_child_does_not_speak_for_the_worker(pool, ending, tmp_path):
    """E07: a child that leaves its task by the front door ends, and its answer is not taken."""
    ledger = tmp_path / "children"

    def point(x):
        child = os.fork()
        if child == 0:
            if ending == "exit":
                raise SystemExit(0)
            if ending == "raise":
                raise ValueError("from the child")
            return "from the child"
        with ledger.open("a") as file:
            file.write(f"{child}\n")
        os.waitpid(child, 0)
        return x

    got = shoal.map(point, range(2), executor=pool, timeout_seconds=5, on_error="return")
    assert got == [0, 1]
    until(lambda: not any(map(alive, map(int, lines(ledger)))), 20)


def test_an_executor_that_nobody_holds_ends_its_workers():
    """E01: as with the standard library's executors, dropping one is enough."""
    executor = shoal.executor("processes", max_workers=1)
    worker, launcher = executor.submit(lambda: (os.getpid(), os.getppid())).result(20)
    assert alive(worker)
    del executor
    gc.collect()
    until(lambda: not alive(worker) and not alive(launcher), 20)


def test_death_is_noticed_where_the_caller_blocks_signals(start):
    """J05 of the runner, for the engine: what a program does with its signals is its affair."""
    source = """
        import os, signal, sys
        import shoal
        if sys.argv[1] == "blocked":
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD, signal.SIGTERM})
        else:
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)

        def point(x):
            if x == 2:
                os.kill(os.getpid(), 9)
            return x

        got = shoal.map(point, range(5), on_error="return", max_workers=2)
        print([str(value).split(":")[0].split(",")[0] for value in got])
    """
    expected = "['0', '1', 'the worker was killed by signal 9 (SIGKILL)', '3', '4']"
    for how in ("ignored", "blocked"):
        status, out, err = start(source, how).finish(120)
        assert (status, out.strip()) == (0, expected), (how, err)


def test_the_workers_children_of_a_launcher_are_its_only_ones(pool):
    """E01: dead workers are reaped: none stays behind as a zombie."""
    shoal.map(lambda x: os._exit(1), range(3), executor=pool, on_error="return")
    shoal.map(abs, range(3), executor=pool)
    pids = pool.supervisor.pids()
    launcher = psutil.Process(pids[0]).parent()
    until(lambda: {child.pid for child in launcher.children()} == set(pool.supervisor.pids()), 20)
