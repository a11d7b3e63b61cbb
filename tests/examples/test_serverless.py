"""The example of a parallel workflow runs against a gateway, and prints the right distributions."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("qiskit")

from qiskit.circuit.random import random_circuit
from qiskit.quantum_info import Statevector

from tests.serverless.serving import clean_environment, serving

EXAMPLE = Path(__file__).parents[2] / "examples" / "serverless" / "parallel_workflow.py"


def test_the_workflow_of_the_example_gives_the_distributions_of_its_circuits(tmp_path):
    with serving(demo_user=True, fast_start=False) as gateway:
        done = subprocess.run(
            [sys.executable, EXAMPLE],
            cwd=tmp_path,
            env=clean_environment(GATEWAY_HOST=gateway.host),
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    provider, title, job, said, *rows = done.stdout.splitlines()
    assert provider == "<ServerlessProvider: gateway-provider>"
    assert title == "program-with-parallel-workflow"
    assert job.startswith("<Job | ")
    assert said == "3 circuits"
    assert done.stderr.endswith("s] DONE\n")
    for seed, row in enumerate(rows):
        expected = Statevector(random_circuit(2, 2, seed=seed)).probabilities_dict()
        found = ast.literal_eval(row[row.rindex("{") :])
        assert found == pytest.approx(expected, abs=1e-12)
