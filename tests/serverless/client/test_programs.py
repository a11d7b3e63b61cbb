"""A program's folder becomes an archive that gateways take, and nothing else goes with it."""

import io
import os
import tarfile

import pytest

from shoal.serverless import Program
from shoal.serverless.artifacts import check, unpack
from shoal.serverless.client import programs
from shoal.serverless.client.programs import form_of, pack, split_title


def packed(folder):
    target = io.BytesIO()
    pack(folder, target)
    target.seek(0)
    return target


def names(folder):
    with tarfile.open(fileobj=packed(folder)) as archive:
        return sorted(archive.getnames())


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "source"
    (made / "lib").mkdir(parents=True)
    (made / "main.py").write_text("print(1)\n")
    (made / "lib" / "part.py").write_text("x = 1\n")
    (made / ".hidden").write_text("kept")
    return made


def test_an_archive_holds_the_folder_and_the_gateway_takes_it(folder, tmp_path):
    archive = packed(folder)
    check(archive, "main.py")
    archive.seek(0)
    unpack(archive, tmp_path / "there")
    assert (tmp_path / "there" / "lib" / "part.py").read_text() == "x = 1\n"
    assert names(folder) == [".hidden", "lib/part.py", "main.py"]


def test_the_same_contents_are_the_same_bytes_and_name_nobody(folder):
    before = packed(folder).getvalue()
    os.utime(folder / "main.py", (1, 1))
    assert packed(folder).getvalue() == before
    with tarfile.open(fileobj=io.BytesIO(before)) as archive:
        assert {(member.uid, member.uname, member.mtime) for member in archive} == {(0, "", 0)}


def test_nothing_is_written_into_the_folder(folder):
    before = sorted(folder.rglob("*"))
    packed(folder)
    assert sorted(folder.rglob("*")) == before


def test_working_copies_and_environments_stay_behind(folder):
    for name in (".git", "__pycache__", ".venv", "env"):
        (folder / name).mkdir()
        (folder / name / "inside").write_text("x")
    (folder / "env" / "pyvenv.cfg").write_text("")
    assert names(folder) == [".hidden", "lib/part.py", "main.py"]


def test_links_are_followed_so_that_the_archive_holds_none(folder, tmp_path):
    (tmp_path / "elsewhere.py").write_text("y = 2\n")
    (folder / "linked.py").symlink_to(tmp_path / "elsewhere.py")
    (folder / "again").symlink_to(folder / "lib")
    archive = packed(folder)
    with tarfile.open(fileobj=archive) as opened:
        assert all(member.isreg() for member in opened)
        assert opened.extractfile("linked.py").read() == b"y = 2\n"
        assert opened.extractfile("again/part.py").read() == b"x = 1\n"


def test_links_in_a_circle_are_refused(folder):
    (folder / "lib" / "up").symlink_to(folder)
    with pytest.raises(ValueError, match="run in a circle"):
        packed(folder)


def test_a_link_that_leads_nowhere_is_named(folder):
    (folder / "gone").symlink_to(folder / "not there")
    with pytest.raises(ValueError, match=r"gone is a link that leads nowhere"):
        packed(folder)


def test_too_much_is_refused_and_the_largest_are_named(folder, monkeypatch):
    monkeypatch.setattr(programs, "MOST_BYTES", 1000)
    (folder / "lib" / "data.bin").write_bytes(b"0" * 2000)
    with pytest.raises(ValueError, match=r"the largest are lib \(0\.0 MB\), "):
        packed(folder)


def test_too_many_files_are_refused(folder, monkeypatch):
    monkeypatch.setattr(programs, "MOST_FILES", 2)
    with pytest.raises(ValueError, match="or 2 files"):
        packed(folder)


@pytest.mark.parametrize("entrypoint", ["/etc/passwd", "../main.py", "lib/../../x.py"])
def test_an_entrypoint_outside_of_the_folder_is_refused(folder, entrypoint):
    with pytest.raises(ValueError, match="expected a path within working_dir"):
        form_of(Program("p", entrypoint=entrypoint, working_dir=folder))


@pytest.mark.parametrize("entrypoint", ["none.py", "lib", None])
def test_an_entrypoint_has_to_be_a_file(folder, entrypoint):
    with pytest.raises(ValueError, match=f"entrypoint={entrypoint!r}: "):
        form_of(Program("p", entrypoint=entrypoint, working_dir=folder))


def test_the_form_says_what_the_published_clients_say(folder):
    program = Program(
        "p",
        entrypoint="./lib/part.py",
        working_dir=folder,
        env_vars={"A": "1"},
        dependencies=["x==1"],
        arguments_schema={"type": "object"},
    )
    assert form_of(program) == {
        "title": "p",
        "entrypoint": "lib/part.py",
        "runner": "ray",
        "arguments": "{}",
        "dependencies": '["x==1"]',
        "env_vars": '{"A": "1"}',
        "arguments_schema": '{"type": "object"}',
    }


@pytest.mark.parametrize("title", ["", "  ", "x" * 256, "provider/"])
def test_a_title_has_characters_and_not_too_many(title):
    with pytest.raises(ValueError, match="expected 1 to 255 characters"):
        Program(title)


def test_a_title_may_name_its_provider():
    assert split_title("ibm/sampler") == ("ibm", "sampler")
    assert split_title("sampler", "ibm") == ("ibm", "sampler")
    assert split_title("sampler") == (None, "sampler")
    assert Program("ibm/sampler").provider == "ibm"


def test_what_is_no_text_is_refused():
    with pytest.raises(TypeError, match="title=3: expected a text"):
        Program(3)
    with pytest.raises(TypeError, match="'A'=1: expected a text"):
        Program("p", env_vars={"A": 1})


def test_a_program_that_is_nowhere_cannot_run():
    with pytest.raises(ValueError, match="'p' is on no gateway yet"):
        Program("p").run(x=1)
