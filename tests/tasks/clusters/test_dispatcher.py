"""The loop on a cluster: batches out, deaths survived, the end of the cluster told."""

import itertools
import threading

import pytest

import shoal
from shoal.errors import ExecutorBroken, InputNotSent, WorkerDied
from shoal.tasks.clusters import cluster as cluster_module
from shoal.tasks.clusters import dispatcher as module
from shoal.tasks.clusters.dispatcher import ClusterDispatcher
from shoal.tasks.clusters.executor import ClusterExecutor
from shoal.tasks.dispatch import Batch
from shoal.tasks.envelope import Calling
from shoal.tasks.inputs import Inputs
from tests.tasks.clusters.here import WorkerLost


def dispatcher(here, **options):
    options.setdefault("max_workers", None)
    return ClusterDispatcher(here, abs, Calling(), inputs=Inputs([[1]]), **options)


@pytest.fixture
def executor(here):
    with ClusterExecutor(here) as made:
        yield made


def test_the_window_is_two_batches_a_worker_and_one_after_a_death(here):
    made = dispatcher(here)
    assert (made.workers, made.window) == (2, 4)
    here.losses.append(WorkerLost())
    made.send(Batch(0, [1]))
    assert made.receive().death is not None
    assert (made.workers, made.window) == (2, 2)


@pytest.mark.parametrize(("most", "expected"), [(1, (1, 1)), (2, (2, 4)), (5, (2, 4))])
def test_max_workers_bounds_what_runs_at_once(here, most, expected):
    made = dispatcher(here, max_workers=most)
    assert (made.workers, made.window) == expected


def test_the_one_that_kills_is_found_and_the_others_complete(here, executor):
    real = here._run

    def run(order, values, loss):
        import pickle

        if 13 in range(*_span(pickle.loads(order))):
            raise WorkerLost
        return real(order, values, loss)

    here._run = run
    got = shoal.map(abs, range(40), executor=executor, on_error="return", batch_size=10)
    assert isinstance(got[13], WorkerDied)
    assert got[13].attempts == 3
    assert got[:13] + got[14:] == [x for x in range(40) if x != 13]


def _span(order):
    return order.indices.start, order.indices.stop


def test_an_innocent_whose_worker_died_is_run_again(here, executor):
    here.losses.extend([None, WorkerLost(), WorkerLost()])
    assert shoal.map(abs, range(-20, 0), executor=executor) == list(range(20, 0, -1))


def test_a_cluster_that_fails_ends_the_call(here, executor):
    here.losses.extend([None, OSError("no route")])
    with pytest.raises(ExecutorBroken, match="no route"):
        shoal.map(abs, range(20), executor=executor, batch_size=1)


def test_a_cluster_that_dies_under_its_work_is_noticed(here, executor, monkeypatch):
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(cluster_module, "LOOK_SECONDS", 0.0)
    held = threading.Event()
    real = here._run

    def run(order, values, loss):
        here.closed = True
        held.wait(20)
        return real(order, values, loss)

    here._run = run
    with pytest.raises(ExecutorBroken, match="here is gone"):
        shoal.map(abs, [1], executor=executor)
    held.set()


def test_an_input_that_cannot_be_pickled_is_its_own_failure(executor):
    got = shoal.map(id, [1, threading.Lock(), 3], executor=executor, on_error="return")
    assert isinstance(got[1], InputNotSent)
    assert all(isinstance(each, int) for each in (got[0], got[2]))


def test_an_endless_input_is_read_no_further_than_needed(executor):
    drawn = []
    endless = (drawn.append(x) or x for x in itertools.count())
    squares = shoal.imap(lambda x: x * x, endless, executor=executor, batch_size=1)
    assert list(itertools.islice(squares, 10)) == [x * x for x in range(10)]
    assert len(drawn) < 60
    squares.close()


def test_receiving_gives_nothing_when_it_is_woken(here):
    made = dispatcher(here)
    made.wake()
    assert made.receive() is None
    made.finish()
