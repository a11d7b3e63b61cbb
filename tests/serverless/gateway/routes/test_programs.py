"""Programs of both generations of clients: uploaded, versioned, listed, refused with reasons."""

import io
import json
import tarfile

import pytest

from shoal.serverless.gateway.asking import plain
from tests.serverless.making import archive


def send(user, files=None, artifact=None, **fields):
    data = artifact if artifact is not None else archive(files or {"main.py": ""})
    return user.post(
        "/programs/upload/",
        data={"title": "p", "entrypoint": "main.py", **fields},
        files={"artifact": ("artifact.tar", data)},
    )


def test_an_upload_is_answered_with_the_program_as_the_clients_read_it(user):
    schema = {"type": "object"}
    answer = send(
        user,
        arguments="{}",
        runner="ray",
        dependencies='["numpy"]',
        env_vars='{"A": "1"}',
        description="d",
        version="1.2",
        arguments_schema=json.dumps(schema),
    )
    assert answer.status_code == 200
    found = answer.json()
    expected = {
        "title": "p",
        "provider": None,
        "type": "GENERIC",
        "entrypoint": "main.py",
        "dependencies": ["numpy"],
        "env_vars": {"A": "1"},
        "description": "d",
        "version": "1.2",
        "runner": "ray",
        "arguments_schema": schema,
        "revision": 1,
    }
    assert {name: found[name] for name in expected} == expected
    assert user.get("/programs/get_by_title/p").json() == found


def test_another_upload_is_a_new_version_that_keeps_what_it_does_not_say(user):
    send(user, description="d", arguments_schema='{"type": "object"}')
    found = send(user, arguments_schema="{}").json()
    assert (found["revision"], found["description"], found["arguments_schema"]) == (2, "d", {})


def test_the_list_is_an_array_and_a_page_of_the_older_clients_an_object(user):
    for title in ("b", "a", "lab/c"):
        assert send(user, title=title).status_code == 200
    titles = ["a", "b", "c"]
    for path, params in (("/programs", {"limit": 10}), ("/programs/", {}), ("/programs", {})):
        assert [each["title"] for each in user.get(path, params=params).json()] == titles
    page = user.get("/programs/", params={"limit": 2, "offset": 1}).json()
    assert ([each["title"] for each in page["results"]], page["count"]) == (["b", "c"], 3)
    for params, expected in (
        ({"filter": "serverless"}, ["a", "b"]),
        ({"filter": "catalog"}, ["c"]),
        ({"provider": "lab"}, ["c"]),
        ({"provider": "none"}, []),
    ):
        found = user.get("/programs", params=params).json()
        assert [each["title"] for each in found] == expected


def test_a_provider_stands_in_the_title_or_beside_it(user):
    assert send(user, title="lab/p").json()["provider"] == "lab"
    assert send(user, title="p", provider="lab").json()["revision"] == 2
    assert send(user, title="lab/p", provider="lab").json()["revision"] == 3
    assert send(user, title="lab/p", provider="other").status_code == 400
    assert user.get("/programs/get_by_title/p").status_code == 404
    for path in ("/programs/get_by_title/p?provider=lab", "/programs/get_by_title/lab%2Fp"):
        assert user.get(path).json()["title"] == "p"
    message = "Qiskit Function lab/absent doesn't exist."
    answer = user.get("/programs/get_by_title/absent?provider=lab")
    assert (answer.status_code, answer.json()) == (404, {"message": message})


@pytest.mark.parametrize(
    "title", ["x" * 255, "é", "e\u0301", "🐟", "\u202egnp", "<script>", "a b", "..", "%2f", "'; --"]
)
def test_a_title_is_stored_and_told_as_it_was_given(user, title):
    assert send(user, title=title).json()["title"] == plain("title", title)
    assert [each["title"] for each in user.get("/programs").json()] == [title]


@pytest.mark.parametrize(
    "title", ["", "x" * 256, "a/b/c", "/a", "a/", "/", "a\nb", "a\0b", "\x1b[31m"]
)
def test_a_title_that_is_none_is_refused(user, title):
    assert send(user, title=title).status_code == 400


@pytest.mark.parametrize(
    "fields",
    [
        {"entrypoint": "absent.py"},
        {"entrypoint": "/main.py"},
        {"entrypoint": "../main.py"},
        {"entrypoint": "main.py; touch x"},
        {"entrypoint": "."},
        {"entrypoint": ""},
        {"image": "quay.io/x"},
        {"dependencies": "{}"},
        {"dependencies": "["},
        {"env_vars": '{"A": 1}'},
        {"env_vars": '{"A": "\\u0000"}'},
        {"env_vars": '{"A=B": ""}'},
        {"env_vars": '{"": "x"}'},
        {"env_vars": json.dumps({"A": "x" * 300_000})},
        {"arguments_schema": "[]"},
        {"arguments_schema": '{"type": "nonsense"}'},
        {"arguments_schema": json.dumps({"description": "x" * 70_000})},
        {"title": None},
    ],
)
def test_an_upload_that_makes_no_sense_is_refused_and_nothing_is_kept(user, fields):
    answer = send(user, **fields)
    assert (answer.status_code, list(answer.json())) == (400, ["message"])
    assert user.get("/programs").json() == []


def linked():
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as target:
        entry = tarfile.TarInfo("main.py")
        entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
        target.addfile(entry)
    return made.getvalue()


@pytest.mark.parametrize("artifact", [b"", b"no archive", linked(), archive({"../main.py": ""})])
def test_an_archive_that_is_not_accepted_is_refused(user, artifact):
    assert send(user, artifact=artifact).status_code == 400


def test_an_upload_without_an_archive_is_refused(user):
    answer = user.post("/programs/upload/", data={"title": "p", "entrypoint": "main.py"})
    assert answer.status_code == 400
    assert "artifact is missing" in answer.json()["message"]


def test_an_archive_that_is_too_large_is_refused(served, user):
    large = b"\0" * (50 << 20) + b"\0"
    answer = send(user, artifact=large)
    assert (answer.status_code, list(answer.json())) == (413, ["message"])


def test_an_upload_that_is_cut_off_leaves_nothing(served, user):
    head = (
        "POST /api/v1/programs/upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n"
        f"Authorization: Bearer {user.token}\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\n\r\n"
        '--b\r\nContent-Disposition: form-data; name="artifact"; filename="a"\r\n\r\nxxx'
    )
    with served.connect() as connection:
        connection.sendall(head.encode())
    assert user.get("/programs").json() == []
    assert list((served.data / "blobs" / "unfinished").iterdir()) == []


def test_arguments_are_checked_without_running_anything(user):
    send(user, arguments_schema=json.dumps({"type": "object", "required": ["n"]}))
    checks = [
        ({"title": "p", "arguments": '{"n": 1}', "provider": None}, 200),
        ({"title": "p", "arguments": "{}", "provider": None}, 400),
        ({"title": "p", "arguments": "{", "provider": None}, 400),
        ({"title": "absent", "arguments": "{}", "provider": None}, 404),
    ]
    for body, status in checks:
        answer = user.post("/programs/validate_arguments/", json=body)
        assert answer.status_code == status, answer.text
    assert user.get("/jobs/").json()["count"] == 0
