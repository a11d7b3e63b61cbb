"""A database is made, recognised, and taken from version to version, in one piece."""

import shutil
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from shoal.errors import MissingExtra
from shoal.serverless.errors import StoreUnusable
from shoal.serverless.store import Store
from shoal.serverless.store.database.migrations import REVISIONS, versions
from shoal.serverless.store.database.opening import prepare
from tests.serverless.making import account

OPEN = """
import sys
from pathlib import Path
from shoal.serverless.store import Store

sys.stdin.readline()
Store(Path(sys.argv[1])).close()
print("alembic" in sys.modules)
"""


def tables(path):
    with closing(sqlite3.connect(path)) as connection:
        return {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}


def version(path):
    with closing(sqlite3.connect(path)) as connection:
        [[found]] = connection.execute("SELECT version_num FROM alembic_version")
        return found


@pytest.fixture
def path(tmp_path):
    with Store(tmp_path / "data") as store:
        account(store)
    return tmp_path / "data" / "store.sqlite"


@pytest.fixture
def newer(tmp_path):
    """The versions of newer shoals, one with a table more, and one with a step that fails."""

    def made(*statements):
        folder = tmp_path / "100% newer"
        shutil.copytree(REVISIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
        for number, statement in enumerate(statements, 2):
            text = (
                f"from alembic import op\n"
                f"revision, down_revision = '{number:04}', '{number - 1:04}'\n"
                f"def upgrade():\n    op.execute({statement!r})\n"
            )
            (folder / "versions" / f"version_{number:04}.py").write_text(text)
        return folder

    return made


SECOND = "CREATE TABLE added (x INTEGER)"
BROKEN = "INSERT INTO missing VALUES (1)"


def opening(directory):
    """A process that opens the store in a directory once it is told to."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-c", OPEN, str(directory)], **pipes)


def test_the_files_are_named_for_the_versions_in_them_which_follow_each_other():
    config = Config()
    config.set_main_option("script_location", str(REVISIONS).replace("%", "%%"))
    walked = [each.revision for each in ScriptDirectory.from_config(config).walk_revisions()]
    assert tuple(reversed(walked)) == versions()


def test_opening_again_changes_nothing_and_spares_the_import_of_alembic(path):
    before = tables(path)
    with opening(path.parent) as process:
        assert process.communicate("\n")[0].split() == ["False"]
    assert (version(path), tables(path)) == (versions()[-1], before)
    assert list(path.parent.glob("*.version-*")) == []


def test_opening_again_waits_for_nobody_who_writes(path):
    with closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        prepare(path)


def test_a_newer_version_adds_its_step_after_a_copy(path, newer):
    prepare(path, newer(SECOND))
    assert version(path) == "0002"
    assert "added" in tables(path)
    copy = path.with_name("store.sqlite.version-0001")
    assert (version(copy), copy.stat().st_mode & 0o777) == ("0001", 0o600)
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("SELECT name FROM account").fetchall() == [("user",)]


def test_a_step_that_fails_leaves_the_old_version(path, newer):
    with pytest.raises(StoreUnusable, match="no such table: missing"):
        prepare(path, newer(SECOND, BROKEN))
    assert version(path) == "0001"
    assert "added" not in tables(path)
    Store(path.parent).close()


def test_a_first_step_that_fails_leaves_nothing(tmp_path, newer):
    path = tmp_path / "store.sqlite"
    with pytest.raises(StoreUnusable, match="no such table: missing"):
        prepare(path, newer(BROKEN))
    assert tables(path) == set()
    Store(tmp_path).close()
    assert version(path) == "0001"


def test_an_older_shoal_refuses_a_newer_database(path, newer):
    prepare(path, newer(SECOND))
    with pytest.raises(
        StoreUnusable, match="has version 0002, and this shoal knows versions to 00"
    ):
        Store(path.parent)


@pytest.mark.parametrize("name", ["theirs", "alembic_version"])
def test_another_programs_database_is_left_alone(tmp_path, name):
    path = tmp_path / "store.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"CREATE TABLE {name} (version_num)")
        connection.execute(f"INSERT INTO {name} VALUES ('0001')")
        connection.commit()
    with pytest.raises(StoreUnusable, match="another program's database, with tables"):
        Store(tmp_path)
    assert tables(path) == {name}


def test_threads_may_make_stores_at_the_same_time(tmp_path):
    directories = [tmp_path / name for name in "aabbccdd"]
    with ThreadPoolExecutor(len(directories)) as threads:
        for store in threads.map(Store, directories):
            store.close()
    assert {version(each / "store.sqlite") for each in directories} == {versions()[-1]}


def test_processes_may_make_one_store_at_the_same_time(tmp_path):
    processes = [opening(tmp_path) for _ in range(3)]
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        with process:
            process.communicate()
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert version(tmp_path / "store.sqlite") == versions()[-1]


def test_making_a_store_without_alembic_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "alembic", None)
    with pytest.raises(MissingExtra, match="needs alembic, which is not installed"):
        Store(tmp_path)
