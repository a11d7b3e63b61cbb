"""What jobs report while they run is kept, and what becomes of it is told."""

import json

import pytest

from shoal.serverless.gateway.routes import reports
from shoal.serverless.store import jobs as stored
from tests.serverless.gateway.serving import HOLDS, SAVING

REPORTING = """
import json, os, urllib.parse, urllib.request
def call(method, path, form=None, body=None):
    where = "/".join([os.environ["ENV_JOB_GATEWAY_HOST"], "api/v1/jobs",
                      os.environ["ENV_JOB_ID_GATEWAY"], path, ""])
    data = json.dumps(body).encode() if form is None else urllib.parse.urlencode(form).encode()
    headers = {"Authorization": "Bearer " + os.environ["ENV_JOB_GATEWAY_TOKEN"]}
    if form is None:
        headers["Content-Type"] = "application/json"
    request = urllib.request.Request(where, data, headers, method=method)
    return urllib.request.urlopen(request, timeout=60).status
"""
FROM_INSIDE = f"""{REPORTING}
print(call("POST", "result", form={{"result": '{{"a": 1}}'}}))
print(call("PATCH", "sub_status", form={{"sub_status": "MAPPING"}}))
print(call("POST", "event", body={{"type": "ERROR", "code": 7, "message": " m\\n",
                                   "exception": "E", "args": {{"x": 1}}}}))
print(call("POST", "runtime_jobs", body={{"runtime_job": "r", "runtime_session": "s"}}))
print(call("POST", "runtime_jobs", body={{"runtime_job": "q", "runtime_session": None}}))
print(call("POST", "result", form={{"result": "[NaN]"}}))
"""


@pytest.fixture
def held(user):
    job_id = user.run(HOLDS)
    user.until(job_id, "RUNNING")
    yield job_id
    user.post(f"/jobs/{job_id}/stop/")


def test_a_job_reports_from_inside_with_its_own_token(user):
    job_id = user.run(FROM_INSIDE)
    job = user.until(job_id)
    assert user.get(f"/jobs/{job_id}/logs/").json()["logs"] == "200\n" * 6
    assert (job["status"], job["result"], job["sub_status"]) == ("SUCCEEDED", "[NaN]", None)
    listed = [
        {"runtime_job": "r", "runtime_session": "s"},
        {"runtime_job": "q", "runtime_session": None},
    ]
    assert user.get(f"/jobs/{job_id}/runtime_jobs/").json() == {"runtime_jobs": listed}
    [error] = user.get(f"/jobs/{job_id}/events/", params={"type": "ERROR"}).json()
    assert error["data"] == {"code": "7", "message": "m", "exception": "E", "args": {"x": 1}}
    assert set(error) == {"event_type", "origin", "context", "created", "data"}


def test_events_are_told_in_order_and_by_type(user):
    job_id = user.run(FROM_INSIDE)
    user.until(job_id)
    path = f"/jobs/{job_id}/events/"
    kinds = [event["event_type"] for event in user.get(path).json()]
    assert kinds == [*["STATUS_CHANGE"] * 3, "SUB_STATUS_CHANGE", "ERROR", "STATUS_CHANGE"]
    changes = user.get(path, params={"type": "STATUS_CHANGE"}).json()
    states = [event["data"]["status"] for event in changes]
    assert states == ["QUEUED", "PENDING", "RUNNING", "SUCCEEDED"]
    [change] = user.get(path, params={"type": "SUB_STATUS_CHANGE"}).json()
    assert change["data"] == {"status": "MAPPING", "previous": None}
    assert user.get(path, params={"type": "x"}).status_code == 400


def test_a_failed_job_that_reported_nothing_has_an_error_with_its_last_words(user):
    job_id = user.run("raise KeyError('who')")
    user.until(job_id)
    [error] = user.get(f"/jobs/{job_id}/events/", params={"type": "ERROR"}).json()
    assert error["data"]["code"] == "EXIT_1"
    assert "Traceback (most recent call last)" in error["data"]["message"]
    assert error["data"]["message"].endswith("KeyError: 'who'")


def test_of_a_providers_program_the_last_words_are_the_public_ones(user):
    job_id = user.run("print('[PUBLIC] sorry')\nraise KeyError('secret')", "lab/program")
    user.until(job_id)
    [error] = user.get(f"/jobs/{job_id}/events/", params={"type": "ERROR"}).json()
    assert error["data"]["message"].endswith("\nsorry")
    assert "secret" not in error["data"]["message"]


def test_an_error_that_was_reported_is_the_only_one(user):
    job_id = user.run(f"{FROM_INSIDE}\nraise SystemExit(1)")
    user.until(job_id)
    [error] = user.get(f"/jobs/{job_id}/events/", params={"type": "ERROR"}).json()
    assert error["data"]["code"] == "7"


def test_after_its_end_nothing_can_be_reported_of_a_job(user):
    job_id = user.run("")
    user.until(job_id)
    answers = [
        user.post(f"/jobs/{job_id}/result/", data={"result": "1"}),
        user.post(f"/jobs/{job_id}/runtime_jobs/", json={"runtime_job": "r"}),
        user.client.patch(f"/api/v1/jobs/{job_id}/sub_status/", data={"sub_status": "MAPPING"}),
        user.post(
            f"/jobs/{job_id}/event/",
            json={"type": "ERROR", "code": 1, "message": "m", "exception": "e"},
        ),
    ]
    assert [answer.status_code for answer in answers] == [403] * 4
    assert user.job(job_id)["result"] is None


def test_the_token_of_a_job_ends_with_it(served, user, held):
    spec = next(served.data.glob(f"jobs/{held}/*/spec.json"))
    token = json.loads(spec.read_text())["environment"]["ENV_JOB_GATEWAY_TOKEN"]
    inside = served.client(token)
    path = f"/api/v1/jobs/{held}/runtime_jobs/"
    assert inside.get(path).status_code == 200
    user.post(f"/jobs/{held}/stop/")
    user.until(held)
    assert inside.get(path).status_code == 401


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("event", {"type": "WARNING"}, 400),
        ("event", {"type": "ERROR", "code": 1, "message": "m"}, 400),
        ("event", {"type": "ERROR", "code": [], "message": "m", "exception": "e"}, 400),
        ("event", {"type": "ERROR", "code": 1, "message": "\0", "exception": "e"}, 400),
        ("result", {}, 400),
        ("result", {"result": "{"}, 400),
        ("result", {"result": {"a": 1}}, 400),
        ("result", {"result": "\ud800"}, 400),
        ("runtime_jobs", {}, 400),
    ],
)
def test_a_report_that_makes_no_sense_is_refused(user, held, path, body, status):
    content = json.dumps(body).encode()
    answer = user.post(f"/jobs/{held}/{path}/", content=content)
    assert (answer.status_code, list(answer.json())) == (status, ["message"])


@pytest.mark.parametrize("name", ["", "mapping", "RUNNING", "x" * 1000])
def test_a_sub_status_is_one_of_five(user, held, name):
    path = f"/api/v1/jobs/{held}/sub_status/"
    assert user.client.patch(path, data={"sub_status": name}).status_code == 400


def test_a_job_reports_so_much_and_no_more(user, held, monkeypatch):
    monkeypatch.setattr(stored, "MOST_REPORTS", 3)
    body = {"runtime_job": "r"}
    answers = [user.post(f"/jobs/{held}/runtime_jobs/", json=body) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]


def test_a_sub_status_is_recorded_when_it_changes_and_so_often(user, held, monkeypatch):
    monkeypatch.setattr(stored, "MOST_REPORTS", 2)
    path = f"/api/v1/jobs/{held}/sub_status/"
    names = ["MAPPING", "MAPPING", "EXECUTING_QPU", "EXECUTING_QPU", "MAPPING"]
    codes = [user.client.patch(path, data={"sub_status": name}).status_code for name in names]
    assert codes == [200, 200, 200, 200, 429]
    assert user.job(held)["sub_status"] == "EXECUTING_QPU"
    changes = user.get(f"/jobs/{held}/events/", params={"type": "SUB_STATUS_CHANGE"}).json()
    assert [change["data"]["status"] for change in changes] == ["MAPPING", "EXECUTING_QPU"]


def test_of_the_long_arguments_of_an_error_the_beginning_is_kept(user, held):
    body = {"type": "ERROR", "code": 1, "message": "m" * 20_000, "exception": "e"}
    for args in ({"x": "y" * 100_000}, [1.5] * 100_000):
        answer = user.post(f"/jobs/{held}/event/", json={**body, "args": args})
        data = answer.json()["data"]
        assert len(data["args"]) == len(data["message"]) + 1 == 16_001
        assert data["args"].startswith(json.dumps(args)[:100])


def test_a_result_that_is_too_large_to_be_sent_is_refused(user, held, monkeypatch):
    monkeypatch.setattr(reports, "RESULT_BYTES", 10)
    answer = user.post(f"/jobs/{held}/result/", data={"result": "[" + "1," * 10 + "1]"})
    assert answer.status_code == 413


def test_a_result_that_was_sent_is_the_file_of_the_job(user):
    job_id = user.run(f"{FROM_INSIDE}\n{SAVING}\nsave_result('[2]')")
    assert user.until(job_id)["result"] == "[2]"
