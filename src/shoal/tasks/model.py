"""What is asked and how it ended: Task, Outcome, Failure."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from shoal.errors import FunctionNotSent

INPUT_CHARACTERS = 400


@dataclass(frozen=True, slots=True)
class Policy:
    """What to do about faults.

    Attributes:
        retries: How often a task that raised, or ran too long, is run again.
        worker_death_retries: How often a task that ended its worker is run again.
        timeout_seconds: Longest time one task may run, or None.
    """

    retries: int = 0
    worker_death_retries: int = 2
    timeout_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Task:
    """One independent call of the function.

    Attributes:
        args: Positional arguments of the call.
        kwargs: Keyword arguments of the call.
        label: What error messages and outcomes call it; the arguments themselves by default.
    """

    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    label: Any = None

    def __post_init__(self) -> None:
        """Raises TypeError for arguments that no call can take."""
        if not isinstance(self.args, tuple):
            raise TypeError(f"args={shorten(self.args)}: expected a tuple of arguments")
        if not isinstance(self.kwargs, Mapping):
            raise TypeError(f"kwargs={shorten(self.kwargs)}: expected a mapping of names")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one task ended: with a value or with an error.

    Attributes:
        index: Position of the task in the input, from 0.
        value: What the function returned; None when it failed.
        error: The exception, or None when it succeeded.
        label: The task's label, if it has one.
        attempt: 1 for a task that ended at its first run.
        seconds: Time the function itself took, in its worker, on the last attempt.
        worker: Which process ran it, as ``"host:pid"``.
    """

    index: int
    value: Any
    error: BaseException | None
    label: Any
    attempt: int
    seconds: float
    worker: str

    @property
    def ok(self) -> bool:
        """True when the task returned a value."""
        return self.error is None

    def result(self) -> Any:
        """The value; raises the task's error instead if it failed."""
        if self.error is not None:
            raise self.error
        return self.value


@dataclass(slots=True)
class Failure:
    """Everything known about a task that failed, and the means to run it again.

    Attributes:
        function: The function that was mapped.
        args: Positional arguments of the failed call.
        kwargs: Keyword arguments of the failed call, without `rng`.
        index: Position in the input, from 0.
        label: The task's label, if it has one.
        attempts: How often it was tried.
        worker: Where it failed last, as ``"host:pid"``.
        traceback: The worker's traceback, as text; empty when the worker died.
        seed: The seed of the call, or None.
    """

    function: Callable[..., Any] | None
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    index: int
    label: Any
    attempts: int
    worker: str
    traceback: str
    seed: Any = None

    def replay(self) -> Any:
        """Runs the failed call again, here, in this process.

        The same function gets the same input and, where `seed` was given, the same generator
        state, so that a debugger or a plain traceback shows what happened.

        Returns:
            What the function returns this time.

        Raises:
            BaseException: Whatever the function raises. An input that killed its worker will do
                the same to this process.
        """
        if self.function is None:
            raise LookupError("this failure was pickled without its function; call it by hand")
        kwargs = dict(self.kwargs)
        if self.seed is not None:
            from shoal.tasks.seeds import generator

            kwargs["rng"] = generator(self.seed, self.index)
        return self.function(*self.args, **kwargs)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles as a description only: errors must travel even where their input cannot."""
        described = describe_input(self.args, self.kwargs, self.label)
        return (
            Failure,
            (None, (described,), {}, self.index, None, self.attempts, self.worker, self.traceback),
        )


_ATTRIBUTE = "__shoal_failure__"


def attach_failure(error: BaseException, failure: Failure) -> None:
    """Remembers `failure` on `error`; raises AttributeError or TypeError if that is impossible."""
    setattr(error, _ATTRIBUTE, failure)


def has_failure(error: BaseException) -> bool:
    """Whether `error` came from a task already."""
    return isinstance(getattr(error, _ATTRIBUTE, None), Failure)


def failure(error: BaseException) -> Failure:
    """What shoal knows about the task that raised `error`.

    Args:
        error: An exception raised by `shoal.map` and its kin, or found among their results.

    Returns:
        The failure, with the function, its input, and `replay()`.

    Raises:
        LookupError: If the exception did not come from a task of shoal.

    Example:
        >>> import shoal
        >>> [error] = shoal.map(float, ["x"], executor="serial", on_error="return")
        >>> shoal.failure(error).args
        ('x',)
    """
    found = getattr(error, _ATTRIBUTE, None)
    if not isinstance(found, Failure):
        raise LookupError(f"{type(error).__name__} was not raised by a task of shoal: {error}")
    return found


def describe_input(args: tuple[Any, ...], kwargs: Mapping[str, Any], label: Any = None) -> str:
    """One line that names an input, at most `INPUT_CHARACTERS` long; never raises."""
    if label is not None:
        return shorten(label)
    if len(args) == 1 and not kwargs:
        return shorten(args[0])
    parts = [shorten(value) for value in args]
    parts += [f"{name}={shorten(value)}" for name, value in kwargs.items()]
    return cut("(" + ", ".join(parts) + ")", INPUT_CHARACTERS)


def function_not_sent(function: object, error: Exception) -> FunctionNotSent:
    """The error when pickling the function raised `error`."""
    return FunctionNotSent(
        f"the function {shorten(function)} cannot be sent to a worker: "
        f"{type(error).__name__}: {error}"
    )


class _Shortened(reprlib.Repr):
    """reprlib with room for the numbers and names that scientific inputs are made of."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 4
        self.maxtuple = self.maxlist = self.maxdict = self.maxset = 12
        self.maxstring = self.maxother = INPUT_CHARACTERS
        self.maxlong = 60

    def repr_float64(self, value: object, _level: int) -> str:
        """A number of numpy's as the number it is; reprlib finds this by the type's name."""
        return str(value)

    repr_float32 = repr_int64 = repr_int32 = repr_complex128 = repr_bool = repr_float64


def shorten(value: object) -> str:
    """repr(value) in at most `INPUT_CHARACTERS`, or its type's name where repr fails."""
    try:
        return cut(" ".join(_Shortened().repr(value).split()), INPUT_CHARACTERS)
    except Exception as error:  # a repr may raise anything, and this text goes into an error
        return f"<{type(value).__name__} whose repr raises {type(error).__name__}>"


def cut(text: str, characters: int) -> str:
    """`text`, or its start and its end with the number of characters left out between them."""
    if len(text) <= characters:
        return text
    half = max(characters // 2 - 20, 1)
    return f"{text[:half]} … {len(text) - 2 * half} characters … {text[-half:]}"
