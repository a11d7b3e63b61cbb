"""Programs are uploaded, found and run; jobs are listed; a wrong request is one clear error."""

from datetime import UTC, datetime, timedelta

import pytest

from shoal.serverless import (
    Conflict,
    GatewayRefused,
    NotAuthenticated,
    NotFound,
    Program,
    QiskitFunction,
    ServerlessClient,
    ServerlessProvider,
)

ECHO = "from shoal.serverless import get_arguments, save_result\nsave_result(get_arguments())\n"


def test_a_client_is_shown_with_its_gateway_and_without_its_token(client, gateway):
    assert repr(client) == f"<ServerlessClient: {gateway.host}>"


def test_a_provider_is_shown_as_in_the_notebook_and_uploads_to_a_title(gateway, tmp_path):
    serverless = ServerlessProvider(token=gateway.token, host=gateway.host)
    assert repr(serverless) == "<ServerlessProvider: gateway-provider>"
    (tmp_path / "main.py").write_text(ECHO)
    program = Program(title="echo", entrypoint="main.py", working_dir=tmp_path)
    assert serverless.upload(program) == "echo"
    job = serverless.run("echo", arguments={"x": [1, 2]})
    assert job.result(timeout_seconds=60) == {"x": [1, 2]}
    assert serverless.get_job_by_id(job.job_id) == job
    assert serverless.get_jobs(limit=1) == [job]
    serverless.close()


def test_a_provider_uploads_what_it_is_to_run_as_the_first_clients_did(gateway, tmp_path):
    serverless = ServerlessProvider(token=gateway.token, host=gateway.host)
    program = Program(title="direct", entrypoint="main.py", working_dir=tmp_path)
    for version in ("1", "2"):
        (tmp_path / "main.py").write_text(
            f"from shoal.serverless import save_result\nsave_result({version})"
        )
        assert serverless.run(program).result(timeout_seconds=60) == int(version)
    (tmp_path / "main.py").write_text("raise SystemExit(1)")
    found = serverless.function("direct")
    assert serverless.run(found).result(timeout_seconds=60) == 2
    serverless.close()


@pytest.mark.parametrize(
    "given", [{}, {"username": "a"}, {"password": "a"}, {"username": "a", "token": "t"}]
)
def test_half_of_the_credentials_are_refused_at_the_door(given, monkeypatch):
    monkeypatch.delenv("SHOAL_GATEWAY_TOKEN", raising=False)
    with pytest.raises(ValueError, match="expected"):
        ServerlessProvider(host="http://127.0.0.1:1", **given)


def test_a_wrong_password_is_one_clear_error(gateway):
    with pytest.raises(NotAuthenticated, match="refuses username 'user'"):
        ServerlessProvider(username="user", password="wrong", host=gateway.host)


def test_a_wrong_token_is_one_clear_error(gateway):
    with pytest.raises(NotAuthenticated, match="does not accept the token"):
        ServerlessClient(gateway.host, "shoal_wrong")


def test_an_uploaded_program_is_found_again_with_what_was_said_of_it(upload, client):
    upload(ECHO, title="described", description="a few words", version="1.2")
    found = client.function("described")
    assert (found.title, found.entrypoint, found.description, found.version) == (
        "described",
        "main.py",
        "a few words",
        "1.2",
    )
    assert found in client.functions()
    assert found.run(x=1).result(timeout_seconds=60) == {"x": 1}


def test_an_upload_of_the_same_title_is_run_from_then_on(upload, client):
    upload("from shoal.serverless import save_result\nsave_result(1)", title="twice")
    upload("from shoal.serverless import save_result\nsave_result(2)", title="twice")
    assert client.run("twice").result(timeout_seconds=60) == 2


def test_a_qiskit_function_is_a_program():
    assert QiskitFunction is Program


def test_jobs_are_listed_the_newest_first_and_filtered(upload, client):
    program = upload("", title="listed")
    jobs = [program.run() for _ in range(3)]
    for job in jobs:
        job.wait(timeout_seconds=60)
    assert program.jobs() == jobs[::-1]
    assert program.jobs(limit=1, offset=1) == [jobs[1]]
    assert client.jobs(function="listed", status="DONE") == jobs[::-1]
    assert client.jobs(function="listed", status="ERROR") == []
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    assert client.jobs(function=program, created_after=tomorrow) == []
    assert client.jobs(function=program, created_after=tomorrow - timedelta(days=2)) == jobs[::-1]


@pytest.mark.parametrize("which", [{"limit": 0}, {"limit": True}, {"offset": -1}, {"limit": 1.0}])
def test_a_page_that_cannot_be_is_refused_at_the_door(client, which):
    with pytest.raises(ValueError, match="expected a whole number from"):
        client.jobs(**which)


def test_one_key_is_one_job(upload, client):
    program = upload(ECHO, title="keyed")
    first = client.run(program, {"x": 1}, idempotency_key="just once")
    assert client.run(program, {"x": 1}, idempotency_key="just once") == first
    with pytest.raises(Conflict):
        client.run(program, {"x": 2}, idempotency_key="just once")


def test_an_unknown_program_is_not_found(client):
    with pytest.raises(NotFound, match="none such"):
        client.run("none such")
    with pytest.raises(NotFound, match="none/such"):
        client.function("none/such")


def test_arguments_that_break_the_schema_are_refused_with_the_reason(upload, client):
    upload(
        ECHO,
        title="strict",
        arguments_schema={"type": "object", "properties": {"x": {"type": "number"}}},
    )
    assert client.run("strict", {"x": 1}).result(timeout_seconds=60) == {"x": 1}
    with pytest.raises(GatewayRefused, match="one") as caught:
        client.run("strict", {"x": "one"})
    assert caught.value.status_code == 400


@pytest.mark.parametrize(
    ("arguments", "what"),
    [({1: 2}, "1 is no name"), ([1], "not list"), ({"x": object()}, "x"), ({"f": print}, "f")],
)
def test_arguments_that_cannot_travel_are_refused_before_anything_is_sent(client, arguments, what):
    with pytest.raises(TypeError, match=what):
        client.run("any", arguments)


@pytest.mark.parametrize("program", [None, 3])
def test_what_is_no_program_is_refused(client, program):
    with pytest.raises(TypeError, match="expected a Program"):
        client.run(program)
    with pytest.raises(TypeError, match="expected a Program"):
        client.upload(program)


def test_a_configuration_may_be_a_dataclass_or_names_and_values(upload, client):
    upload(ECHO, title="configured")
    job = client.run("configured", {"x": 1}, config={"workers": 2})
    assert job.result(timeout_seconds=60) == {"x": 1}
    with pytest.raises(TypeError, match="config="):
        client.run("configured", config=3)


@pytest.mark.parametrize("title", ["ümläut 漢字", "a b?c#d%20&e", "x" * 255, "..", "a\tb"])
def test_an_odd_title_is_kept_as_it_is_or_refused(upload, client, title):
    try:
        upload(ECHO, title=title)
    except GatewayRefused:
        return
    assert client.function(title).title == title
    assert client.run(title, {"x": 1}).result(timeout_seconds=60) == {"x": 1}
