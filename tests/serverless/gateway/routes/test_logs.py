"""Logs are what was written, in order, while it is written; a provider's are told apart."""

import pytest

from shoal.serverless.gateway.routes.logs import not_public, public, texts, unmarked
from shoal.serverless.runner.shim import Log
from tests.serverless.gateway.serving import HOLDS

MIXED = """import sys
print("[PUBLIC] for all", flush=True)
print("[PRIVATE] for few", file=sys.stderr, flush=True)
print("plain", flush=True)
"""


def logs(user, job_id, kind="logs"):
    return user.get(f"/jobs/{job_id}/{kind}/").json()["logs"]


def test_what_is_printed_is_there_while_the_job_runs(user):
    job_id = user.run(HOLDS)
    user.until_logged(job_id, "up\n")
    assert user.job(job_id)["status"] in ("PENDING", "RUNNING")
    user.post(f"/jobs/{job_id}/stop/")


def test_both_streams_are_one_log_without_the_loggers_marks(user):
    job_id = user.run(MIXED)
    user.until(job_id)
    assert logs(user, job_id) == "for all\nfor few\nplain\n"


def test_the_traceback_of_a_failed_job_is_in_its_log(user):
    job_id = user.run("import nonsense")
    assert user.until(job_id)["status"] == "FAILED"
    assert logs(user, job_id).endswith("ModuleNotFoundError: No module named 'nonsense'\n")


def test_a_providers_program_shows_its_user_what_is_public_and_the_provider_the_rest(user):
    job_id = user.run(MIXED, "lab/program")
    user.until(job_id)
    assert logs(user, job_id) == "for all\n"
    assert logs(user, job_id, "provider-logs") == "for few\nplain\n"


def test_without_a_provider_there_are_no_logs_of_one(user):
    job_id = user.run("")
    answer = user.get(f"/jobs/{job_id}/provider-logs/")
    message = f"You don't have access to job [{job_id}]"
    assert (answer.status_code, answer.json()) == (403, {"message": message})


def test_a_long_log_comes_whole(user):
    job_id = user.run("for n in range(200_000): print(n)")
    user.until(job_id)
    assert logs(user, job_id) == "".join(f"{n}\n" for n in range(200_000))


def test_bytes_that_are_no_text_are_shown_as_such(user):
    job_id = user.run("import os\nos.write(1, b'\\xff\\x00\\x1b[31m\\xc3\\xa9')")
    user.until(job_id)
    assert logs(user, job_id) == "\ufffd\0\x1b[31mé"


@pytest.mark.parametrize(
    ("view", "seen"),
    [
        (unmarked, "a\nb [PUBLIC] c\nd\n"),
        (public, "a\n"),
        (not_public, "b [PUBLIC] c\nd\n"),
    ],
)
def test_marks_count_at_the_beginning_of_a_line(view, seen):
    assert view("[PUBLIC] a\nb [PUBLIC] c\n[PRIVATE] d\n") == seen


def test_a_log_of_which_the_beginning_is_gone_says_so(tmp_path):
    log = Log(str(tmp_path / "log"), 800)
    for n in range(400):
        log.write(b"%05d\n" % n)
    log.close()
    text = "".join(texts(tmp_path / "log", unmarked, 10_000))
    head, _, rest = text.partition("\n")
    assert head.startswith("[The first ")
    assert rest.endswith("00398\n00399\n")


def test_a_line_across_pieces_is_one_line(tmp_path):
    log = Log(str(tmp_path / "log"), 80)
    line = "[PUBLIC] " + "é" * 20 + "\n"
    log.write(line.encode())
    log.close()
    assert "".join(texts(tmp_path / "log", public, 10_000)) == "é" * 20 + "\n"
