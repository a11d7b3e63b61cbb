"""Every error shoal raises on purpose, as one tree.

::

    ShoalError
    ├── TaskError                 one task failed; the others are not affected
    │   ├── TaskRaised            it raised what cannot be raised again as itself
    │   ├── TaskTimeout           it ran longer than timeout_seconds (also a TimeoutError)
    │   ├── WorkerDied            the process running it died, each time it was tried
    │   ├── InputNotSent          its input cannot be sent to a worker
    │   └── ResultNotReturned     its result cannot be sent back
    ├── FunctionNotSent           the function itself cannot be sent or loaded
    ├── ExecutorClosed            used after shutdown (also a RuntimeError)
    ├── ExecutorBroken            the executor can run nothing any more
    └── MissingExtra              an optional dependency is not installed (also an ImportError)

An ordinary exception raised by the user's function is *not* wrapped: it keeps its type, and gains a
note that names the input and the worker's traceback as its cause. Bad arguments are plain
`ValueError` and `TypeError`, raised before any work starts.
"""

__all__ = [
    "ExecutorBroken",
    "ExecutorClosed",
    "FunctionNotSent",
    "InputNotSent",
    "MissingExtra",
    "ResultNotReturned",
    "ShoalError",
    "TaskError",
    "TaskRaised",
    "TaskTimeout",
    "WorkerDied",
    "WorkerTraceback",
]


class ShoalError(Exception):
    """The root of all errors that shoal raises on purpose."""


class TaskError(ShoalError):
    """One task failed in a way that is not an ordinary exception of the user's function.

    Attributes:
        index: Position of the task in the input, from 0; None where it is not known.
    """

    index: int | None = None


class TaskRaised(TaskError):
    """The function raised something that cannot be raised again as itself.

    That is: `SystemExit`, `KeyboardInterrupt`, `StopIteration` and other exceptions that would end
    or confuse the caller, exceptions that cannot be pickled, and messages above 64 KiB.

    Attributes:
        exception_type: Qualified name of the original type, such as ``"SystemExit"``.
    """

    exception_type: str = ""


class TaskTimeout(TaskError, TimeoutError):
    """The task ran longer than `timeout_seconds`; its worker was stopped, nothing else."""


class WorkerDied(TaskError):
    """The process that ran the task died, on every attempt.

    Attributes:
        signal: Number of the signal that killed it (11 is a segmentation fault), or None.
        exit_code: Status it exited with, where no signal killed it, or None.
        attempts: How many workers this task has ended.
    """

    signal: int | None = None
    exit_code: int | None = None
    attempts: int = 1


class InputNotSent(TaskError):
    """The input of this task cannot be pickled, or cannot be unpickled in the worker."""


class ResultNotReturned(TaskError):
    """The function returned, but its result cannot be pickled or unpickled."""


class FunctionNotSent(ShoalError):
    """The function cannot be pickled, or cannot be loaded in the workers."""


class ExecutorClosed(ShoalError, RuntimeError):
    """Work was handed to an executor after its shutdown."""


class ExecutorBroken(ShoalError):
    """The executor lost what it needs to run anything, such as its launcher or its cluster."""


class MissingExtra(ShoalError, ImportError):
    """An optional dependency is needed and not installed; the message says what to install."""


class WorkerTraceback(Exception):
    """Holds the worker's traceback as text; appears as the ``__cause__`` of a task's error."""

    def __str__(self) -> str:
        return f'\n"""\n{self.args[0]}"""'
