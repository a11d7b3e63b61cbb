"""Whether an address can be reached and who answers there, found out before waiting for it."""

from __future__ import annotations

import importlib.metadata
import ipaddress
import platform
import socket
import urllib.error
import urllib.request
import warnings
from collections.abc import Mapping

from shoal.errors import ExecutorBroken

REACH_SECONDS = 3.0
PICKLING = ("shoal", "cloudpickle")  # packages that read on one side what they wrote on the other
# The opening of HTTP/2 (RFC 9113, 3.4) with an empty SETTINGS frame; gRPC answers with its own.
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
FRAME_TYPE, SETTINGS = 3, 4
SIZE_BYTES, LARGEST_GREETING = 8, 1 << 20


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def check_ray(address: str, name: str, *, encrypted: bool) -> None:
    """Raises ExecutorBroken unless somebody listens there who speaks gRPC, as all of Ray does.

    Ray itself would wait for minutes, or end the process.
    """
    answer = _first_bytes(
        address, name, b"" if encrypted else PREFACE, 0 if encrypted else FRAME_TYPE + 1
    )
    if not encrypted and (len(answer) <= FRAME_TYPE or answer[FRAME_TYPE] != SETTINGS):
        raise ExecutorBroken(f"{name} is not a Ray: something else answers at {address}")


def check_dask(address: str, name: str) -> None:
    """Raises ExecutorBroken unless somebody listens there who begins as a Dask scheduler does.

    It begins with the size of its first message, as eight bytes. Dask itself waits for somebody who
    says nothing without an end, and takes any size for true.
    """
    answer = _first_bytes(address, name, b"", SIZE_BYTES)
    if len(answer) < SIZE_BYTES or int.from_bytes(answer, "little") > LARGEST_GREETING:
        raise ExecutorBroken(f"{name} is not a Dask scheduler: something else answers at {address}")


def _first_bytes(address: str, name: str, greeting: bytes, count: int) -> bytes:
    """The first `count` bytes that are answered to a greeting; fewer where the other hangs up."""
    try:
        with socket.create_connection(_host_and_port(address), timeout=REACH_SECONDS) as connection:
            connection.settimeout(REACH_SECONDS)
            connection.sendall(greeting)
            return _received(connection, count)
    except TimeoutError as error:
        raise ExecutorBroken(f"{name} does not answer within {REACH_SECONDS:g} s") from error
    except OSError as error:
        raise ExecutorBroken(f"{name} cannot be reached: {error}") from error


def listens(address: str) -> bool:
    """Whether somebody takes connections there."""
    try:
        socket.create_connection(_host_and_port(address), timeout=REACH_SECONDS).close()
    except OSError:
        return False
    return True


def _received(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            break
        data += more
    return data


def check_versions(name: str, there: Mapping[str, str | None]) -> None:
    """Raises ExecutorBroken if the cluster's versions are not ours; says which, and what to do.

    Functions, inputs and results travel as pickles, whose reader must be of the writer's kind.

    Args:
        there: Version of ``"python"`` and of packages on the cluster; None: not installed.
    """
    different = []
    for what, version in there.items():
        here = _version_here(what)
        if (version or "").split(".")[: len(here.split("."))] != here.split("."):
            different.append(f"{what} is {here} here and {version or 'not installed'} there")
    if different:
        raise ExecutorBroken(
            f"{name} does not match this program: {', '.join(different)}. "
            "Install the same versions on both sides"
        )


def _version_here(what: str) -> str:
    """Of Python the minor version: pickles of functions hold its bytecode."""
    if what == "python":
        return ".".join(platform.python_version_tuple()[:2])
    return importlib.metadata.version(what)


def is_public(host: str) -> bool:
    """Whether an address is one that the whole internet can reach, or all addresses at once."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_global or address.is_unspecified


def warn_if_open(dashboard: str, name: str) -> None:
    """Warns if a Ray dashboard runs anybody's code: on a public address, without a password.

    Args:
        dashboard: Its ``"host:port"``; empty if there is none.
    """
    host = dashboard.rpartition(":")[0].strip("[]")
    if not dashboard or not is_public(host) or not _answers_anybody(dashboard):
        return
    warnings.warn(
        f"the dashboard of {name} listens on the public address {dashboard} and asks for no "
        "password: anybody can run code there. Start Ray with --dashboard-host=127.0.0.1, or with "
        "RAY_AUTH_MODE=token",
        RuntimeWarning,
        stacklevel=2,
    )


def _answers_anybody(dashboard: str) -> bool:
    try:
        with urllib.request.urlopen(
            f"http://{dashboard}/api/version", timeout=REACH_SECONDS
        ) as answer:
            return bool(answer.status == 200)
    except (OSError, ValueError):
        return False
