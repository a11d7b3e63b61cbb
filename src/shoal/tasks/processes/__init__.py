"""Supervised worker processes: a pool that loses one task to a fault, never the pool.

What starts them is imported when it is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal.tasks.processes.limits import (
    available_cores,
    free_memory_bytes,
    thread_environment,
)

if TYPE_CHECKING:
    from shoal.tasks.processes.dispatcher import ProcessDispatcher
    from shoal.tasks.processes.executor import ProcessExecutor, shared_supervisor
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

_HOMES = {
    "ProcessDispatcher": "shoal.tasks.processes.dispatcher",
    "ProcessExecutor": "shoal.tasks.processes.executor",
    "inside_worker": "shoal.tasks.processes.worker",
    "shared_array": "shoal.tasks.processes.memory",
    "shared_supervisor": "shoal.tasks.processes.executor",
}


def __getattr__(name: str) -> object:
    """As that of `shoal.tasks`."""
    if name not in _HOMES:
        raise AttributeError(f"module 'shoal.tasks.processes' has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value
