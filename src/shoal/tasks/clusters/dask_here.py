"""A Dask on this machine, in a process of its own: no part of it runs in the user's program."""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
from typing import Any

import dask
import distributed

from shoal.errors import ExecutorBroken
from shoal.tasks.processes import thread_environment

START_SECONDS = 60.0
END_SECONDS = 10.0
NEVER = "3650 days"
PROGRAM = """
import sys
sys.path[:] = {path!r}
from shoal.tasks.clusters.dask_here import serve
serve({descriptor}, cores={cores}, threads_per_task={threads})
"""


class DaskHere:
    """Scheduler and workers, until `close` or the end of this process, whichever comes first.

    Started in this process, they would import its main module again, which scripts without a
    guard do not survive, and share its interpreter's lock.

    Attributes:
        address: Where the scheduler listens, on this machine only.
    """

    def __init__(self, cores: int, threads_per_task: int) -> None:
        """Starts a worker of one thread for each core; returns when they are there."""
        reading, writing = os.pipe()
        program = PROGRAM.format(
            path=list(sys.path),
            descriptor=writing,
            cores=cores,
            threads=threads_per_task,
        )
        self._process = subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=subprocess.PIPE,
            pass_fds=[writing],
            start_new_session=True,  # Ctrl-C is this program's to handle
        )
        os.close(writing)
        with open(reading, encoding="ascii") as pipe:
            self.address = pipe.readline().strip()
        if not self.address:
            self.close()
            raise ExecutorBroken("executor='dask': the scheduler did not start; see its messages")

    def close(self) -> None:
        """Ends them all."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):  # it may have ended already
                self._process.stdin.close()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def serve(descriptor: int, *, cores: int, threads_per_task: int) -> None:
    """The main function of that process: tells its address, and ends when its input does.

    A worker that died is started again by its nanny. The cluster would give up both if there is
    none of that name some seconds after a death: after quick deaths, or on a slow machine.
    """
    dask.config.set({"distributed.deploy.lost-worker-timeout": NEVER})
    make: Any = distributed.LocalCluster  # it has no types
    with make(
        n_workers=cores,
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
        silence_logs=logging.CRITICAL,
        scheduler_kwargs={"allowed_failures": 0},  # the engine retries, and counts
        env=thread_environment(threads_per_task),
    ) as cluster:
        os.write(descriptor, f"{cluster.scheduler_address}\n".encode())
        os.close(descriptor)
        sys.stdin.read()
