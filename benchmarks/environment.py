"""The environment: the machine, the versions and the settings that the numbers depend on."""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

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
)


def environment():
    """Return the machine, the versions and the settings, as a dict of texts."""
    return {
        "processor": processor(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
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
