"""Errors that name the input: from what came back to what the user sees."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from shoal.errors import (
    FunctionNotSent,
    InputNotSent,
    ResultNotReturned,
    TaskError,
    TaskRaised,
    TaskTimeout,
    WorkerDied,
    WorkerTraceback,
)
from shoal.tasks.dispatch import Answer, Death
from shoal.tasks.envelope import Calling, Raised, revive, text_of
from shoal.tasks.indexed import Indexed
from shoal.tasks.inputs import thawed
from shoal.tasks.model import (
    Failure,
    attach_failure,
    cut,
    describe_input,
    has_failure,
    shorten,
)


@dataclass(slots=True)
class Blame:
    """Makes the errors of one call.

    Attributes:
        function: The user's function.
        calling: How an item becomes a call of it.
        labels: Labels of the tasks that have one, by index.
    """

    function: Callable[..., Any]
    calling: Calling
    labels: Mapping[int, Any]
    _seen: dict[int, tuple[Exception, list[str]]] = field(default_factory=dict)

    def raised(
        self, index: int, item: Any, raised: Raised, attempts: int, worker: str
    ) -> Exception:
        """The error for what a task raised, or for an input or result that cannot travel."""
        error = revive(raised) if raised.kind == "raised" else None
        if error is None:
            error = _stand_in(raised)
        return self._finish(
            error, index, item, attempts=attempts, worker=worker, text=raised.traceback
        )

    def timeout(
        self, index: int, item: Any, seconds: float, attempts: int, worker: str
    ) -> Exception:
        """The error of a task that ran too long."""
        error = TaskTimeout(f"ran longer than timeout_seconds={seconds:g} and was stopped")
        return self._finish(error, index, item, attempts=attempts, worker=worker, text="")

    def died(self, index: int, item: Any, death: Death, attempts: int) -> Exception:
        """The error of a task that ends its workers."""
        times = "" if attempts == 1 else f", {attempts} attempts"
        error = WorkerDied(f"{death.cause}{times}")
        error.signal, error.exit_code, error.attempts = death.signal, death.exit_code, attempts
        return self._finish(
            error, index, item, attempts=attempts, worker=death.worker, text=death.trace
        )

    def _finish(
        self, error: Exception, index: int, item: Any, *, attempts: int, worker: str, text: str
    ) -> Exception:
        args, kwargs = self.arguments(item)
        label = self.labels.get(index)
        function = self.function
        if isinstance(function, Indexed):
            function, index = function.function, item
        known = Failure(
            function, args, kwargs, index, label, attempts, worker, text, self.calling.seed
        )
        note = (
            f"shoal: task {index} failed on input {describe_input(args, kwargs, label)}\n"
            "shoal: shoal.failure(error).replay() runs it again in this process"
        )
        try:
            return _told(self._own(error), known, note)
        except (AttributeError, TypeError):  # an exception type that takes no attributes
            stand_in = TaskRaised(f"{type(error).__qualname__}: {text_of(error)}")
            stand_in.exception_type = type(error).__qualname__
            return _told(stand_in, known, note)

    def _own(self, error: Exception) -> Exception:
        """The error, or a copy where the same object tells of another task or call already."""
        if id(error) not in self._seen:
            self._seen[id(error)] = (error, list(getattr(error, "__notes__", [])))
            if not has_failure(error):
                return error
        _, notes = self._seen[id(error)]
        twin = copy.copy(error)
        twin.__dict__ = dict(vars(error))  # tblib, which Dask installs, has copies share it
        twin.__traceback__, twin.__cause__ = error.__traceback__, error.__cause__
        twin.__notes__ = list(notes)
        return twin

    def arguments(self, item: Any) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
        """The arguments of the call that an item stands for."""
        try:
            [item] = thawed([item])
        except Exception as error:  # unpickling the user's input may raise anything
            text = f"<input that cannot be unpickled: {type(error).__name__}: {text_of(error)}>"
            return (text,), {}
        if self.calling.style == "one":
            return (item,), {}
        if self.calling.style == "star":
            return tuple(item), {}
        if isinstance(self.function, Indexed):
            return (), dict(self.function.arguments[item])
        return tuple(item[0]), dict(item[1])

    def function_not_loaded(self, raised: Raised) -> FunctionNotSent:
        """The error when workers cannot load the function at all."""
        error = FunctionNotSent(
            f"a worker cannot load the function {shorten(self.function)}: "
            f"{raised.type_name}: {cut(raised.text, 2000)}"
        )
        error.__cause__ = WorkerTraceback(raised.traceback)
        return error

    def function_kills(self, death: Death, attempts: int) -> WorkerDied:
        """The error when loading the function ends the workers."""
        error = WorkerDied(
            f"{death.cause} while it loaded the function {shorten(self.function)}, "
            f"{attempts} attempts"
        )
        error.signal, error.exit_code, error.attempts = death.signal, death.exit_code, attempts
        if death.trace:
            error.__cause__ = WorkerTraceback(death.trace)
        return error

    def of_submitted(self, answer: Answer, deaths: int) -> Exception | None:
        """The error of a call that was submitted alone; None if it returned.

        Args:
            answer: What came back for it.
            deaths: How many workers it has ended.
        """
        if answer.error is not None:
            return answer.error
        item = answer.batch.items[0]
        if answer.death is not None:
            return self.died(0, item, answer.death, deaths)
        if answer.unreadable is not None and answer.unreadable.kind == "function":
            return self.function_not_loaded(answer.unreadable)
        raised = answer.unreadable or (answer.ended.raised.get(0) if answer.ended else None)
        if raised is None:
            return None
        worker = answer.ended.worker if answer.ended else ""
        return self.raised(0, item, raised, 1, worker)


def _told(error: Exception, known: Failure, note: str) -> Exception:
    """The error with what is known of its task."""
    if isinstance(error, TaskError):
        error.index = known.index
    if known.traceback and error.__traceback__ is None:
        error.__cause__ = WorkerTraceback(known.traceback)
    error.add_note(note)
    attach_failure(error, known)
    return error


def _stand_in(raised: Raised) -> TaskError:
    if raised.kind == "input":
        return InputNotSent(f"the input cannot be sent: {raised.type_name}: {raised.text}")
    if raised.kind == "result":
        return ResultNotReturned(
            f"the result cannot be sent back: {raised.type_name}: {raised.text}"
        )
    error = TaskRaised(f"{raised.type_name}: {raised.text}" if raised.text else raised.type_name)
    error.exception_type = raised.type_name
    return error
