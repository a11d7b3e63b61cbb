import pickle
from concurrent.futures import Executor, Future

import pytest

from shoal.errors import ExecutorBroken
from shoal.quantum.pennylane import crew as crews
from shoal.quantum.pennylane.crew import SPENT_SECONDS, WORTH_SECONDS, Crew, crew_for
from shoal.tasks import available_cores

RECIPE = pickle.dumps(("default.qubit", {"wires": 1}))


class Slow(Executor):
    """Ends nothing by itself: each future waits to be told."""

    def __init__(self):
        self.futures = []

    def submit(self, fn, /, *args, **kwargs):
        self.futures.append(Future())
        return self.futures[-1]

    def end(self, *results):
        for future, result in zip(self.futures, results, strict=True):
            future.set_result(result)
        self.futures = []


@pytest.fixture
def cores(monkeypatch):
    monkeypatch.setattr(crews, "available_cores", lambda: 4)


def test_workers_are_started_for_a_long_batch_and_one_core_stays_free(cores):
    slow = Slow()
    crew = Crew(slow, 4)
    assert not crew.prepare("b", RECIPE, WORTH_SECONDS - 1)
    assert slow.futures == []
    assert not crew.prepare("b", RECIPE, WORTH_SECONDS)
    assert len(slow.futures) == 3
    assert not crew.prepare("b", RECIPE, 0.1)
    slow.end(1, 2, 3)
    assert not crew.prepare("b", RECIPE, 0.1)
    assert len(slow.futures) == 4
    slow.end(1, 2, 3, 4)
    assert crew.prepare("b", RECIPE, 0.1)
    assert crew.ready("b")
    assert not crew.ready("another")


def test_workers_are_started_once_short_batches_have_taken_a_while(cores):
    slow = Slow()
    crew = Crew(slow, 2)
    crew.spend(SPENT_SECONDS)
    assert not crew.prepare("b", RECIPE, 0.1)
    assert len(slow.futures) == 2
    slow.end(1, 2)
    assert crew.prepare("b", RECIPE, 0.1)


def test_workers_that_cannot_be_told_apart_are_believed_after_some_rounds(cores):
    slow = Slow()
    crew = Crew(slow, 4)
    rounds = 0
    while not crew.prepare("b", RECIPE, WORTH_SECONDS):
        slow.end(*[7] * len(slow.futures))
        rounds += 1
    assert rounds == crews.MOST_ROUNDS


def test_a_failure_is_raised_for_an_executor_of_ones_own_and_told_for_ours(cores):
    def failing(crew, slow):
        crew.prepare("b", RECIPE, WORTH_SECONDS)
        for future in slow.futures:
            future.set_exception(ExecutorBroken("no room"))
        crew.prepare("b", RECIPE, WORTH_SECONDS)

    slow = Slow()
    with pytest.raises(ExecutorBroken, match="no room"):
        failing(Crew(slow, 2), slow)
    ours, slow = Crew("processes", 2), Slow()
    ours.executor = slow
    with pytest.warns(RuntimeWarning, match="no worker could load 'b'.*no room"):
        failing(ours, slow)
    assert ours.alone


def test_a_cluster_is_taken_to_be_ready_and_the_serial_executor_to_be_alone():
    assert Crew("ray:localhost:1", 3).ready("b")
    assert Crew("serial", None).alone
    assert Crew("processes", 1).alone


def test_devices_share_one_set_of_workers_unless_they_want_more():
    shared = crew_for(None, None)
    assert crew_for("processes", 1) is shared
    assert crew_for("processes", available_cores() + 1) is not shared
    assert shared.width == available_cores()


def test_workers_are_ready_after_warming_up():
    crew = crew_for(None, None)
    crew.warm_up("default.qubit", RECIPE)
    assert crew.ready("default.qubit")
