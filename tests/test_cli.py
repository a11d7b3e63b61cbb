"""The command line shows a checkpoint, or says in one line why it cannot."""

import subprocess
import sys
from pathlib import Path

import pytest

import shoal
from shoal.cli import main
from shoal.tasks import Checkpoint, Part, summary


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "file"
    source = Part("function", "d", "def f(x):\n    return 'ü \ud800'\n")
    with Checkpoint(path, [source], layout=b"", total=9) as checkpoint:
        checkpoint.append([0, 1], None, {2: "ValueError: bad"})
    return path


def shown(capsys, *arguments):
    status = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return status, out, err


def test_show_prints_the_summary_and_changes_nothing(capsys, path):
    before = path.read_bytes()
    status, out, err = shown(capsys, "checkpoint", "show", path)
    assert (status, err) == (0, "")
    assert out == f"{summary(path)}\n"
    assert "return 'ü \\ud800'" in out
    assert "points: 2 done, 1 failed, 6 missing, of 9" in out
    assert path.read_bytes() == before


def test_show_works_while_the_checkpoint_is_open(capsys, path):
    source = summary(path).parts
    with Checkpoint(path, source, layout=b"", total=9):
        assert shown(capsys, "checkpoint", "show", path)[0] == 0


@pytest.mark.parametrize(
    ("content", "why"),
    [(None, "No such file"), (b"", "empty"), (b"hello", "not a checkpoint")],
)
def test_what_cannot_be_shown_is_one_line_and_status_1(capsys, tmp_path, content, why):
    path = tmp_path / "other"
    if content is not None:
        path.write_bytes(content)
    status, out, err = shown(capsys, "checkpoint", "show", path)
    assert (status, out) == (1, "")
    assert err.startswith(f"shoal: {path}: ")
    assert why in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("arguments", [[], ["checkpoint"]])
def test_without_a_command_it_helps(capsys, arguments):
    status, out, err = shown(capsys, *arguments)
    assert (status, err) == (0, "")
    assert out.startswith("usage: shoal")


def test_the_version_is_told(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"shoal {shoal.__version__}\n"


@pytest.mark.parametrize("arguments", [["chekpoint"], ["checkpoint", "show"], ["--what"]])
def test_a_wrong_command_is_status_2_with_the_usage(capsys, arguments):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: shoal" in capsys.readouterr().err


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_python_m_shoal_is_the_command_on_any_terminal(path, encoding):
    done = subprocess.run(
        [sys.executable, "-m", "shoal", "checkpoint", "show", path],
        capture_output=True,
        env={"PYTHONIOENCODING": encoding},
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert "return 'ü" in done.stdout.decode(encoding).replace("\\xfc", "ü")


def test_a_reader_that_stops_reading_is_no_error(path):
    with subprocess.Popen(
        [sys.executable, "-m", "shoal", "checkpoint", "show", path],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as program:
        program.stdout.close()
        assert program.stderr.read() == b""


def test_importing_the_command_line_loads_nothing_of_weight():
    code = "import sys, shoal.cli; print({'numpy', 'shoal.tasks', 'xarray'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_the_entry_point_is_this_function():
    text = (Path(__file__).parents[1] / "pyproject.toml").read_text()
    assert 'shoal = "shoal.cli:main"' in text
