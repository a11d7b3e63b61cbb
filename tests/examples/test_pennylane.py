"""The examples with PennyLane run, and print what they claim."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("pennylane")

EXAMPLES = Path(__file__).parents[2] / "examples"


def printed(tmp_path, name, *words):
    command = [sys.executable, "-W", "error::DeprecationWarning:__main__", EXAMPLES / name, *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.slow
def test_the_forum_benchmark_prints_a_line_for_each_size(tmp_path):
    lines = printed(tmp_path, "forum_benchmark.py", "--qubits", "3", "4", "--circuits", "6")
    rows = re.findall(r"^ +(\d+)((?: +[\d.]+){4})$", lines, re.MULTILINE)
    assert [int(qubits) for qubits, _ in rows] == [3, 4]


def test_the_eigensolver_descends_towards_the_exact_energy(tmp_path):
    lines = printed(tmp_path, "vqe_gradient.py", "--qubits", "3", "--steps", "12", "--layers", "1")
    energies = [float(each) for each in re.findall(r"energy ([+-][\d.]+)", lines)]
    last, exact = map(float, re.findall(r"(?:end|exact) ([+-][\d.]+)", lines))
    assert energies == sorted(energies, reverse=True)
    assert exact <= last < energies[-1]


@pytest.mark.slow
def test_training_on_batches_lowers_the_loss(tmp_path):
    lines = printed(tmp_path, "adjoint_batch.py", "--batch", "16", "--steps", "11")
    losses = [float(each) for each in re.findall(r"loss ([\d.]+)", lines)]
    assert len(losses) == 3
    assert losses[-1] < losses[0]
