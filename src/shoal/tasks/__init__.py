"""The engine: tasks, the one loop that runs them, and the executors it runs them on.

Each part is imported when one of its names is first asked for: what stores results on disk, say, or
what starts processes, costs nothing where it is not used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shoal.tasks.adapters import Adapter
    from shoal.tasks.arguments import check_options
    from shoal.tasks.blocks import block_size, measured_peak, memory_budget
    from shoal.tasks.call import Blocks, Outcomes
    from shoal.tasks.checkpoints import (
        Checkpoint,
        Part,
        Record,
        Section,
        Summary,
        differences,
        function_parts,
        part,
        summary,
        version_parts,
    )
    from shoal.tasks.executors import executor, inside
    from shoal.tasks.extras import require
    from shoal.tasks.indexed import ArgumentTable, NotWritten
    from shoal.tasks.joblib import register_joblib
    from shoal.tasks.loop import Settled
    from shoal.tasks.mapping import imap, map, run, run_indexed
    from shoal.tasks.model import Failure, Outcome, Task, failure, shorten
    from shoal.tasks.processes import available_cores, free_memory_bytes, shared_array
    from shoal.tasks.progress import Progress
    from shoal.tasks.seeds import check_seed

__all__ = [
    "Adapter",
    "ArgumentTable",
    "Blocks",
    "Checkpoint",
    "Failure",
    "NotWritten",
    "Outcome",
    "Outcomes",
    "Part",
    "Progress",
    "Record",
    "Section",
    "Settled",
    "Summary",
    "Task",
    "available_cores",
    "block_size",
    "check_options",
    "check_seed",
    "differences",
    "executor",
    "failure",
    "free_memory_bytes",
    "function_parts",
    "imap",
    "inside",
    "map",
    "measured_peak",
    "memory_budget",
    "part",
    "register_joblib",
    "require",
    "run",
    "run_indexed",
    "shared_array",
    "shorten",
    "summary",
    "version_parts",
]

_HOMES = {
    "Adapter": "shoal.tasks.adapters",
    "check_options": "shoal.tasks.arguments",
    **dict.fromkeys(("block_size", "measured_peak", "memory_budget"), "shoal.tasks.blocks"),
    **dict.fromkeys(("Blocks", "Outcomes"), "shoal.tasks.call"),
    **dict.fromkeys(
        (
            "Checkpoint",
            "Part",
            "Record",
            "Section",
            "Summary",
            "differences",
            "function_parts",
            "part",
            "summary",
            "version_parts",
        ),
        "shoal.tasks.checkpoints",
    ),
    **dict.fromkeys(("executor", "inside"), "shoal.tasks.executors"),
    "require": "shoal.tasks.extras",
    **dict.fromkeys(("ArgumentTable", "NotWritten"), "shoal.tasks.indexed"),
    "register_joblib": "shoal.tasks.joblib",
    "Settled": "shoal.tasks.loop",
    **dict.fromkeys(("imap", "map", "run", "run_indexed"), "shoal.tasks.mapping"),
    **dict.fromkeys(("Failure", "Outcome", "Task", "failure", "shorten"), "shoal.tasks.model"),
    **dict.fromkeys(
        ("available_cores", "free_memory_bytes", "shared_array"), "shoal.tasks.processes"
    ),
    "Progress": "shoal.tasks.progress",
    "check_seed": "shoal.tasks.seeds",
}


def __getattr__(name: str) -> object:
    """Imports the part behind a public name when the name is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module 'shoal.tasks' has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
