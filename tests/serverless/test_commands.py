"""The users' commands do what the client does, with a status for each way it can end."""

import json
import signal
import subprocess
import sys

import pytest

from shoal.cli import main
from tests.serverless.serving import clean_environment, serving

ECHO = "from shoal.serverless import get_arguments, save_result\nsave_result(get_arguments())\n"


@pytest.fixture(scope="module")
def gateway():
    with serving(max_jobs=4, job_imports="shoal.serverless.runtime") as served:
        yield served


@pytest.fixture
def shoal(gateway, capsys, monkeypatch, tmp_path):
    """Runs a command in an empty folder; returns its status, output and complaints."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SHOAL_GATEWAY_HOST", gateway.host)
    monkeypatch.setenv("SHOAL_GATEWAY_TOKEN", gateway.token)

    def shoal(*arguments):
        capsys.readouterr()
        status = main([str(argument) for argument in arguments])
        return status, *capsys.readouterr()

    return shoal


@pytest.fixture
def run(shoal, tmp_path):
    """Uploads and runs a program of one file; returns the job's id."""

    def run(source, *options):
        (tmp_path / "program.py").write_text(source)
        assert shoal("upload", "program.py") == (0, "program\n", "")
        status, out, err = shoal("run", "program", *options)
        assert (status, err) == (0, "")
        return out.strip()

    return run


def test_a_program_goes_up_runs_and_gives_its_result(shoal, run, tmp_path):
    (tmp_path / "arguments.json").write_text('{"x": [1, 2.5]}')
    job = run(ECHO, "--arguments", "arguments.json")
    status, out, err = shoal("result", job)
    assert (status, json.loads(out), err) == (0, {"x": [1, 2.5]}, "")
    assert shoal("result", "--json", job)[1] == '{"x": [1, 2.5]}\n'
    assert shoal("status", job) == (0, "DONE\n", "")
    told = json.loads(shoal("status", "--json", job)[1])
    assert (told["id"], told["status"], told["title"]) == (job, "DONE", "program")
    assert shoal("logs", job) == (0, "", "")


def test_a_folder_goes_up_with_its_program(shoal, tmp_path):
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "part.py").write_text("value = 7\n")
    (tmp_path / "source" / "main.py").write_text(
        "import part\nfrom shoal.serverless import save_result\nsave_result(part.value)\n"
    )
    told = shoal("upload", "main.py", "--working-dir", "source", "--title", "whole", "--json")
    assert (told[0], json.loads(told[1])) == (0, {"title": "whole", "provider": None})
    job = json.loads(shoal("run", "whole", "--json")[1])["id"]
    assert shoal("result", job)[1] == "7\n"


def test_a_failed_job_is_status_3_with_its_traceback(shoal, run):
    job = run("print('so far')\nraise ValueError('just so')\n")
    status, out, err = shoal("result", job)
    assert (status, out) == (3, "")
    assert "ValueError: just so" in err
    status, out, err = shoal("logs", "--follow", job)
    assert status == 3
    assert out.startswith("so far\nTraceback")
    assert err.endswith("s] ERROR: It ended with exit code 1. The job's logs say more.\n")


def test_a_stopped_job_is_status_4_and_one_that_goes_on_is_5(shoal, run):
    job = run("import time\ntime.sleep(600)\n")
    status, out, err = shoal("result", job, "--timeout", "0.1")
    assert (status, out) == (5, "")
    assert "it goes on" in err
    assert shoal("stop", job) == (0, "Job has been stopped.\n", "")
    assert shoal("result", job)[0] == 4


def test_jobs_are_a_table_or_json(shoal, run):
    job = run("")
    shoal("result", job)
    status, out, err = shoal("jobs", "--title", "program", "--limit", "1")
    head, row = out.splitlines()
    assert (status, err) == (0, "")
    assert head.split() == ["ID", "STATUS", "PROGRAM", "CREATED"]
    assert row.split()[:3] == [job, "DONE", "program"]
    [told] = json.loads(shoal("jobs", "--json", "--limit", "1")[1])
    assert (told["id"], told["status"]) == (job, "DONE")
    assert shoal("jobs", "--status", "ERROR", "--title", "none")[1].split() == head.split()


def test_what_others_wrote_cannot_steer_the_terminal(shoal, run):
    job = run("print('\\x1b]0;owned\\x07' + 'a\\tb\\n' + '\\u202ec')\n")
    shoal("result", job)
    assert shoal("logs", job)[1] == "\\x1b]0;owned\\x07a\tb\n\\u202ec\n"
    assert shoal("logs", "-f", job)[1] == "\\x1b]0;owned\\x07a\tb\n\\u202ec\n"
    assert json.loads(shoal("logs", "--json", job)[1])["logs"] == "\x1b]0;owned\x07a\tb\n\u202ec\n"


def test_a_key_makes_a_repeated_command_one_job(run):
    assert run(ECHO, "--key", "once") == run(ECHO, "--key", "once")


def test_files_go_up_and_come_back(shoal, tmp_path):
    (tmp_path / "a.txt").write_text("a")
    (tmp_path / "b.txt").write_text("b")
    assert shoal("files", "upload", "a.txt", "b.txt") == (0, "a.txt\nb.txt\n", "")
    assert shoal("files", "list")[1] == "a.txt\nb.txt\n"
    assert json.loads(shoal("files", "list", "--json")[1]) == ["a.txt", "b.txt"]
    assert shoal("files", "download", "a.txt", "--to", "there")[1] == "there/a.txt\n"
    assert (tmp_path / "there" / "a.txt").read_text() == "a"
    assert shoal("files", "delete", "a.txt", "b.txt")[0] == 0
    assert shoal("files", "list")[1] == ""
    assert shoal("files", "download", "a.txt")[0] == 1


@pytest.mark.parametrize(
    ("command", "what"),
    [
        (("status", "00000000-0000-7000-8000-000000000000"), "not found"),
        (("status", "../x"), "expected an id"),
        (("run", "none such"), "none such"),
        (("upload", "none.py"), "none.py: no such file"),
        (("upload", "none.py", "--working-dir", "."), "no such file"),
        (("run", "p", "--arguments", "none.json"), "none.json"),
        (("jobs", "--host", "nonsense"), "expected an address"),
        (("jobs", "--host", "http://127.0.0.1:1"), "cannot be reached"),
        (("jobs", "--token-file", "none"), "none"),
        (("files", "upload", "none"), "is no file"),
        (("jobs", "--limit", "0"), "limit=0"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_status_1(shoal, command, what):
    status, out, err = shoal(*command)
    assert (status, out) == (1, "")
    assert err.startswith("shoal: ")
    assert err.count("\n") == 1
    assert what in err


@pytest.mark.parametrize("text", ["", "{", "[1]", "3", '{"x": 1}}'])
def test_arguments_that_are_no_object_are_refused_before_anything_is_sent(shoal, tmp_path, text):
    (tmp_path / "arguments.json").write_text(text)
    status, out, err = shoal("run", "none such", "--arguments", "arguments.json")
    assert (status, out) == (1, "")
    assert "arguments from arguments.json" in err


def test_a_token_may_be_in_a_file_and_is_never_an_argument(shoal, gateway, monkeypatch):
    monkeypatch.delenv("SHOAL_GATEWAY_TOKEN")
    assert shoal("jobs", "--limit", "1", "--token-file", gateway.data / "admin-token")[0] == 0
    status, _, err = shoal("jobs")
    assert status == 1
    assert "--token-file FILE" in err
    assert "SHOAL_GATEWAY_TOKEN" in err


def test_run_can_follow_to_the_end(shoal, run):
    job = run("print('hello')\n")
    status, out, err = shoal("run", "program", "--follow")
    told, *lines = out.splitlines()
    assert (status, lines) == (0, ["hello"])
    assert told != job
    assert err.endswith("s] DONE\n")


@pytest.fixture
def follow(gateway, run):
    """Starts ``shoal logs -f`` on a job as a program of its own."""

    def follow(job, encoding="utf-8"):
        return subprocess.Popen(
            [sys.executable, "-m", "shoal", "logs", "-f", job],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=clean_environment(
                SHOAL_GATEWAY_HOST=gateway.host,
                SHOAL_GATEWAY_TOKEN=gateway.token,
                PYTHONIOENCODING=encoding,
            ),
        )

    return follow


def test_what_a_terminal_cannot_show_is_shown_as_an_escape(run, follow):
    with follow(run("print('ü')\n"), encoding="ascii") as program:
        assert program.stdout.read() == b"\\xfc\n"
    assert program.returncode == 0


def test_ctrl_c_ends_the_looking_and_not_the_job(shoal, run, follow):
    job = run("import time\nprint('up', flush=True)\ntime.sleep(600)\n")
    with follow(job) as program:
        assert program.stdout.readline() == b"up\n"
        program.send_signal(signal.SIGINT)
        assert b"Traceback" not in program.stderr.read()
    assert program.returncode == 130
    assert shoal("status", job)[1] == "RUNNING\n"
    shoal("stop", job)


@pytest.mark.parametrize("command", [("upload",), ("run", "--nonsense"), ("files", "what")])
def test_wrong_usage_is_status_2(command):
    with pytest.raises(SystemExit) as caught:
        main(list(command))
    assert caught.value.code == 2


def test_the_commands_load_nothing_of_weight_before_they_are_run():
    code = (
        "import sys; from shoal.cli import _parser; _parser(); "
        "print({'numpy', 'httpx', 'sqlalchemy', 'starlette', 'shoal.tasks'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
