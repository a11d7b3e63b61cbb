"""Jobs are looked at, waited for, listed and stopped, each as the published clients expect."""

import json
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from shoal.serverless.identifiers import new_id
from tests.serverless.gateway.serving import ECHO, HOLDS, SAVING

LARGE = f"{SAVING}save_result(json.dumps('é' * 400_000 + chr(34) + chr(0x1F41F)))\n"


def test_a_job_is_told_with_everything_the_clients_read(user):
    job_id = user.run(ECHO, arguments={"a": 1})
    user.until(job_id)
    job = user.job(job_id)
    expected = {
        "id": job_id,
        "title": "program",
        "provider": None,
        "status": "SUCCEEDED",
        "sub_status": None,
        "reason": "",
        "message": "",
        "fleet_id": None,
        "result": '{"a": 1}',
    }
    assert {name: job[name] for name in expected} == expected
    assert job["created"] <= job["started"] <= job["changed"]
    assert "result" not in user.job(job_id, params={"with_result": "false"})
    assert user.get(f"/jobs/{job_id}/result/").json() == {"result": '{"a": 1}'}


def test_a_job_that_saved_nothing_or_has_not_ended_has_the_result_null(user):
    done, held = user.run(""), user.run(HOLDS, "held")
    assert user.until(done)["result"] is None
    user.until(held, "RUNNING")
    for job_id in (done, held):
        assert user.get(f"/jobs/{job_id}/result/").json() == {"result": None}
    user.post(f"/jobs/{held}/stop/")


def test_a_long_result_comes_in_pieces_and_is_the_same(user):
    job_id = user.run(LARGE)
    job = user.until(job_id)
    expected = "é" * 400_000 + '"\U0001f41f'
    assert json.loads(job["result"]) == expected
    assert job["status"] == "SUCCEEDED"
    assert user.get(f"/jobs/{job_id}/result/").json() == {"result": job["result"]}


def test_a_failed_job_says_why_and_has_no_result(user):
    job = user.until(user.run(f"{SAVING}save_result('1')\nraise SystemExit(3)"))
    assert (job["status"], job["reason"], job["result"]) == ("FAILED", "EXIT_3", None)
    assert "exit code 3" in job["message"]


@pytest.mark.parametrize(
    "job_id", ["x", "..", "%00", "1" * 500, pytest.param(str(new_id()), id="an id")]
)
def test_a_job_that_is_not_there_is_named(user, job_id):
    answer = user.get(f"/jobs/{job_id}/")
    assert answer.status_code == 404


# --- waiting --------------------------------------------------------------------------------------


def test_the_first_look_and_every_look_after_a_change_are_answered_at_once(user):
    job_id = user.run(HOLDS)
    path, started = f"/jobs/{job_id}/", time.monotonic()
    assert user.get(path).json()["status"] in ("QUEUED", "PENDING", "RUNNING")
    assert time.monotonic() - started < 9  # less than it would have been held
    user.until(job_id, "RUNNING")
    user.post(f"/jobs/{job_id}/stop/")
    user.until(job_id)
    assert user.get(path).json()["status"] == "STOPPED"
    assert user.get(path).json()["status"] == "STOPPED"


def test_a_look_at_what_was_told_before_waits_for_news(user):
    job_id = user.run(HOLDS)
    user.until(job_id, "RUNNING")
    found = []
    waiting = threading.Thread(
        target=lambda: found.append(user.get(f"/jobs/{job_id}/", headers={"Prefer": "wait=30"}))
    )
    waiting.start()
    user.post(f"/jobs/{job_id}/stop/")
    waiting.join(60)
    assert found[0].json()["status"] == "STOPPED"


def test_a_sub_status_is_news(user, served):
    job_id = user.run(HOLDS)
    user.until(job_id, "RUNNING")
    told = user.client.patch(f"/api/v1/jobs/{job_id}/sub_status/", data={"sub_status": "MAPPING"})
    assert told.status_code == 200
    assert user.job(job_id)["sub_status"] == "MAPPING"
    user.post(f"/jobs/{job_id}/stop/")


@pytest.mark.parametrize("preference", ["wait=0", "respond-async, wait=0", "WAIT=0"])
def test_who_does_not_want_to_wait_does_not(user, preference):
    job_id = user.run(HOLDS)
    user.until(job_id, "RUNNING")
    for _ in range(3):  # held three times, this would take half a minute
        answer = user.get(f"/jobs/{job_id}/", headers={"Prefer": preference})
        assert answer.json()["status"] == "RUNNING"
    user.post(f"/jobs/{job_id}/stop/")


# --- stopping -------------------------------------------------------------------------------------


def test_a_stopped_job_ends_with_all_it_started_and_stopping_again_changes_nothing(user):
    job_id = user.run(HOLDS)
    user.until_logged(job_id, "up")
    body = {"service": '{"__type__": "QiskitRuntimeService", "__value__": {"url": "http://x"}}'}
    answer = user.post(f"/jobs/{job_id}/stop/", json=body)
    assert answer.json() == {"message": "Job has been stopped."}
    assert user.until(job_id)["status"] == "STOPPED"
    answer = user.post(f"/jobs/{job_id}/stop/")
    assert (answer.status_code, answer.json()["message"]) == (200, "Job already in terminal state.")


# --- lists ----------------------------------------------------------------------------------------


def test_lists_are_newest_first_in_pages_and_without_results(user):
    user.upload()
    made = [user.submit() for _ in range(5)]
    page = user.get("/jobs/", params={"limit": 2, "offset": 1}).json()
    assert [job["id"] for job in page["results"]] == [made[3], made[2]]
    assert (page["count"], "result" in page["results"][0]) == (5, False)
    assert user.get("/jobs/", params={"limit": 0}).json() == {"count": 5, "results": []}


def test_lists_are_filtered_as_the_clients_filter(user):
    done = user.run("")
    user.until(done)
    of_lab = user.run("raise SystemExit(1)", "lab/program")
    user.until(of_lab)
    now = datetime.now(UTC)
    hour = timedelta(hours=1)
    cases = [
        ({"status": "SUCCEEDED"}, [done]),
        ({"status": "FAILED,SUCCEEDED"}, [of_lab, done]),
        ({"status": "QUEUED"}, []),
        ({"function": "program"}, [of_lab, done]),
        ({"function": "program", "provider": "lab"}, [of_lab]),
        ({"function": "lab/program"}, [of_lab]),
        ({"filter": "serverless"}, [done]),
        ({"filter": "catalog"}, [of_lab]),
        ({"created_after": str((now - hour).replace(tzinfo=None))}, [of_lab, done]),
        ({"created_after": str(now + hour)}, []),
        ({"created_after": (now - hour).isoformat()}, [of_lab, done]),
        ({"created_after": "2020-01-01"}, [of_lab, done]),
    ]
    for params, expected in cases:
        found = user.get("/jobs/", params=params).json()
        assert [job["id"] for job in found["results"]] == expected, params
        assert found["count"] == len(expected)
    params = {"function": "program", "provider": "lab"}
    assert user.get("/jobs/provider/", params=params).json()["count"] == 1


@pytest.mark.parametrize(
    "params",
    [
        {"status": "nonsense"},
        {"limit": "-1"},
        {"limit": "1001"},
        {"offset": "x"},
        {"created_after": "yesterday"},
        {"created_after": "9999-99-99"},
        {"filter": "all"},
    ],
)
def test_a_filter_that_makes_no_sense_is_refused(user, params):
    answer = user.get("/jobs/", params=params)
    assert (answer.status_code, list(answer.json())) == (400, ["message"])


def test_the_jobs_of_a_provider_want_a_program_and_a_provider(user):
    assert user.get("/jobs/provider/").status_code == 400


@pytest.mark.parametrize("text", ["' OR 1=1 --", "%", "_", '"; DROP TABLE job; --', "a\tb"])
def test_sql_in_a_filter_is_only_a_name(user, text):
    user.until(user.run(""))
    for name in ("function", "provider"):
        assert user.get("/jobs/", params={name: text}).json()["count"] == 0
    assert user.get("/jobs/").json()["count"] == 1
