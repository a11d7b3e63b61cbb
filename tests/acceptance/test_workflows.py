"""Parallel workflows inside jobs, on the engine and on the real packages."""

import os
from pathlib import Path

import pytest

from shoal.serverless import Program, ServerlessClient
from tests.acceptance.environments import WITH_TASKS, interpreter
from tests.serverless.serving import serving

PROGRAMS = Path(__file__).parent / "programs"


def run(gateway, entrypoint, **arguments):
    client = ServerlessClient(gateway.host, gateway.token)
    program = Program("program", entrypoint=entrypoint, working_dir=PROGRAMS)
    try:
        return client.upload(program).run(**arguments).result(timeout_seconds=300)
    finally:
        client.close()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_tasks_of_the_real_package_run_in_a_job():
    jobs = interpreter(*WITH_TASKS.requirements)
    with serving(job_python=jobs) as gateway:
        found = run(gateway, "tasks.py", values=[1, 2, 3])
    assert found == {"doubled": [2, 4, 6], "sum": 1002}


@pytest.mark.slow
def test_the_same_program_runs_where_that_package_is_not_installed():
    with serving() as gateway:
        assert run(gateway, "tasks.py", values=[1, 2]) == {"doubled": [2, 4], "sum": 1002}


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="there is one core only")
def test_two_hundred_circuits_use_every_core_of_their_job():
    from qiskit.circuit.random import random_circuit
    from qiskit.quantum_info import Statevector

    circuits = [random_circuit(4, 4, seed=seed) for seed in range(200)]
    with serving() as gateway:
        found = run(gateway, "spins.py", circuits=circuits)
    expected = [float(abs(Statevector(circuit).data[0]) ** 2) for circuit in circuits]
    assert found["values"] == pytest.approx(expected, abs=1e-12)
    assert len(set(found["processes"])) == len(os.sched_getaffinity(0))
    # How well they are used depends on what else the machine does, so it is told, not claimed.
    print(f"CPU time / wall time = {found['cpu'] / found['wall']:.2f}")
