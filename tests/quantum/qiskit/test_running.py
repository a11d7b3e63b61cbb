"""What fails costs its own circuit, and shots are split only where nothing can tell."""

import os
import random
import re
import signal
import sys
import threading
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

pytest.importorskip("qiskit_aer")

from qiskit import QuantumCircuit
from qiskit.providers.basic_provider import BasicSimulator
from qiskit_aer import AerSimulator

import shoal
from shoal.quantum import ParallelBackend
from shoal.quantum.conducting import Pace
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


@pytest.mark.parametrize("executor", [None, "processes"])
def test_a_circuit_larger_than_memory_fails_as_with_aer(executor):
    large = QuantumCircuit(50)
    large.h(range(50))
    large.t(0)
    large.measure_all()
    options = {"method": "statevector", "seed_simulator": 1}
    circuits = [rotations(), large, rotations(seed=2)]
    reference = AerSimulator().run(circuits, **options).result()
    result = parallel(AerSimulator(), executor=executor).run(circuits, **options).result()
    assert_same(result, reference)
    assert "Insufficient memory" in result.results[1].status


def known_to_be_quick(backend, **options):
    made = ParallelBackend(backend, **options)
    made._sent.pace = Pace(0.01, measured=True)
    return made


@pytest.mark.parametrize("options", [{}, {"seeds": "spawn"}])
def test_little_work_is_done_when_run_returns_and_gives_the_same(options):
    quick = known_to_be_quick(AerSimulator(), **options)
    job = quick.run(several(5), seed_simulator=1, memory=True)
    assert job.done()
    assert job.progress() == (5, 5)
    usual = parallel(AerSimulator(), **options).run(several(5), seed_simulator=1, memory=True)
    assert_same(job.result(), usual.result())
    assert told(job.result())["calls_here"] == 1


def test_little_work_in_which_a_circuit_fails_has_the_others():
    circuits = [rotations(), nonsense(), rotations(seed=2)]
    result = known_to_be_quick(AerSimulator()).run(circuits).result()
    assert [each.success for each in result.results] == [True, False, True]


def test_little_work_of_a_backend_with_one_stream_tells_why_it_is_not_split():
    result = known_to_be_quick(BasicSimulator()).run(several(2), seed_simulator=1).result()
    assert_same(result, BasicSimulator().run(several(2), seed_simulator=1).result())
    assert "one call" in told(result)["unsplit"]


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_worker_never_holds_more_than_one_state_however_many_circuits_it_runs():
    state_bytes = 16 * 2**20
    with shoal.executor("processes", max_workers=1) as executor:
        backend = ParallelBackend(AerSimulator(), executor=executor)
        backend.run(several(20, qubits=8)).result()
        [pid] = executor.supervisor.pids()
        before = memory_of(pid, "VmRSS")
        Path(f"/proc/{pid}/clear_refs").write_text("5")  # forgets the peak
        for _ in range(3):
            assert backend.run(several(3, qubits=20, layers=1), shots=10).result().success
        assert executor.supervisor.pids() == [pid]
        assert memory_of(pid, "VmHWM") - before < 1.5 * state_bytes


def memory_of(pid, field):
    text = Path(f"/proc/{pid}/status").read_text()
    return 1024 * int(re.search(rf"{field}:\s+(\d+) kB", text)[1])


def test_many_shots_and_a_bar_are_not_little_work():
    for options, shots in (({}, 10**6), ({"progress": True}, 10), ({"max_shot_size": 5}, 10)):
        backend = known_to_be_quick(AerSimulator(), **options)
        job = backend.run(rotations(), shots=shots)
        assert job._run.__name__ == "result"
        assert job.result().success


def test_a_worker_killed_once_costs_a_retry_and_nothing_else(tmp_path):
    backend = parallel(Awkward(str(tmp_path / "once")), max_job_size=2)
    result = backend.run(named("a", "b", "die once", "d")).result()
    assert result.success
    assert [each.header["name"] for each in result.results] == ["a", "b", "die once", "d"]


@pytest.mark.parametrize(
    ("fate", "signal_name", "max_job_size"),
    [
        ("die", "SIGKILL", None),
        ("die", "SIGKILL", 3),
        pytest.param("crash", "SIGSEGV", None, marks=pytest.mark.slow),
    ],
)
def test_a_circuit_that_always_ends_its_worker_is_named_and_the_others_are_there(
    fate, signal_name, max_job_size
):
    """E02 and E03: killed, and crashed."""
    backend = parallel(Awkward(), max_job_size=max_job_size)
    result = backend.run(named("a", fate, "c", "d")).result()
    assert [each.success for each in result.results] == [True, False, True, True]
    assert f"circuit 1 ({fate}): WorkerDied" in result.results[1].status
    assert signal_name in result.results[1].status


@pytest.mark.slow
def test_circuits_under_kills_give_the_results_of_aer():
    """E01: a worker is killed whenever some more circuits have ended, and nothing is lost."""
    circuits = several(60, qubits=10, layers=8)
    reference = AerSimulator().run(circuits, seed_simulator=1).result()
    dice, kills = random.Random(1), 0
    with shoal.executor("processes", max_workers=2) as executor:
        backend = ParallelBackend(AerSimulator(), executor=executor, max_job_size=1)
        job = backend.run(circuits, seed_simulator=1)
        ended = threading.Event()
        job._future.add_done_callback(lambda _: ended.set())
        due = 5
        while not ended.wait(0.005):
            pids = executor.supervisor.pids()
            if job.progress().finished >= due and pids:
                os.kill(dice.choice(pids), signal.SIGKILL)
                due, kills = due + 10, kills + 1
        assert_same(job.result(), reference)
    assert kills > 0


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
