"""Whatever is done to jobs, in any order, with any fault, the store agrees with a plain model."""

import contextlib

import hypothesis.strategies as st
import pytest
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import func, select

from shoal.serverless.errors import NotActive, StoreBusy, StoreUnsure
from shoal.serverless.identifiers import new_id
from shoal.serverless.models import EDGES, TERMINAL, Ending, JobStatus, NewJob, Payload
from shoal.serverless.store import attempts, jobs
from shoal.serverless.store.database import schema
from tests.searching import examples
from tests.serverless.contracts.conftest import OPENED
from tests.serverless.making import ENDLESS, account, upload

FAULTS = ("none", "error", "execute and time out")
ENDINGS = (
    Ending(JobStatus.SUCCEEDED),
    Ending(JobStatus.SUCCEEDED, result=Payload.of("{}")),
    Ending(JobStatus.FAILED, "EXIT_1"),
    Ending(JobStatus.STOPPED, "STOPPED_BY_USER"),
)


class Expected:
    """What a job should be."""

    def __init__(self, owner, attempts_left):
        self.owner = owner
        self.status = "QUEUED"
        self.fence = 0
        self.attempts_left = attempts_left
        self.stop = False
        self.result = None
        self.changes = ["QUEUED"]

    def go(self, status):
        self.status = str(status)
        self.changes.append(str(status))

    @property
    def claimed(self):
        return self.status in ("PENDING", "RUNNING")


class Jobs(RuleBasedStateMachine):
    """Submits, claims, starts, stops and ends jobs of two users, with a fault at any write."""

    database = "sqlite"
    known = Bundle("known")

    @initialize()
    def open(self):
        self.stack = contextlib.ExitStack()
        self.store = self.stack.enter_context(OPENED[self.database]())
        self.users = [account(self.store, name) for name in ("a", "b")]
        for user in self.users:
            upload(self.store, user)
        self.jobs = {}

    def teardown(self):
        if hasattr(self, "stack"):
            self.stack.close()

    def write(self, fault, operation, *args):
        """Writes with a fault first, and then again, as a client would; returns the last answer."""
        if fault == "error":
            with contextlib.suppress(StoreBusy):
                self.store.write(failing(operation, StoreBusy("injected")), *args)
        if fault == "execute and time out":
            self.store.write(operation, *args)
        return self.store.write(operation, *args)

    @rule(
        target=known,
        owner=st.integers(0, 1),
        most=st.integers(1, 3),
        fault=st.sampled_from(FAULTS),
        key=st.none() | st.just("k"),
    )
    def submit(self, owner, most, fault, key):
        new = NewJob(new_id(), "program", max_attempts=most, idempotency_key=key)
        job = self.write(fault, jobs.submit, self.users[owner], new, ENDLESS).job
        if job.id not in self.jobs:
            self.jobs[job.id] = Expected(owner, most - 1)
        return job.id

    @rule(most=st.integers(1, 3))
    def claim(self, most):
        waiting = [job_id for job_id, each in self.jobs.items() if each.status == "QUEUED"]
        taken = self.store.write(attempts.claim, "runner", most)
        assert len(taken) == min(most, len(waiting))
        for each in taken:
            expected = self.jobs[each.job.id]
            expected.fence += 1
            expected.go("PENDING")
            assert each.job.fence == expected.fence

    @rule(job_id=known, late=st.integers(0, 1), fault=st.sampled_from(FAULTS))
    def start(self, job_id, late, fault):
        expected = self.jobs[job_id]
        self.write(fault, attempts.mark_running, job_id, expected.fence - late)
        if expected.status == "PENDING" and not late:
            expected.go("RUNNING")

    @rule(job_id=known, late=st.integers(0, 1), fault=st.sampled_from(FAULTS))
    def put_back(self, job_id, late, fault):
        expected = self.jobs[job_id]
        self.write(fault, attempts.put_back, job_id, expected.fence - late)
        if expected.status == "PENDING" and not late:
            expected.go("STOPPED" if expected.stop else "QUEUED")

    @rule(job_id=known, late=st.integers(0, 1))
    def run_again(self, job_id, late):
        expected = self.jobs[job_id]
        self.store.write(attempts.run_again, job_id, expected.fence - late)
        if expected.claimed and not late:
            if expected.status == "PENDING":
                expected.go("RUNNING")
            if expected.attempts_left and not expected.stop:
                expected.attempts_left -= 1
                expected.go("QUEUED")

    @rule(
        job_id=known,
        late=st.integers(0, 1),
        ending=st.sampled_from(ENDINGS),
        fault=st.sampled_from(FAULTS),
    )
    def finish(self, job_id, late, ending, fault):
        expected = self.jobs[job_id]
        self.write(fault, attempts.finish, job_id, expected.fence - late, ending)
        if expected.claimed and not late:
            expected.go(ending.status)
            expected.result = ending.result

    @rule(job_id=known, fault=st.sampled_from(FAULTS))
    def stop(self, job_id, fault):
        expected = self.jobs[job_id]
        self.write(fault, jobs.request_stop, self.users[expected.owner], job_id)
        if expected.status == "QUEUED":
            expected.go("STOPPED")
        elif expected.claimed:
            expected.stop = True

    @rule(job_id=known)
    def report(self, job_id):
        expected = self.jobs[job_id]
        user = self.users[expected.owner]
        if expected.status in TERMINAL:
            with pytest.raises(NotActive):
                self.store.write(jobs.report_error, user, job_id, {})
        else:
            self.store.write(jobs.report_error, user, job_id, {})

    @invariant()
    def agree(self):
        for job_id, expected in getattr(self, "jobs", {}).items():
            user = self.users[expected.owner]
            found = self.store.read(jobs.get, user, job_id)
            assert (found.status, found.fence) == (expected.status, expected.fence)
            assert found.attempts_left == expected.attempts_left
            assert self.store.read(jobs.result, user, job_id) == expected.result
            events = self.store.read(jobs.events, user, job_id)
            changes = [event for event in events if event.kind == "STATUS"]
            assert [event.after for event in changes] == expected.changes
            assert all(
                JobStatus(event.after) in EDGES[JobStatus(event.before)] for event in changes[1:]
            )

    @invariant()
    def tally(self):
        if hasattr(self, "store"):
            counted = self.store.read(
                lambda t: t.all(select(schema.job.c.status, func.count()).group_by("status"))
            )
            kept = self.store.read(jobs.counts)
            assert {name: kept[JobStatus(name)] for name, _ in counted} == dict(counted)


def failing(operation, error):
    """The operation, raising after it has written: nothing of it may stay."""

    def fail(transaction, *args):
        operation(transaction, *args)
        raise error

    return fail


def test_the_store_agrees_with_a_model_whatever_is_done(database):
    machine = type("JobsOn", (Jobs,), {"database": database})
    run_state_machine_as_test(machine, settings=examples(40, stateful_step_count=20))


def test_an_operation_that_fails_leaves_nothing(store):
    user = account(store)
    upload(store, user)
    new = NewJob(new_id(), "program")
    with pytest.raises(StoreUnsure):
        store.write(failing(jobs.submit, StoreUnsure("injected")), user, new)
    assert store.read(jobs.page, user).total == 0
