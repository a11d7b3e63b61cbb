"""The engine: tasks, the one loop that runs them, and the executors it runs them on.

What stores results on disk is imported when it is first asked for: a map needs none of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal.tasks.adapters import Adapter
from shoal.tasks.arguments import check_options
from shoal.tasks.blocks import block_size, measured_peak, memory_budget
from shoal.tasks.call import Blocks, Outcomes
from shoal.tasks.executors import executor, inside, require
from shoal.tasks.indexed import ArgumentTable, NotWritten
from shoal.tasks.joblib import register_joblib
from shoal.tasks.loop import Settled
from shoal.tasks.mapping import imap, map, run, run_indexed
from shoal.tasks.model import Failure, Outcome, Task, failure, shorten
from shoal.tasks.processes import available_cores, free_memory_bytes, shared_array
from shoal.tasks.progress import Progress
from shoal.tasks.seeds import check_seed

if TYPE_CHECKING:
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

_OF_CHECKPOINTS = frozenset(
    [
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
    ]
)


def __getattr__(name: str) -> object:
    """Imports the room of the checkpoints when one of its names is first used."""
    if name not in _OF_CHECKPOINTS:
        raise AttributeError(f"module 'shoal.tasks' has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module("shoal.tasks.checkpoints"), name)
    return value
