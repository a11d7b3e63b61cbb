"""What the versions make is the schema, and the database refuses what no operation should do."""

import itertools
import sqlite3
from contextlib import closing

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, delete, func, insert, select, update

from shoal.serverless.errors import Conflict
from shoal.serverless.models import EDGES, TERMINAL, Ending, JobStatus, Payload
from shoal.serverless.store import attempts, jobs
from shoal.serverless.store.database import schema
from shoal.serverless.store.database.schema import event, job, payload, program_version, tally
from tests.serverless.making import account, claim, submit, upload

PAIRS = [pair for pair in itertools.product(JobStatus, JobStatus) if pair[0] != pair[1]]


def raw(store, statement):
    """Runs a statement past all operations."""
    return store.write(lambda transaction: transaction.change(statement))


@pytest.fixture
def ready(store, user):
    upload(store, user)
    return store


def test_the_versions_make_the_tables_of_the_schema(store):
    with store._reading.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), schema.metadata) == []


def test_the_versions_make_the_indexes_of_the_schema(store, tmp_path):
    path = tmp_path / "schema.sqlite"
    engine = create_engine(f"sqlite:///{path}")
    schema.metadata.create_all(engine)
    engine.dispose()
    assert indexes(store.directory / "store.sqlite") == indexes(path)


def indexes(path):
    """What makes each index, which says more than a comparison of tables sees."""
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index'")
        return {name: " ".join(sql.split()) for name, sql in found if sql}


def brought_to(store, user, status):
    """A job in that state, with an attempt left."""
    if status is JobStatus.QUEUED:
        return submit(store, user, max_attempts=2).id
    found = claim(store, user, max_attempts=2).job
    if status is JobStatus.RUNNING:
        store.write(attempts.mark_running, found.id, 1)
    if status in TERMINAL:
        store.write(attempts.finish, found.id, 1, Ending(status))
    return found.id


def test_a_job_goes_only_where_an_edge_leads(ready, user):
    allowed = set()
    for before, after in PAIRS:
        job_id = brought_to(ready, user, before)
        values = {"status": after}
        if (before, after) == (JobStatus.QUEUED, JobStatus.PENDING):
            values["fence"] = 1
        if (before, after) == (JobStatus.RUNNING, JobStatus.QUEUED):
            values["attempts_left"] = 0
        try:
            raw(ready, update(job).where(job.c.id == job_id).values(values))
        except Conflict:
            continue
        finally:
            raw(ready, update(job).where(job.c.status == "QUEUED").values(status="STOPPED"))
        allowed.add((before, after))
    assert allowed == {(before, after) for before in EDGES for after in EDGES[before]}


@pytest.mark.parametrize("column", ["reason", "sub_status", "stop_requested_us", "fence"])
def test_a_job_that_has_ended_never_changes(ready, user, column):
    job_id = brought_to(ready, user, JobStatus.FAILED)
    with pytest.raises(Conflict, match="never changes|counts claims"):
        raw(ready, update(job).where(job.c.id == job_id).values({column: 7}))


@pytest.mark.parametrize(
    ("status", "values", "message"),
    [
        (JobStatus.QUEUED, {"status": "PENDING"}, "the fence counts claims"),
        (JobStatus.QUEUED, {"status": "PENDING", "fence": 2}, "the fence counts claims"),
        (JobStatus.PENDING, {"fence": 2}, "the fence counts claims"),
        (JobStatus.PENDING, {"fence": 0}, "the fence counts claims"),
        (JobStatus.PENDING, {"attempts_left": 5}, "no attempt is left"),
        (JobStatus.RUNNING, {"status": "QUEUED"}, "no attempt is left"),
    ],
)
def test_fences_and_attempts_only_count_as_they_should(ready, user, status, values, message):
    job_id = brought_to(ready, user, status)
    with pytest.raises(Conflict, match=message):
        raw(ready, update(job).where(job.c.id == job_id).values(values))


def test_a_job_begins_queued(ready, user):
    known = ready.read(lambda t: t.first(select(job)))
    job_id = known.id if known else submit(ready, user).id
    row = dict(ready.read(lambda t: t.first(select(job).where(job.c.id == job_id)))._mapping)
    with pytest.raises(Conflict, match="a job begins queued"):
        raw(ready, insert(job).values({**row, "id": "other", "status": "RUNNING"}))


def test_a_job_has_exactly_one_end_among_its_events(ready, user):
    job_id = brought_to(ready, user, JobStatus.SUCCEEDED)
    row = {"job_id": job_id, "kind": "STATUS", "after": "FAILED", "actor": "x", "data": "{}"}
    with pytest.raises(Conflict, match="UNIQUE"):
        raw(ready, insert(event).values(**row, created_us=1))


def test_what_was_recorded_stays(ready, user):
    brought_to(ready, user, JobStatus.SUCCEEDED)
    for statement in (
        update(payload).values(text="x"),
        update(event).values(actor="x"),
        update(program_version).values(entrypoint="x"),
    ):
        with pytest.raises(Conflict, match="never changes"):
            raw(ready, statement)


@pytest.mark.parametrize("status", [JobStatus.QUEUED, *sorted(TERMINAL)])
def test_a_result_comes_only_while_the_job_is_under_way(ready, user, status):
    job_id = brought_to(ready, user, status)
    row = {"job_id": job_id, "kind": "result", "text": "1", "size_bytes": 1}
    with pytest.raises(Conflict, match="the job is not under way"):
        raw(ready, insert(payload).values(row))


@pytest.mark.parametrize("status", ["FAILED", "STOPPED", "QUEUED"])
def test_only_a_success_has_a_result(ready, user, status):
    job_id = brought_to(ready, user, JobStatus.RUNNING)
    row = {"job_id": job_id, "kind": "result", "text": "1", "size_bytes": 1}
    raw(ready, insert(payload).values(row))
    values = {"status": status, "attempts_left": 1 - (status == "QUEUED")}
    with pytest.raises(Conflict, match="only a success has a result"):
        raw(ready, update(job).where(job.c.id == job_id).values(values))
    assert ready.write(attempts.finish, job_id, 1, Ending(JobStatus.SUCCEEDED))


def test_the_tally_is_kept_by_the_database_itself(ready, user):
    other = account(ready, "other")
    upload(ready, other)
    submit(ready, other)
    job_id = brought_to(ready, user, JobStatus.RUNNING)
    raw(ready, update(job).where(job.c.id == job_id).values(status="FAILED"))
    kept = ready.read(
        lambda t: t.all(select(tally.c.status, tally.c.jobs).where(tally.c.jobs != 0))
    )
    assert sorted(tuple(row) for row in kept) == [("FAILED", 1), ("QUEUED", 1)]


def test_what_others_refer_to_cannot_be_deleted(ready, user):
    submit(ready, user, arguments=Payload.of("1"))
    with pytest.raises(Conflict, match="FOREIGN KEY"):
        raw(ready, delete(job))
    assert ready.read(jobs.page, user).total == 1
    assert ready.read(lambda t: t.value(select(func.count()).select_from(payload))) == 1
