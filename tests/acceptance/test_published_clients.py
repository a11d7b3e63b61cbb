"""The published clients, each in its own environment, do all that they can at our gateway."""

import json
import shutil
from pathlib import Path

import pytest

from tests.acceptance.environments import (
    CURRENT,
    JOBS_WITH_QISKIT_1,
    LAST_OLD,
    WITH_LOCAL,
    WITH_TASKS,
    interpreter,
)
from tests.serverless.serving import run, serving

HERE = Path(__file__).parent
JOB = r"<Job | "
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def saw(published, script, folder, gateway):
    """What a published client saw."""
    python = interpreter(*published.requirements)
    programs = folder / "programs"
    shutil.copytree(HERE / "programs", programs)
    text = run(
        python,
        HERE / "clients" / script,
        programs,
        folder=folder,
        GATEWAY_HOST=gateway.host,
        GATEWAY_TOKEN=gateway.token,
        PYTHONWARNINGS="ignore",
    )
    return json.loads(text.rpartition("saw:")[2])


@pytest.mark.parametrize("published", [CURRENT, WITH_TASKS, WITH_LOCAL], ids=lambda p: p.version)
def test_a_current_client_does_all_that_it_can(tmp_path, published):
    with serving() as gateway:
        told = saw(published, "current.py", tmp_path, gateway)
    assert "wrong token" in told
    assert told["wrong token"].startswith("QiskitServerlessException")
    assert told["uploaded"] == "flow"
    assert told["functions"] == ["flow"]
    assert told["job"].startswith(JOB)
    assert told["first status"] in ("QUEUED", "INITIALIZING", "RUNNING")
    assert told["sub-status"] == "RUNNING: MAPPING"
    assert told["files"] == ["go.txt"]
    assert told["result"] == {
        "depths": [3, 3],
        "same circuits": True,
        "number": "(1+2j)",
        "array": [0.0, 2.0, 4.0],
    }
    assert told["status"] == "DONE"
    assert told["logs"] == "begun with (1+2j)\nwent on\n"
    assert told["filtered logs"].strip() == "went on"
    assert told["downloaded"] == "go on"
    assert told["files after"] == []
    check_errors(told)
    assert told["stopped"] == "Job has been stopped."
    assert told["stopped status"] == "CANCELED"
    assert told["stopped again"] == "Job already in terminal state."
    check_filters(told)


def check_errors(told):
    assert told["error"].startswith("QiskitServerlessException")
    assert "ZeroDivisionError: division by zero" in told["error"]
    assert told["error status"] == "ERROR"
    assert "in divide" in told["error logs"]
    if "reported" in told:
        for words in ("E42", "the sky fell", "ValueError: sky"):
            assert words in told["reported"]
        kind, data = told["event"]
        assert kind == "ERROR"
        assert (data["code"], data["message"]) == ("E42", "the sky fell")
        assert told["statuses"]


def check_filters(told):
    assert told["jobs"]
    assert told["done"] == [True]
    assert told["of flow"] == [True]
    assert told["later"] == 0
    assert told["since"]
    assert told["found"] == "DONE"
    # 0.28 shows the first letter of the gateway's message only.
    assert "Code: 404" in told["unknown program"]
    assert "Code: 404" in told["unknown job"]
    if "valid" in told:
        assert told["valid"] == {"valid": True}
        assert told["invalid"].startswith("QiskitServerlessException")
        assert told["refused"].startswith("QiskitServerlessException")


def test_the_last_of_the_old_clients_does_all_that_it_can(tmp_path):
    # It reads no circuits that a newer Qiskit than its own has written.
    with serving(job_python=interpreter(*JOBS_WITH_QISKIT_1)) as gateway:
        told = saw(LAST_OLD, "old.py", tmp_path, gateway)
    assert told["provider"] == "<ServerlessProvider: gateway-provider>"
    assert told["uploaded"] == "flow"
    assert told["programs"] == ["flow"]
    assert told["job"].startswith(JOB)
    assert told["first status"] in ("QUEUED", "INITIALIZING", "RUNNING")
    assert told["upload"] != "Upload failed"
    assert told["files"] == ["go.txt"]
    assert told["result"] == {
        "depths": [2],
        "same circuits": True,
        "number": "(1+2j)",
        "array": [0.0, 2.0, 4.0],
    }
    assert told["status"] == "DONE"
    assert told["files after"] == []
    assert told["error result"] == {}
    assert told["error status"] == "ERROR"
    assert "ZeroDivisionError: division by zero" in told["error logs"]
    assert told["stopped"] == "Job has been stopped."
    assert told["stopped status"] == "CANCELED"
    assert told["jobs"] == 3
    assert told["found"] == "DONE"
