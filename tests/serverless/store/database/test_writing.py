"""The writing thread commits together, answers after the commit, and outlives faults."""

import sqlite3
import threading

import pytest
import sqlalchemy
from sqlalchemy.exc import OperationalError

from shoal.serverless.errors import StoreBusy, StoreError, StoreFull, StoreUnsure
from shoal.serverless.identifiers import new_id
from shoal.serverless.models import NewJob
from shoal.serverless.store import Store, accounts, jobs
from shoal.serverless.store.database.writing import translated
from tests.serverless.making import account, submit, upload


def names(store):
    return [each.name for each in store.read(accounts.everyone)]


def test_what_waits_is_committed_together(store):
    commits = []
    committed, store._writer._committed = store._writer._committed, lambda: commits.append(1)
    gate = threading.Event()
    first = store.enqueue(lambda transaction: gate.wait(60))
    rest = [store.enqueue(accounts.add, f"user{number}") for number in range(40)]
    gate.set()
    first.result()
    assert all(future.result() for future in rest)
    store._writer._committed = committed
    assert len(commits) <= 3


def test_a_database_that_another_process_holds_is_waited_for(tmp_path):
    with Store(tmp_path) as store:
        other = sqlite3.connect(tmp_path / "store.sqlite", check_same_thread=False)
        other.execute("BEGIN IMMEDIATE")
        waiting = store.enqueue(accounts.add, "user")
        threading.Timer(0.2, other.rollback).start()
        assert waiting.result().name == "user"
        other.close()


def test_one_that_is_held_too_long_is_busy_and_works_again_after(tmp_path):
    with Store(tmp_path, busy_seconds=0.05) as store:
        other = sqlite3.connect(tmp_path / "store.sqlite")
        other.execute("BEGIN IMMEDIATE")
        futures = [store.enqueue(accounts.add, f"user{number}") for number in range(20)]
        assert {type(future.exception()) for future in futures} == {StoreBusy}
        other.close()
        assert store.write(accounts.add, "user").name == "user"
        assert names(store) == ["user"]


def test_a_full_disk_refuses_writes_keeps_what_was_acknowledged_and_lets_reads_through(tmp_path):
    with Store(tmp_path) as store:
        user = account(store)
        upload(store, user)
        pages = store.write(lambda t: t.value(SQL("PRAGMA page_count")))
        store.write(lambda t: t.value(SQL(f"PRAGMA max_page_count = {pages + 8}")))
        kept = []
        with pytest.raises(StoreFull, match="full"):
            while True:
                kept.append(submit(store, user).id)
        assert len(kept) > 3
        assert store.read(jobs.page, user).total == len(kept)
        assert all(store.read(jobs.get, user, job_id) for job_id in kept)
        store.write(lambda t: t.value(SQL(f"PRAGMA max_page_count = {pages + 1000}")))
        submit(store, user)
        assert store.read(lambda t: t.value(SQL("PRAGMA integrity_check"))) == "ok"


def SQL(text):  # noqa: N802 - a word of its own
    return sqlalchemy.text(text)


def test_a_commit_that_fails_may_or_may_not_have_happened_and_repeating_it_is_safe(
    store, user, monkeypatch
):
    upload(store, user)
    engine = store._writing
    real = engine.dialect.do_commit
    fail = iter(["before", "after"])

    def commit(connection):
        when = next(fail, None)
        if when != "before":
            real(connection)
        if when:
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR
            raise OperationalError("COMMIT", None, error)

    monkeypatch.setattr(engine.dialect, "do_commit", commit)
    new = NewJob(new_id(), "program")
    for _ in range(2):
        with pytest.raises(StoreUnsure, match="may or may not"):
            store.write(jobs.submit, user, new)
    assert not store.write(jobs.submit, user, new).is_new
    assert store.read(jobs.page, user).total == 1


@pytest.mark.parametrize(
    ("code", "committing", "expected"),
    [
        (sqlite3.SQLITE_FULL, True, StoreFull),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, False, StoreBusy),
        (sqlite3.SQLITE_IOERR_FSYNC, True, StoreUnsure),
        (sqlite3.SQLITE_IOERR_FSYNC, False, StoreError),
        (sqlite3.SQLITE_CORRUPT, False, StoreError),
    ],
)
def test_a_databases_errors_are_told_in_the_stores_words(code, committing, expected):
    error = sqlite3.OperationalError("words")
    error.sqlite_errorcode = code
    made = translated(OperationalError("X", None, error), committing=committing)
    assert type(made) is expected
    assert made.__cause__.orig is error
