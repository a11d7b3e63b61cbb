"""Reports reach the gateway as the published packages send them, and never end a job."""

import json
import sys
import threading
import types
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from shoal.serverless.runtime import (
    ReportedError,
    get_runtime_service,
    reports,
    send_error,
    update_status,
)


class Gateway:
    """Keeps what it is told; answers with the statuses it was given, then 200."""

    def __init__(self):
        self.told, self.answers = [], []
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self):
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                gateway.told.append(
                    (
                        self.command,
                        self.path,
                        self.headers["Authorization"],
                        self.headers["Content-Type"],
                        body,
                    )
                )
                self.send_response(gateway.answers.pop(0) if gateway.answers else 200)
                self.end_headers()
                self.wfile.write(b'{"message": "so"}')

            def __getattr__(self, name):
                if name in ("do_PATCH", "do_POST"):
                    return self.answer
                raise AttributeError(name)

            def log_message(self, *args):
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server.server_port}"

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def gateway(monkeypatch):
    made = Gateway()
    monkeypatch.setenv("ENV_JOB_GATEWAY_HOST", made.address)
    monkeypatch.setenv("ENV_JOB_GATEWAY_TOKEN", "secret")
    monkeypatch.setenv("ENV_JOB_ID_GATEWAY", "the-job")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")  # which is not asked
    monkeypatch.delenv("ENV_GATEWAY_PROVIDER_VERSION", raising=False)
    yield made
    made.close()


def test_a_sub_status_is_told(gateway):
    assert update_status("MAPPING") is True
    assert gateway.told == [
        (
            "PATCH",
            "/api/v1/jobs/the-job/sub_status/",
            "Bearer secret",
            "application/x-www-form-urlencoded",
            "sub_status=MAPPING",
        )
    ]


def test_an_error_is_told(gateway):
    assert send_error("E1", "it broke", "ValueError('x')", args={"n": 1}) is True
    method, path, token, kind, body = gateway.told[0]
    assert (method, path) == ("POST", "/api/v1/jobs/the-job/event/")
    assert (token, kind) == ("Bearer secret", "application/json")
    assert json.loads(body) == {
        "type": "ERROR",
        "code": "E1",
        "message": "it broke",
        "exception": "ValueError('x')",
        "args": {"n": 1},
    }


def test_a_word_that_is_none_is_not_told_and_not_raised(gateway, caplog):
    assert update_status("DREAMING") is False
    assert "expected one of MAPPING" in caplog.text
    assert gateway.told == []


@pytest.mark.parametrize("status", [400, 401, 403, 404, 500])
def test_a_refusal_is_logged_and_not_raised(gateway, caplog, status):
    gateway.answers = [status]
    assert update_status("MAPPING") is False
    assert f"{status} " in caplog.text
    assert '{"message": "so"}' in caplog.text
    assert len(gateway.told) == 1


def test_a_gateway_that_is_busy_is_asked_again(gateway):
    gateway.answers = [503, 503]
    assert send_error(1, "m", "e") is True
    assert len(gateway.told) == 3


def test_a_gateway_that_is_gone_costs_a_report_and_no_job(gateway, monkeypatch, caplog):
    monkeypatch.setattr(reports, "PATIENCE_SECONDS", 0.2)
    monkeypatch.setenv("ENV_JOB_GATEWAY_HOST", "http://127.0.0.1:1")
    assert update_status("MAPPING") is False
    assert send_error("E", "the message", "x") is False
    assert "was not told" in caplog.text
    assert "Error E: the message" in caplog.text


def test_a_gateway_that_comes_back_is_told(gateway, monkeypatch):
    import socket

    free = socket.create_server(("127.0.0.1", 0))
    port = free.getsockname()[1]
    free.close()
    monkeypatch.setenv("ENV_JOB_GATEWAY_HOST", f"http://127.0.0.1:{port}")
    answers = []
    asking = threading.Thread(target=lambda: answers.append(update_status("MAPPING")))
    asking.start()
    server = HTTPServer(("127.0.0.1", port), gateway.server.RequestHandlerClass)
    server.handle_request()
    asking.join()
    server.server_close()
    assert answers == [True]


def test_outside_of_a_job_nobody_is_told(monkeypatch, caplog):
    monkeypatch.delenv("ENV_JOB_GATEWAY_TOKEN", raising=False)
    assert update_status("MAPPING") is False
    assert "this is not a job" in caplog.text


def test_a_reported_error_reads_as_the_published_one():
    assert str(ReportedError("E7", "bad input", {"x": 1})) == "[E7] bad input\n{'x': 1}"
    assert str(ReportedError("E7", "bad input")) == "[E7] bad input"
    assert ReportedError("E7", "m").details is None


def test_jobs_of_ibms_service_are_recorded(gateway, monkeypatch):
    """With a stand-in for the package, which would ask its host about the account."""
    ibm = types.ModuleType("qiskit_ibm_runtime")

    class Service:
        def __init__(self, **account):
            self.account = account

        def _run(self, program, inputs):
            return types.SimpleNamespace(job_id=lambda: "r1", session_id="s1")

    ibm.QiskitRuntimeService = Service
    monkeypatch.setitem(sys.modules, "qiskit_ibm_runtime", ibm)
    monkeypatch.setenv("QISKIT_IBM_CHANNEL", "c")
    monkeypatch.setenv("QISKIT_IBM_INSTANCE", "i")
    service = get_runtime_service(token="t")
    assert isinstance(service, Service)
    assert (service.account["channel"], service.account["token"]) == ("c", "t")
    assert service._run("sampler", {}).job_id() == "r1"
    assert gateway.told[0][1] == "/api/v1/jobs/the-job/runtime_jobs/"
    assert json.loads(gateway.told[0][4]) == {"runtime_job": "r1", "runtime_session": "s1"}
