"""A task that hangs, or a worker that is stopped, is ended by its deadline and nothing else is."""

import os
import signal
import time

import pytest

import shoal
from shoal.errors import TaskTimeout
from shoal.tasks import Task, run
from tests.faults.watching import alive, lines, until

pytestmark = pytest.mark.timeout(30)


def test_a_stopped_worker_is_killed_at_the_deadline_and_its_task_tried_again(pool, tmp_path):
    """E05: with a deadline and a retry the result is whole; the stopped worker is gone."""
    ledger = tmp_path / "pids"

    def point(x):
        if x == 3:
            with ledger.open("a") as file:
                file.write(f"{os.getpid()}\n")
            if len(ledger.read_text().split()) == 1:
                os.kill(os.getpid(), signal.SIGSTOP)
        return x * x

    got = shoal.map(point, range(20), executor=pool, timeout_seconds=0.5, retries=1)
    assert got == [x * x for x in range(20)]
    first, second = map(int, lines(ledger))
    assert first != second
    until(lambda: not alive(first), 20)


def test_a_worker_that_was_stopped_while_idle_is_replaced_at_the_deadline(pool):
    """E05: the deadline holds even where the task could not begin."""
    shoal.map(abs, range(20), executor=pool, batch_size=1)
    stopped = pool.supervisor.pids()
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        got = shoal.map(abs, range(20), executor=pool, timeout_seconds=0.5, retries=1)
    finally:
        for pid in stopped:
            if alive(pid):
                os.kill(pid, signal.SIGCONT)
    assert got == list(range(20))


def test_the_answer_of_a_worker_that_wakes_up_late_is_not_taken(pool, tmp_path):
    """E05: a task stopped and tried again gives the second answer, and gives it once."""
    ledger = tmp_path / "pids"

    def point(x):
        with ledger.open("a") as file:
            file.write(f"{os.getpid()}\n")
        number = len(ledger.read_text().split())
        if number == 1:
            os.kill(os.getpid(), signal.SIGSTOP)
        return number

    outcomes = list(run(point, [Task((1,))], executor=pool, timeout_seconds=0.5, retries=1))
    assert [(outcome.value, outcome.attempt) for outcome in outcomes] == [(2, 2)]


def test_a_hung_task_costs_itself_only(pool):
    """E05: twelve inputs, one hangs: eleven results and one TaskTimeout that names it."""

    def point(x):
        if x == 0.7390851:
            time.sleep(60)
        return x

    values = [0.1, 0.2, 0.7390851, *range(9)]
    begun = time.monotonic()
    got = shoal.map(point, values, executor=pool, timeout_seconds=0.5, on_error="return")
    assert time.monotonic() - begun < 10
    error = got.pop(2)
    assert got == [0.1, 0.2, *range(9)]
    assert isinstance(error, TaskTimeout)
    assert isinstance(error, TimeoutError)
    assert "timeout_seconds=0.5" in str(error)
    assert "0.7390851" in error.__notes__[0]


def test_a_task_that_hangs_where_no_python_runs_is_stopped_too(pool):
    """E05: the deadline needs no cooperation: signals blocked, inside C."""

    def point(x):
        if x:
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
            signal.sigwait(())
        return x

    got = shoal.map(point, [0, 1], executor=pool, timeout_seconds=0.5, on_error="return")
    assert got[0] == 0
    assert isinstance(got[1], TaskTimeout)


def test_the_clock_of_a_task_starts_when_the_task_does(pool):
    """E05: tasks of one batch have a deadline each, and waiting for a worker does not count."""

    def point(x):
        time.sleep(0.1)
        return x

    got = shoal.map(point, range(12), executor=pool, timeout_seconds=0.6, batch_size=6)
    assert got == list(range(12))


def test_a_result_that_hangs_while_it_is_packed_is_stopped(pool):
    """E05: the deadline covers what the task's result does on its way."""

    class Hangs:
        def __reduce__(self):
            time.sleep(60)

    got = shoal.map(
        lambda x: Hangs() if x else x,
        [0, 1],
        executor=pool,
        timeout_seconds=0.5,
        on_error="return",
    )
    assert got[0] == 0
    assert isinstance(got[1], TaskTimeout)
