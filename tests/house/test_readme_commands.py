"""The README's two commands are the whole set-up, and the scripts are sound."""

import os
import re
import subprocess
import traceback
from pathlib import Path

import pytest

import shoal

root = Path(__file__).parents[2]
scripts = ["scripts/_env", "scripts/demo", "scripts/lock", "scripts/test", ".ci/run"]


def block(language: str) -> str:
    """The README's first block of code in that language."""
    text = (root / "README.md").read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)[0]


def readme_commands() -> list[str]:
    return [line.removeprefix("$ ") for line in block("console").splitlines()]


def test_the_example_of_the_readme_gives_what_it_says() -> None:
    names: dict[str, object] = {"__name__": "__main__"}
    exec(block("python"), names)
    assert names["energies"] == eval(block("python").rpartition("# ")[2])


def test_the_error_in_the_readme_is_the_one_shown() -> None:
    call, *shown = block("text").splitlines()
    with pytest.raises(ValueError, match="n/a") as caught:
        eval(call.removeprefix(">>> "), {"shoal": shoal})
    lines = "".join(traceback.format_exception_only(caught.value)).splitlines()
    assert lines == shown


def test_set_up_is_two_commands() -> None:
    assert readme_commands() == ["scripts/demo", "scripts/test"]


@pytest.mark.parametrize("command", [*readme_commands(), "scripts/lock", ".ci/run"])
def test_a_command_exists_and_may_be_run(command: str) -> None:
    assert os.access(root / command, os.X_OK)


@pytest.mark.parametrize("script", scripts)
def test_a_script_is_valid_bash(script: str) -> None:
    done = subprocess.run(
        ["bash", "-n", root / script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_ci_calls_the_test_command_of_the_readme() -> None:
    assert "scripts/test" in (root / ".ci/run").read_text()


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_a_link_to_a_file_leads_somewhere(page: str) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", (root / page).read_text())
    assert [link for link in links if not (root / link).exists()] == []
