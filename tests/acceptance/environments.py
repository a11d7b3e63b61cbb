"""Environments of their own for the published clients, made once by the pinned uv."""

import fcntl
import hashlib
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PLACE = ROOT / ".tools" / "published"
OLD_SETUPTOOLS = "setuptools<81\n"  # the last with pkg_resources, which old packages build with


@dataclass(frozen=True)
class Published:
    """A published client, with the pins that make it work today."""

    package: str
    version: str
    pins: tuple[str, ...] = ()
    extra: str = ""

    @property
    def requirements(self):
        return (f"{self.package}{self.extra}=={self.version}", *self.pins)


NOTEBOOK = Published(
    "quantum-serverless",
    "0.6.6",
    (
        "qiskit<1",
        "qiskit-ibm-runtime<0.20",
        "qiskit-ibm-provider",
        "numpy<2",
        "pyarrow<18",
        "setuptools<81",
    ),
)
LAST_OLD = Published("quantum-serverless", "0.10.1", ("qiskit<2", "setuptools<81"))
WITH_LOCAL = Published("qiskit-serverless", "0.28.0")
WITH_TASKS = Published("qiskit-serverless", "0.36.0", extra="[ray]")
CURRENT = Published("qiskit-serverless", "0.37.0")
JOBS_WITH_QISKIT_1 = ("qiskit<2", "numpy<2")


def interpreter(*requirements):
    """The Python of an environment that holds these packages."""
    wanted = json.dumps(requirements)
    folder = PLACE / hashlib.sha256(wanted.encode()).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    python = folder / "venv" / "bin" / "python"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (folder / "made").exists():
            return python
        constraint = folder / "constraint.txt"
        constraint.write_text(OLD_SETUPTOOLS)
        make = (
            f'root={ROOT}; . "$root/scripts/_env"; tools; cd {folder}; '
            "export UV_COMPILE_BYTECODE=0; "
            '"$uv" venv --quiet --clear --python "$python" venv; '
            '"$uv" pip install --quiet --python venv/bin/python '
            f'--build-constraint {constraint} "$@"'
        )
        command = ["bash", "-eu", "-c", make, "bash", *requirements]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{wanted} could not be installed:\n{done.stderr}"
        (folder / "made").write_text(wanted)
    return python
