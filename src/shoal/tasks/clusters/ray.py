"""Ray: batches as Ray tasks, on a Ray started here or one that is there."""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import logging
import math
import os
import platform
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import ray
import ray.exceptions

from shoal.errors import ExecutorBroken, MissingExtra
from shoal.tasks.clusters.cluster import Running
from shoal.tasks.clusters.reaching import (
    PICKLING,
    REACH_SECONDS,
    check_ray,
    check_versions,
    listens,
    warn_if_open,
)
from shoal.tasks.clusters.there import Order, run_there
from shoal.tasks.dispatch import Death
from shoal.tasks.processes import thread_environment

STOP_SECONDS = 1.0
ANY_CLIENT_CALL = "/ray.rpc.RayletDriver/ClusterInfo"
CHECK_SECONDS = 8.0
PACKAGES = ("ray", *PICKLING)
NODE_LOST = (
    ray.exceptions.LocalRayletDiedError,
    ray.exceptions.NodeDiedError,
    ray.exceptions.ObjectLostError,
)


class RayConnection:
    """The one Ray that a process is connected to.

    Attributes:
        name: What it was asked for by.
        threads: How many numerical threads its workers have by themselves; None: not known.
    """

    def __init__(self, name: str, *, cores: int, threads: int) -> None:
        """Joins the Ray that is meant, or starts one on this machine for ``"ray"``.

        Raises:
            ExecutorBroken: If it cannot be reached, or its versions are not ours.
            MissingExtra: If the client of Ray is not installed and needed.
        """
        self.name = name
        self.threads: int | None = None
        self._opened = False
        address = _address(name)
        if ray.is_initialized():
            self.check_same(name)
        elif address:
            self._join(address)
        else:
            self._start(cores, threads)
        client: Any = ray.util.client.ray  # it has no types
        self._client = bool(client.is_connected())
        try:
            self._check()
        except BaseException:
            self.close()
            raise

    @property
    def usable(self) -> bool:
        """Whether the process is still connected."""
        return bool(ray.is_initialized())

    def check_same(self, name: str) -> None:
        """Raises ExecutorBroken if the process is connected to another Ray than `name` means."""
        address = _address(name)
        if name in ("ray", self.name) and self._opened:
            return
        connected = ray.get_runtime_context().gcs_address
        if address and connected != address:
            raise ExecutorBroken(
                f"{name} cannot be joined: this process is connected to the Ray at "
                f"{connected}; call ray.shutdown() first"
            )

    def nodes(self) -> list[Mapping[str, float]]:
        """What each living node has, as Ray's resources."""
        if not self.usable:
            raise ExecutorBroken(f"{self.name}: this process was disconnected (ray.shutdown)")
        if not self._client and not listens(self._gcs_address):
            raise ExecutorBroken(f"{self.name} is gone: its head at {self._gcs_address} is silent")
        try:
            nodes: Any = ray.nodes  # it has no types
            return [node["Resources"] for node in nodes() if node["Alive"]]
        except Exception as error:  # whatever Ray raises when its head is gone
            raise ExecutorBroken(f"{self.name} is gone: {error}") from error

    def close(self) -> None:
        """Disconnects, and ends a Ray that was started here; leaves the user's own alone."""
        if self._opened and ray.is_initialized():
            ray.shutdown()

    def _start(self, cores: int, threads: int) -> None:
        with staying_local(thread_environment(threads)):
            ray.init(
                address="local",
                num_cpus=cores,
                include_dashboard=False,
                logging_level=logging.ERROR,
            )
        self._opened, self.threads = True, threads

    def _join(self, address: str) -> None:
        client = address.startswith("ray://")
        bare = address.removeprefix("ray://")
        encrypted = os.environ.get("RAY_USE_TLS", "0").lower() in ("1", "true")
        if ":" in bare:  # RAY_ADDRESS may also be "auto"
            check_ray(bare, self.name, encrypted=encrypted)
        if client and not encrypted:
            _check_client(self.name, bare)
        local = not client and _on_loopback_alone(bare)
        try:
            if ":" in bare and not client:
                _check_head(bare)
            with staying_local({}) if local else contextlib.nullcontext():
                ray.init(address=address, logging_level=logging.ERROR)
        except Exception as error:  # whatever Ray raises for its own reasons
            raise ExecutorBroken(f"{self.name} cannot be joined: {error}") from error
        self._opened = True

    def _check(self) -> None:
        """Raises ExecutorBroken for a Ray whose Python or packages are not those used here."""
        self._gcs_address = "" if self._client else ray.get_runtime_context().gcs_address
        if self._opened and self.threads is not None:
            return
        context = ray.init(ignore_reinit_error=True, logging_level=logging.ERROR)
        warn_if_open(str(getattr(context, "dashboard_url", "") or ""), self.name)
        version = ray.remote(num_cpus=0, max_retries=3)(importlib.metadata.version)
        python = ray.remote(num_cpus=0, max_retries=3)(platform.python_version)
        asked = {"python": python.remote(), **{name: version.remote(name) for name in PACKAGES}}
        try:
            ray.wait(list(asked.values()), num_returns=len(asked), timeout=CHECK_SECONDS)
            there = {what: _told(reference) for what, reference in asked.items()}
        except Exception as error:  # whatever Ray raises for its own reasons
            raise ExecutorBroken(f"{self.name} does not answer: {error}") from error
        check_versions(self.name, there)


def _told(reference: Any) -> str | None:
    """A version, or None for what is not installed."""
    try:
        return str(ray.get(reference, timeout=0))
    except importlib.metadata.PackageNotFoundError:
        return None


def _address(name: str) -> str:
    """What `ray.init` knows a Ray by; empty for one to be started here."""
    if name == "ray":
        address = os.environ.get("RAY_ADDRESS", "")
        return "" if address == "local" else address
    return name if name.startswith("ray://") else name.removeprefix("ray:")


def _check_client(name: str, address: str) -> None:
    """Raises at once where Ray's client would be missing, or try for half a minute."""
    try:
        grpc = importlib.import_module("grpc")
    except ImportError as error:
        raise MissingExtra(
            f"executor={name!r} needs Ray's client, which is not installed: "
            "pip install 'ray[client]'"
        ) from error
    with grpc.insecure_channel(address) as channel:
        try:
            channel.unary_unary(ANY_CLIENT_CALL)(b"", timeout=REACH_SECONDS)
        except grpc.RpcError as error:  # a client's server may well refuse an empty request
            why = _why_no_client(error.code().name)
            if why:
                raise ExecutorBroken(f"{name} cannot be joined: {why}") from error


def _why_no_client(status: str) -> str:
    """Why a client would be refused, by the status of an empty request; empty if it would not."""
    if status == "UNIMPLEMENTED":
        return (
            "it is no server for Ray's clients but another part of a Ray, or not Ray; the port of "
            "that server is 10001 unless chosen otherwise"
        )
    if status == "UNAUTHENTICATED" and os.environ.get("RAY_AUTH_MODE") != "token":
        return (
            "it wants a token; set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH "
            "as on its head"
        )
    if status in ("UNAVAILABLE", "DEADLINE_EXCEEDED"):
        return f"it does not answer within {REACH_SECONDS:g} s"
    return ""


def _check_head(address: str) -> None:
    """Raises at once if what listens there is no head of a Ray; `ray.init` would try for long."""
    connect = getattr(ray._raylet, "GcsClient", None)  # noqa: SLF001  (Ray offers no other way)
    if connect is not None:
        connect(address=address)


def _on_loopback_alone(address: str) -> bool:
    """Whether a Ray takes no connections at this machine's own address, by which Ray joins it."""
    host, _, port = address.rpartition(":")
    own: Any = ray.util.get_node_ip_address  # it has no types
    return host in ("127.0.0.1", "localhost") and not listens(f"{own()}:{port}")


@contextlib.contextmanager
def staying_local(environment: Mapping[str, str]) -> Iterator[None]:
    """Has a Ray that is started within listen on this machine only, with this environment.

    Ray listens on all addresses unless it is told that it will stay alone, which it can be told
    on all systems by the switch that is meant for two of them. It is read at its import, and
    again in the processes that it starts.
    """
    wanted = {
        **environment,
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    before = {name: os.environ.get(name) for name in wanted}
    constants: Any = getattr(ray._private, "ray_constants", None)  # noqa: SLF001  (see above)
    reachable = getattr(constants, "ENABLE_RAY_CLUSTER", None)
    os.environ.update(wanted)
    if reachable is not None:
        constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        if reachable is not None:
            constants.ENABLE_RAY_CLUSTER = reachable
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


class RayCluster:
    """Runs batches as Ray tasks, each with the resources asked for."""

    forgets = False

    def __init__(
        self,
        connection: RayConnection,
        *,
        threads_per_task: int = 1,
        resources: Mapping[str, float] | None = None,
    ) -> None:
        """Raises ExecutorBroken if no node can ever run a task with these resources.

        Args:
            connection: The Ray to use.
            threads_per_task: Threads of numerical libraries in each worker.
            resources: Options of a Ray task: ``num_cpus`` (1 by default), ``num_gpus``, ``memory``
                in bytes, ``resources`` by name.
        """
        self.name = connection.name
        self._connection = connection
        self._options: dict[str, Any] = dict(resources or {})
        self._needed = _needed(self._options)
        options: dict[str, Any] = {"num_cpus": 1, **self._options, "max_retries": 0}
        if connection.threads != threads_per_task:
            options["runtime_env"] = {"env_vars": thread_environment(threads_per_task)}
        self._remote: Any = ray.remote(**options)(run_there)
        self._check_feasible()

    @property
    def usable(self) -> bool:
        """Whether the process is still connected."""
        return self._connection.usable

    def width(self) -> int:
        """How many tasks with these resources fit on the living nodes."""
        return sum(_fit(self._needed, node) for node in self._connection.nodes())

    def put(self, value: Any) -> Any:
        """Lays a value into Ray's object store."""
        return ray.put(value)

    def start(self, order: Order, held: Sequence[Any]) -> Running:
        """Begins a batch as a Ray task."""
        reference = self._remote.remote(order, *held)
        return Running(reference.future(), reference)

    def death(self, error: BaseException) -> Death | None:
        """The end of a worker or of its node, as far as Ray tells."""
        if isinstance(error, ray.exceptions.OutOfMemoryError):
            return Death(None, f"the Ray worker was ended: out of memory: {_first_line(error)}")
        if isinstance(error, ray.exceptions.WorkerCrashedError):
            return Death(None, "the Ray worker was killed, crashed or exited")
        if isinstance(error, NODE_LOST):
            return Death(None, f"the Ray node was lost: {_first_line(error)}")
        return None

    def stop(self, running: Sequence[Running], *, at_once: bool) -> None:
        """Drops what waits; ends the workers of what still runs a second later, or at once."""
        if not running or not self.usable:
            return
        self._cancel(running, force=at_once)
        if not at_once:
            timer = threading.Timer(STOP_SECONDS, self._cancel, [running], {"force": True})
            timer.daemon = True
            timer.start()

    def close(self) -> None:
        """Disconnects; see `RayConnection.close`."""
        self._connection.close()

    def _cancel(self, running: Sequence[Running], *, force: bool) -> None:
        for each in running:
            if not each.future.done() and self.usable:
                with contextlib.suppress(Exception):  # what has just ended cannot be cancelled
                    ray.cancel(each.native, force=force)

    def _check_feasible(self) -> None:
        nodes = self._connection.nodes()
        if any(_fit(self._needed, node) for node in nodes):
            return
        shown = [{what: node.get(what, 0) for what in self._needed} for node in nodes]
        raise ExecutorBroken(
            f"{self.name} has no node for resources={self._options}: "
            f"a task needs {self._needed}, and the nodes have {shown}"
        )


def _needed(options: Mapping[str, Any]) -> dict[str, float]:
    """The options of a task as Ray's resources, without those it needs none of."""
    needed = {
        "CPU": options.get("num_cpus", 1),
        "GPU": options.get("num_gpus", 0),
        "memory": options.get("memory", 0),
        **options.get("resources", {}),
    }
    return {what: count for what, count in needed.items() if count}


def _fit(needed: Mapping[str, float], node: Mapping[str, float]) -> int:
    """How many tasks fit on a node; those that need nothing, as many as it has processors."""
    counts = [node.get(what, 0) / count for what, count in (needed or {"CPU": 1}).items()]
    return math.floor(min(counts) + 1e-9)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:500] if lines else type(error).__name__
