"""Programs as a service: clients to upload and run them, and what a program itself imports."""

# A job may run in any Python from 3.9 on that its operator names: standard library only, up here.
from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from shoal.serverless.errors import (
    ArtifactRefused,
    Conflict,
    GatewayFailed,
    GatewayRefused,
    GatewayUnreachable,
    JobFailed,
    JobStopped,
    NotAuthenticated,
    NotFound,
    QuotaExceeded,
    ResultNotReady,
    ServerlessError,
)

if TYPE_CHECKING:
    from shoal.serverless.client import Job, Program, ServerlessClient, ServerlessProvider
    from shoal.serverless.client import Program as QiskitFunction
    from shoal.serverless.runtime import (
        Reference,
        ReportedError,
        Target,
        distribute_program,
        distribute_qiskit_function,
        distribute_task,
        get,
        get_arguments,
        get_logger,
        get_provider_logger,
        get_refs_by_status,
        is_running_in_serverless,
        put,
        save_result,
        send_error,
        update_status,
    )

__all__ = [
    "ArtifactRefused",
    "Conflict",
    "GatewayFailed",
    "GatewayRefused",
    "GatewayUnreachable",
    "Job",
    "JobFailed",
    "JobStopped",
    "NotAuthenticated",
    "NotFound",
    "Program",
    "QiskitFunction",
    "QuotaExceeded",
    "Reference",
    "ReportedError",
    "ResultNotReady",
    "ServerlessClient",
    "ServerlessError",
    "ServerlessProvider",
    "Target",
    "distribute_program",
    "distribute_qiskit_function",
    "distribute_task",
    "get",
    "get_arguments",
    "get_logger",
    "get_provider_logger",
    "get_refs_by_status",
    "is_running_in_serverless",
    "put",
    "save_result",
    "send_error",
    "update_status",
]

_CLIENT = {
    "Job": "Job",
    "Program": "Program",
    "QiskitFunction": "Program",  # the current clients' word for the same thing
    "ServerlessClient": "ServerlessClient",
    "ServerlessProvider": "ServerlessProvider",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'shoal.serverless' has no attribute {name!r}")
    if name in _CLIENT:
        from shoal.tasks import require

        require("httpx", extra="client", purpose=f"shoal.serverless.{name}")
        found = getattr(importlib.import_module("shoal.serverless.client"), _CLIENT[name])
    else:
        found = getattr(importlib.import_module("shoal.serverless.runtime"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
