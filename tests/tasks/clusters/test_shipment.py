"""Batches of one function: what is sent, how often, and what is made of the replies."""

import threading

import numpy as np
import pytest

from shoal.errors import ExecutorBroken, FunctionNotSent
from shoal.tasks.clusters.shipment import Shipment
from shoal.tasks.dispatch import Batch
from shoal.tasks.envelope import Calling
from tests.tasks.clusters.here import WorkerLost

LOCK = threading.Lock()
BIG = np.arange(200_000.0)


def answer(shipment, *items, start=0):
    parcel = shipment.pack(Batch(start, list(items)))
    return shipment.answer(parcel, shipment.start(parcel))


def test_a_batch_comes_back_with_its_values(here):
    got = answer(Shipment(here, lambda x: x + 1, Calling()), 1, 2)
    assert got.ended.values == [2, 3]
    assert got.message_bytes > 0
    assert here.put_values == []


def test_a_large_function_is_put_there_once(here):
    table = list(range(20_000))
    shipment = Shipment(here, lambda x: table[x], Calling())
    assert [answer(shipment, x).ended.values for x in (1, 2)] == [[1], [2]]
    assert len(here.put_values) == 1


def test_a_big_array_of_the_function_is_put_there_once(here):
    shipment = Shipment(here, lambda x: BIG[x] + x, Calling())
    held = np.copy(BIG)
    shipment = Shipment(here, lambda x: held[x], Calling())
    before = len(here.put_values)
    assert [answer(shipment, x).ended.values for x in (1, 2)] == [[1.0], [2.0]]
    assert len(here.put_values) == before


def test_an_array_that_several_inputs_share_is_put_there_once(here):
    shipment = Shipment(here, lambda x: x[3], Calling(), lasting=True)
    assert answer(shipment, BIG).ended.values == [3.0]
    assert here.put_values == []
    assert [answer(shipment, BIG).ended.values for _ in range(3)] == [[3.0]] * 3
    assert len(here.put_values) == 1


def test_what_cannot_be_pickled_is_an_error_at_once(here):
    with pytest.raises(FunctionNotSent):
        Shipment(here, lambda x: (x, LOCK), Calling())
    with pytest.raises(TypeError):
        Shipment(here, abs, Calling()).pack(Batch(0, [threading.Lock()]))


def test_the_end_of_a_worker_is_a_death_and_lost_data_is_put_there_again(here):
    held = np.copy(BIG)
    shipment = Shipment(here, lambda x: held[x], Calling())
    before = len(here.put_values)
    here.losses.append(WorkerLost())
    assert answer(shipment, 1).death.cause == "lost"
    assert len(here.put_values) == 2 * before
    assert answer(shipment, 1).ended.values == [1.0]


def test_any_other_error_of_the_cluster_ends_the_call_and_is_its_cause(here):
    shipment = Shipment(here, abs, Calling())
    here.losses.append(OSError("no route"))
    error = answer(shipment, 1).error
    assert isinstance(error, ExecutorBroken)
    assert "here failed with OSError: no route" in str(error)
    assert isinstance(error.__cause__, OSError)


def test_results_are_written_here(here):
    out = np.zeros(4)
    shipment = Shipment(here, lambda x: x * 1.5, Calling(), out=out)
    assert answer(shipment, 2, 4, start=1).ended.values == [None, None]
    assert out.tolist() == [0, 3, 6, 0]
