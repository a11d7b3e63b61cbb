"""Calls submitted to a cluster: the rest of the contract is in tests/contracts."""

import threading

import pytest

import shoal
from shoal.errors import ExecutorBroken, ExecutorClosed, FunctionNotSent, WorkerDied
from shoal.tasks.clusters import cluster as cluster_module
from shoal.tasks.clusters import executor as module
from shoal.tasks.clusters.executor import ClusterExecutor
from tests.tasks.clusters.here import WorkerLost

SECONDS = 30
LOCK = threading.Lock()


@pytest.fixture
def executor(here):
    with ClusterExecutor(here) as made:
        yield made


def test_an_exception_names_its_arguments_and_has_the_worker_s_traceback(executor):
    error = executor.submit(lambda text, base: [int(text, base)], "x", base=7).exception(SECONDS)
    assert type(error) is ValueError
    assert "base=7" in error.__notes__[0]
    assert "Traceback" in str(error.__cause__)
    with pytest.raises(ValueError, match="base 7"):
        shoal.failure(error).replay()


def test_a_call_whose_worker_died_is_made_again_twice(here, executor):
    here.losses.extend([WorkerLost()] * 2)
    assert executor.submit(abs, -3).result(SECONDS) == 3
    here.losses.extend([WorkerLost()] * 3)
    error = executor.submit(abs, -3).exception(SECONDS)
    assert isinstance(error, WorkerDied)
    assert error.attempts == 3
    assert executor.submit(abs, -4).result(SECONDS) == 4


def test_a_cluster_that_fails_fails_its_call(here, executor):
    here.losses.append(OSError("no route"))
    assert isinstance(executor.submit(abs, 1).exception(SECONDS), ExecutorBroken)


def test_what_cannot_be_pickled_is_refused(executor):
    with pytest.raises(FunctionNotSent):
        executor.submit(lambda: LOCK)
    with pytest.raises(TypeError, match="not callable"):
        executor.submit(3)


def test_no_more_calls_are_there_than_there_is_room_for(here):
    running, most, lock, gate = [], [], threading.Lock(), threading.Event()
    real = here._run

    def run(order, values, loss):
        with lock:
            running.append(1)
            most.append(len(running))
        gate.wait(0.01)
        with lock:
            running.pop()
        return real(order, values, loss)

    here._run = run
    with ClusterExecutor(here, max_workers=1) as executor:
        assert list(executor.map(abs, range(10), chunksize=1)) == list(range(10))
    assert max(most) == 1


def test_all_that_waits_fails_when_the_cluster_is_gone(here, monkeypatch):
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(cluster_module, "LOOK_SECONDS", 0.0)
    gate = threading.Event()
    here._run = lambda *_: gate.wait(20) and b""
    executor = ClusterExecutor(here)
    futures = [executor.submit(abs, x) for x in range(5)]
    here.closed = True
    assert all(isinstance(each.exception(SECONDS), ExecutorBroken) for each in futures)
    gate.set()
    executor.shutdown()


@pytest.mark.parametrize("used", [True, False])
def test_the_cluster_is_let_go_once_when_all_is_done(here, used):
    gone = []
    executor = ClusterExecutor(here, let_go=lambda: gone.append(1))
    if used:
        assert executor.submit(abs, -1).result(SECONDS) == 1
    executor.shutdown()
    executor.shutdown()
    assert gone == [1]
    with pytest.raises(ExecutorClosed):
        shoal.map(abs, [1], executor=executor)


def test_control_c_does_not_wait(here):
    gate = threading.Event()
    here._run = lambda *_: gate.wait(20) and b""
    with pytest.raises(KeyboardInterrupt), ClusterExecutor(here) as executor:
        futures = [executor.submit(abs, x) for x in range(5)]
        raise KeyboardInterrupt
    assert futures[-1].cancelled()
    gate.set()
