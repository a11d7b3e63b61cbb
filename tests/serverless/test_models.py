"""The words of the service are consistent with each other."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.serverless.models import (
    ACTIVE,
    EDGES,
    TERMINAL,
    Ending,
    JobStatus,
    Payload,
    Principal,
    Scope,
    microseconds,
    moment,
)


def test_a_job_that_has_ended_goes_nowhere():
    assert all(EDGES[status] == frozenset() for status in TERMINAL)
    assert [status for status in JobStatus if status.is_terminal] == [
        status for status in JobStatus if status in TERMINAL
    ]


def test_every_state_can_be_reached_and_left_unless_it_is_an_end():
    assert set(EDGES) == set(JobStatus)
    assert frozenset().union(*EDGES.values()) == set(JobStatus)
    assert all(EDGES[status] & TERMINAL for status in ACTIVE)


@given(st.integers(0, 2**52).map(lambda us: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(0, 0, us)))
def test_times_are_kept_to_the_microsecond(at):
    assert moment(microseconds(at)) == at


def test_an_ending_is_an_end_and_only_a_success_has_a_result():
    assert Ending(JobStatus.SUCCEEDED, result=Payload.of("1")).result.text == "1"
    with pytest.raises(ValueError, match="status=RUNNING: expected one of FAILED, STOPPED, SUCC"):
        Ending(JobStatus.RUNNING)
    with pytest.raises(ValueError, match="only a success"):
        Ending(JobStatus.FAILED, result=Payload.of("1"))


def test_a_jobs_own_token_has_a_scope_of_its_own():
    assert Principal("a", "user").scope is Scope.ACCOUNT
    assert Principal("a", "user", job_id="j").scope is Scope.JOB
