"""Gateways, shims and jobs are killed and held at random; the jobs' own ledger must agree after."""

import collections
import contextlib
import itertools
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from shoal.serverless.models import EDGES, JobStatus
from shoal.serverless.runner.leftovers import MARK
from shoal.serverless.store import attempts, jobs
from tests.faults.watching import alive, lines, until
from tests.serverless.making import SAVES

HERE = Path(__file__).parent

# Each job says when it starts, with its attempt, and how it will end; and, last, that it ended so.
PROGRAM = """
import random, subprocess, sys, time
def note(word, more=""):
    line = f"{word}:{os.environ['SHOAL_ATTEMPT']}:{more}\\n".encode()
    ledger = os.open(LEDGER, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(ledger, line)
    os.close(ledger)

note("start")
chance = random.Random(os.environ["ENV_JOB_ID_GATEWAY"])
plan = chance.choice(["result", "result", "nothing", "exit 3", "daemon"])
if plan == "daemon":
    subprocess.Popen(["setsid", "sleep", "600"])
time.sleep(chance.uniform(0.05, 0.8))
if plan in ("result", "daemon"):
    save_result('"' + os.environ["ENV_JOB_ID_GATEWAY"] + '"')
note("end", plan.replace(" ", "-"))
sys.exit(3 if plan == "exit 3" else 0)
"""
ENDS = {
    "result": ("SUCCEEDED", ""),
    "daemon": ("SUCCEEDED", ""),
    "nothing": ("SUCCEEDED", ""),
    "exit-3": ("FAILED", "EXIT_3"),
}


class Gateway:
    """A gateway's process, started again whenever it is gone."""

    def __init__(self, service, jobs_at_once, *more):
        self.command = [sys.executable, HERE / "gateway.py", service.settings.data]
        self.command += ["--max-jobs", str(jobs_at_once), *more]
        self.process = None
        self.deaths = 0
        self.revive()

    def revive(self):
        if self.process is None or self.process.poll() is not None:
            self.close()
            pipe = subprocess.PIPE
            self.process = subprocess.Popen(self.command, stdin=pipe, stdout=subprocess.DEVNULL)

    def kill(self):
        self.deaths += 1
        self.process.kill()
        self.process.wait()
        self.revive()

    def hold(self, seconds):
        self.process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        self.process.send_signal(signal.SIGCONT)

    def close(self):
        if self.process is not None:
            self.process.kill()
            self.process.communicate()


def attempts_running(data):
    """Processes of attempts of this data directory: (process, whether it is the shim)."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            job_id, _, fence = process.environ().get(MARK, "").partition(".")
            if job_id and (data / "jobs" / job_id / fence).exists():
                yield process, "ENV_JOB_ID_GATEWAY" not in process.environ()


def storm(service, ledger, *more, jobs_asked, seconds, seed):
    """Runs the jobs through a storm; returns their ids, which were asked to stop, and what died."""
    chance = random.Random(seed)
    source = SAVES + PROGRAM.replace("LEDGER", repr(str(ledger)))
    ids, asked, killed = [], set(), collections.Counter()
    gateways = [Gateway(service, 6, *more) for _ in range(2)]
    try:
        end = time.monotonic() + seconds
        while time.monotonic() < end or sum(each.deaths for each in gateways) < 2:
            if len(ids) < jobs_asked:
                ids.append(service.run(source))
            time.sleep(chance.uniform(0, 2 * seconds / jobs_asked / 3))
            what = chance.random()
            gateway = chance.choice(gateways)
            if what < 0.15:
                gateway.kill()
            elif what < 0.2:
                gateway.hold(0.2)
            elif what < 0.3 and ids:
                job_id = chance.choice(ids)
                asked.add(job_id)
                service.stop(job_id)
            elif what < 0.45:
                found = list(attempts_running(service.settings.data))
                if found:
                    process, is_shim = chance.choice(found)
                    killed["shims" if is_shim else "jobs"] += 1
                    with contextlib.suppress(psutil.Error):
                        process.kill()
        while len(ids) < jobs_asked:
            ids.append(service.run(source))
        for gateway in gateways:
            gateway.revive()
        for job_id in ids:
            until(lambda job_id=job_id: service.job(job_id).status.is_terminal, 60, "settling")
        killed["gateways"] = sum(gateway.deaths for gateway in gateways)
    finally:
        for gateway in gateways:
            gateway.close()
    return ids, asked, killed


def check(service, ledger, ids, asked):
    """Compares what the store says with what the jobs themselves wrote down."""
    started, ended = collections.Counter(), {}
    for line in lines(ledger):
        word, attempt, plan = line.split(":")
        job_id, _, fence = attempt.partition(".")
        if word == "start":
            started[job_id, fence] += 1
        else:
            ended[job_id] = plan
    assert set(started.values()) <= {1}
    seen = collections.Counter(job_id for job_id, _ in started)
    assert set(seen.values()) <= {1}, "no job declared a second attempt"
    assert set(seen) <= set(ids)
    for job_id in ids:
        job = service.job(job_id)
        changes = service.changes(job_id)
        assert all(JobStatus(b) in EDGES[JobStatus(a)] for a, b in itertools.pairwise(changes))
        assert [each for each in changes if JobStatus(each).is_terminal] == [job.status]
        plan = ended.get(job_id)
        if job.status == "STOPPED":
            assert job_id in asked
        elif job.status == "SUCCEEDED" or job.reason == "EXIT_3":
            assert (job.status, job.reason) == ENDS[plan]
        else:
            assert job.reason in ("LOST", "SIGNAL_9")
        has_result = job.status == "SUCCEEDED" and plan != "nothing"
        assert service.result(job_id) == (f'"{job_id}"' if has_result else None)
    assert service.store.read(attempts.claimed) == ()
    until(lambda: not [p for p, _ in attempts_running(service.settings.data) if alive(p.pid)])
    counts = service.store.read(jobs.counts)
    assert sum(counts.values()) == len(ids)
    return collections.Counter(service.job(job_id).reason or "success" for job_id in ids)


def test_a_storm_loses_nothing_and_starts_nothing_twice(service, tmp_path):
    ledger = tmp_path / "ledger"
    ids, asked, killed = storm(service, ledger, jobs_asked=30, seconds=3, seed=11)
    ends = check(service, ledger, ids, asked)
    assert killed["gateways"] >= 2
    assert ends["success"] >= 1


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(6))
def test_a_long_storm_loses_nothing_and_starts_nothing_twice(service, tmp_path, seed):
    ledger = tmp_path / "ledger"
    more = ("--fast-start",) if seed % 2 else ()
    ids, asked, killed = storm(service, ledger, *more, jobs_asked=60, seconds=20, seed=seed)
    ends = check(service, ledger, ids, asked)
    print(f"seed {seed}: killed {dict(killed)}; ends {dict(ends)}", file=sys.stderr)
    assert os.path.exists(ledger)
