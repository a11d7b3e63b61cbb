"""A kill at any step of a start or an end loses no job and starts none twice."""

import contextlib
import random
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from shoal.serverless.models import TERMINAL
from shoal.serverless.runner.places import Stage
from shoal.serverless.store import Store, attempts
from tests.faults.watching import alive, lines, until
from tests.serverless.making import SAVES, Service, shim_that, upload

HERE = Path(__file__).parent

# What it appends to the ledger is one write, so that no line is torn.
PROGRAM = """
def note(word):
    line = f"{word}:{os.environ['ENV_JOB_ID_GATEWAY']}\\n".encode()
    ledger = os.open(%r, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(ledger, line)
    os.close(ledger)

note("start")
%s
save_result('"' + os.environ['ENV_JOB_ID_GATEWAY'] + '"')
note("end")
"""


@pytest.fixture
def ledger(tmp_path):
    return tmp_path / "ledger"


def program(ledger, body=""):
    return SAVES + PROGRAM % (str(ledger), body)


def count(ledger, word, job_id):
    return lines(ledger).count(f"{word}:{job_id}")


@contextlib.contextmanager
def gateway(service, *options):
    """A gateway in a process of its own; ends well if it still lives."""
    with subprocess.Popen(
        [sys.executable, HERE / "gateway.py", service.settings.data, *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            with contextlib.suppress(BrokenPipeError):
                process.communicate(timeout=60)


# A shim whose gateway died at once is adopted if it was quick, and else fenced: it never starts.
@pytest.mark.parametrize(
    ("step", "fences"),
    [("claimed", {2}), ("prepared", {2}), ("spawned", {1, 2}), ("ended", {1}), ("recorded", {1})],
)
def test_a_gateway_killed_at_any_step_loses_no_job(service, runner_of, ledger, step, fences):
    job_id = service.run(program(ledger))
    with gateway(service, "--die-at", step) as process:
        assert process.wait(60) == -9
    runner_of(service)
    job = service.until(job_id)
    assert job.status == "SUCCEEDED"
    assert job.fence in fences
    assert service.result(job_id) == f'"{job_id}"'
    assert count(ledger, "start", job_id) == count(ledger, "end", job_id) == 1
    assert [each for each in service.changes(job_id) if each in TERMINAL] == ["SUCCEEDED"]


@pytest.mark.parametrize(
    ("step", "reason", "starts"),
    [
        ("begun", "", 1),
        ("locked", "", 1),
        ("started", "LOST", 0),
        ("running", "LOST", (0, 1)),
        ("exited", "LOST", 1),
        ("swept", "LOST", 1),
        ("published", "", 1),
    ],
)
def test_a_shim_killed_at_any_step_starts_its_job_at_most_once(
    service, runner_of, ledger, *, tmp_path, step, reason, starts
):
    dies = f"""
        def step(name):
            if name == {step!r} and os.getcwd().endswith("/1"):
                os.kill(os.getpid(), signal.SIGKILL)
    """
    runner_of(service, shim=shim_that(tmp_path, textwrap.dedent(dies)))
    job_id = service.run(program(ledger))
    job = service.until(job_id)
    assert (job.status, job.reason) == ("FAILED" if reason else "SUCCEEDED", reason)
    allowed = starts if isinstance(starts, tuple) else (starts,)
    assert count(ledger, "start", job_id) in allowed


@pytest.mark.parametrize("step", ["claimed", "prepared", "spawned"])
def test_stopping_a_job_whose_start_was_interrupted_ends_it(service, runner_of, ledger, step):
    job_id = service.run(program(ledger, "import time; time.sleep(600)"))
    with gateway(service, "--die-at", step) as process:
        assert process.wait(60) == -9
    service.stop(job_id)
    runner_of(service)
    job = service.until(job_id)
    assert (job.status, job.reason) == ("STOPPED", "STOPPED_BY_USER")
    assert count(ledger, "start", job_id) <= 1
    assert count(ledger, "end", job_id) == 0


STEPS = ("begun", "locked", "started", "running", "exited", "swept", "published")


@pytest.mark.parametrize("step", STEPS)
def test_stopping_a_job_at_any_step_of_its_shim_gives_one_true_end(
    service, runner_of, ledger, *, tmp_path, step
):
    waits = f"""
        import time
        def step(name):
            if name == {step!r}:
                open("paused", "w").close()
                while not os.path.exists("go"):
                    time.sleep(0.005)
    """
    runner_of(service, shim=shim_that(tmp_path, textwrap.dedent(waits)))
    job_id = service.run(program(ledger, "import time; time.sleep(0.05)"))
    folder = service.place(job_id).folder
    until((folder / "paused").exists)
    service.stop(job_id)
    until((folder / "stop").exists)
    (folder / "go").touch()
    job = service.until(job_id)
    ended = count(ledger, "end", job_id)
    assert job.status == ("SUCCEEDED" if ended and job.status != "STOPPED" else "STOPPED")
    assert (service.result(job_id) is not None) == (job.status == "SUCCEEDED")
    if step in ("begun", "locked", "started"):
        assert count(ledger, "start", job_id) == 0
    if step in ("exited", "swept", "published"):
        assert job.status == "SUCCEEDED"
    assert len([each for each in service.changes(job_id) if each in TERMINAL]) == 1


def test_a_shim_that_comes_late_starts_nothing(service, runner_of, ledger, tmp_path):
    late = """
        import time
        def step(name):
            if name == "begun":
                open("paused", "w").write(str(os.getpid()))
                while not os.path.exists("go"):
                    time.sleep(0.005)
    """
    first = runner_of(service, shim=shim_that(tmp_path, textwrap.dedent(late)))
    job_id = service.run(program(ledger))
    folder = service.place(job_id).folder
    [shim] = map(int, until(lambda: lines(folder / "paused")))
    first.drain()
    runner_of(service)
    job = service.until(job_id)
    assert (job.status, job.fence) == ("SUCCEEDED", 2)
    (folder / "go").touch()
    until(lambda: not alive(shim))
    assert count(ledger, "start", job_id) == 1
    assert service.place(job_id).stage()[0] is Stage.FENCED


def killed_while_adopting(service, ledger, tmp_path, *, jobs, kills, seed):
    chance = random.Random(seed)
    gate = str(tmp_path / "go")
    wait = f"import time\nwhile not os.path.exists({gate!r}): time.sleep(0.02)"
    ids = [service.run(program(ledger, wait)) for _ in range(jobs)]
    with gateway(service, "--max-jobs", str(jobs)) as process:
        for job_id in ids:
            until(lambda job_id=job_id: count(ledger, "start", job_id), seconds=60)
        process.kill()
    for _ in range(kills):
        with gateway(service, "--max-jobs", str(jobs)) as process:
            assert process.stdout.readline() == b"up\n"
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(chance.uniform(0, 0.05))
            process.kill()
    (tmp_path / "go").touch()
    with gateway(service, "--max-jobs", str(jobs)):
        for job_id in ids:
            assert service.until(job_id).status == "SUCCEEDED"
    for job_id in ids:
        assert count(ledger, "start", job_id) == count(ledger, "end", job_id) == 1
        assert service.job(job_id).fence == 1


def test_gateways_killed_while_they_adopt_converge(service, ledger, tmp_path):
    killed_while_adopting(service, ledger, tmp_path, jobs=8, kills=3, seed=1)


@pytest.mark.slow
def test_gateways_killed_while_they_adopt_many_converge(service, ledger, tmp_path):
    killed_while_adopting(service, ledger, tmp_path, jobs=100, kills=15, seed=2)


SUBMITS = """
import sys, threading
from pathlib import Path
from shoal.serverless.identifiers import new_id
from shoal.serverless.models import NewJob, Principal, Quotas
from shoal.serverless.store import Store, jobs

store = Store(Path(sys.argv[1]))
user = Principal(sys.argv[2], "user")
lock = threading.Lock()

def submit():
    while True:
        job = store.write(jobs.submit, user, NewJob(new_id(), "program"), Quotas(None, None)).job
        with lock:
            print(job.id, flush=True)

for _ in range(16):
    threading.Thread(target=submit).start()
"""


@pytest.mark.parametrize("acknowledged", [1, 1000])
def test_every_acknowledged_submission_outlives_a_kill(data, acknowledged):
    service = Service.open(data)
    upload(service.store, service.user)
    service.store.close()
    command = [sys.executable, "-c", SUBMITS, data, service.user.account_id]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        heard = [process.stdout.readline() for _ in range(acknowledged)]
        process.kill()
        heard += process.stdout.readlines()
    whole = {line.decode().strip() for line in heard if line.endswith(b"\n")}
    assert len(whole) >= acknowledged
    with Store(data) as store:
        for job_id in whole:
            assert store.read(attempts.get, job_id).status == "QUEUED"
