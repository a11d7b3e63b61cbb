import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.quantum.pennylane import batch as batching
from shoal.quantum.pennylane.adapters import state_bytes
from shoal.quantum.pennylane.batch import (
    AMPLITUDE_SECONDS,
    Batch,
    Costs,
    even_size,
    worth_sending,
)
from shoal.quantum.pennylane.templates import Patterns
from shoal.quantum.pennylane.work import Bench


def test_what_is_not_known_is_guessed_from_the_number_of_wires():
    costs = Costs()
    small, large = costs.pace(("execute", 4, False)), costs.pace(("execute", 24, False))
    assert large > 2**24 * AMPLITUDE_SECONDS > small
    assert costs.pace(("compute_vjp", 4, False)) > small
    assert not costs.known(("execute", 4, False))


def test_what_was_measured_is_believed_and_older_measurements_fade():
    costs, key = Costs(), ("execute", 4, False)
    costs.learn(key, seconds=1.0, gates=10)
    assert costs.pace(key) == pytest.approx(0.1)
    costs.learn(key, seconds=3.0, gates=10)
    assert costs.pace(key) == pytest.approx(0.2)
    costs.learn(key, seconds=0.0, gates=0)
    assert costs.known(key)


def batch_of(method="execute", *, wires=20, expand=True, width=8):
    how = (SimpleNamespace(method=method, expand=expand), None)
    return Batch(
        items=[],
        how=how,
        bench=Bench(),
        recipe=b"",
        base_name="lightning.qubit",
        crew=SimpleNamespace(alone=False),
        width=width,
        costs=Costs(),
        patterns=Patterns(),
        wires=wires,
        max_job_size=None,
        may_cut=False,
    )


def tape(measurements=1, batch_size=None):
    gate = SimpleNamespace(data=() if batch_size is None else (np.zeros(batch_size),))
    return SimpleNamespace(
        operations=[gate], measurements=[None] * measurements, batch_size=batch_size
    )


def test_there_are_no_more_workers_than_states_fit_into_free_memory(monkeypatch):
    one = state_bytes(range(20))
    monkeypatch.setattr(batching, "free_memory_bytes", lambda: 3 * one)
    assert batch_of()._width_in_memory(tape()) == 3
    assert batch_of("compute_vjp")._width_in_memory(tape(measurements=2)) == 1
    assert batch_of(expand=False)._width_in_memory(tape(batch_size=96)) == 1
    assert batch_of(wires=22)._width_in_memory(tape()) == 1
    assert batch_of(wires=10)._width_in_memory(tape()) == 8


def test_short_batches_and_gates_that_cost_less_than_their_way_stay_here():
    assert not worth_sending(0.009, gates=10, tapes=2, width=8)
    assert worth_sending(0.1, gates=10, tapes=2, width=2)
    assert not worth_sending(0.1, gates=100_000, tapes=1000, width=8)
    assert worth_sending(1.0, gates=100_000, tapes=1000, width=2)
    assert not worth_sending(1.0, gates=10, tapes=2, width=1)


def test_messages_are_sized_by_what_was_measured():
    batch, key = batch_of(width=2), ("execute", 20, False)
    assert batch._batch_size(10, 100, key, 2) == "auto"
    batch.costs.learn(key, seconds=0.1, gates=10)
    assert batch._batch_size(1, 1000, key, 2) == 5
    assert batch._batch_size(1000, 16, key, 2) == 1
    batch.max_job_size = 7
    assert batch._batch_size(1, 1000, key, 2) == 7


@given(
    count=st.integers(2, 3000),
    width=st.integers(2, 64),
    seconds=st.floats(1e-5, 2.0),
)
def test_messages_are_short_and_leave_no_worker_idle_for_long(count, width, seconds):
    size = even_size(count, width, seconds)
    assert 1 <= size <= max(math.ceil(count / width), 1)
    assert size == 1 or (size - 1) * seconds <= batching.GROUP_SECONDS
    rounds = math.ceil(math.ceil(count / size) / width)
    fair = math.ceil(count / width)
    assert rounds * size <= fair + size


def test_short_batches_go_in_one_message_a_worker_and_long_ones_in_several():
    assert even_size(20, 2, 0.0005) == 10
    assert even_size(20, 2, 0.02) == 2
    assert even_size(20, 2, 5.0) == 1
