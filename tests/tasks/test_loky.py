"""loky's executor, with the cancelling that it lacks: what a shutdown drops never runs."""

import os
from concurrent.futures import CancelledError
from time import monotonic

import pytest

import shoal
from shoal.tasks.loky import LokyExecutor


def wait_for_file(path):
    end = monotonic() + 30
    while not os.path.exists(path):
        assert monotonic() < end
    return str(path)


def touch(path):
    path.touch()


def test_positional_and_keyword_arguments_reach_the_function():
    with LokyExecutor(1, threads_per_task=1) as executor:
        assert executor.submit(int, "ff", base=16).result() == 255
        assert executor.submit(os.getenv, "OMP_NUM_THREADS").result() == "1"


def test_a_shutdown_can_cancel_what_has_not_begun(tmp_path):
    gate, touched = tmp_path / "gate", [tmp_path / str(number) for number in range(20)]
    executor = LokyExecutor(1, threads_per_task=1)
    held = executor.submit(wait_for_file, gate)
    waiting = [executor.submit(touch, path) for path in touched]
    executor.shutdown(wait=False, cancel_futures=True)
    gate.touch()
    assert held.result(30) == str(gate)
    cancelled = [future for future in waiting if future.cancelled()]
    assert cancelled
    with pytest.raises(CancelledError):
        cancelled[-1].result()
    for future, path in zip(waiting, touched, strict=True):
        if not future.cancelled():
            future.result(30)
        assert path.exists() != future.cancelled()


def test_a_shutdown_without_cancelling_finishes_what_was_submitted(tmp_path):
    touched = [tmp_path / str(number) for number in range(5)]
    executor = LokyExecutor(1, threads_per_task=1)
    for path in touched:
        executor.submit(touch, path)
    executor.shutdown()
    assert all(path.exists() for path in touched)


def test_a_whole_call_runs_on_it():
    with LokyExecutor(2, threads_per_task=1) as executor:
        results = shoal.map(lambda x: (x, os.getpid()), range(30), executor=executor)
    assert [x for x, _ in results] == list(range(30))
    assert os.getpid() not in {pid for _, pid in results}
