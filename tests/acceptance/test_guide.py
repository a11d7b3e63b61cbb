"""The guide's notebook and its program, as they stand, against a gateway of ours."""

import ast
import json
import re
import sys
from pathlib import Path

import pytest

from tests.acceptance.environments import JOBS_WITH_QISKIT_1, NOTEBOOK, interpreter
from tests.serverless.serving import run, serving

HERE = Path(__file__).parent
GUIDE = HERE / "guide"
# The same numbers, from the same circuits, without any service.
DIRECTLY = """
from qiskit.quantum_info import Statevector
[
    Statevector(circuit.remove_final_measurements(inplace=False)).probabilities_dict()
    for circuit in circuits
]
"""


def lay_out(folder, program, notebook):
    (folder / "source_files").mkdir()
    (folder / "source_files" / "program_with_parallel_workflow.py").write_text(program)
    (folder / "notebook.txt").write_text(notebook)


def shown(python, folder, gateway, *code):
    """What each cell shows."""
    text = run(
        python,
        HERE / "cells.py",
        "notebook.txt",
        *code,
        folder=folder,
        GATEWAY_HOST=gateway.host,
        PYTHONWARNINGS="ignore",
    )
    return json.loads(text.rpartition("shown:")[2])


def check(told):
    """What the guide shows, with the numbers of the circuits that it drew this time."""
    provider, circuits, title, job, status, result, directly = told
    assert provider == "<ServerlessProvider: gateway-provider>"
    assert circuits.count("QuantumCircuit object at") == 3
    assert title == "'program-with-parallel-workflow'"
    assert re.fullmatch(r"<Job \| [0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}>", job)
    assert status in ("'QUEUED'", "'PENDING'", "'INITIALIZING'", "'RUNNING'")
    [(name, found)] = ast.literal_eval(result).items()
    assert name == "results"
    wanted = [
        {str(int(bits, 2)): float(value) for bits, value in each.items()}
        for each in eval(directly, {"np": __import__("numpy")})
    ]
    assert len(found) == len(wanted) == 3
    for mine, theirs in zip(found, wanted, strict=True):
        for key in {*mine, *theirs}:
            assert mine.get(key, 0.0) == pytest.approx(theirs.get(key, 0.0), abs=1e-12)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_notebook_of_the_guide_runs_as_it_stands_with_the_client_it_was_written_for(tmp_path):
    jobs = interpreter(*JOBS_WITH_QISKIT_1)
    client = interpreter(*NOTEBOOK.requirements)
    lay_out(tmp_path, (GUIDE / "program.txt").read_text(), (GUIDE / "notebook.txt").read_text())
    with serving(demo_user=True, job_python=jobs) as gateway:
        check(shown(client, tmp_path, gateway, DIRECTLY))


def test_the_flow_of_the_guide_runs_with_our_client_on_the_qiskit_of_today(tmp_path):
    """The same cells, with the two imports changed; the program is the one of the example."""
    example = HERE.parents[1] / "examples" / "serverless" / "source_files"
    program = (example / "program_with_parallel_workflow.py").read_text()
    notebook = (GUIDE / "notebook.txt").read_text()
    ours = notebook.replace("from quantum_serverless", "from shoal.serverless")
    assert ours.count("from shoal.serverless") == 2
    lay_out(tmp_path, program, ours)
    with serving(demo_user=True) as gateway:
        *told, result, directly = shown(sys.executable, tmp_path, gateway, DIRECTLY)
    [found] = ast.literal_eval(result).values()
    numbers = [{str(int(bits, 2)): value for bits, value in each.items()} for each in found]
    check([*told, repr({"results": numbers}), directly])
