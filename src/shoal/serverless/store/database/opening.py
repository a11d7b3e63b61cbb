"""Opens the database: durable, one writer at a time, readers that never write."""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DatabaseError
from sqlalchemy.pool import QueuePool

from shoal.serverless.errors import StoreUnusable
from shoal.serverless.store.database.migrations import REVISIONS, upgrade, version_of, versions

logger = logging.getLogger(__name__)

OLDEST = (3, 37, 0)
READERS = 32
BUSY_MILLISECONDS = 5000

_NETWORK = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "lustre", "ceph", "gpfs", "9p", "fuse.sshfs")


def writer(path: Path, *, busy_milliseconds: int = BUSY_MILLISECONDS) -> Engine:
    """An engine whose transactions take the write lock when they begin.

    A transaction that reads first and writes later would fail at once where another writes between
    the two, without waiting.
    """
    pragmas = (
        "PRAGMA journal_mode = WAL",
        "PRAGMA synchronous = FULL",
        "PRAGMA fullfsync = 1",
    )
    return _engine(path, "BEGIN IMMEDIATE", pragmas, busy_milliseconds)


def reader(path: Path) -> Engine:
    """An engine whose transactions see one state of the database and cannot change it."""
    return _engine(path, "BEGIN", ("PRAGMA query_only = ON",), BUSY_MILLISECONDS)


def _engine(path: Path, begin: str, pragmas: tuple[str, ...], busy_milliseconds: int) -> Engine:
    engine = create_engine(
        f"sqlite:///{path}",
        poolclass=QueuePool,
        pool_size=READERS,
        max_overflow=0,
        pool_reset_on_return="rollback",
        connect_args={"check_same_thread": False, "isolation_level": None},
    )

    def prepare(connection: sqlite3.Connection, _record: object) -> None:
        common = (f"PRAGMA busy_timeout = {busy_milliseconds}", "PRAGMA foreign_keys = ON")
        for pragma in common + pragmas:
            _execute(connection, pragma, busy_milliseconds / 1000)

    def begins(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    event.listen(engine, "connect", prepare)
    event.listen(engine, "begin", begins)
    return engine


def _execute(connection: sqlite3.Connection, pragma: str, busy_seconds: float) -> None:
    """Executes a pragma, waiting for others: SQLite does not when it changes the journal's mode."""
    end = time.monotonic() + busy_seconds
    while True:
        try:
            connection.execute(pragma)
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
        time.sleep(0.01)


def prepare(path: Path, revisions: Path = REVISIONS) -> None:
    """Makes the database, or takes it to the newest version after copying it.

    A database that has the newest version already is only read.

    Raises:
        StoreUnusable: If SQLite is too old, the place is on a network, or the file is no database
            that this version knows.
    """
    if sqlite3.sqlite_version_info < OLDEST:
        raise StoreUnusable(f"SQLite {sqlite3.sqlite_version} is too old: 3.37 or newer is needed")
    kind = file_system(path.parent)
    if kind in _NETWORK:
        raise StoreUnusable(f"{path.parent} is on a network file system ({kind}): locks and fsync")
    reading, writing = reader(path), writer(path)
    try:
        with reading.connect() as connection:
            is_newest = version_of(connection, revisions) == versions(revisions)[-1]
        if not is_newest:
            with writing.begin() as connection:
                _take_to_newest(connection, path, revisions)
    except DatabaseError as error:
        raise StoreUnusable(f"{path} cannot be used as a database: {error.orig}") from error
    finally:
        reading.dispose()
        writing.dispose()
    path.chmod(0o600)


def _take_to_newest(connection: Connection, path: Path, revisions: Path) -> None:
    current, newest = version_of(connection, revisions), versions(revisions)[-1]
    if current == newest:
        return  # another process was quicker
    if current is not None:
        copy = path.with_name(f"{path.name}.version-{current}")
        _copy(path, copy)
        logger.info("Taking %s to version %s; %s is as it was", path, newest, copy)
    upgrade(connection, revisions)


def _copy(source: Path, target: Path) -> None:
    """A copy of the whole database, in one piece or not at all."""
    unfinished = target.with_name(f"{target.name}.part")
    unfinished.unlink(missing_ok=True)
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(unfinished)) as new:
        old.backup(new)
    unfinished.chmod(0o600)
    unfinished.replace(target)


def file_system(path: Path) -> str:
    """The kind of file system that a path is on; empty where the system does not say."""
    try:
        table = Path("/proc/self/mountinfo").read_text(errors="surrogateescape")
    except OSError:
        return ""
    device = path.stat().st_dev
    name = f"{os.major(device)}:{os.minor(device)}"
    fields: list[Any] = [line.split(" - ") for line in table.splitlines()]
    kinds = [right.split()[0] for left, right in fields if left.split()[2] == name]
    return kinds[-1] if kinds else ""
