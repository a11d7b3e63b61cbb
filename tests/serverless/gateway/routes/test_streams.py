"""A stream tells each change once, then what was written, then how it ended, and can be resumed."""

import json

import pytest

from shoal.serverless.gateway.routes import streams
from shoal.serverless.gateway.routes.streams import ready
from tests.serverless.gateway.serving import HOLDS

SLOW = """import sys
for n in range(3):
    print('é', n, flush=True)
sys.stdin.read()
"""


def events(user, job_id, **options):
    """The events of a stream to its end, as (name, data, id)."""
    found, name, number = [], None, None
    with user.client.stream("GET", f"/api/v1/jobs/{job_id}/stream/", **options) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        for line in answer.iter_lines():
            key, _, value = line.partition(": ")
            if key == "event":
                name, number = value, None
            elif key == "id":
                number = int(value)
            elif key == "data":
                found.append((name, json.loads(value), number))
    return found


def written(found):
    return "".join(data["text"] for name, data, _ in found if name == "log")


def test_a_stream_tells_every_state_in_order_and_ends_with_the_last(user):
    job_id = user.run(SLOW)
    found = events(user, job_id)
    states = [data["status"] for name, data, _ in found if name == "status"]
    order = ["QUEUED", "PENDING", "RUNNING", "SUCCEEDED"]
    assert states == [state for state in order if state in states]
    assert found[-1][0] == "status"
    assert states[-1] == "SUCCEEDED"
    assert written(found) == "é 0\né 1\né 2\n"


def test_of_a_job_that_has_ended_there_is_its_log_and_its_end(user):
    job_id = user.run("print('é' * 300_000)\nraise SystemExit(2)")
    user.until(job_id)
    found = events(user, job_id)
    assert written(found) == "é" * 300_000 + "\n"
    assert found[-1][1]["reason"] == "EXIT_2"
    assert [name for name, _, _ in found].count("status") == 1


def test_a_stream_goes_on_where_another_broke_off(user):
    job_id = user.run(SLOW)
    user.until(job_id)
    whole = events(user, job_id)
    for number in range(len("é 0\né 1\né 2\n".encode()) + 1):
        rest = events(user, job_id, headers={"Last-Event-ID": str(number)})
        assert written(whole).encode()[number:].decode(errors="replace") == written(rest)
    last = [number for name, _, number in whole if name == "log"][-1]
    assert written(events(user, job_id, params={"offset": last})) == ""


def test_an_offset_in_the_log_of_another_attempt_is_the_beginning_of_this_one(user):
    job_id = user.run(SLOW)
    user.until(job_id)
    whole = events(user, job_id)
    assert {data["attempt"] for name, data, _ in whole if name == "log"} == {1}
    for attempt, rest in (("1", "é 2\n"), ("0", "é 0\né 1\né 2\n")):
        found = events(user, job_id, params={"offset": "10", "attempt": attempt})
        assert written(found) == rest


def test_without_logs_there_are_only_states(user):
    job_id = user.run(SLOW)
    found = events(user, job_id, params={"logs": "false"})
    assert {name for name, _, _ in found} == {"status"}


def test_of_a_providers_program_only_public_lines_are_streamed(user):
    source = "import os\nfor part in ('[PUB', 'LIC] a\\nsec', 'ret\\n'): os.write(1, part.encode())"
    job_id = user.run(source, "lab/program")
    assert written(events(user, job_id)) == "a\n"


def test_however_little_is_told_at_once_the_log_comes_whole_before_the_end(user, monkeypatch):
    monkeypatch.setattr(streams, "_PARTS_AT_ONCE", 2)
    monkeypatch.setattr(streams, "_PIECE_BYTES", 7)
    job_id = user.run("for n in range(100): print('é', n, flush=True)")
    found = events(user, job_id)
    assert written(found) == "".join(f"é {n}\n" for n in range(100))
    assert found[-1][1]["status"] == "SUCCEEDED"


def test_a_reader_that_leaves_is_forgotten(served, user):
    job_id = user.run(HOLDS)
    with user.client.stream("GET", f"/api/v1/jobs/{job_id}/stream/") as answer:
        assert next(answer.iter_lines()) == "event: status"
    user.post(f"/jobs/{job_id}/stop/")
    assert user.until(job_id)["status"] == "STOPPED"


@pytest.mark.parametrize(
    ("data", "whole_lines", "size"),
    [
        (b"abc", False, 3),
        (b"abc\xc3", False, 3),
        (b"a\n[PUB", False, 2),
        (b"[PUBLIC] x", False, 10),
        (b"a\nb", True, 2),
        (b"abc", True, 0),
        (b"x" * (1 << 18), True, 1 << 18),
        (b"", False, 0),
    ],
)
def test_what_is_not_complete_waits(data, whole_lines, size):
    assert ready(data, whole_lines=whole_lines) == size
