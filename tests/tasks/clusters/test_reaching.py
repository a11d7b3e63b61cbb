"""Who answers at an address: found out in seconds, and said plainly."""

import contextlib
import http.server
import importlib.metadata
import platform
import socket
import threading
import warnings

import pytest

from shoal.errors import ExecutorBroken
from shoal.tasks.clusters import reaching
from shoal.tasks.clusters.reaching import (
    check_dask,
    check_ray,
    check_versions,
    is_public,
    listens,
    warn_if_open,
)

SETTINGS_FRAME = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(reaching, "REACH_SECONDS", 0.3)


@pytest.fixture
def speaker():
    """Starts something that says its words to whoever connects, and returns its address."""
    sockets, threads = [], []

    def start(words, *, hangs_up=False):
        server = socket.create_server(("127.0.0.1", 0))
        sockets.append(server)

        def serve():
            try:
                connection, _ = server.accept()
            except OSError:
                return
            sockets.append(connection)
            with contextlib.suppress(OSError):  # who only looked has gone again
                connection.sendall(words)
                if hangs_up:
                    connection.shutdown(socket.SHUT_WR)

        thread = threading.Thread(target=serve)
        thread.start()
        threads.append(thread)
        return f"127.0.0.1:{server.getsockname()[1]}"

    yield start
    for thread in threads:
        thread.join()
    for each in sockets:
        each.close()


@pytest.fixture
def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    return f"127.0.0.1:{port}"


def check_ray_there(address):
    check_ray(address, "there", encrypted=False)


def check_dask_there(address):
    check_dask(address, "there")


@pytest.mark.parametrize("check", [check_ray_there, check_dask_there])
def test_a_port_where_nobody_listens_cannot_be_reached(check, closed_port):
    assert not listens(closed_port)
    with pytest.raises(ExecutorBroken, match="there cannot be reached"):
        check(closed_port)


@pytest.mark.parametrize("check", [check_ray_there, check_dask_there])
@pytest.mark.parametrize("words", [b"SSH-2.0-OpenSSH_9.7\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_a_port_where_somebody_else_answers_is_told_apart(check, words, speaker):
    with pytest.raises(ExecutorBroken, match="something else answers"):
        check(speaker(words))


@pytest.mark.parametrize("check", [check_ray_there, check_dask_there])
def test_a_port_where_nobody_speaks_is_not_waited_for(check, speaker):
    with pytest.raises(ExecutorBroken, match="does not answer within 0.3 s"):
        check(speaker(b""))
    with pytest.raises(ExecutorBroken, match="something else answers"):
        check(speaker(b"", hangs_up=True))


def test_grpc_and_dask_are_recognised(speaker):
    check_ray_there(speaker(SETTINGS_FRAME))
    check_dask_there(speaker((96).to_bytes(8, "little")))
    check_ray(speaker(b""), "there", encrypted=True)
    assert listens(speaker(b""))


@pytest.fixture
def same():
    python = platform.python_version()
    names = ("shoal", "cloudpickle")
    return {"python": python, **{name: importlib.metadata.version(name) for name in names}}


def test_the_same_versions_are_fine_and_so_is_another_patch_of_python(same):
    check_versions("there", same)
    minor = same["python"].rpartition(".")[0]
    check_versions("there", {**same, "python": f"{minor}.99"})


@pytest.mark.parametrize("what", ["python", "shoal", "cloudpickle"])
def test_another_version_is_named_with_both_sides(what, same):
    with pytest.raises(ExecutorBroken, match=rf"{what} is .* here and 2\.7\.18 there") as caught:
        check_versions("there", {**same, what: "2.7.18"})
    assert "Install the same versions" in str(caught.value)


def test_a_package_that_is_missing_there_is_named(same):
    with pytest.raises(ExecutorBroken, match=r"shoal is .* here and not installed there"):
        check_versions("there", {**same, "shoal": None})


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("::1", False),
        ("localhost", False),
        ("8.8.8.8", True),
        ("0.0.0.0", True),
    ],
)
def test_addresses_that_the_whole_internet_reaches_are_public(host, expected):
    assert is_public(host) is expected


class Dashboard(http.server.BaseHTTPRequestHandler):
    """Answers as Ray's dashboard: to anybody, or only to those who have a token."""

    status = 200

    def do_GET(self):
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, *_):
        """Says nothing."""


@pytest.mark.parametrize(
    ("public", "status", "warned"), [(True, 200, True), (True, 401, False), (False, 200, False)]
)
def test_an_open_dashboard_on_a_public_address_is_pointed_out(monkeypatch, public, status, warned):
    monkeypatch.setattr(reaching, "is_public", lambda host: public)
    monkeypatch.setattr(Dashboard, "status", status)
    with http.server.HTTPServer(("127.0.0.1", 0), Dashboard) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            warn_if_open(f"127.0.0.1:{server.server_port}", "ray:there:6379")
        server.shutdown()
        thread.join()
    assert bool(caught) is warned
    if warned:
        assert "anybody can run code there" in str(caught[0].message)
        assert "ray:there:6379" in str(caught[0].message)


def test_where_there_is_no_dashboard_nothing_is_said(monkeypatch, closed_port):
    monkeypatch.setattr(reaching, "is_public", lambda host: True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_if_open("", "ray")
        warn_if_open(closed_port, "ray")
