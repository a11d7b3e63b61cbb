"""`import shoal` is cheap, needs no extra, and shows exactly its public names."""

import subprocess
import sys

import pytest

import shoal

HEAVY = ["numpy", "scipy", "tqdm", "cloudpickle", "loky", "matplotlib", "qiskit", "ray", "dask"]


def run_program(text):
    return subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False)


def test_importing_shoal_imports_nothing_else_of_weight():
    done = run_program(
        f"import sys, shoal\nprint(sorted(set({HEAVY}) & set(sys.modules)))\n"
        "print(sorted(name for name in sys.modules if name.startswith('shoal.')))"
    )
    assert done.stdout == "[]\n[]\n", done.stderr


def test_looking_at_the_face_imports_nothing():
    done = run_program("import sys, shoal\ndir(shoal)\nprint('shoal.tasks' in sys.modules)")
    assert done.stdout == "False\n", done.stderr


def test_what_a_program_does_not_use_of_the_engine_is_not_imported():
    done = run_program(
        "import sys, shoal.tasks\nshoal.tasks.available_cores()\n"
        "rooms = ('call', 'checkpoints', 'dispatch', 'joblib', 'loop', 'processes.executor')\n"
        "print([room for room in rooms if f'shoal.tasks.{room}' in sys.modules])"
    )
    assert done.stdout == "[]\n", done.stderr


def test_shoal_works_without_any_extra():
    program = (
        "import sys\n"
        "for name in ('loky', 'matplotlib', 'IPython', 'ipywidgets', 'scipy'):\n"
        "    sys.modules[name] = None\n"
        "import shoal\nprint(shoal.map(abs, [-1, -2]))"
    )
    done = run_program(program)
    assert done.stdout == "[1, 2]\n", done.stderr


def test_everything_that_is_promised_is_there():
    for name in shoal.__all__:
        assert getattr(shoal, name) is not None
    assert dir(shoal) == sorted(shoal.__all__)


def test_star_imports_the_public_names():
    scope = {}
    exec("from shoal import *", scope)
    assert {name for name in scope if name != "__builtins__"} == set(shoal.__all__)


def test_a_name_that_does_not_exist_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'shoal' has no attribute 'mpa'"):
        shoal.mpa  # noqa: B018


def test_a_name_is_looked_up_once():
    assert shoal.map is shoal.map
    assert "map" in vars(shoal)


def test_the_version_is_that_of_the_distribution():
    from importlib.metadata import version

    assert shoal.__version__ == version("shoal")
