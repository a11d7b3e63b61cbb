"""What a program imports: its arguments and result, tasks that run in parallel, and reports.

The names are those of the published packages, and `quantum_serverless` and `qiskit_serverless`
stand for this one in jobs where they are not installed. It runs on Python 3.9 and the standard
library; tasks run on shoal's engine where that is installed too.
"""

from __future__ import annotations

from shoal.serverless.runtime.distributing import Target, distribute_task
from shoal.serverless.runtime.job import (
    get_arguments,
    get_compute_profile,
    get_function_size,
    is_running_in_serverless,
    is_trial,
    save_result,
)
from shoal.serverless.runtime.loggers import get_logger, get_provider_logger
from shoal.serverless.runtime.references import Reference, get, get_refs_by_status, put
from shoal.serverless.runtime.remote import distribute_program, distribute_qiskit_function
from shoal.serverless.runtime.reports import (
    ReportedError,
    get_runtime_service,
    send_error,
    update_status,
)

__all__ = [
    "Reference",
    "ReportedError",
    "Target",
    "distribute_program",
    "distribute_qiskit_function",
    "distribute_task",
    "get",
    "get_arguments",
    "get_compute_profile",
    "get_function_size",
    "get_logger",
    "get_provider_logger",
    "get_refs_by_status",
    "get_runtime_service",
    "is_running_in_serverless",
    "is_trial",
    "put",
    "save_result",
    "send_error",
    "update_status",
]
