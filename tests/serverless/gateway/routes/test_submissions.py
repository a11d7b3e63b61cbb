"""A request becomes a job: in every form that clients send it, and once, however often it comes."""

import json
import threading
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from shoal.serverless.errors import StoreUnsure
from shoal.serverless.gateway.routes import submissions
from shoal.serverless.store import Store
from tests.serverless.gateway.serving import ECHO, Served
from tests.serverless.making import archive

JSON_FORM = {"title": "program", "arguments": '{"a": 1}', "config": "{}"}
CURRENT = {
    "title": "program",
    "provider": None,
    "function_size": None,
    "arguments": '{"a": 1}',
    "config": {"workers": None, "min_workers": 1, "max_workers": 5, "auto_scaling": True},
}


@pytest.mark.parametrize(
    ("path", "options"),
    [
        ("/programs/run/", {"json": CURRENT}),
        ("/programs/run_existing/", {"json": {**CURRENT, "config": {}}}),
        ("/programs/run_existing/", {"data": JSON_FORM}),
        ("/programs/run_existing/", {"data": {"title": "program", "arguments": '{"a": 1}'}}),
    ],
)
def test_every_generations_request_runs_the_program_with_its_arguments(user, path, options):
    user.upload(ECHO)
    answer = user.post(path, **options)
    assert answer.status_code == 200, answer.text
    job = user.until(answer.json()["id"])
    assert (job["status"], job["result"]) == ("SUCCEEDED", '{"a": 1}')


def test_with_an_archive_it_is_uploaded_and_run_at_once(user):
    for source, result in ((ECHO, "{}"), (ECHO.replace("ARGUMENTS_PATH", "X"), None)):
        answer = user.post(
            "/programs/run/",
            data={"title": "q", "entrypoint": "main.py", "arguments": "{}", "config": "{}"},
            files={"artifact": ("artifact.tar", archive({"main.py": source}))},
        )
        assert user.until(answer.json()["id"])["result"] == result
    assert user.get("/programs/get_by_title/q").json()["revision"] == 2


def test_arguments_that_are_long_or_odd_come_back_as_they_were(user):
    user.upload(ECHO)
    for arguments in ('{"a": "%s"}' % ("é" * 200_000), '{"a": [NaN, "\\ud800", 1e999]}', " 1 "):
        body = {"title": "program", "arguments": arguments}
        job_id = user.post("/programs/run/", json=body).json()["id"]
        assert user.get(f"/jobs/{job_id}/arguments/").json()["arguments"] == arguments
        assert user.until(job_id)["result"] == arguments
        assert user.get(f"/jobs/{job_id}/result/").json()["result"] == arguments


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"title": "absent", "arguments": "{}"}, 404),
        ({"title": "program", "arguments": "{"}, 400),
        ({"title": "program", "arguments": {}}, 400),
        ({"title": "program", "arguments": "\ud800"}, 400),
        ({"title": "program", "config": "["}, 400),
        ({"title": "program", "config": [1]}, 400),
        ({"title": "program", "config": {"x": "x" * 20_000}}, 413),
        ({"title": "program", "max_attempts": 0}, 400),
        ({"title": "program", "max_attempts": 101}, 400),
        ({"title": "program", "max_attempts": True}, 400),
        ({"title": "program", "max_attempts": "2"}, 400),
        ({"title": "program", "provider": 1}, 400),
        ({"title": 7}, 400),
    ],
)
def test_a_request_that_makes_no_sense_is_refused_and_nothing_runs(user, body, status):
    user.upload()
    answer = user.post("/programs/run/", content=json.dumps(body).encode())
    assert (answer.status_code, list(answer.json())) == (status, ["message"])
    assert user.get("/jobs/").json()["count"] == 0


def test_a_program_that_is_not_there_is_named(user):
    answer = user.post("/programs/run/", json={"title": "absent", "provider": "lab"})
    assert answer.json() == {"message": "Qiskit Function lab/absent doesn't exist."}


def test_arguments_are_as_long_as_the_settings_say(data):
    with Served(data, {"arguments_bytes": 1000}) as served:
        user = served.user()
        user.upload()
        for size, status in ((998, 200), (999, 413)):
            body = {"title": "program", "arguments": json.dumps("x" * size)}
            for options in ({"json": body}, {"data": body}):
                answer = user.post("/programs/run/", **options)
                assert answer.status_code == status


@pytest.mark.slow
def test_arguments_of_forty_megabytes_are_refused(user):
    user.upload()
    arguments = json.dumps("x" * (40 << 20))
    answer = user.post("/programs/run/", json={"title": "program", "arguments": arguments})
    assert (answer.status_code, list(answer.json())) == (413, ["message"])


def test_what_clients_cannot_decide_is_ignored(user, other):
    user.upload()
    claimed = {"status": "SUCCEEDED", "id": "1", "result": "2", "author": other.name}
    job = user.job(user.submit(**claimed))
    assert job["id"] != "1"
    assert other.get("/jobs/").json()["count"] == 0


def test_fifty_requests_under_one_key_are_one_job(user):
    user.upload()
    body = {"title": "program", "arguments": "{}"}
    barrier = threading.Barrier(10)

    def send(number):
        if number < 10:
            barrier.wait()
        return user.post("/programs/run/", json=body, headers={"Idempotency-Key": "k"})

    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(send, range(50)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sum("idempotent-replayed" not in answer.headers for answer in answers) == 1
    assert user.get("/jobs/").json()["count"] == 1


def test_a_key_is_of_one_request_and_one_account(user, other):
    for each in (user, other):
        each.upload()
    key = {"Idempotency-Key": "k"}
    first = user.post("/programs/run/", json={"title": "program"}, headers=key)
    changed = {"title": "program", "arguments": '{"a": 1}'}
    again = user.post("/programs/run/", json=changed, headers=key)
    assert (again.status_code, list(again.json())) == (409, ["message"])
    theirs = other.post("/programs/run/", json=changed, headers=key)
    assert theirs.json()["id"] != first.json()["id"]
    for bad in ("", "x" * 256):
        answer = user.post("/programs/run/", json=changed, headers={"Idempotency-Key": bad})
        assert answer.status_code == 400


def test_without_a_key_every_request_is_a_job(user):
    user.upload()
    assert user.submit() != user.submit()


def test_a_job_whose_submission_was_said_to_have_failed_is_there_when_it_is_sent_again(
    user, monkeypatch
):
    user.upload()
    real = Store.enqueue

    def commits_and_fails(store, operation, *args, **kwargs):
        future = real(store, operation, *args, **kwargs)
        if getattr(operation, "func", None) is submissions._submit:
            future.result()
            future = Future()
            future.set_exception(StoreUnsure("it may or may not be written"))
        return future

    body, key = {"title": "program"}, {"Idempotency-Key": "k"}
    with monkeypatch.context() as patched:
        patched.setattr(Store, "enqueue", commits_and_fails)
        answer = user.post("/programs/run/", json=body, headers=key)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    answer = user.post("/programs/run/", json=body, headers=key)
    assert (answer.status_code, answer.headers["idempotent-replayed"]) == (200, "true")
    assert user.get("/jobs/").json()["count"] == 1
