"""The database is durable, keeps foreign keys, and refuses places where it would not be."""

import sqlite3
import threading
from pathlib import Path

import pytest

from shoal.serverless.errors import StoreUnusable
from shoal.serverless.store.database import opening


def pragma(engine, name):
    with engine.connect() as connection:
        return connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()


def test_a_writer_is_durable_and_a_reader_cannot_write(tmp_path):
    path = tmp_path / "store.sqlite"
    opening.prepare(path)
    writer, reader = opening.writer(path), opening.reader(path)
    assert pragma(writer, "journal_mode") == "wal"
    assert pragma(writer, "synchronous") == 2
    assert pragma(reader, "query_only") == 1
    for engine in (writer, reader):
        assert pragma(engine, "foreign_keys") == 1
        engine.dispose()


def test_a_database_is_made_once_another_process_has_let_go_of_it(tmp_path):
    path = tmp_path / "store.sqlite"
    other = sqlite3.connect(path, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    threading.Timer(0.2, other.close).start()
    opening.prepare(path)
    engine = opening.writer(path)
    assert pragma(engine, "journal_mode") == "wal"
    engine.dispose()


def test_an_old_sqlite_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 36, 0))
    with pytest.raises(StoreUnusable, match=r"3\.37 or newer"):
        opening.prepare(tmp_path / "store.sqlite")


def test_a_network_file_system_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(opening, "file_system", lambda path: "nfs4")
    with pytest.raises(StoreUnusable, match="network file system"):
        opening.prepare(tmp_path / "store.sqlite")


@pytest.mark.skipif(not Path("/proc/self/mountinfo").exists(), reason="needs /proc")
def test_the_kind_of_file_system_is_known():
    assert opening.file_system(Path("/proc")) == "proc"
