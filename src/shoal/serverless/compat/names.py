"""The names under which programs know the published packages, and what stands for each."""

from __future__ import annotations

import contextlib
import importlib
import sys
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from shoal.serverless import runtime
from shoal.serverless.encoding import Decoder, Encoder
from shoal.serverless.errors import ServerlessError

SUBMODULES = (
    "core",
    "core.constants",
    "core.decorators",
    "core.function",
    "core.job",
    "core.pattern",
    "core.program",
    "core.serverless_error",
    "exception",
    "serializers",
    "serializers.program_serializers",
    "utils",
    "utils.loggers",
)
OF_THE_CLIENT = ("Program", "QiskitFunction", "ServerlessClient", "ServerlessProvider")


class Job:
    """The states of a job, as programs name them; jobs themselves are `shoal.serverless.Job`."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    STOPPING = "STOPPING"
    STOPPED = "STOPPED"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    QUEUED = "QUEUED"
    MAPPING = "MAPPING"
    OPTIMIZING_HARDWARE = "OPTIMIZING_HARDWARE"
    WAITING_QPU = "WAITING_QPU"
    EXECUTING_QPU = "EXECUTING_QPU"
    POST_PROCESSING = "POST_PROCESSING"


@dataclass
class Configuration:
    """What a run asks of a cluster; accepted, and without effect on one machine."""

    workers: int | None = None
    min_workers: int | None = None
    max_workers: int | None = None
    auto_scaling: bool | None = False


class QuantumServerless:
    """What the first programs open as a context around their tasks."""

    def __init__(self, *_: Any, **__: Any) -> None:
        """Accepts what it was once told about clusters."""

    def context(self, *_: Any, **__: Any) -> contextlib.nullcontext[QuantumServerless]:
        """Nothing to prepare: tasks run where the job does."""
        return contextlib.nullcontext(self)


NAMES = {
    **{name: getattr(runtime, name) for name in runtime.__all__},
    "Configuration": Configuration,
    "Job": Job,
    "QiskitObjectsDecoder": Decoder,
    "QiskitObjectsEncoder": Encoder,
    "QiskitServerlessException": ServerlessError,
    "QuantumServerless": QuantumServerless,
    "QuantumServerlessException": ServerlessError,
    "ServerlessError": runtime.ReportedError,
    "run_qiskit_remote": runtime.distribute_task,
}


def stand_in(package: str) -> None:
    """Fills a package, which is being imported, with all names, and makes its submodules.

    The published packages keep these names in different modules in each version, so each module
    has all of them.
    """
    version = importlib.import_module("shoal").__version__
    for name in ("", *SUBMODULES):
        full = f"{package}.{name}".rstrip(".")
        module = sys.modules.get(full) or ModuleType(full, f"Stands for {full}.")
        is_package = any(other.startswith(f"{name}.") for other in SUBMODULES)
        if name and is_package:
            module.__path__ = []  # what is not here is nowhere
        module.__dict__.update(NAMES, __version__=version, __getattr__=_of_the_client(full))
        module.__dict__["__all__"] = sorted(NAMES)
        sys.modules[full] = module
        parent, _, last = full.rpartition(".")
        if parent:
            setattr(sys.modules[parent], last, module)


def _of_the_client(module: str) -> Any:
    """A module's ``__getattr__``: names of the client, imported when used, as it needs httpx."""

    def find(name: str) -> Any:
        known = "Program" if name == "QiskitPattern" else name
        if known in OF_THE_CLIENT:
            return getattr(importlib.import_module("shoal.serverless"), known)
        raise AttributeError(
            f"module {module!r}, for which shoal stands in here, has no attribute {name!r}; "
            "the published package can be installed where programs run"
        )

    return find
