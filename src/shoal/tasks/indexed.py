"""Tasks that are made where they run, from their index alone: for sweeps and kernels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol


class ArgumentTable(Protocol):
    """Keyword arguments by index; travels to each worker once, with the function."""

    def __getitem__(self, index: int, /) -> Mapping[str, Any]:
        """The keyword arguments of the call with this index."""


@dataclass(frozen=True, slots=True)
class Indexed:
    """A function and the table that turns an index into a call of it.

    Attributes:
        function: The user's function.
        arguments: ``function(**arguments[index])`` is the task of that index.
    """

    function: Callable[..., Any]
    arguments: ArgumentTable

    @property
    def __name__(self) -> str:
        """The function's name, for progress bars."""
        return getattr(self.function, "__name__", type(self.function).__name__)

    def __call__(self, index: int, **kwargs: Any) -> Any:
        """The call of this index."""
        return self.function(**self.arguments[index], **kwargs)

    def __repr__(self) -> str:
        return repr(self.function)


@dataclass(frozen=True, slots=True)
class NotWritten:
    """A result that did not fit into the array it was meant for, and travelled instead.

    Attributes:
        value: What the function returned.
    """

    value: Any
