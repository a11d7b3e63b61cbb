"""``shoal exec`` runs a program as a job is run, and ends as it does."""

import json
import os
import signal
import subprocess
import sys

import pytest

from shoal.cli import main

PROGRAM = """
from quantum_serverless import *
import os, sys
given = get_arguments()
@distribute_task()
def square(x): return x * x
print("given", given)
save_result({
    "squares": get([square(x) for x in given.get("xs", [])]),
    "z": 1j,
    "executor": os.environ.get("SHOAL_EXECUTOR"),
    "job": is_running_in_serverless(),
})
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SHOAL_EXECUTOR", raising=False)
    monkeypatch.delenv("ENV_JOB_ID_GATEWAY", raising=False)
    (tmp_path / "program.py").write_text(PROGRAM)
    return tmp_path


def test_a_program_gets_its_arguments_and_gives_its_result(folder, capfd):
    (folder / "arguments.json").write_text('{"xs": [1, 2, 3]}')
    assert main(["exec", "program.py", "--arguments", "arguments.json"]) == 0
    given, result = capfd.readouterr().out.splitlines()
    assert given == "given {'xs': [1, 2, 3]}"
    assert json.loads(result) == {
        "squares": [1, 4, 9],
        "z": {"__type__": "complex", "__value__": [0.0, 1.0]},
        "executor": None,
        "job": False,
    }


def test_arguments_come_by_the_standard_input_and_results_go_to_a_file(folder):
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "shoal", "exec", "program.py"),
            *("--arguments", "-", "--result", "r.json", "--executor", "threads"),
        ],
        input='{"xs": [2]}',
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout == "given {'xs': [2]}\n"
    result = json.loads((folder / "r.json").read_text())
    assert (result["squares"], result["executor"]) == ([4], "threads")


def test_without_arguments_there_are_none(capfd):
    assert main(["exec", "program.py"]) == 0
    assert capfd.readouterr().out.startswith("given {}\n")


@pytest.mark.parametrize(
    ("source", "status"),
    [
        ("pass", 0),
        ("import sys; sys.exit(3)", 3),
        ("1/0", 1),
        ("import os; os.kill(os.getpid(), 9)", 137),
        ("from qiskit_serverless import *; save_result(1); raise SystemExit(4)", 4),
    ],
)
def test_the_exit_status_is_the_programs(folder, capfd, source, status):
    (folder / "program.py").write_text(source)
    assert main(["exec", "program.py"]) == status
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.py"], "program='none.py': there is no such file"),
        (["."], "there is no such file"),
        (["program.py", "--arguments", "none.json"], "arguments from none.json: "),
        (["program.py", "--arguments", "bad.json"], "arguments from bad.json: Expecting"),
        (["program.py", "--arguments", "list.json"], "expected a JSON object, not a list"),
        (["program.py", "--python", "/no/such"], "python='/no/such' cannot be started"),
        (["program.py", "--result", "/no/such/file"], "result='/no/such/file' cannot be written"),
    ],
)
def test_what_cannot_be_run_is_said_in_a_line(folder, capfd, arguments, message):
    (folder / "bad.json").write_text("{")
    (folder / "list.json").write_text("[]")
    assert main(["exec", *arguments]) == 1
    errors = capfd.readouterr().err
    assert message in errors
    assert errors.count("\n") == 1


@pytest.mark.parametrize(
    "save", ["open(path, 'w').write('{')", "open(path, 'wb').write(b'\\xff')", "os.mkdir(path)"]
)
def test_what_no_gateway_would_take_for_a_result_is_none_here(folder, capfd, save):
    source = f"import os\npath = os.environ['RESULTS_PATH']\n{save}\n"
    (folder / "program.py").write_text(source)
    assert main(["exec", "program.py"]) == 1
    assert "what the program saved is not a result: " in capfd.readouterr().err


def test_a_program_finds_its_files_in_this_folder(folder, capfd):
    (folder / "program.py").write_text("import os\nprint(os.environ['DATA_PATH'])")
    assert main(["exec", "program.py"]) == 0
    assert capfd.readouterr().out == f"{folder}\n"


def test_an_interruption_reaches_the_program_and_is_waited_for(folder):
    (folder / "program.py").write_text(
        "import time\ntry:\n    print('up', flush=True)\n    time.sleep(600)\n"
        "except KeyboardInterrupt:\n    print('cleaned up')\n    raise SystemExit(7)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-m", "shoal", "exec", "program.py"],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout.readline() == "up\n"
        os.killpg(process.pid, signal.SIGINT)
        assert process.stdout.read() == "cleaned up\n"
        assert process.wait() == 7
