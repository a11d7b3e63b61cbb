"""Supervised worker processes: a pool that loses one task to a fault, never the pool."""

from shoal.tasks.processes.dispatcher import ProcessDispatcher
from shoal.tasks.processes.executor import ProcessExecutor, shared_supervisor
from shoal.tasks.processes.limits import (
    available_cores,
    free_memory_bytes,
    thread_environment,
)
from shoal.tasks.processes.memory import shared_array
from shoal.tasks.processes.worker import inside_worker

__all__ = [
    "ProcessDispatcher",
    "ProcessExecutor",
    "available_cores",
    "free_memory_bytes",
    "inside_worker",
    "shared_array",
    "shared_supervisor",
    "thread_environment",
]
