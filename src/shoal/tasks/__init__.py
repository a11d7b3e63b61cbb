"""The engine: tasks, the one loop that runs them, and the executors it runs them on."""

from shoal.tasks.executors import executor
from shoal.tasks.mapping import imap, map, run
from shoal.tasks.model import Failure, Outcome, Task, failure
from shoal.tasks.processes import shared_array

__all__ = [
    "Failure",
    "Outcome",
    "Task",
    "executor",
    "failure",
    "imap",
    "map",
    "run",
    "shared_array",
]
