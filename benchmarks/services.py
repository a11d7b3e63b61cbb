"""The services: a real `shoal serve` in a directory of its own, and Ray Jobs beside it.

`SERVICES` is like `PEERS`. What is started is no `Peer`: programs are uploaded to it and run.
"""

import json
import logging
import os
import re
import subprocess
import sys
from functools import cached_property, partial
from http.client import HTTPConnection
from pathlib import Path
from tempfile import mkdtemp
from time import monotonic, sleep
from urllib.parse import urlsplit

import psutil
from clients import SameServer, request, serve_same, serve_same_by_uvicorn
from environment import file_system

LISTENING = "listening on "
IN_MEMORY = ("tmpfs", "ramfs", "zram")
LEAVE_SECONDS = 5
WAIT_SECONDS = 40
RAY_POLL_SECONDS = 0.01
# No quota, and an end to jobs that nobody ends.
SETTINGS = {"active_jobs_per_account": 0, "queued_jobs": 0, "wall_seconds": 900}

# The first line of a user's code, then what it computes, then its last one.
TIMED = """\
import time
began = time.monotonic()
from quantum_serverless import get_arguments, save_result
time.sleep(get_arguments()["seconds"])
save_result({"began": began, "ended": time.monotonic()})
"""
# It tells that it began, and then sleeps until nobody holds the other end of the pipe any more.
WAITS = """\
import json, os
from quantum_serverless import get_arguments, save_result
arguments = get_arguments()
with open(arguments["ledger"], "a") as ledger:
    ledger.write(os.environ["ENV_JOB_ID_GATEWAY"] + "\\n")
pipe = os.open(arguments["pipe"], os.O_RDONLY | os.O_NONBLOCK)
os.set_blocking(pipe, True)
os.read(pipe, 1)
save_result({"waited": True})
"""
ENDS = "pass\n"
RAY_TIMED = """\
import time
began = time.monotonic()
import json, sys
time.sleep(float(sys.argv[1]))
print(json.dumps({"began": began, "ended": time.monotonic()}))
"""
PROGRAMS = {"timed": TIMED, "waits": WAITS, "ends": ENDS}


class Gateway:
    """A `shoal serve`, started when a workload says how.

    Attributes:
        settings: what the peer is about, on top of `SETTINGS`.
        starting_seconds: from exec to the line that says where it listens.
    """

    def __init__(self, _workers, _chunk, **settings):
        self.settings = settings
        self.folder = Path(mkdtemp(dir=on_disk()))
        self.data = self.folder / "data"
        self.process = None
        self.port = 0
        self.pipe_end = None

    def ready(self, **settings):
        """Start it with the programs uploaded, unless that was done; True if it was not."""
        from shoal.serverless import Program

        if self.process is not None:
            return False
        self.settings = {**SETTINGS, **settings, **self.settings}
        self.start()
        programs = self.folder / "programs"
        programs.mkdir()
        for title, text in PROGRAMS.items():
            (programs / f"{title}.py").write_text(text)
            self.client.upload(Program(title, entrypoint=f"{title}.py", working_dir=programs))
        return True

    def start(self):
        """Start its process, as it was if there was one, and wait until it listens."""
        variables = {f"SHOAL_SERVE_{name.upper()}": str(v) for name, v in self.settings.items()}
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("SHOAL_", "ENV_", "RAY_", "PYTHONPATH"))
        }
        command = [sys.executable, "-m", "shoal", "serve", "--data", str(self.data)]
        with (self.folder / "log").open("ab") as log:
            start = monotonic()
            self.process = subprocess.Popen(
                [*command, "--port", str(self.port)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**kept, **variables},
                text=True,
            )
        for line in self.process.stdout:
            if LISTENING in line:
                self.starting_seconds = monotonic() - start
                self.port = urlsplit(line.partition(LISTENING)[2].strip()).port
                return
        raise RuntimeError(f"it ended: {(self.folder / 'log').read_text()[-500:]}")

    def kill(self):
        """End it as a power cut would, its jobs apart."""
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    @cached_property
    def token(self):
        """The administrator's."""
        return (self.data / "admin-token").read_text().strip()

    @cached_property
    def client(self):
        """Our client, connected."""
        from shoal.serverless import ServerlessClient

        return ServerlessClient(token=self.token, host=f"http://127.0.0.1:{self.port}")

    @property
    def rss_mb(self):
        """The memory of its own process, the template and the jobs apart."""
        return psutil.Process(self.process.pid).memory_info().rss / 1e6

    def memory_of_jobs_mb(self):
        """Return the memory of all that it has started, shared pages counted once."""
        started = psutil.Process(self.process.pid).children(recursive=True)
        return sum(process.memory_full_info().pss for process in started) / 1e6

    def request(self, method, path, body=None, **headers):
        """Return the bytes of a request, for `clients.ask`."""
        return request(method, path, body, authorization=f"Bearer {self.token}", **headers)

    def get(self, path):
        """Return the answer to one question on a connection of its own: its status and JSON."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            headers = {"Authorization": f"Bearer {self.token}"}
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def counts(self):
        """Return how many jobs there are by status."""
        text = self.get("/metrics")[1].decode()
        return {n: int(c) for n, c in re.findall(r'shoal_jobs\{status="(\w+)"\} (\d+)', text)}

    def until(self, holds):
        """Wait until the counts are such; raise RuntimeError if a job fails, or it takes long."""
        end = monotonic() + WAIT_SECONDS
        while not holds(counts := self.counts()):
            if counts["FAILED"] or monotonic() > end:
                raise RuntimeError(f"not as it should be: {counts}")
            sleep(0.02)

    def open_pipe(self):
        """Make the pipe at which jobs wait; they end when it is closed, or this process ends."""
        path = self.folder / "pipe"
        if not path.exists():
            os.mkfifo(path)
        self.pipe_end = os.open(path, os.O_RDWR)
        return {"pipe": str(path), "ledger": str(self.folder / "ledger")}

    def close_pipe(self):
        """End the jobs that wait."""
        if self.pipe_end is not None:
            os.close(self.pipe_end)
            self.pipe_end = None

    def started(self):
        """Return the jobs that told of their start, one line each."""
        ledger = self.folder / "ledger"
        return ledger.read_text().split() if ledger.exists() else []

    def close(self):
        """End it, then the jobs that wait; those that are queued stay so."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(LEAVE_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()
        self.close_pipe()


class RayJobs:
    """Ray with its dashboard, which is what takes jobs, on this machine alone."""

    def __init__(self, workers, _chunk):
        self.workers = workers
        self.client = None

    def ready(self):
        """Start it, unless that was done."""
        if self.client is not None:
            return
        import ray
        from ray.job_submission import JobSubmissionClient

        start = monotonic()
        made = ray.init(
            address="local",
            num_cpus=self.workers,
            include_dashboard=True,
            dashboard_host="127.0.0.1",
            logging_level=logging.ERROR,
        )
        self.client = JobSubmissionClient(f"http://{made.dashboard_url}")
        self.starting_seconds = monotonic() - start
        self.program = Path(os.environ["BENCHMARK_FOLDER"]) / "program.py"
        self.program.write_text(RAY_TIMED)

    def run(self, seconds):
        """Run one job to its end; return what it printed."""
        job = self.client.submit_job(entrypoint=f"{sys.executable} {self.program} {seconds}")
        while not self.client.get_job_status(job).is_terminal():
            sleep(RAY_POLL_SECONDS)
        seen_at = monotonic()
        [said] = [line for line in self.client.get_job_logs(job).splitlines() if "began" in line]
        return {**json.loads(said), "seen_at": seen_at}

    def close(self):
        """End it."""
        if self.client is not None:
            import ray

            ray.shutdown()


class Disk:
    """What the disk does alone: one small record after the other, each made durable."""

    rss_mb = None

    def __init__(self, _workers, _chunk):
        self.path = on_disk() / "records"

    def write(self, count):
        """Write so many records of 4 KiB; return the seconds that each took."""
        seconds = []
        with self.path.open("ab", buffering=0) as target:
            for _ in range(count):
                start = monotonic()
                target.write(bytes(4096))
                os.fdatasync(target.fileno())
                seconds.append(monotonic() - start)
        return seconds

    def close(self):
        """Do nothing; the folder goes with the peer."""


def on_disk():
    """Return this peer's folder; raise OSError if what is in it is only in memory."""
    folder = Path(os.environ["BENCHMARK_FOLDER"])
    kind = file_system(folder)
    if kind in IN_MEMORY:
        raise OSError(f"{folder} is in memory ({kind}): set TMPDIR to a folder on a disk")
    return folder


SERVICES = {
    "shoal serve": ("shoal", Gateway),
    "shoal serve, plain start": ("shoal", partial(Gateway, fast_start=False)),
    "Ray Jobs": ("ray", RayJobs),
    "uvicorn alone": ("uvicorn", lambda _w, _c: SameServer(serve_same_by_uvicorn)),
    "clients alone": ("asyncio", lambda _w, _c: SameServer(serve_same)),
    "disk alone": ("os", Disk),
}
