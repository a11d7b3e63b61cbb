"""The clusters that this program is connected to: each once, kept warm, closed at its end."""

from __future__ import annotations

import atexit
import functools
import sys
import threading
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shoal.tasks.clusters.cluster import Cluster
from shoal.tasks.clusters.executor import ClusterExecutor
from shoal.tasks.processes import available_cores

_lock = threading.RLock()
_checked: weakref.WeakSet[Any] = weakref.WeakSet()
_executors: weakref.WeakSet[ClusterExecutor] = weakref.WeakSet()


@dataclass(slots=True, eq=False)
class Connection:
    """A connection that several may use.

    Attributes:
        made: A `RayConnection` or a `DaskCluster`.
        users: How many executors use it now.
        kept: Whether it stays open when none does: a call has asked for it by name.
    """

    made: Any
    users: int = 0
    kept: bool = False


_open: dict[tuple[str, int], Connection] = {}


def kept(name: str, *, threads_per_task: int, max_workers: int | None) -> Cluster:
    """The cluster of this name, which stays connected until the program ends."""
    with _lock:
        connection = _connected(name, threads_per_task, max_workers)
        connection.kept = True
        return _view(connection, threads_per_task, None)


def executor_on(
    name: str,
    *,
    threads_per_task: int,
    max_workers: int | None,
    resources: Mapping[str, Any] | None,
) -> ClusterExecutor:
    """An executor on the cluster of this name, which it shares with all that use it now."""
    with _lock:
        connection = _connected(name, threads_per_task, max_workers)
        connection.users += 1
        let_go = functools.partial(_let_go, connection)
        try:
            cluster = _view(connection, threads_per_task, resources)
            made = ClusterExecutor(cluster, max_workers=max_workers, let_go=let_go)
        except BaseException:
            let_go()
            raise
    _executors.add(made)
    return made


def of_client(client: Any, threads_per_task: int) -> Cluster:
    """The cluster of the user's own Dask client, which is left open.

    Raises:
        ExecutorBroken: If its versions are not those used here.
        ValueError: If its workers have another number of numerical threads.
    """
    from shoal.tasks.clusters import dask

    cluster = dask.DaskCluster(client)
    if client not in _checked:
        dask.check(cluster)
        _checked.add(client)
    dask.check_threads(cluster, threads_per_task)
    return cluster


def _connected(name: str, threads_per_task: int, max_workers: int | None) -> Connection:
    """The connection of this name, made at first use and again when it was lost."""
    # A process has one Ray, whatever it is called; a Dask of our own has its numerical threads.
    engine = "ray" if name.startswith("ray") else name
    key = (engine, threads_per_task if name == "dask" else 0)
    connection = _open.get(key)
    if connection is not None and not connection.made.usable:
        connection.made.close()
        connection = None
    if connection is None:
        cores = max(available_cores(), max_workers or 0)
        connection = _open[key] = Connection(_made(name, cores, threads_per_task))
        _close_at_exit()
    elif engine == "ray":
        connection.made.check_same(name)
    return connection


def _made(name: str, cores: int, threads_per_task: int) -> Any:
    if name.startswith("ray"):
        from shoal.tasks.clusters import ray

        return ray.RayConnection(name, cores=cores, threads=threads_per_task)
    from shoal.tasks.clusters import dask

    return dask.start_workers(cores, threads_per_task) if name == "dask" else dask.join(name)


def _view(
    connection: Connection, threads_per_task: int, resources: Mapping[str, Any] | None
) -> Cluster:
    """The connection as the cluster of one call or executor."""
    made = connection.made
    if hasattr(made, "nodes"):
        from shoal.tasks.clusters import ray

        return ray.RayCluster(made, threads_per_task=threads_per_task, resources=resources)
    if resources is not None:
        raise ValueError(f"resources={resources!r}: Ray's tasks have resources, Dask's have none")
    if not made.ours:
        from shoal.tasks.clusters import dask

        dask.check_threads(made, threads_per_task)
    cluster: Cluster = made
    return cluster


def _let_go(connection: Connection) -> None:
    """Closes the connection when nobody uses it any more."""
    with _lock:
        connection.users -= 1
        if connection.users or connection.kept:
            return
        for key in [key for key, value in _open.items() if value is connection]:
            del _open[key]
    connection.made.close()


def _close_at_exit() -> None:
    """Before Ray and Dask, imported by now, end themselves: what is registered last runs first."""
    atexit.unregister(_close_all)
    atexit.register(_close_all)


def _close_all() -> None:
    """Waits for work that was submitted, as the standard library does; not after Ctrl-C."""
    interrupted = getattr(sys, "last_type", None) is KeyboardInterrupt
    for executor in list(_executors):
        executor.shutdown(wait=not interrupted, cancel_futures=interrupted)
    with _lock:
        connections = list(_open.values())[::-1]  # a later one may use what an earlier one started
        _open.clear()
    for connection in connections:
        connection.made.close()
