"""How a program ended decides how its job did, by one table."""

import pytest

from shoal.serverless.models import JobStatus, Payload
from shoal.serverless.runner.outcomes import checked_result, ending_of
from shoal.serverless.runner.places import Exit

GOOD = {"exit_code": 0, "signal": None, "stopped": False, "timed_out": False, "problem": None}


def ended(saved=b"{}", **changes):
    def read():
        if isinstance(saved, Exception):
            raise saved
        return saved

    return ending_of(Exit(**{**GOOD, **changes}), read, Payload.of)


@pytest.mark.parametrize(
    ("changes", "status", "reason"),
    [
        ({}, "SUCCEEDED", ""),
        ({"saved": None}, "SUCCEEDED", ""),
        ({"exit_code": 1}, "FAILED", "EXIT_1"),
        ({"exit_code": 255}, "FAILED", "EXIT_255"),
        *(
            ({"exit_code": None, "signal": number}, "FAILED", f"SIGNAL_{number}")
            for number in (*range(1, 16), 64)
        ),
        ({"saved": b""}, "FAILED", "BAD_RESULT"),
        ({"saved": b"{"}, "FAILED", "BAD_RESULT"),
        ({"saved": b'"\xff"'}, "FAILED", "BAD_RESULT"),
        ({"saved": b"[" * 100_000}, "FAILED", "BAD_RESULT"),
        ({"saved": ValueError("the result is no regular file")}, "FAILED", "BAD_RESULT"),
        ({"exit_code": 3, "saved": b""}, "FAILED", "EXIT_3"),
        ({"exit_code": None, "signal": 15, "timed_out": True}, "FAILED", "TIMEOUT"),
        ({"exit_code": 0, "timed_out": True}, "FAILED", "TIMEOUT"),
        ({"exit_code": None, "signal": 9, "stopped": True}, "STOPPED", "STOPPED_BY_USER"),
        ({"exit_code": 0, "stopped": True}, "STOPPED", "STOPPED_BY_USER"),
        ({"exit_code": None, "stopped": True}, "STOPPED", "STOPPED_BY_USER"),
        ({"exit_code": 127, "problem": "FileNotFoundError"}, "FAILED", "SETUP"),
        ({"exit_code": None}, "FAILED", "LOST"),
    ],
)
def test_each_end_of_a_program_is_one_end_of_its_job(changes, status, reason):
    found = ended(**changes)
    assert (found.status, found.reason) == (status, reason)
    has_result = status == "SUCCEEDED" and changes.get("saved", b"{}") is not None
    assert (found.result is not None) == has_result
    assert found.message or found.status is JobStatus.SUCCEEDED


def test_a_killed_program_is_named_after_its_signal():
    assert "SIGSEGV" in ended(exit_code=None, signal=11).message


@pytest.mark.parametrize(
    "text",
    ['{"a": NaN, "a": 1e999}', "null", '"\\ud800"', " [1,\n2] ", '{"__type__": "x"}', "1" * 4000],
)
def test_a_result_is_kept_byte_for_byte(text):
    assert checked_result(text.encode()) == text
