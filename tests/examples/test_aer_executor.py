"""The example of Aer's executors really uses them, and gives Aer's counts."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("qiskit_aer")

EXAMPLE = Path(__file__).parents[2] / "examples" / "aer_executor.py"


def test_sixty_circuits_are_sixty_jobs_or_thirty_and_give_the_counts_of_aer(tmp_path):
    command = [sys.executable, EXAMPLE]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert [line.split(" jobs")[0].split()[-1] for line in lines] == ["60", "30", "6"]
    assert all(line.endswith("True") for line in lines)
