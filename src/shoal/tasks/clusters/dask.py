"""Dask: batches as tasks of a distributed.Client, the user's or one of our own."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import CancelledError, Future
from typing import Any

import distributed
from distributed.scheduler import KilledWorker

from shoal.errors import ExecutorBroken
from shoal.tasks.clusters.cluster import Running
from shoal.tasks.clusters.dask_here import DaskHere
from shoal.tasks.clusters.reaching import PICKLING, check_dask, check_versions
from shoal.tasks.clusters.there import Order, run_there
from shoal.tasks.dispatch import Death
from shoal.tasks.model import shorten

CONNECT_SECONDS = 6.0
ANSWER_SECONDS = 5.0
PACKAGES = ("distributed", *PICKLING)


class DaskCluster:
    """Runs batches through a `distributed.Client`."""

    forgets = True

    def __init__(self, client: Any, name: str = "", *, ours: Any = None) -> None:
        """Uses a client that is connected.

        Args:
            client: The client.
            name: What it was asked for by; the client itself by default.
            ours: What to end with it; None leaves client and cluster open.
        """
        self.name = name or shorten(client)
        self.client = client
        self._local = ours
        self._opened = bool(name)

    @property
    def ours(self) -> bool:
        """Whether its workers were started here."""
        return self._local is not None

    @property
    def usable(self) -> bool:
        """Whether the client is connected."""
        return bool(self.client.status == "running")

    def width(self) -> int:
        """How many threads the workers have."""
        if not self.usable:
            raise ExecutorBroken(f"{self.name} is gone: its client is {self.client.status}")
        try:
            threads = self.client.sync(
                self.client.scheduler.ncores, callback_timeout=ANSWER_SECONDS
            )
        except Exception as error:  # whatever Dask raises when its scheduler is gone
            raise ExecutorBroken(f"{self.name} is gone: {error!r}") from error
        return sum(threads.values())

    def put(self, value: Any) -> Any:
        """Lays a value down on every worker."""
        [handle] = self.client.scatter([value], broadcast=True, hash=False)
        return handle

    def start(self, order: Order, held: Sequence[Any]) -> Running:
        """Begins a batch as a task."""
        task = self.client.submit(run_there, order, *held, pure=False, retries=0)
        future: Future[Any] = Future()
        self.client.loop.add_callback(self._pass_on, task, future)
        return Running(future, task)

    async def _pass_on(self, task: Any, future: Future[Any]) -> None:
        """Gives the future what becomes of the task."""
        try:
            reply = await self.client.gather(task, asynchronous=True)
        except BaseException as error:  # whatever became of it, somebody waits
            future.set_exception(error)
        else:
            future.set_result(reply)

    def death(self, error: BaseException) -> Death | None:
        """The end of a worker, or the loss of what lay there; None when the scheduler is lost."""
        if isinstance(error, KilledWorker):
            address = getattr(error.last_worker, "address", "")
            return Death(None, "the Dask worker was killed, crashed or exited", worker=address)
        if isinstance(error, CancelledError) and self.usable:
            return Death(None, "what the task needed was lost with a Dask worker")
        return None

    def stop(self, running: Sequence[Running], *, at_once: bool) -> None:  # noqa: ARG002
        """Drops what waits; what has begun runs to its end, for Dask cannot stop it."""
        if running and self.usable:
            with contextlib.suppress(Exception):  # a scheduler that is going needs no telling
                self.client.cancel([each.native for each in running], force=True)

    def close(self) -> None:
        """Disconnects, and ends workers that were started here; leaves the user's own alone."""
        if not self._opened:
            return
        with contextlib.suppress(Exception):  # it may be gone already
            self.client.close(timeout=ANSWER_SECONDS)
        if self._local is not None:
            self._local.close()


def start_workers(cores: int, threads_per_task: int) -> DaskCluster:
    """A Dask on this machine: a worker process of one thread for each core."""
    here = DaskHere(cores, threads_per_task)
    try:
        return DaskCluster(_client(here.address), "dask", ours=here)
    except BaseException:
        here.close()
        raise


def _client(where: Any) -> Any:
    make: Any = distributed.Client  # it has no types
    return make(where, timeout=CONNECT_SECONDS, set_as_default=False)


def join(name: str) -> DaskCluster:
    """The Dask at ``"dask://host:port"``.

    Raises:
        ExecutorBroken: If it cannot be reached, or its versions are not ours.
    """
    address = name.removeprefix("dask://")
    check_dask(address, name)
    try:
        client = _client(f"tcp://{address}")
    except Exception as error:  # whatever Dask raises for its own reasons
        raise ExecutorBroken(f"{name} cannot be joined: {error}") from error
    cluster = DaskCluster(client, name)
    try:
        check(cluster)
    except BaseException:
        cluster.close()
        raise
    return cluster


def check(cluster: DaskCluster) -> None:
    """Raises ExecutorBroken for a Dask whose Python or packages are not those used here."""
    for versions in _versions(cluster):
        check_versions(cluster.name, versions)


def _versions(cluster: DaskCluster) -> list[dict[str, str | None]]:
    """Versions of the scheduler and of each worker."""
    try:
        told = cluster.client.get_versions()
        found = {name: _asked(cluster, name) for name in PICKLING}
    except Exception as error:  # as above
        raise ExecutorBroken(f"{cluster.name} does not answer: {error!r}") from error
    wholes = [_of(told["scheduler"])]
    for worker, versions in told["workers"].items():
        wholes.append(_of(versions) | {name: found[name].get(worker) for name in PICKLING})
    return wholes


def _of(told: Mapping[str, Any]) -> dict[str, str | None]:
    return {what: told["packages"].get(what) for what in ("python", "distributed")}


def _asked(cluster: DaskCluster, package: str) -> dict[str, str | None]:
    answers = cluster.client.run(importlib.metadata.version, package, on_error="return")
    return {
        worker: answer if isinstance(answer, str) else None for worker, answer in answers.items()
    }


def check_threads(cluster: DaskCluster, threads_per_task: int) -> None:
    """Raises ValueError if workers of others have another number of numerical threads.

    One thread is what Dask gives its workers by itself, and is not asked for.
    """
    if threads_per_task == 1:
        return
    told = cluster.client.run(os.getenv, "OMP_NUM_THREADS")
    if any(value != str(threads_per_task) for value in told.values()):
        raise ValueError(
            f"threads_per_task={threads_per_task} on {cluster.name}: its workers were started "
            f"with OMP_NUM_THREADS={sorted(set(map(str, told.values())))}; start them with "
            f"OMP_NUM_THREADS={threads_per_task}"
        )
