"""A gateway that is killed again and again loses no job and starts none twice."""

import random
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from shoal.serverless import Program, ServerlessClient
from tests.serverless.serving import free_port, serving

PROGRAMS = Path(__file__).parent / "programs"
JOBS = 60


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", [1, 2])
def test_every_job_runs_once_however_often_the_gateway_is_killed(tmp_path, seed):
    chance = random.Random(seed)
    ledger = tmp_path / "ledger"
    with serving(port=free_port(), max_jobs=8, active_jobs_per_account=1000) as gateway:
        client = ServerlessClient(gateway.host, gateway.token, patience_seconds=300)
        program = Program("ledger", entrypoint="ledger.py", working_dir=PROGRAMS)
        client.upload(program)

        def one(number):
            seconds = number % 7 / 20
            arguments = {"ledger": str(ledger), "number": number, "seconds": seconds}
            job = client.run("ledger", arguments)
            return job.job_id, job.result(timeout_seconds=600)

        over = threading.Event()
        kills = 0
        with ThreadPoolExecutor(16) as threads:
            asked = [threads.submit(one, number) for number in range(JOBS)]
            threading.Thread(
                target=lambda: ([each.exception() for each in asked], over.set())
            ).start()
            while not over.wait(chance.uniform(0.3, 2.0)):
                gateway.kill()
                kills += 1
                while chance.random() < 0.3:  # again, while it recovers from that
                    gateway.restart(wait=False)
                    over.wait(chance.uniform(0.1, 1.5))
                    gateway.kill()
                    kills += 1
                gateway.restart()
            found = [each.result() for each in asked]
        rows = client.job_rows(limit=1000)
        client.close()
    assert kills > 0
    assert [result["number"] for _, result in found] == list(range(JOBS))
    ids = {job_id for job_id, _ in found}
    assert len(ids) == JOBS
    assert {row["id"]: row["status"] for row in rows} == dict.fromkeys(ids, "SUCCEEDED")
    lines = [line.split() for line in ledger.read_text().splitlines()]
    for what in ("began", "ended"):
        assert Counter(line[1] for line in lines if line[0] == what) == dict.fromkeys(ids, 1)
    assert {(line[1], int(line[2])) for line in lines} == {
        (job_id, result["number"]) for job_id, result in found
    }
