"""Several calls at once, calls inside readers of others, and calls that are given up midway."""

import itertools
import threading
import time

import pytest

import shoal
from shoal.tasks import Task, run
from tests.faults.watching import lines, until

pytestmark = pytest.mark.timeout(30)


def together(*functions):
    """Runs functions in threads of their own; gives what they returned."""
    results = [None] * len(functions)
    errors = []

    def work(place, function):
        try:
            results[place] = function()
        except Exception as error:  # noqa: BLE001  (raised again below)
            errors.append(error)

    threads = [
        threading.Thread(target=work, args=each, daemon=True) for each in enumerate(functions)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    if errors:
        raise errors[0]
    assert not any(thread.is_alive() for thread in threads)
    return results


def test_two_threads_map_at_once(pool):
    def many(factor):
        return [
            shoal.map(lambda x: factor * x, range(50), executor=pool, batch_size=3)
            for _ in range(10)
        ]

    expected = [[[factor * x for x in range(50)]] * 10 for factor in (2, 3, 5)]
    assert together(*(lambda f=f: many(f) for f in (2, 3, 5))) == expected


def test_threads_that_map_for_the_first_time_at_once_share_their_workers(run):
    out = run(
        """
        import os, threading
        import shoal

        barrier = threading.Barrier(8)
        pids = set()

        def work():
            barrier.wait()
            pids.update(shoal.map(lambda x: os.getpid(), range(20), max_workers=2))

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print(1 <= len(pids) <= 2)
        """
    )
    assert out == "True\n"


def test_a_failing_call_does_not_disturb_another_thread_s(pool, tmp_path):
    gate = tmp_path / "gate"

    def fails():
        with pytest.raises(ZeroDivisionError):
            shoal.map(lambda x: 1 // x, range(20), executor=pool)
        gate.touch()
        return "failed"

    def works():
        def task(x):
            while not gate.exists():
                time.sleep(0.002)
            return x

        return shoal.map(task, range(20), executor=pool, max_workers=1)

    assert together(works, fails) == [list(range(20)), "failed"]


def test_a_thread_that_waits_for_a_result_does_not_stop_another_s_shutdown(pool, tmp_path):
    mark, gate = tmp_path / "mark", tmp_path / "gate"

    def task():
        mark.touch()
        while not gate.exists():
            time.sleep(0.002)
        return "done"

    future = pool.submit(task)

    def shut():
        until(mark.exists)
        threading.Timer(0.1, gate.touch).start()
        pool.shutdown(wait=True)
        return "shut"

    assert together(future.result, shut) == ["done", "shut"]


def test_a_map_inside_the_loop_that_reads_an_imap_works(pool):
    sums = [
        sum(shoal.map(lambda y, x=x: y + x, range(10), executor=pool))
        for x in shoal.imap(lambda x: x * x, range(30), executor=pool)
    ]
    assert sums == [45 + 10 * x * x for x in range(30)]


def test_two_imaps_are_read_in_turns(pool):
    first = shoal.imap(lambda x: 2 * x, itertools.count(), executor=pool)
    second = shoal.imap(lambda x: 3 * x, itertools.count(), executor=pool)
    pairs = list(itertools.islice(zip(first, second, strict=False), 300))
    assert pairs == [(2 * x, 3 * x) for x in range(300)]
    first.close()
    assert [next(second) for _ in range(50)] == [3 * x for x in range(300, 350)]


def test_an_imap_feeds_another(pool):
    squares = shoal.imap(lambda x: x * x, range(100), executor=pool)
    assert shoal.map(lambda x: x + 1, squares, executor=pool) == [x * x + 1 for x in range(100)]


def test_submit_and_map_on_one_executor_work_together(pool):
    futures = [pool.submit(pow, 2, x) for x in range(50)]
    assert shoal.map(abs, range(-50, 0), executor=pool) == list(range(50, 0, -1))
    assert [future.result(10) for future in futures] == [2**x for x in range(50)]


@pytest.mark.parametrize("how", ["close", "break"])
def test_an_imap_given_up_midway_leaves_the_pool_usable(pool, tmp_path, how):
    ledger = tmp_path / "begun"

    def task(x):
        with ledger.open("a") as file:
            file.write(f"{x}\n")
        if x > 5:
            time.sleep(60)
        return x

    results = shoal.imap(task, itertools.count(), executor=pool, batch_size=1)
    for got in results:
        if got == 5:
            break
    until(lambda: len(lines(ledger)) >= 8)
    if how == "close":
        results.close()
    del results
    begun = time.monotonic()
    assert shoal.map(abs, [-1, -2, -3], executor=pool) == [1, 2, 3]
    assert time.monotonic() - begun < 10


def test_outcomes_given_up_midway_leave_the_pool_usable(pool):
    outcomes = run(abs, (Task((-x,)) for x in itertools.count()), executor=pool)
    assert min(next(outcomes).value for _ in range(3)) >= 0
    outcomes.close()
    assert shoal.map(abs, [-1], executor=pool) == [1]


def test_a_map_ended_by_an_error_leaves_no_result_for_the_next(pool):
    for _ in range(20):
        with pytest.raises(ZeroDivisionError):
            shoal.map(lambda x: 1 // x, [3, 2, 1, 0, 5, 6, 7], executor=pool, batch_size=1)
        assert shoal.map(lambda x: -x, [1, 2, 3], executor=pool) == [-1, -2, -3]


def test_uneven_tasks_do_not_wait_behind_a_slow_one(pool, tmp_path):
    gate = tmp_path / "gate"
    ledger = tmp_path / "ended"

    def task(x):
        if x == 40:
            end = time.monotonic() + 5
            while not gate.exists() and time.monotonic() < end:
                time.sleep(0.002)
        with ledger.open("a") as file:
            file.write(f"{x}\n")
        return x

    def open_gate():
        until(lambda: len(lines(ledger)) >= 198)  # one behind it may stay with it
        gate.touch()
        return lines(ledger)[:198]

    got, first = together(
        lambda: shoal.map(task, range(200), executor=pool, batch_size=50), open_gate
    )
    assert got == list(range(200))
    assert "40" not in first


def test_a_task_that_leaves_a_thread_behind_does_no_harm(pool, capsys):
    def task(x):
        threading.Thread(target=lambda: (time.sleep(0.05), print("late", x)), daemon=True).start()
        return x

    assert shoal.map(task, range(4), executor=pool) == list(range(4))
    assert shoal.map(lambda x: time.sleep(0.3), range(2), executor=pool) == [None, None]
    assert sorted(capsys.readouterr().out.split("\n")) == ["", *(f"late {x}" for x in range(4))]
