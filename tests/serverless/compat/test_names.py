"""Programs written for the published packages find their names, and the packages come first."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from shoal.serverless import compat

SERVERLESS = compat.FOLDER.parent
PYTHON = [sys.executable, "-c"]


def run(source, *more, python=sys.executable, folder=None):
    """What a program prints that is started as a job's is; fails with what it says otherwise."""
    path = Path(folder) / "program.py"
    path.write_text(source)
    ran = subprocess.run(
        [python, compat.START, path.name, *more],
        cwd=folder,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


OF_EACH_GENERATION = """
from quantum_serverless import (
    QuantumServerless, QuantumServerlessException, distribute_program, distribute_task, get,
    get_arguments, get_refs_by_status, put, run_qiskit_remote, save_result,
)
from quantum_serverless.core.decorators import Target
from quantum_serverless.serializers.program_serializers import QiskitObjectsEncoder
import quantum_serverless.exception
from qiskit_serverless import (
    Configuration, Job, QiskitServerlessException, ServerlessError, distribute_qiskit_function,
    get_compute_profile, get_function_size, get_logger, get_provider_logger, get_runtime_service,
    is_running_in_serverless, is_trial, send_error, update_status,
)
from qiskit_serverless.core import distribute_task as again
from qiskit_serverless.utils.loggers import get_logger
from qiskit_serverless.exception import QiskitServerlessException
import qiskit_serverless as qs

assert qs.core.job.save_result is save_result
assert again is distribute_task
assert Job.MAPPING == "MAPPING"
assert issubclass(QiskitServerlessException, Exception)
with QuantumServerless().context() as context:
    pass
print(qs.__version__ and sorted(qs.__all__)[0], issubclass(ServerlessError, Exception))
"""


def test_the_names_of_each_generation_are_there(tmp_path):
    assert run(OF_EACH_GENERATION, folder=tmp_path) == "Configuration True\n"


def test_names_of_the_client_are_there_where_it_is_installed(tmp_path):
    source = (
        "from quantum_serverless import Program, ServerlessProvider\n"
        "from qiskit_serverless import QiskitFunction, ServerlessClient, QiskitPattern\n"
        "print(QiskitPattern is Program is QiskitFunction)\n"
    )
    assert run(source, folder=tmp_path) == "True\n"


def test_a_name_that_is_not_there_says_what_would_help(tmp_path):
    source = "import qiskit_serverless\ntry:\n    qiskit_serverless.IBMServerlessClient\n"
    source += "except AttributeError as error:\n    print(error)\n"
    assert "the published package can be installed" in run(source, folder=tmp_path)


def test_the_published_package_comes_first_where_it_is_installed(tmp_path):
    installed = tmp_path / "installed" / "qiskit_serverless"
    installed.mkdir(parents=True)
    (installed / "__init__.py").write_text("mine = 'the real one'")
    source = (
        "import sys; sys.path.insert(1, 'installed')\n"
        "import qiskit_serverless, quantum_serverless\n"
        "print(qiskit_serverless.mine, quantum_serverless.get([1]))\n"
    )
    assert run(source, folder=tmp_path) == "the real one [1]\n"


TASKS = """
import sys
from qiskit_serverless import distribute_task, get, save_result
assert "numpy" not in sys.modules
@distribute_task()
def square(x): return x * x
@distribute_task()
def add(parts): return sum(parts)
save_result({"sum": get(add([square(x) for x in range(5)])), "z": 1j})
"""
OTHERS = [
    path
    for version in ("3.9", "3.10", "3.12", "3.13", "3.14")
    for path in sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))[:1]
]


@pytest.mark.parametrize("python", [sys.executable, *map(str, OTHERS)])
def test_tasks_run_in_any_python(tmp_path, python):
    said = 'Saved result: {"sum": 30, "z": {"__type__": "complex", "__value__": [0.0, 1.0]}}\n'
    assert run(TASKS, python=python, folder=tmp_path) == said


def test_tasks_run_in_a_python_that_has_nothing_installed(tmp_path):
    """The interpreter behind ours, without its packages."""
    source = TASKS.replace(
        "import sys",
        "import sys; sys.path[:] = [p for p in sys.path if "
        "'site-packages' not in p and not p.endswith('/src')]",
        1,
    )
    source += "import shoal\nprint('compat' in shoal.__file__, 'shoal.tasks' in sys.modules)\n"
    assert run(source, folder=tmp_path).endswith("True False\n")


RUN_ANYWHERE = [
    SERVERLESS / "__init__.py",
    SERVERLESS / "errors.py",
    SERVERLESS.parent / "__init__.py",
    SERVERLESS.parent / "errors.py",
    *sorted((SERVERLESS / "compat").rglob("*.py")),
    *sorted((SERVERLESS / "encoding").rglob("*.py")),
    *sorted((SERVERLESS / "runtime").rglob("*.py")),
    SERVERLESS / "runner" / "shim.py",
    SERVERLESS / "runner" / "template.py",
]


@pytest.mark.parametrize("path", RUN_ANYWHERE, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_what_runs_in_jobs_is_in_the_language_of_python_3_9(path):
    tree = ast.parse(path.read_text(), feature_version=(3, 9))
    allowed = {*sys.stdlib_module_names, "shoal", "__future__"}
    imported = {
        name.partition(".")[0]
        for node in tree.body
        for name in (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [each.name for each in node.names]
            if isinstance(node, ast.Import)
            else []
        )
    }
    assert imported <= allowed
