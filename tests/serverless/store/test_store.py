"""The store opens again with all it was given, tells what changed, and keeps to one directory."""

import os
import threading

import pytest

from shoal.serverless.errors import Conflict, StoreError, StoreUnusable
from shoal.serverless.store import Store, accounts, jobs
from tests.serverless.making import account, submit, upload


def test_what_was_written_is_there_after_opening_again(tmp_path):
    with Store(tmp_path) as store:
        user = account(store)
        upload(store, user)
        job = submit(store, user)
    with Store(tmp_path) as store:
        assert store.read(jobs.get, user, job.id) == job


def test_two_stores_on_one_directory_see_each_others_writes(tmp_path):
    with Store(tmp_path) as one, Store(tmp_path) as other:
        user = account(one)
        upload(other, user)
        job = submit(one, user)
        assert other.write(jobs.request_stop, user, job.id).status == "STOPPED"
        assert one.read(jobs.get, user, job.id).status == "STOPPED"


def test_others_on_the_machine_cannot_look_in(tmp_path):
    old = os.umask(0)
    try:
        with Store(tmp_path / "data") as store:
            account(store)
    finally:
        os.umask(old)
    assert (tmp_path / "data").stat().st_mode & 0o077 == 0
    assert (tmp_path / "data" / "store.sqlite").stat().st_mode & 0o077 == 0


def test_those_who_follow_hear_of_a_job_after_it_can_be_read(store, user):
    upload(store, user)
    heard = []

    def listen(changed):
        heard.extend(store.read(jobs.get, user, job_id).id for job_id in changed)

    end = store.follow(listen)
    job = submit(store, user)
    assert heard == [job.id]
    store.write(accounts.set_disabled, "user", False)
    end()
    end()
    store.write(jobs.request_stop, user, job.id)
    assert heard == [job.id]


def test_operations_run_in_the_order_in_which_they_are_enqueued(store):
    names = [f"user{number}" for number in range(50)]
    futures = [store.enqueue(accounts.add, name) for name in names]
    made = [future.result().id for future in futures]
    assert made == sorted(made)


def test_an_operation_that_is_refused_costs_the_others_nothing(store):
    gate = threading.Event()
    held = store.enqueue(lambda transaction: gate.wait(60))
    futures = [store.enqueue(accounts.add, name) for name in ("a", "b", "a", "c", "-", "d")]
    gate.set()
    held.result()
    errors = [future.exception() for future in futures]
    assert [type(error) for error in errors] == [
        type(None),
        type(None),
        Conflict,
        type(None),
        ValueError,
        type(None),
    ]
    assert [each.name for each in store.read(accounts.everyone)] == ["a", "b", "c", "d"]


def test_reading_cannot_write(store):
    with pytest.raises(StoreError, match="readonly"):
        store.read(accounts.add, "user")


def test_a_closed_store_says_so(tmp_path):
    store = Store(tmp_path)
    pending = store.enqueue(accounts.add, "user")
    store.close()
    store.close()
    assert pending.result().name == "user"
    with pytest.raises(StoreError, match="closed"):
        store.write(accounts.add, "other")


def test_a_place_that_cannot_hold_a_store_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnusable, match="cannot be made"):
        Store(tmp_path / "file" / "data")
    (tmp_path / "store.sqlite").write_bytes(b"x" * 5000)
    with pytest.raises(StoreUnusable, match="cannot be used as a database"):
        Store(tmp_path)


def test_blobs_that_nothing_refers_to_go_and_others_stay(store, user):
    used = upload(store, user).artifact_sha256
    long = store.blobs.pack('"' + "x" * 100_000 + '"')
    submit(store, user, arguments=long)
    unused, _ = store.blobs.add([b"unused"])
    assert store.sweep_blobs() == 0  # young
    assert store.sweep_blobs(older_seconds=-1) == 1
    assert store.blobs.path(used).exists()
    assert store.blobs.unpack(long)
    assert not store.blobs.path(unused).exists()
