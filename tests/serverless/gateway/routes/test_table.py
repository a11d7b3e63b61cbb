"""What holds for every route: tokens, other people's things, slashes, errors, documentation."""

import json
from pathlib import Path

import pytest

from shoal.serverless.gateway.routes import TABLE
from shoal.serverless.gateway.web.openapi import summary
from shoal.serverless.gateway.web.routing import Needs, Takes
from shoal.serverless.identifiers import new_id
from shoal.serverless.store import Store, attempts
from tests.serverless.gateway.serving import ECHO, HOLDS

ROUTES = [(route.method, route.path) for route in TABLE]
PRIVATE = [route for route in TABLE if route.needs is not Needs.NOTHING]
page = Path(__file__).parents[4] / "docs" / "reference" / "serverless-http.md"

PROGRAM = {"title": "theirs", "arguments": "{}", "provider": None}
FILE = {"file": "theirs.txt"}
OF_PROVIDER = {"function": "theirs", "provider": "lab"}
ERROR = {"type": "ERROR", "code": "1", "message": "m", "exception": "e"}

BROKEN = [
    b"{",
    b"[]",
    b"null",
    b'"text"',
    b"1",
    b"\xff\xfe",
    b'{"a": NaN}',
    b'{"a": -Infinity}',
    b'{"a": 1e999}',
    b'{"a": 1, "a": 2}',
    b"[" * 100_000,
    b'{"a":' * 50_000,
    b'{"a": ' + b"1" * 5000 + b"}",
    b'{"a": "\x00"}',
    b"\xef\xbb\xbf{}",
    b"{}extra",
]

# How each route is aimed at something of somebody else: what must be answered with 404, and with
# the same words as for something that does not exist. None is a route that names nothing: it must
# not show anything of others.
AIMS = {
    ("GET", "/api/v1/dependencies-versions"): "says nothing of anybody",
    ("GET", "/api/v1/programs"): None,
    ("GET", "/api/v1/programs/get_by_title/{title}"): {},
    ("POST", "/api/v1/programs/upload"): "makes something new",
    ("POST", "/api/v1/programs/run"): {"json": PROGRAM},
    ("POST", "/api/v1/programs/run_existing"): {"json": PROGRAM},
    ("POST", "/api/v1/programs/validate_arguments"): {"json": PROGRAM},
    ("GET", "/api/v1/jobs"): None,
    ("GET", "/api/v1/jobs/provider"): None,
    ("GET", "/api/v1/jobs/{job_id}"): {},
    ("GET", "/api/v1/jobs/{job_id}/arguments"): {},
    ("GET", "/api/v1/jobs/{job_id}/result"): {},
    ("GET", "/api/v1/jobs/{job_id}/logs"): {},
    ("GET", "/api/v1/jobs/{job_id}/provider-logs"): {},
    ("GET", "/api/v1/jobs/{job_id}/stream"): {},
    ("GET", "/api/v1/jobs/{job_id}/events"): {},
    ("GET", "/api/v1/jobs/{job_id}/runtime_jobs"): {},
    ("POST", "/api/v1/jobs/{job_id}/stop"): {"json": {"service": "null"}},
    ("POST", "/api/v1/jobs/{job_id}/result"): {"data": {"result": "1"}},
    ("POST", "/api/v1/jobs/{job_id}/event"): {"json": ERROR},
    ("POST", "/api/v1/jobs/{job_id}/runtime_jobs"): {"json": {"runtime_job": "r"}},
    ("PATCH", "/api/v1/jobs/{job_id}/sub_status"): {"data": {"sub_status": "MAPPING"}},
    ("GET", "/api/v1/files"): None,
    ("POST", "/api/v1/files/upload"): "makes something new",
    ("GET", "/api/v1/files/download"): {"params": FILE},
    ("DELETE", "/api/v1/files/delete"): {"params": FILE},
    ("GET", "/api/v1/files/provider"): None,
    ("POST", "/api/v1/files/provider/upload"): "makes something new",
    ("GET", "/api/v1/files/provider/download"): {"params": {**FILE, **OF_PROVIDER}},
    ("DELETE", "/api/v1/files/provider/delete"): {"params": {**FILE, **OF_PROVIDER}},
}


@pytest.fixture(scope="module")
def people(served):
    return served.user("theirs"), served.user("mine")


@pytest.fixture(scope="module")
def theirs(people):
    """Somebody's program, jobs and files, of every kind there is."""
    user, _ = people
    done = user.run(ECHO, "theirs", {"a": 1})
    user.until(done)
    user.upload(HOLDS, "lab/theirs")
    held = user.submit("lab/theirs")
    user.until(held, "RUNNING")
    for path, params in (("/files", {}), ("/files/provider", OF_PROVIDER)):
        sent = {"file": ("theirs.txt", b"secret")}
        assert user.post(f"{path}/upload/", files=sent, params=params).status_code == 200
    return user, done, held


def everything(data):
    """All that is kept, to see whether it changed."""
    with Store(data) as store:
        kept = store.read(attempts.claimed)
        tables = ("job", "event", "program", "program_version", "payload")
        counts = [store.read(count, table) for table in tables]
    files = sorted((str(path), path.read_bytes()) for path in (data / "accounts").rglob("*.txt"))
    return kept, counts, files


def count(transaction, table):
    from sqlalchemy import text

    return transaction.value(text(f"SELECT COUNT(*) FROM {table}"))


def test_every_route_that_needs_a_token_is_aimed_at_somebody_elses_things():
    assert set(AIMS) == {(route.method, route.path) for route in PRIVATE}


@pytest.mark.parametrize("route", PRIVATE, ids=lambda route: f"{route.method} {route.path}")
def test_nobody_sees_or_changes_anything_of_others(route, served, people, theirs):
    _, mine = people
    aim = AIMS[route.method, route.path]
    if isinstance(aim, str):
        pytest.skip(aim)
    _, done, held = theirs
    before = everything(served.data)
    for job_id in (done, held):
        names = {"job_id": job_id, "title": "theirs"}
        answer = mine.client.request(route.method, route.path.format(**names), **(aim or {}))
        if aim is None:
            params = {**OF_PROVIDER, "limit": 10, "offset": 0}
            answer = mine.client.request(route.method, route.path, params=params)
            assert answer.status_code == 200
            assert answer.json() in ([], {"count": 0, "results": []}, {"results": []})
            continue
        absent = {"job_id": new_id(), "title": "absent"}
        text = json.dumps(aim).replace("theirs", "absent")
        none = mine.client.request(route.method, route.path.format(**absent), **json.loads(text))
        assert answer.status_code == none.status_code == 404
        said = answer.text.replace(job_id, "ID").replace("theirs", "NAME")
        assert said == none.text.replace(absent["job_id"], "ID").replace("absent", "NAME")
    after = everything(served.data)
    assert after == before


@pytest.mark.parametrize("route", PRIVATE, ids=lambda route: f"{route.method} {route.path}")
def test_without_a_valid_token_every_private_route_says_401(route, served):
    unknown = f"Bearer shoal_{'0' * 16}_{'a' * 43}"
    for token in (None, "Bearer", "Bearer x", "Basic x", unknown):
        headers = {} if token is None else {"Authorization": token}
        path = route.path.format(job_id=new_id(), title="t")
        answer = served.anybody.request(route.method, path, headers=headers)
        assert answer.status_code == 401
        assert list(answer.json()) == ["message"]
        assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("route", PRIVATE, ids=lambda route: f"{route.method} {route.path}")
def test_a_jobs_own_token_reports_on_that_job_and_nothing_else(route, served, theirs):
    _, done, held = theirs
    environ = next(served.data.glob(f"jobs/{held}/*/spec.json")).read_text()
    token = json.loads(environ)["environment"]["ENV_JOB_GATEWAY_TOKEN"]
    mine = served.client(token)
    aim = AIMS[route.method, route.path]
    options = aim if isinstance(aim, dict) else {}
    if route.needs is Needs.ACCOUNT:
        path = route.path.format(job_id=held, title="theirs")
        assert mine.request(route.method, path, **options).status_code == 403
        return
    other = mine.request(route.method, route.path.format(job_id=done), **options)
    assert (other.status_code, other.json()) == (404, {"message": f"Job [{done}] not found"})
    if not route.path.endswith("/stream"):
        own = mine.request(
            route.method,
            route.path.format(job_id=held),
            headers={"Prefer": "wait=0"},
            **options,
        )
        assert own.status_code == 200, own.text


@pytest.mark.parametrize("route", TABLE, ids=lambda route: f"{route.method} {route.path}")
def test_a_slash_at_the_end_or_two_at_the_beginning_change_nothing(route, served):
    path = route.path.format(job_id=new_id(), title="t")
    answers = [
        served.anybody.request(route.method, f"{served.address}{each}").status_code
        for each in (path, f"{path}/", f"/{path}", f"/{path}//")
    ]
    assert set(answers) <= {200, 400, 401}
    assert len(set(answers)) == 1


@pytest.mark.parametrize("path", sorted({route.path for route in TABLE}))
def test_another_method_is_refused_with_those_that_are_allowed(path, served):
    allowed = {route.method for route in TABLE if route.path == path}
    for method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} - allowed:
        answer = served.anybody.request(method, path.format(job_id=new_id(), title="t"))
        assert answer.status_code == 405
        assert set(answer.headers["allow"].split(", ")) == allowed


@pytest.mark.parametrize(
    "route",
    [route for route in PRIVATE if route.takes is not Takes.NOTHING],
    ids=lambda route: f"{route.method} {route.path}",
)
def test_json_that_is_none_is_refused_everywhere(route, user):
    if route.path.endswith("/stop"):
        pytest.skip("what it is sent is not looked at")
    path = route.path.format(job_id=new_id(), title="t")
    headers = {"Content-Type": "application/json"}
    for body in BROKEN:
        answer = user.client.request(route.method, path, content=body, headers=headers)
        assert (answer.status_code, list(answer.json())) == (400, ["message"]), body[:20]


def test_every_route_is_in_the_machine_readable_description_and_says_what_it_does(served):
    paths = served.anybody.get("/openapi.json").json()["paths"]
    listed = {
        (method.upper(), path.rstrip("/")) for path, methods in paths.items() for method in methods
    }
    assert listed == set(ROUTES)
    assert all(len(summary(route)) > len("What it does") for route in TABLE)


def test_every_route_is_on_the_page_of_the_api_and_no_other():
    lines = page.read_text().splitlines()
    rows = [line.split("|")[1].strip().strip("`") for line in lines if line.startswith("| `")]
    assert sorted(rows) == sorted(f"{method} {path}" for method, path in ROUTES)


def test_every_route_sends_files_as_data_and_nothing_else(served, user):
    sent = {"file": ("x.html", b"<script>alert(1)</script>")}
    user.post("/files/upload/", files=sent)
    answer = user.get("/files/download/", params={"file": "x.html"})
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"].startswith("attachment;")
    for checked in (answer, served.anybody.get("/health"), user.get("/nothing")):
        assert checked.headers["x-content-type-options"] == "nosniff"
        assert checked.headers["content-security-policy"].startswith("default-src 'none'")
