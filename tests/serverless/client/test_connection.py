"""One clear error, soon, where there is no gateway; patience with one that was there."""

import itertools
import socket
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from shoal.serverless import GatewayUnreachable, NotAuthenticated, ServerlessClient, errors
from shoal.serverless.client.connection import Connection, check_host, check_token, pauses


@contextmanager
def serving(*answers):
    """A server that gives these answers, in this order, and then the last one for ever."""
    asked = []
    coming = itertools.chain(answers, itertools.repeat(answers[-1]))

    class Handler(BaseHTTPRequestHandler):
        def answer(self):
            length = int(self.headers.get("content-length", 0))
            asked.append((self.command, self.path, self.rfile.read(length), dict(self.headers)))
            status, body, *headers = next(coming)
            if status is None:
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True
                return
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = answer  # noqa: N815 - the names of http.server

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def connected(host, *, patience_seconds=30.0, timeout_seconds=30.0):
    made = Connection(
        host,
        "token",
        headers={},
        timeout_seconds=timeout_seconds,
        patience_seconds=patience_seconds,
    )
    try:
        yield made
    finally:
        made.close()


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def test_where_nobody_listens_is_one_error():
    with pytest.raises(GatewayUnreachable, match=r"the gateway at http://\S+ cannot be reached"):
        ServerlessClient(f"http://127.0.0.1:{free_port()}", "token", patience_seconds=0)


def test_where_nobody_answers_is_one_error():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(GatewayUnreachable, match="timed out"):
            ServerlessClient(host, "token", timeout_seconds=0.2, patience_seconds=0.1)


@pytest.mark.parametrize("answer", [(200, b"<html>"), (404, b"<html>"), (302, b""), (405, b"{}")])
def test_what_is_no_gateway_is_told_apart(answer):
    with (
        serving((*answer, ("location", "http://127.0.0.1/elsewhere"))) as (host, _),
        pytest.raises(GatewayUnreachable),
    ):
        ServerlessClient(host, "token", patience_seconds=0)


def test_a_wrong_token_is_told_and_not_shown():
    with serving((401, b'{"message": "no such token"}')) as (host, asked):
        with pytest.raises(NotAuthenticated, match="does not accept the token: no such token") as e:
            ServerlessClient(host, "secret-token")
        assert e.value.status_code == 401
        assert "secret-token" not in str(e.value)
        assert len(asked) == 1


def test_an_https_address_that_speaks_http_is_one_error():
    with serving((200, b"[]")) as (host, _), pytest.raises(GatewayUnreachable, match="reached"):
        ServerlessClient(host.replace("http:", "https:"), "token", patience_seconds=0)


@pytest.mark.parametrize(
    "host",
    ["", "localhost:8000", "ftp://a", "http://", "http://a:b", "http://u:p@a", "http://a/?q"],
)
def test_an_address_that_can_be_none_is_refused_at_the_door(host):
    with pytest.raises(ValueError, match="expected an address such as"):
        check_host(host)


def test_a_slash_at_the_end_makes_no_difference():
    assert check_host(" http://[::1]:80/base/ ") == "http://[::1]:80/base"


@pytest.mark.parametrize("token", ["", " ", "a b", "a\nb", "tök"])
def test_a_token_that_no_header_can_carry_is_refused_without_showing_it(token):
    with pytest.raises(ValueError, match="expected letters") as caught:
        check_token(token)
    assert not token.strip() or token not in str(caught.value)


@pytest.mark.parametrize(
    "first",
    [(None, b""), (502, b""), (503, b'{"message": "busy"}', ("retry-after", "0.1")), (504, b"")],
)
def test_a_lost_answer_or_a_busy_gateway_is_asked_again(first):
    with serving(first, first, (200, b"{}")) as (host, asked), connected(host) as connection:
        assert connection.api("POST", "/x/", json={"a": 1}).json() == {}
    assert [(method, path, body) for method, path, body, _ in asked] == [
        ("POST", "/api/v1/x/", b'{"a":1}')
    ] * 3


def test_a_file_is_sent_from_its_beginning_each_time(tmp_path):
    path = tmp_path / "data"
    path.write_bytes(b"0123456789")
    with (
        serving((503, b""), (200, b"{}")) as (host, asked),
        connected(host) as connection,
        path.open("rb") as contents,
    ):
        connection.api("POST", "/x/", files={"file": ("data", contents)})
    assert [b"0123456789" in body for _, _, body, _ in asked] == [True, True]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.GatewayRefused),
        (403, errors.GatewayRefused),
        (404, errors.NotFound),
        (409, errors.Conflict),
        (413, errors.GatewayRefused),
        (429, errors.QuotaExceeded),
        (500, errors.GatewayFailed),
    ],
)
def test_a_no_is_an_error_with_the_gateways_words_and_is_not_asked_again(status, kind):
    with (
        serving((status, b'{"message": "because"}')) as (host, asked),
        connected(host) as connection,
    ):
        with pytest.raises(kind, match="because") as caught:
            connection.api("GET", "/x/")
        assert getattr(caught.value, "status_code", status) == status
        assert len(asked) == 1


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b'"text"', b"{}", b"\xff"])
def test_a_no_without_words_is_told_by_its_status(body):
    with (
        serving((418, body)) as (host, _),
        connected(host) as connection,
        pytest.raises(errors.GatewayRefused, match=r"/api/v1/x/ answered 418"),
    ):
        connection.api("GET", "/x/", params={"secret": "1"})


def test_patience_ends():
    with (
        serving((503, b'{"message": "busy"}')) as (host, asked),
        connected(host, patience_seconds=0.2) as connection,
    ):
        with pytest.raises(errors.GatewayFailed, match="busy"):
            connection.api("GET", "/x/")
        assert len(asked) > 2


def test_a_gateway_that_comes_back_is_waited_for():
    port = free_port()
    with connected(f"http://127.0.0.1:{port}") as connection:
        answered = []
        thread = threading.Thread(target=lambda: answered.append(connection.api("GET", "/x/")))
        thread.start()
        with socket.create_server(("127.0.0.1", port)) as late:
            peer, _ = late.accept()
            with peer:
                peer.recv(65536)
                peer.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
                thread.join()
        assert answered[0].json() == {}


def test_pauses_grow_and_stay_bounded():
    first = list(itertools.islice(pauses(), 20))
    assert first[0] == 0.0
    assert first == sorted(first)
    assert first[-1] == 2.0


@pytest.mark.parametrize("seconds", [-1.0, float("inf"), float("nan")])
def test_seconds_that_are_none_are_refused(seconds):
    with pytest.raises(ValueError, match="patience_seconds="):
        ServerlessClient("http://127.0.0.1:1", "token", patience_seconds=seconds)
    with pytest.raises(TypeError, match="timeout_seconds='1'"):
        ServerlessClient("http://127.0.0.1:1", "token", timeout_seconds="1")


def test_a_missing_token_is_told(monkeypatch):
    monkeypatch.delenv("SHOAL_GATEWAY_TOKEN", raising=False)
    monkeypatch.delenv("ENV_GATEWAY_PROVIDER_TOKEN", raising=False)
    with pytest.raises(ValueError, match="SHOAL_GATEWAY_TOKEN"):
        ServerlessClient("http://127.0.0.1:1")


def test_host_and_token_come_from_the_environment(monkeypatch):
    with serving((200, b"[]")) as (host, asked):
        monkeypatch.setenv("ENV_GATEWAY_PROVIDER_HOST", host)
        monkeypatch.setenv("ENV_GATEWAY_PROVIDER_TOKEN", "published")
        monkeypatch.setenv("SHOAL_GATEWAY_TOKEN", "ours\n")
        ServerlessClient().close()
    assert asked[0][3]["Authorization"] == "Bearer ours"


def test_a_proxy_is_not_asked_for_this_machine(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with serving((200, b"[]")) as (host, _):
        ServerlessClient(host, "token").close()
