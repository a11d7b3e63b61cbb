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
    ├── CheckpointError           a checkpoint cannot be used as asked
    │   ├── CheckpointChanged     it was made by another function or from other inputs
    │   ├── CheckpointInUse       another process, or this one, has it open
    │   ├── CheckpointNotWritten  the disk did not take it (also an OSError)
    │   └── CheckpointUnreadable  not a checkpoint, or one this version does not know
    ├── VerificationFailed        a vectorised function and its reference disagree
    └── MissingExtra              an optional dependency is not installed (also an ImportError)

An ordinary exception raised by the user's function is *not* wrapped: it keeps its type, and gains a
note that names the input and the worker's traceback as its cause. Bad arguments are plain
`ValueError` and `TypeError`, raised before any work starts. Damage that costs some points of a
checkpoint and not the checkpoint is no error: it is the warning `CheckpointDamaged`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = [
    "CheckpointChanged",
    "CheckpointDamaged",
    "CheckpointError",
    "CheckpointInUse",
    "CheckpointNotWritten",
    "CheckpointUnreadable",
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
    "VerificationFailed",
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


class CheckpointError(ShoalError):
    """A checkpoint cannot be used as asked; the file is left as it was."""


class CheckpointChanged(CheckpointError):
    """The function or its inputs are not those the checkpoint was made with.

    The message shows what differs, and how to go on all the same.
    """


class CheckpointInUse(CheckpointError):
    """The checkpoint is open for writing elsewhere; the message names process and host."""


class CheckpointNotWritten(CheckpointError, OSError):
    """The checkpoint could not be opened, extended or made durable.

    The disk is full, a quota or limit is reached, or the disk failed. What was recorded before is
    safe as far as the message says, and the same call goes on from there.
    """


class CheckpointUnreadable(CheckpointError):
    """The file is not a checkpoint, was written by a newer version, or cannot be read."""


class CheckpointDamaged(UserWarning):
    """Some bytes of a checkpoint were lost; the points they held count as missing."""


class VerificationFailed(ShoalError):
    """A vectorised function and its reference, or two of its blocks, disagree.

    Attributes:
        dataset: What was computed; nothing of it is lost.
        disagreements: Each point that was found to differ, as its parameters and what differs.
    """

    dataset: Any = None
    disagreements: tuple[tuple[Mapping[str, Any], str], ...] = ()


class MissingExtra(ShoalError, ImportError):
    """An optional dependency is needed and not installed; the message says what to install."""


class WorkerTraceback(Exception):
    """Holds the worker's traceback as text; appears as the ``__cause__`` of a task's error."""

    def __str__(self) -> str:
        return f'\n"""\n{self.args[0]}"""'
