"""The example of a kernel by matrix product states runs, and prints what it claims."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("qiskit")

EXAMPLE = Path(__file__).parents[2] / "examples" / "mps_kernel.py"


def printed(tmp_path, *words):
    command = [sys.executable, "-W", "error::DeprecationWarning:__main__", EXAMPLE, *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_a_small_one_agrees_with_state_vectors(tmp_path):
    lines = printed(tmp_path, "--side", "3", "--samples", "60")
    assert "mps: it was asked for" in lines
    assert "1770 pairs of 9 qubits" in lines
    assert float(re.search(r"agree to (\S+)", lines)[1]) < 1e-12


@pytest.mark.slow
def test_hundreds_of_qubits_classify_digits(tmp_path):
    lines = printed(tmp_path, "--side", "28", "--samples", "200")
    assert "19900 pairs of 784 qubits" in lines
    assert float(re.search(r"this kernel (\S+),", lines)[1]) > 0.8
