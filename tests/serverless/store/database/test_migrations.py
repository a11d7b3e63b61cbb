"""A database is made, recognised, and taken from version to version, in one piece."""

import sqlite3
from contextlib import closing

import pytest

from shoal.serverless.errors import StoreUnusable
from shoal.serverless.store import Store
from shoal.serverless.store.database.migrations import STEPS
from shoal.serverless.store.database.opening import prepare
from tests.serverless.making import account


def tables(path):
    with closing(sqlite3.connect(path)) as connection:
        return {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}


def versions(path):
    with closing(sqlite3.connect(path)) as connection:
        return [row[0] for row in connection.execute("SELECT version FROM schema_version")]


@pytest.fixture
def path(tmp_path):
    with Store(tmp_path) as store:
        account(store)
    return tmp_path / "store.sqlite"


def second(connection):
    connection.exec_driver_sql("CREATE TABLE added (x INTEGER)")


def broken(connection):
    connection.exec_driver_sql("CREATE TABLE half (x INTEGER)")
    raise RuntimeError("power")


def test_opening_again_changes_nothing(path):
    before = tables(path)
    Store(path.parent).close()
    assert (versions(path), tables(path)) == ([1], before)
    assert list(path.parent.glob("*.version-*")) == []


def test_a_newer_version_adds_its_step_after_a_copy(path):
    prepare(path, {**STEPS, 2: second})
    assert versions(path) == [1, 2]
    assert "added" in tables(path)
    copy = path.with_name("store.sqlite.version-1")
    assert versions(copy) == [1]
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("SELECT name FROM account").fetchall() == [("user",)]


def test_a_step_that_fails_leaves_the_old_version(path):
    with pytest.raises(RuntimeError, match="power"):
        prepare(path, {**STEPS, 2: second, 3: broken})
    assert versions(path) == [1]
    assert not {"added", "half"} & tables(path)
    Store(path.parent).close()


def test_an_older_shoal_refuses_a_newer_database(path):
    prepare(path, {**STEPS, 2: second})
    with pytest.raises(StoreUnusable, match="has version 2, and this shoal knows versions to 1"):
        Store(path.parent)


def test_another_programs_database_is_left_alone(tmp_path):
    path = tmp_path / "store.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (x INTEGER)")
    with pytest.raises(StoreUnusable, match="another program's database, with tables"):
        Store(tmp_path)
    assert tables(path) == {"theirs"}
