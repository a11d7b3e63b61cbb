"""Connections end: slow heads, slow bodies, endless heads, readers that do not read, too many."""

import json
import socket

import pytest

from shoal.serverless.gateway.web import bodies
from shoal.serverless.gateway.web.protocol import HEADER_BYTES, Protocol
from tests.faults.watching import until
from tests.serverless.gateway.serving import raw

HEAD = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"


def status_and_message(answer):
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)["message"]


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(Protocol, "header_seconds", 0.2)


@pytest.mark.parametrize(
    "sent", [b"", b"\r\n", b"GET", HEAD, b"GET / HTTP/1.1\r\nX: " + b"a" * 1000]
)
def test_a_head_that_does_not_come_is_answered_and_closed(served, impatient, sent):
    status, _ = status_and_message(raw(served, sent))
    assert status == 408


def test_a_second_head_that_does_not_come_is_closed_as_well(served, impatient):
    with served.connect() as connection:
        connection.sendall(HEAD + b"\r\n")
        assert b"200 OK" in connection.recv(65536)
        connection.sendall(b"\r\nGET /h")
        found = b""
        while part := connection.recv(65536):
            found += part
    assert status_and_message(found[found.index(b"HTTP/1.1 408") :])[0] == 408


def test_a_head_that_comes_slowly_but_in_time_is_answered(served):
    with served.connect() as connection:
        for part in (HEAD[:10], HEAD[10:], b"Connection: close\r\n\r\n"):
            connection.sendall(part)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")


def test_a_body_that_does_not_come_is_answered_and_closed(served, user, monkeypatch):
    monkeypatch.setattr(bodies.Body.__init__, "__kwdefaults__", {"patience": 0.2})
    head = (
        "POST /api/v1/programs/run HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n"
        f"Authorization: Bearer {user.token}\r\nContent-Type: application/json\r\n\r\n{{"
    )
    status, message = status_and_message(raw(served, head.encode()))
    assert (status, message[:21]) == (408, "The body did not come")


def test_a_head_without_end_is_refused(served):
    with served.connect() as connection:
        found = b""
        try:
            connection.sendall(HEAD + b"X: " + b"a" * (4 * HEADER_BYTES))
            while part := connection.recv(65536):
                found += part
        except ConnectionError:  # it was closed while we were still sending
            pass
    assert not found or status_and_message(found)[0] == 431


@pytest.mark.parametrize("sent", [b"\x16\x03\x01\x00", b"HELLO\r\n\r\n", b"GET  / HTTP/9\r\n\r\n"])
def test_what_is_not_http_is_refused_in_json(served, sent):
    assert status_and_message(raw(served, sent))[0] == 400


def test_beyond_the_last_connection_there_is_an_answer(served, monkeypatch):
    monkeypatch.setattr(Protocol, "most_connections", 0)
    assert status_and_message(raw(served, b""))[0] == 503


def test_two_requests_at_once_get_two_answers_in_order(served):
    first, second = HEAD + b"\r\n", HEAD.replace(b"health", b"nothing")
    answers = raw(served, first + second + b"Connection: close\r\n\r\n")
    assert answers.index(b"200 OK") < answers.index(b"404 Not Found")


def test_a_client_that_does_not_read_is_cut_off(served, user, monkeypatch):
    monkeypatch.setattr(Protocol, "write_seconds", 0.2)
    sent = {"file": ("large", b"x" * (32 << 20))}
    assert user.post("/files/upload/", files=sent).status_code == 200
    request = (
        "GET /api/v1/files/download?file=large HTTP/1.1\r\nHost: localhost\r\n"
        f"Authorization: Bearer {user.token}\r\n\r\n"
    )
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(60)
        connection.connect(("127.0.0.1", served.port))
        connection.sendall(request.encode())

        def is_cut():
            try:
                connection.sendall(b"\r\n")
            except ConnectionError:
                return True
            return False

        until(is_cut, what="the end of the connection")
