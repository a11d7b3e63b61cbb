"""What fails costs its own circuit, and shots are split only where nothing can tell."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

pytest.importorskip("qiskit_aer")

from qiskit import QuantumCircuit
from qiskit_aer import AerSimulator

from shoal.quantum import ParallelBackend
from tests.quantum.circuits import (
    Awkward,
    assert_same,
    midway,
    named,
    nonsense,
    parallel,
    rotations,
    several,
    told,
)


@pytest.mark.parametrize("options", [{}, {"max_job_size": 5}, {"executor": None}])
def test_a_circuit_that_fails_is_an_error_experiment_and_the_others_are_there(options):
    circuits = several(5)
    reference = AerSimulator().run(circuits, seed_simulator=1).result()
    circuits[2] = nonsense()
    result = parallel(AerSimulator(), **options).run(circuits, seed_simulator=1).result()
    assert (result.success, result.status) == (False, "PARTIAL COMPLETED")
    assert [each.success for each in result.results] == [True, True, False, True, True]
    assert "circuit 2 (nonsense)" in result.results[2].status
    for number in (0, 1, 3, 4):
        assert result.get_counts(number) == reference.get_counts(number)


def test_a_circuit_larger_than_memory_fails_as_with_aer():
    large = QuantumCircuit(50)
    large.h(range(50))
    large.t(0)
    large.measure_all()
    options = {"method": "statevector", "seed_simulator": 1}
    circuits = [rotations(), large, rotations(seed=2)]
    reference = AerSimulator().run(circuits, **options).result()
    result = parallel(AerSimulator()).run(circuits, **options).result()
    assert_same(result, reference)
    assert "Insufficient memory" in result.results[1].status


def test_a_worker_killed_once_costs_a_retry_and_nothing_else(tmp_path):
    backend = parallel(Awkward(str(tmp_path / "once")), max_job_size=2)
    result = backend.run(named("a", "b", "die once", "d")).result()
    assert result.success
    assert [each.header["name"] for each in result.results] == ["a", "b", "die once", "d"]


@pytest.mark.parametrize("max_job_size", [None, 3])
def test_a_circuit_that_always_kills_its_worker_is_named_and_the_others_are_there(max_job_size):
    backend = parallel(Awkward(), max_job_size=max_job_size)
    result = backend.run(named("a", "die", "c", "d")).result()
    assert [each.success for each in result.results] == [True, False, True, True]
    assert "circuit 1 (die): WorkerDied" in result.results[1].status
    assert "SIGKILL" in result.results[1].status


def test_an_executor_that_breaks_costs_what_had_not_come_back():
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        pool.submit(int).result()
        backend = ParallelBackend(Awkward(), executor=pool, max_job_size=1, max_workers=1)
        result = backend.run(named("a", "b", "c", "die")).result()
    assert [each.success for each in result.results][-1] is False
    assert "ExecutorBroken" in result.results[3].status
    assert result.results[0].success


def test_all_circuits_failing_is_told_by_the_first():
    result = parallel(Awkward()).run(named("raise", "raise")).result()
    assert result.success is False
    assert "ZeroDivisionError: as asked" in result.status


def test_shots_are_split_where_that_is_exact_and_the_metadata_say_where_not(noise):
    noisy = AerSimulator(noise_model=noise, method="statevector")
    options = {"seed_simulator": 4, "shots": 700, "memory": True}
    backend = parallel(noisy, max_shot_size=200)
    result = backend.run(several(2), **options).result()
    assert_same(result, noisy.run(several(2), **options).result())
    assert told(result)["chunks"] == 8
    assert "shots_unsplit" not in told(result)

    circuits = [rotations(), midway(), rotations(seed=1)]
    backend = parallel(AerSimulator(), max_shot_size=200)
    result = backend.run(circuits, **options).result()
    assert_same(result, AerSimulator().run(circuits, **options).result())
    assert told(result)["shots_unsplit"] == [0, 2]
    assert told(result)["chunks"] == 6


def test_shots_that_would_change_the_method_stay_together(noise):
    options = {"seed_simulator": 4, "shots": 100, "noise_model": noise}
    backend = parallel(AerSimulator(), max_shot_size=5)
    result = backend.run(several(2), **options).result()
    assert_same(result, AerSimulator().run(several(2), **options).result())
    assert told(result)["shots_unsplit"] == [0, 1]
