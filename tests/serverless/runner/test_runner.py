"""The runner starts each job once, ends it when asked, and records how it ended, once."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from shoal.serverless.errors import StoreBusy, StoreUnsure
from shoal.serverless.runner import runner as room
from shoal.serverless.runner.shim import parent_of
from shoal.serverless.store import attempts, jobs
from tests.faults.watching import alive, until
from tests.serverless.making import HOLDS, SAVES, shim_that, submit, upload

GATEWAY = Path(__file__).parents[1] / "faults" / "gateway.py"


def test_a_job_runs_and_its_result_log_and_states_are_kept(service, runner):
    job_id = service.run(
        SAVES + "print('héllo')\nsave_result(open(os.environ['ARGUMENTS_PATH']).read())",
        arguments='{"a": [NaN, "é"]}',
    )
    job = service.until(job_id)
    assert (job.status, job.reason) == ("SUCCEEDED", "")
    assert service.result(job_id) == '{"a": [NaN, "é"]}'
    assert service.log(job_id) == "héllo\n"
    assert service.changes(job_id)[-1] == "SUCCEEDED"
    assert service.changes(job_id)[:2] == ["QUEUED", "PENDING"]


def test_arguments_and_results_may_be_large(service, runner):
    large = '"' + "é" * 300_000 + '"'
    source = SAVES + "save_result(open('arguments.serverless').read())"
    job_id = service.run(source, arguments=large)
    assert service.until(job_id).status == "SUCCEEDED"
    assert service.result(job_id) == large


TABLE = {
    "no result": ("pass", "SUCCEEDED", "", None),
    "a result": ("save_result('1')", "SUCCEEDED", "", "1"),
    "two results": ("save_result('1')\nsave_result('2')", "SUCCEEDED", "", "2"),
    "not JSON": ("save_result('{')", "FAILED", "BAD_RESULT", None),
    "nothing in it": ("save_result('')", "FAILED", "BAD_RESULT", None),
    "a link": (
        "os.symlink('/etc/hostname', os.environ['RESULTS_PATH'])",
        "FAILED",
        "BAD_RESULT",
        None,
    ),
    "a folder": ("os.mkdir(os.environ['RESULTS_PATH'])", "FAILED", "BAD_RESULT", None),
    "a FIFO": ("os.mkfifo(os.environ['RESULTS_PATH'])", "FAILED", "BAD_RESULT", None),
    "exit code 3 after a result": ("save_result('1')\nexit(3)", "FAILED", "EXIT_3", None),
    "killed while saving": (
        "open(os.environ['RESULTS_PATH'], 'w').write('[1,')\nos.kill(os.getpid(), 9)",
        "FAILED",
        "SIGNAL_9",
        None,
    ),
    "an exception": ("raise ValueError('no')", "FAILED", "EXIT_1", None),
    "a module that is not there": ("import none_such", "FAILED", "EXIT_1", None),
    "a syntax error": ("(", "FAILED", "EXIT_1", None),
}


def test_each_end_of_a_program_has_one_defined_outcome(service, runner):
    submitted = {name: service.run(SAVES + row[0]) for name, row in TABLE.items()}
    for name, job_id in submitted.items():
        _, status, reason, result = TABLE[name]
        job = service.until(job_id)
        assert (name, job.status, job.reason) == (name, status, reason)
        assert service.result(job_id) == result
    assert "ValueError: no" in service.log(submitted["an exception"])


def test_a_job_that_cannot_be_prepared_fails_with_the_cause(service, runner_of):
    sha256 = upload(service.store, service.user).artifact_sha256
    service.store.blobs.path(sha256).unlink()
    lost = submit(service.store, service.user).id
    wrong = service.with_settings(job_python="/no/such/python").run("pass")
    runner_of(service.with_settings(job_python="/no/such/python"))
    job = service.until(lost)
    assert (job.status, job.reason) == ("FAILED", "SETUP")
    assert "is not there" in job.message
    job = service.until(wrong)
    assert (job.status, job.reason) == ("FAILED", "SETUP")
    assert "No such file" in job.message


def test_no_more_jobs_run_at_once_than_allowed(service, runner_of):
    ids = [service.run(HOLDS) for _ in range(4)]
    runner_of(service.with_settings(max_jobs=2))
    for job_id in ids[:2]:
        service.until(job_id, "RUNNING")
    assert [service.job(job_id).status for job_id in ids[2:]] == ["QUEUED", "QUEUED"]
    service.stop(ids[0])
    service.until(ids[2], "RUNNING")
    assert service.job(ids[3]).status == "QUEUED"


def test_a_running_job_stops_with_all_it_started(service, runner):
    job_id = service.run(
        "import subprocess, time\n"
        "print(subprocess.Popen(['setsid', 'sleep', '600']).pid, flush=True)\n"
        "time.sleep(600)"
    )
    service.until_said(job_id, "\n")
    daemon = int(service.log(job_id))
    service.stop(job_id)
    service.stop(job_id)
    job = service.until(job_id)
    assert (job.status, job.reason) == ("STOPPED", "STOPPED_BY_USER")
    assert not alive(daemon)
    assert service.changes(job_id) == ["QUEUED", "PENDING", "RUNNING", "STOPPED"]


@pytest.mark.parametrize("late", [0, 0.04, 0.1])
def test_stopping_at_any_time_gives_one_end(service, runner, late):
    ids = [service.run(SAVES + "save_result('1')") for _ in range(4)]
    time.sleep(late)  # not waiting for anything: the time is what is varied
    for job_id in ids:
        service.stop(job_id)
    for job_id in ids:
        job = service.until(job_id)
        assert job.status in ("STOPPED", "SUCCEEDED")
        assert (service.result(job_id) == "1") == (job.status == "SUCCEEDED")
        ends = [each for each in service.changes(job_id) if each in ("STOPPED", "SUCCEEDED")]
        assert len(ends) == 1


def test_a_job_whose_shim_is_killed_is_lost_and_leaves_nothing(service, runner):
    job_id = service.run(
        "import subprocess, time\n"
        "print(subprocess.Popen(['setsid', 'sleep', '600']).pid, flush=True)\n"
        "time.sleep(600)"
    )
    service.until_said(job_id, "\n")
    daemon = int(service.log(job_id))
    os.kill(shim_of(service, job_id), signal.SIGKILL)
    job = service.until(job_id)
    assert (job.status, job.reason) == ("FAILED", "LOST")
    assert not alive(daemon)


def test_a_job_that_may_run_again_does_when_it_is_lost(service, runner):
    job_id = service.run(HOLDS, max_attempts=2)
    service.until_said(job_id, "up")
    os.kill(shim_of(service, job_id), signal.SIGKILL)
    service.until_said(job_id, "up", fence=2)
    os.kill(shim_of(service, job_id, 2), signal.SIGKILL)
    assert service.until(job_id).reason == "LOST"
    assert service.changes(job_id).count("QUEUED") == 2


def shim_of(service, job_id, fence=1):
    return int((service.place(job_id, fence).folder / "lock").read_text())


def test_a_shim_that_hangs_is_killed_when_its_job_is_to_stop(service, runner, monkeypatch):
    monkeypatch.setattr(room, "SHIM_PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(room, "LOOK_SECONDS", 0.1)
    job_id = service.run(HOLDS)
    service.until_said(job_id, "up")
    shim = shim_of(service, job_id)
    os.kill(shim, signal.SIGSTOP)
    service.stop(job_id)
    assert service.until(job_id).status == "STOPPED"
    assert not alive(shim)


def test_a_process_that_has_a_dead_shims_id_now_is_never_signalled(service, runner_of):
    job_id = service.run(HOLDS)
    first = runner_of(service)
    service.until_said(job_id, "up")
    first.drain()
    shim = shim_of(service, job_id)
    os.kill(shim, signal.SIGKILL)
    os.waitpid(shim, 0) if parent_of(shim) and parent_of(shim)[0] == os.getpid() else None
    until(lambda: not service.place(job_id).shim_lives())
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as innocent:
        (service.place(job_id).folder / "lock").write_text(f"{innocent.pid}\n")
        service.stop(job_id)
        runner_of(service)
        assert service.until(job_id).status == "STOPPED"
        innocent.communicate(b"\n", timeout=60)
        assert innocent.returncode == 0


def test_jobs_outlive_a_runner_and_the_next_one_adopts_them(service, runner_of):
    first = runner_of(service.with_settings(max_jobs=5))
    ends = SAVES + "import time\nprint('up')\nwhile not os.path.exists('go'): time.sleep(0.01)\n"
    ids = [service.run(ends + "save_result('1')") for _ in range(5)]
    for job_id in ids:
        service.until_said(job_id, "up")
    waiting = service.run("pass")
    began = time.monotonic()
    first.drain()
    assert time.monotonic() - began < 30
    (service.place(ids[0]).program / "go").touch()
    until((service.place(ids[0]).folder / "exit.json").exists)
    assert service.job(ids[0]).status in ("PENDING", "RUNNING")
    assert service.job(waiting).status == "QUEUED"
    runner_of(service.with_settings(max_jobs=5))
    assert service.until(ids[0]).status == "SUCCEEDED"
    for job_id in ids[1:]:
        (service.place(job_id).program / "go").touch()
    for job_id in ids:
        assert service.until(job_id).status == "SUCCEEDED"
        assert service.changes(job_id) == ["QUEUED", "PENDING", "RUNNING", "SUCCEEDED"]
        assert service.job(job_id).fence == 1
    assert service.until(waiting).status == "SUCCEEDED"


def test_two_runners_start_each_job_once(service, runner_of, tmp_path):
    ledger = tmp_path / "ledger"
    source = f"open({str(ledger)!r}, 'a').write('x\\n')"
    ids = [service.run(source) for _ in range(12)]
    runner_of(service)
    runner_of(service)
    for job_id in ids:
        assert service.until(job_id).status == "SUCCEEDED"
    assert len(ledger.read_text().split()) == 12
    assert {service.job(job_id).fence for job_id in ids} == {1}


def test_the_end_of_a_job_is_known_where_children_are_ignored(service):
    ids = [service.run("import os\nos.kill(os.getpid(), 9)"), service.run("exit(3)")]
    gateway = [sys.executable, GATEWAY, service.settings.data, "--ignore-children"]
    with subprocess.Popen(gateway, stdin=subprocess.PIPE) as process:
        reasons = [service.until(job_id).reason for job_id in ids]
        process.communicate(b"\n", timeout=60)
    assert reasons == ["SIGNAL_9", "EXIT_3"]


def test_a_store_that_fails_for_a_while_costs_no_job(service, runner_of, monkeypatch):
    monkeypatch.setattr(room, "LOOK_SECONDS", 0.05)
    real, chance = service.store.write, random.Random(7)

    def write(operation, *args, **kwargs):
        fault = chance.choice([StoreBusy, StoreUnsure, None])
        if fault is StoreBusy:
            raise StoreBusy("injected")
        value = real(operation, *args, **kwargs)
        if fault is StoreUnsure:
            raise StoreUnsure("injected")
        return value

    ids = [service.run(SAVES + "save_result('1')") for _ in range(6)]
    monkeypatch.setattr(service.store, "write", write)
    runner_of(service.with_settings(claim_seconds=0.5))
    for job_id in ids:
        assert service.until(job_id).status == "SUCCEEDED"
        assert service.result(job_id) == "1"
    monkeypatch.undo()


def test_nothing_is_left_of_a_job_but_what_tells_of_it(service, runner):
    job_id = service.run("print(1)")
    service.until(job_id)
    folder = service.place(job_id).folder
    kept = {"exit.json", "lock", "log", "shim.txt", "started"}
    until(lambda: {path.name for path in folder.iterdir()} == kept)
    until(lambda: not runner._watches)
    assert service.store.read(attempts.claimed) == ()
    assert service.store.read(jobs.counts)["SUCCEEDED"] == 1


MISCHIEF = {
    "removes its own folder": "import shutil\nshutil.rmtree('..')",
    "removes what says that it started": "os.unlink('../started')\nos.unlink('../lock')",
    "writes a report of its own": "open('../exit.json', 'w').write('{')\nos._exit(0)",
    "puts a FIFO for each file that is read": (
        "for name in ('lock', 'started', 'exit.json', 'log/0', 'log/x'):\n"
        "    path = os.path.join('..', name)\n"
        "    if os.path.exists(path): os.unlink(path)\n"
        "    os.mkfifo(path)\n"
        "os.kill(os.getppid(), 9)\n"
    ),
    "puts links that lead in a circle": (
        "for name in ('lock', 'started', 'exit.json'):\n"
        "    path = os.path.join('..', name)\n"
        "    if os.path.exists(path): os.unlink(path)\n"
        "    os.symlink(name, path)\n"
        "os.kill(os.getppid(), 9)\n"
    ),
    "leaves no more than its log's folder, and no such file": (
        "import shutil\nshutil.rmtree('../log')\nopen('../log', 'w').close()\n"
        "print('x' * 200_000, flush=True)\n"
    ),
}


@pytest.mark.parametrize("source", MISCHIEF.values(), ids=MISCHIEF.keys())
def test_whatever_a_program_does_to_its_folder_it_starts_once(service, runner, tmp_path, source):
    ledger = tmp_path / "ledger"
    note = f"import os, time\nopen({str(ledger)!r}, 'a').write('x\\n')\ntime.sleep(0.3)\n"
    job_id = service.run(note + source)
    other = service.run(SAVES + "save_result('1')")
    job = service.until(job_id)
    assert job.status.is_terminal
    assert ledger.read_text() == "x\n"
    assert service.until(other).status == "SUCCEEDED"
    assert job.fence == 1


def test_a_job_that_nobody_manages_to_start_fails_in_the_end(service, runner_of, monkeypatch):
    monkeypatch.setattr(room, "MOST_CLAIMS", 3)
    runner_of(service, shim=("/bin/false",))
    job = service.until(service.run("pass"))
    assert (job.status, job.reason, job.fence) == ("FAILED", "SETUP", 3)
    assert "could not be started" in job.message


def test_a_shim_that_never_begins_is_tried_again(service, runner_of, tmp_path):
    dies = "def step(name):\n    if os.getcwd().endswith('/1'): os._exit(1)"
    runner_of(service, shim=shim_that(tmp_path, dies))
    job_id = service.run(SAVES + "save_result('1')")
    assert service.until(job_id).status == "SUCCEEDED"
    assert service.job(job_id).fence == 2
    assert service.changes(job_id)[:4] == ["QUEUED", "PENDING", "QUEUED", "PENDING"]


def test_a_runner_leaves_no_descriptor_no_thread_and_no_zombie(service, runner_of, tmp_path):
    dies = "def step(name):\n    if os.getcwd().endswith('/1'): os._exit(1)"
    service.until(service.run("pass"), "QUEUED")
    before = pipes_and_handles(), threading.active_count(), len(psutil.Process().children())
    runner = runner_of(service, shim=shim_that(tmp_path, dies))
    ids = [service.run("pass") for _ in range(6)] + [service.run(HOLDS)]
    for job_id in ids[:-1]:
        service.until(job_id)
    service.until_said(ids[-1], "up", fence=2)
    runner.drain()
    after = pipes_and_handles(), threading.active_count(), len(psutil.Process().children())
    assert after == (*before[:2], before[2] + 1)  # the shim of the job that goes on


def pipes_and_handles():
    """How many descriptors we have that are no files: the store may open more of those."""
    found = 0
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            found += os.readlink(path).startswith(("pipe:", "anon_inode:"))
    return found
