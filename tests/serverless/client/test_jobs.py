"""A job tells where it is, what it wrote, what it saved, and why it failed."""

import io
import threading
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from shoal.serverless import JobFailed, JobStopped, NotFound, ResultNotReady, ServerlessClient
from shoal.serverless.client.jobs import last_words
from tests.faults.watching import until

SAVES = """
from shoal.serverless import get_arguments, save_result
arguments = get_arguments()
print("given", sorted(arguments))
save_result({name: value for name, value in arguments.items()})
"""
HOLDS = "import time\nprint('up', flush=True)\ntime.sleep(600)\n"
STEPS = """
import os, pathlib, sys, time
print("first", flush=True)
while not pathlib.Path(os.environ["DATA_PATH"], "go").exists():
    time.sleep(0.01)
print("\\x1b[31msecond\\x1b[0m")
"""


def test_a_result_comes_back_as_the_values_that_were_saved(upload):
    values = {"x": 1, "z": 2 - 1j, "array": np.arange(6.0).reshape(2, 3), "nan": float("nan")}
    job = upload(SAVES).run(**values)
    result = job.result(timeout_seconds=60)
    assert result["x"] == 1
    assert result["z"] == 2 - 1j
    assert np.array_equal(result["array"], values["array"])
    assert np.isnan(result["nan"])
    assert job.status() == "DONE"
    assert job.in_terminal_state()
    assert job.logs() == "given ['array', 'nan', 'x', 'z']\n"
    assert job.filtered_logs(include="given", exclude="nothing") == job.logs().rstrip()
    assert job.filtered_logs(exclude="given") == ""
    assert job.error_message() is None


def test_a_job_that_saves_nothing_has_no_result(upload):
    assert upload("print('done')").run().result(timeout_seconds=60) is None


def test_a_failed_job_raises_with_its_programs_traceback(upload):
    job = upload("def f():\n    return 1 / 0\n\nf()\n").run()
    with pytest.raises(JobFailed, match="ZeroDivisionError: division by zero$") as caught:
        job.result(timeout_seconds=60)
    error = caught.value
    assert f"job {job.job_id} failed (EXIT_1)" in str(error)
    assert "in f" in str(error)
    assert str(error).count("Traceback") == 1
    assert (error.job_id, error.reason) == (job.job_id, "EXIT_1")
    assert job.error_message() == str(error)
    assert job.status() == "ERROR"


def test_an_error_cannot_steer_the_terminal_that_shows_it(upload):
    job = upload("raise ValueError('\\x1b]0;owned\\x07')").run()
    with pytest.raises(JobFailed, match=r"ValueError: \\x1b\]0;owned\\x07$") as caught:
        job.result(timeout_seconds=60)
    assert caught.value.logs.endswith("ValueError: \x1b]0;owned\x07\n")


def test_what_a_program_told_of_its_failure_is_in_the_error(upload):
    source = (
        "from shoal.serverless import send_error\n"
        "send_error(code='E7', message='no more circuits', exception='ValueError: none')\n"
        "raise SystemExit(2)\n"
    )
    with pytest.raises(JobFailed, match="E7: no more circuits\nValueError: none"):
        upload(source).run().result(timeout_seconds=60)


def test_a_job_that_has_not_ended_has_no_result_yet(upload):
    job = upload(HOLDS).run()
    with pytest.raises(ResultNotReady, match="its status is "):
        job.result(wait=False)
    with pytest.raises(ResultNotReady, match="has not ended in the time given; it goes on"):
        job.result(timeout_seconds=0.2)
    with pytest.raises(TimeoutError):
        job.wait(timeout_seconds=0.0)
    with pytest.raises(ResultNotReady, match="in the time given"):
        job.result(True, 0.05, False, 3)  # as the published clients have it
    for seconds in (-1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="timeout_seconds="):
            job.result(timeout_seconds=seconds)
    job.stop()
    assert job.wait(timeout_seconds=60) == "CANCELED"
    with pytest.raises(JobStopped, match="was stopped"):
        job.result()
    assert job.stop() == "Job already in terminal state."


def test_a_job_can_be_followed_while_it_runs(upload, client, tmp_path):
    job = upload(STEPS).run()
    text, notes = io.StringIO(), io.StringIO()
    ended = []
    thread = threading.Thread(
        target=lambda: ended.append(job.follow(text, status_file=notes, timeout_seconds=90))
    )
    thread.start()
    until(lambda: text.getvalue() == "first\n", what="the first line, before the end")
    (tmp_path / "go").write_text("")
    client.file_upload(tmp_path / "go")
    thread.join()
    client.file_delete("go")
    assert ended == ["DONE"]
    assert text.getvalue() == "first\n\\x1b[31msecond\\x1b[0m\n"
    assert notes.getvalue().splitlines()[-1].endswith("s] DONE")


def test_who_follows_a_job_that_fails_is_told_how_it_ended(upload):
    notes = io.StringIO()
    job = upload("raise SystemExit(3)").run()
    assert job.follow(io.StringIO(), status_file=notes, timeout_seconds=60) == "ERROR"
    assert "s] ERROR: It ended with exit code 3." in notes.getvalue().splitlines()[-1]


def test_a_fresh_status_is_told_at_once_and_again(upload):
    job = upload(HOLDS).run()
    before = datetime.now(UTC)
    said = [job.status() for _ in range(20)]
    assert set(said) <= {"QUEUED", "INITIALIZING", "RUNNING"}
    # A gateway that held each answer until something changes would take ten seconds for each.
    assert datetime.now(UTC) - before < timedelta(seconds=100)
    job.cancel(service=None)
    job.wait(timeout_seconds=60)


def test_events_tell_what_happened(upload):
    job = upload("").run()
    job.wait(timeout_seconds=60)
    events = job.events()
    assert events
    assert {"event_type", "origin", "context", "created", "data"} <= set(events[0])


def test_a_job_is_shown_and_compared_by_its_id(upload, client):
    job = upload("").run()
    assert repr(job) == f"<Job | {job.job_id}>"
    assert client.job(job.job_id) == job
    assert len({client.job(job.job_id), job}) == 1
    assert job != job.job_id


def test_a_job_of_nobody_is_not_found(client):
    with pytest.raises(NotFound, match=r"Job \[00000000-.* not found"):
        client.job("00000000-0000-7000-8000-000000000000")
    with pytest.raises(ValueError, match="expected an id"):
        client.job("../../programs")


def test_a_result_is_the_same_through_polling(upload, gateway, monkeypatch):
    """As from a gateway that has no event stream."""
    client = ServerlessClient(gateway.host, gateway.token)
    ask = client._connection.stream

    def without_stream(path, **content):
        return ask(path.replace("/stream/", "/none/"), **content)

    monkeypatch.setattr(client._connection, "stream", without_stream)
    upload(SAVES)
    job = client.run("program", {"x": 1})
    text = io.StringIO()
    assert job.follow(text, status_file=io.StringIO(), timeout_seconds=60) == "DONE"
    assert text.getvalue() == "given ['x']\n"
    assert job.result(timeout_seconds=60) == {"x": 1}
    client.close()


CHAIN = """Traceback (most recent call last):
  one
KeyError: 1

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  two
ValueError: 2"""


@pytest.mark.parametrize(
    ("logs", "words"),
    [
        ("", ""),
        ("a\nb\n", "a\nb"),
        ("\n".join(map(str, range(100))), "\n".join(map(str, range(70, 100)))),
        (f"before\n{CHAIN}\n", CHAIN),
        (
            f"Traceback (most recent call last):\n  old\nOSError\nx\n{CHAIN}\nafter\n",
            f"{CHAIN}\nafter",
        ),
    ],
)
def test_the_last_words_are_the_last_traceback_with_what_led_to_it(logs, words):
    assert last_words(logs) == words
