"""The examples with Qiskit run, and their results are those of Qiskit and Aer alone."""

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("qiskit_aer")

from tests.clusters import kept

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(tmp_path, name, *words):
    command = [sys.executable, EXAMPLES / name, *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def test_random_circuits_are_sampled_under_a_bar_that_arrives_at_the_end(tmp_path):
    words = ["--circuits", "30", "--qubits", "4", "--depth", "3", "--shots", "100"]
    out, err = run(tmp_path, "random_circuits.py", *words)
    assert out.startswith("30 circuits of 4 qubits")
    assert out.endswith("Qiskit's own sampler: True\n")
    assert re.search(r"circuits: 100%.* 30/30", err)


def test_an_echo_fades_on_the_noisy_backend_and_is_the_one_of_aer(tmp_path):
    out, err = run(tmp_path, "noisy_backend.py", "--circuits", "2", "--shots", "200")
    assert err == ""
    back = [float(each) for each in re.findall(r"^ +\d+ +([\d.]+)$", out, re.MULTILINE)]
    assert len(back) == 5
    assert 1 > back[0] > back[-1] > 0
    assert out.endswith("Aer alone: True\n")


def test_the_same_circuits_give_the_same_on_ray(capsys):
    pytest.importorskip("ray")
    kept("ray")
    main = runpy.run_path(EXAMPLES / "circuits_on_ray.py")["main"]
    main(["--circuits", "12", "--qubits", "4"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert all(line.endswith("equal to Aer's: True") for line in lines)
