"""Whatever happens, a client gets an answer it can read, and no page in a browser gets one."""

import pytest

from shoal.serverless.gateway.routes import about
from shoal.serverless.gateway.web import bodies
from tests.serverless.gateway.serving import raw


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1:80", "[::1]:8000", "10.1.2.3", "LOCALHOST"]
)
def test_addresses_and_this_machines_name_are_answered(served, host):
    assert served.anybody.get("/version", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io"])
def test_another_name_for_this_machine_is_refused(served, host):
    answer = served.anybody.get("/version", headers={"Host": host})
    assert answer.status_code == 400
    assert host in answer.json()["message"]


def test_no_other_origin_may_read_what_is_answered(served):
    headers = {"Origin": "http://localhost.evil.example"}
    answer = served.anybody.get("/health", headers=headers)
    assert [name for name in answer.headers if name.startswith("access-control")] == []


def test_a_fault_of_ours_is_a_500_that_tells_nothing(served, monkeypatch, caplog):
    def fails(*_):
        raise RuntimeError("the secret is 42")

    monkeypatch.setattr(about.jobs, "counts", fails)
    answer = served.anybody.get("/health")
    assert answer.status_code == 500
    assert answer.json() == {"message": "The gateway failed; its log says why."}
    assert "the secret is 42" in caplog.text


def test_the_token_is_in_no_log_and_on_no_page(served, user, caplog):
    caplog.set_level("DEBUG")
    user.get("/jobs/")
    user.get(f"/jobs/{user.token}/")
    served.anybody.get("/nothing", headers={"Authorization": f"Bearer {user.token}"})
    secret = user.token.split("_", 2)[2]
    shown = "".join(record.getMessage() for record in caplog.records if "shoal" in record.name)
    assert secret not in shown + served.anybody.get("/metrics").text
    kept = (path for path in served.data.rglob("*") if path.is_file())
    assert not any(secret.encode() in path.read_bytes() for path in kept)


def test_a_body_too_large_is_read_to_its_end_so_that_the_client_sees_the_answer(served, user):
    sent = {"data": {"sub_status": "x" * (2 << 20)}}
    assert user.client.patch("/api/v1/jobs/j/sub_status/", **sent).status_code == 413


def test_after_a_refused_body_the_connection_goes_on(served, user):
    head = (
        "POST /nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n"
        + "x" * 100_000
        + "GET /version HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )
    answers = raw(served, head.encode())
    assert answers.count(b"HTTP/1.1 404") == answers.count(b"HTTP/1.1 200") == 1


def test_a_body_that_nobody_wants_and_that_has_no_end_closes_the_connection(served, monkeypatch):
    monkeypatch.setattr(bodies, "DISCARDED_BYTES", 1000)
    head = b"POST /nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n"
    answer = raw(served, head + b"x")
    assert answer.startswith(b"HTTP/1.1 404")
    assert b"connection: close" in answer.lower()


def test_a_client_that_asks_first_is_refused_before_it_sends(served):
    head = (
        b"POST /nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n"
        b"Expect: 100-continue\r\n\r\n"
    )
    assert raw(served, head).startswith(b"HTTP/1.1 404")
