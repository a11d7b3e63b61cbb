"""Rooms import downwards only, and importing shoal is cheap."""

import subprocess
import sys
from pathlib import Path

root = Path(__file__).parents[2]


def python(code: str) -> str:
    """Runs `code` in a fresh interpreter; returns what it prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_rooms_keep_their_contracts() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [lint, "--no-logo"], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_importing_shoal_loads_no_dependency() -> None:
    loaded = python("import sys, shoal; print(*sys.modules, sep='\\n')").split()
    third_party = {"cloudpickle", "loky", "matplotlib", "numpy", "scipy", "tqdm"}
    engine = {"concurrent.futures", "concurrent.futures.process", "multiprocessing", "shoal.tasks"}
    assert (third_party | engine) & set(loaded) == set()


def test_importing_the_engine_loads_no_extra() -> None:
    loaded = python("import sys, shoal.tasks; print(*sys.modules, sep='\\n')").split()
    extras = {"dask", "distributed", "loky", "matplotlib", "ray", "xarray"}
    needed_later = {"IPython", "numpy", "tqdm", "concurrent.futures.process"}
    assert (extras | needed_later) & set(loaded) == set()


def test_importing_shoal_starts_no_process_and_no_thread() -> None:
    code = (
        "import shoal.tasks, threading, psutil\n"
        "print(threading.active_count(), len(psutil.Process().children(recursive=True)))"
    )
    assert python(code).split() == ["1", "0"]
