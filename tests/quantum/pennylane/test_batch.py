from types import SimpleNamespace

import pytest

from shoal.quantum.pennylane import batch as batching
from shoal.quantum.pennylane.adapters import state_bytes
from shoal.quantum.pennylane.batch import AMPLITUDE_SECONDS, Batch, Costs, worth_sending


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
        how=how,
        base=None,
        recipe=b"",
        base_name="lightning.qubit",
        crew=SimpleNamespace(alone=False),
        width=width,
        costs=Costs(),
        wires=wires,
        max_job_size=None,
        may_cut=False,
    )


def tape(measurements=1, batch_size=None):
    return SimpleNamespace(measurements=[None] * measurements, batch_size=batch_size)


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


def test_messages_are_sized_by_what_was_measured_and_shared_fairly():
    batch, key = batch_of(width=2), ("execute", 20, False)
    assert batch._batch_size(10, 100, key, 2) == "auto"
    batch.costs.learn(key, seconds=0.01, gates=10)
    assert batch._batch_size(10, 100, key, 2) == 5
    assert batch._batch_size(10, 16, key, 2) == 2
    assert batch._batch_size(1000, 16, key, 2) == 1
    batch.max_job_size = 7
    assert batch._batch_size(10, 16, key, 2) == 7
