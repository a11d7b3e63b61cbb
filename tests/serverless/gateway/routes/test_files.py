"""Files: one folder for jobs and people, out of which nothing leads."""

import os

import pytest

from tests.serverless.gateway.serving import SAVING

LAB = {"function": "program", "provider": "lab"}
READS = f"""{SAVING}
found = open(os.path.join(os.environ['DATA_PATH'], 'in.txt')).read()
open(os.path.join(os.environ['DATA_PATH'], 'out.txt'), 'w').write(found.upper())
"""


def put(user, name, data=b"hello", path="/files", **params):
    return user.post(f"{path}/upload/", files={"file": (name, data)}, params=params)


def names(user, path="/files", **params):
    return user.get(path, params=params).json()["results"]


def fetch(user, name, path="/files", **params):
    return user.get(f"{path}/download/", params={"file": name, **params})


def test_a_file_is_kept_listed_replaced_fetched_and_deleted(user):
    assert put(user, "b.txt").json() == {"message": "b.txt"}
    put(user, "a.bin", b"\0\xff" * 300_000)
    put(user, "b.txt", b"changed")
    assert names(user) == ["a.bin", "b.txt"]
    answer = fetch(user, "a.bin")
    assert answer.content == b"\0\xff" * 300_000
    assert answer.headers["content-length"] == "600000"
    assert fetch(user, "b.txt").content == b"changed"
    deleted = user.client.delete("/api/v1/files/delete/", params={"file": "b.txt"})
    assert deleted.json() == {"message": "Requested file was deleted."}
    assert names(user) == ["a.bin"]


def test_the_older_clients_name_the_file_to_delete_in_a_form(user):
    put(user, "a")
    answer = user.client.request(
        "DELETE", "/api/v1/files/delete/", data={"file": "a"}, headers={"format": "json"}
    )
    assert (answer.status_code, names(user)) == (200, [])


def test_a_file_that_is_not_there_is_404(user):
    assert fetch(user, "absent").json() == {"message": "Requested file was not found."}
    put(user, "there")
    for name in ("absent", "There"):
        assert fetch(user, name).status_code == 404
        answer = user.client.delete("/api/v1/files/delete/", params={"file": name})
        assert answer.status_code == 404


@pytest.mark.parametrize("title", ["program", "lab/program"])
def test_jobs_find_what_was_uploaded_and_leave_what_can_be_downloaded(user, title):
    scope = LAB if title.startswith("lab") else {"function": "program"}
    put(user, "in.txt", b"quiet", **scope)
    job = user.until(user.run(READS, title))
    assert job["status"] == "SUCCEEDED"
    assert fetch(user, "out.txt", **scope).content == b"QUIET"


def test_a_providers_program_has_a_folder_and_its_provider_another(user):
    for number, (path, params) in enumerate(
        [("/files", {}), ("/files", LAB), ("/files/provider", LAB)]
    ):
        put(user, f"{number}", path=path, **params)
    assert names(user) == ["0"]
    assert names(user, function="program") == ["0"]
    assert names(user, **LAB) == names(user, function="lab/program") == ["1"]
    assert names(user, "/files/provider", **LAB) == ["2"]
    assert names(user, function="program", provider="other") == []


@pytest.mark.parametrize("params", [{}, {"function": "program"}, {"provider": "lab"}])
def test_a_providers_files_want_a_program_and_a_provider(user, params):
    assert user.get("/files/provider/", params=params).status_code == 400


@pytest.mark.parametrize(
    "name", ["é.txt", "e\u0301", "🐟", "a b", "\u202etxt", "CON", "x" * 255, "a'b", "-rf", "%2e"]
)
def test_a_name_comes_back_as_it_was_given(user, name):
    assert put(user, name).status_code == 200
    assert names(user) == [name]
    answer = fetch(user, name)
    assert answer.content == b"hello"
    assert answer.headers["content-disposition"].isascii()


@pytest.mark.parametrize("name", [".", "..", "a/b", "../../x", "/etc/passwd", "x" * 256, "é" * 128])
def test_a_name_that_is_a_path_or_too_long_is_refused(user, name):
    assert put(user, name).status_code == 400
    assert fetch(user, name).status_code == 400
    answer = user.client.delete("/api/v1/files/delete/", params={"file": name})
    assert answer.status_code == 400


def test_a_program_with_a_name_like_a_path_has_a_folder_like_any_other(served, user):
    put(user, "x", function="..", provider="..")
    assert names(user, function="..", provider="..") == ["x"]
    assert not (served.data / "x").exists()


def test_links_folders_and_pipes_that_a_job_leaves_are_not_followed(served, user):
    put(user, "plain")
    [folder] = served.data.glob("accounts/*/data/plain")
    inside = folder.parent
    (inside / "link").symlink_to(served.data / "store.sqlite")
    (inside / "folder").mkdir()
    os.mkfifo(inside / "pipe")
    (inside / os.fsdecode(b"\xff")).write_text("")
    assert names(user) == ["plain"]
    for name in ("link", "folder", "pipe"):
        assert fetch(user, name).status_code == 404
    assert put(user, "folder").status_code == 400
    put(user, "link", b"mine")
    assert (served.data / "store.sqlite").read_bytes()[:6] == b"SQLite"
    folder.unlink()
    for each in ("link", "pipe", os.fsdecode(b"\xff")):
        (inside / each).unlink()
    (inside / "folder").rmdir()
    inside.rmdir()
    inside.symlink_to(served.data)
    assert fetch(user, "store.sqlite").status_code == 404
    assert names(user) == []
    assert put(user, "x").status_code == 507
    assert not (served.data / "x").exists()


def test_a_file_that_is_cut_off_leaves_nothing(served, user):
    put(user, "first")
    head = (
        "POST /api/v1/files/upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n"
        f"Authorization: Bearer {user.token}\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\n\r\n"
        '--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nxxx'
    )
    with served.connect() as connection:
        connection.sendall(head.encode())
    assert names(user) == ["first"]
    assert not list(served.data.glob("accounts/*/arriving/*"))


def test_an_upload_without_a_file_is_refused(user):
    assert user.post("/files/upload/", data={"file": "text"}).status_code == 400
