"""A gateway as its operator starts it: `shoal serve`, as a process of its own."""

import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.faults.watching import until
from tests.serverless.making import end_jobs, memory_folder

LISTENING = "listening on "
# The environment of a user's machine, without what this one says about gateways.
FOREIGN = ("SHOAL_", "ENV_GATEWAY", "ENV_JOB", "QISKIT_", "GATEWAY_")


class Gateway:
    """A data directory and, most of the time, a process that serves it."""

    def __init__(self, data, settings):
        self.data = data
        self.settings = settings
        self.process = None
        self.host = None

    @property
    def token(self):
        return (self.data / "admin-token").read_text().strip()

    def start(self, port=0, *, wait=True):
        """Starts it and, unless told otherwise, waits until it serves."""
        log = self.data.with_suffix(".log")
        command = [sys.executable, "-m", "shoal", "serve", "--data", self.data, "--port", port]
        with log.open("ab") as target:
            begin = target.tell()
            self.process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=target,
                stderr=subprocess.STDOUT,
                env=clean_environment(**self._variables()),
            )

        def told():
            text = log.read_bytes()[begin:].decode()
            assert self.process.poll() is None, f"it ended: {text}"
            _, found, rest = text.partition(LISTENING)
            return rest.split()[0] if found and "\n" in rest else None

        if wait:
            self.host = until(told, what="the gateway's address")
        return self

    def _variables(self):
        return {f"SHOAL_SERVE_{name.upper()}": str(value) for name, value in self.settings.items()}

    def kill(self):
        """Ends it as a power cut would, its jobs apart."""
        self.process.kill()
        self.process.wait()

    def restart(self, *, wait=True):
        """Starts it again at the same address."""
        return self.start(int(self.host.rpartition(":")[2]), wait=wait)

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(60)
            self.process.kill()
            self.process.wait()
        end_jobs(self.data)


@contextmanager
def serving(*, port=0, **settings):
    """A gateway on loopback, with its data in memory; it ends with its jobs."""
    with memory_folder() as folder:
        gateway = Gateway(Path(folder) / "data", settings)
        try:
            yield gateway.start(port)
        finally:
            gateway.stop()


def clean_environment(**more):
    """The environment of this process without what names a gateway or a job."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    return {**kept, **more}


def free_port():
    """A port that nobody listens on just now."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def run(python, *arguments, folder, **environment):
    """What a program prints, which has to end well."""
    done = subprocess.run(
        [str(python), *map(str, arguments)],
        cwd=folder,
        env=clean_environment(**environment),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout
