"""Waiting for what other processes do, and finding them again."""

import os
import signal
import subprocess
import sys
import time
import uuid

import psutil

MARK = "SHOAL_TEST_MARK"
SECONDS = 60.0


def until(condition, seconds=SECONDS, what="the event"):
    """Polls until `condition()` is true and returns what it gave."""
    end, pause = time.monotonic() + seconds, 0.002
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < end, f"{what} did not happen in {seconds} s"
        time.sleep(pause)  # longer and longer, as looking costs those who are waited for
        pause = min(1.2 * pause, 0.01)


def alive(pid):
    """Whether a process runs; one that only waits to be reaped does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def lines(path):
    """The lines of a file that others append to; none while it does not exist."""
    try:
        return path.read_text().split()
    except FileNotFoundError:
        return []


class Program:
    """A Python program in a session of its own, with everything it starts."""

    def __init__(self, arguments, **options):
        self.mark = uuid.uuid4().hex
        options.setdefault("stdin", subprocess.DEVNULL)
        environment = {**os.environ, MARK: self.mark, **options.pop("env", {})}
        self.process = subprocess.Popen(
            [sys.executable, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            start_new_session=True,
            **options,
        )
        self.pid = self.process.pid

    def living(self):
        """Pids of all living processes that descend from it, however they were started."""
        found = []
        for process in psutil.process_iter():
            try:
                environment = process.environ()
                if environment.get(MARK) == self.mark and alive(process.pid):
                    found.append(process.pid)
            except psutil.Error:
                continue
        return found

    def others(self):
        """As `living`, without itself."""
        return [pid for pid in self.living() if pid != self.pid]

    def finish(self, seconds=SECONDS, text=None):
        """Waits for its end; returns exit status, output and errors."""
        out, err = self.process.communicate(text, timeout=seconds)
        return self.process.returncode, out, err

    def end(self):
        """Kills what is left of it."""
        for pid in [self.pid, *self.living()]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.communicate()
