"""The environment: the machine, the versions and the settings that the numbers depend on."""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import gettempdir

import psutil
from measure import ONE_THREAD

LIBRARIES = (
    "shoal",
    "joblib",
    "loky",
    "mpire",
    "pebble",
    "pipefunc",
    "xyzpy",
    "xsweep",
    "ray",
    "distributed",
    "scikit-learn",
    "qiskit",
    "qiskit-aer",
    "pennylane",
    "pennylane-lightning",
    "jax",
    "xarray",
    "numpy",
    "scipy",
    "numba",
    "cloudpickle",
    "uvicorn",
    "starlette",
    "sqlalchemy",
)


def environment():
    """Return the machine, the versions and the settings, as a dict of texts."""
    return {
        "processor": processor(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "temporary files on": file_system(Path(gettempdir())),
        "system": f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        **{library: installed(library) for library in LIBRARIES},
        "shoal commit": commit(),
        **ONE_THREAD,
        "OPENBLAS_CORETYPE": os.environ.get("OPENBLAS_CORETYPE", "not set"),
    }


def load():
    """Return the load average of the last minute, over all cores."""
    return os.getloadavg()[0]


def stolen_seconds():
    """Return the seconds that other guests of the same host have taken from our cores."""
    return getattr(psutil.cpu_times(), "steal", 0.0)


def processor():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def file_system(folder):
    """Return the kind of file system that a folder is on."""
    found = [each for each in psutil.disk_partitions(all=True) if is_in(folder, each.mountpoint)]
    return max(found, key=lambda each: len(each.mountpoint)).fstype


def is_in(folder, mountpoint):
    return folder.resolve().is_relative_to(mountpoint)


def installed(library):
    try:
        return version(library)
    except PackageNotFoundError:
        return "not installed"


def commit():
    answer = subprocess.run(
        ["git", "--no-optional-locks", "describe", "--always", "--dirty"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return answer.stdout.strip() or "unknown"
