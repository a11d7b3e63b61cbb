"""How a dataset came to be: kept as JSON text in its attributes, with the live errors beside it."""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import metadata
from typing import Any, Self

import numpy as np

from shoal.sweeps.grid import Grid
from shoal.sweeps.labelled.states import FAILED, grid_labels, packed, told_states, unpacked
from shoal.tasks import Failure, failure, shorten

ATTRIBUTE = "shoal"
MOST_ERRORS = 1000
MOST_CHARACTERS = 4000
ALL_CHARACTERS = 200_000
FEW_CHARACTERS = 80
DETAILS = ("errors", "tracebacks", "states", "types")


@dataclass
class Live:
    """What cannot be written into a file: the function and the exceptions themselves.

    Attributes:
        function: The user's function.
        grid: The points.
        errors: Why points failed, by index.
        seed: Root of the random streams, or None.
    """

    function: Callable[..., Any]
    grid: Grid
    errors: dict[int, Exception] = field(default_factory=dict)
    seed: Any = None

    def failure(self, index: int) -> Failure:
        """What is known about a failed point, with the means to run it again."""
        try:
            return failure(self.errors[index])
        except LookupError:
            return Failure(
                self.function, (), self.grid[index], index, None, 1, "", "", seed=self.seed
            )

    def point(self, index: int) -> dict[str, Any]:
        """The values of the parameters at a point."""
        return self.grid.point(index)

    def origin(self, index: int) -> tuple[Live, int]:
        """The sweep that a failed point was computed in, and its number there."""
        return self, index


@dataclass
class Joined:
    """The same of merged sweeps: each failed point is known to the sweep it was computed in.

    Attributes:
        origins: For the number of a failed point, its sweep and its number there.
    """

    origins: dict[int, tuple[Live, int]]

    @property
    def errors(self) -> dict[int, Exception]:
        """Why points failed, by index."""
        return {index: live.errors[number] for index, (live, number) in self.origins.items()}

    def failure(self, index: int) -> Failure:
        """What is known about a failed point, with the means to run it again."""
        live, number = self.origins[index]
        return live.failure(number)

    def point(self, index: int) -> dict[str, Any]:
        """The values of the parameters at a point."""
        live, number = self.origins[index]
        return live.point(number)

    def origin(self, index: int) -> tuple[Live, int]:
        """The sweep that a failed point was computed in, and its number there."""
        return self.origins[index]


class Record(str):
    """JSON text that also holds, in the process that made it, what no text can hold."""

    __slots__ = ("live",)
    live: Live | Joined | None

    def __new__(cls, text: str, live: Live | Joined | None = None) -> Self:
        """The text, with the live errors."""
        record = super().__new__(cls, text)
        record.live = live
        return record

    def __deepcopy__(self, memo: Any) -> Record:
        """Itself: neither the text nor exceptions can be copied usefully."""
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Travels as its text alone."""
        return str, (str(self),)


def record_of(live: Live, details: Mapping[str, Any]) -> Record:
    """The record of a finished sweep.

    Args:
        live: The function, the grid and the errors.
        details: What else is to be told; values that JSON can hold.
    """
    failed = sorted(live.errors)
    told, tracebacks = _told_errors(live, failed[:MOST_ERRORS])
    states = None
    if failed:
        every = np.zeros(len(live.grid), np.uint8)
        every[failed] = FAILED
        states = told_states(every, grid_labels(live.grid))
    contents = {
        "function": _name(live.function),
        **details,
        "versions": versions(),
        "points": len(live.grid),
        "failed": len(failed),
        "dims": live.grid.sizes,
        "parameters": [each.name for each in live.grid.parameters],
        "constants": {name: shorten(value) for name, value in live.grid.constants.items()},
        "errors": told,
        "tracebacks": tracebacks,
        "states": states,
        "types": told_types([type(live.errors[index]).__name__ for index in failed]),
    }
    return written(contents, live)


@lru_cache(maxsize=1)
def versions() -> dict[str, str]:
    """What the numbers may depend on, besides the function."""
    found = {"python": platform.python_version(), "platform": sys.platform}
    return found | {name: metadata.version(name) for name in ("shoal", "numpy", "xarray")}


def written(contents: Mapping[str, Any], live: Live | Joined | None) -> Record:
    """The record with these contents."""
    return Record(json.dumps(contents, ensure_ascii=True), live)


def _name(function: Callable[..., Any]) -> str:
    module = getattr(function, "__module__", None) or ""
    name = getattr(function, "__qualname__", None) or shorten(function)
    return f"{module}.{name}" if module else name


def told_types(names: Sequence[str]) -> dict[str, Any] | None:
    """The types of all errors, in the order of the grid, as JSON can hold them; None for none."""
    if not names:
        return None
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    codes = np.array([numbers[name] for name in names], np.uint16)
    return {"names": [*numbers], "codes": packed(codes)}


def types_in(record: Mapping[str, Any]) -> list[str]:
    """The types of all errors, in the order of the grid."""
    told = record.get("types")
    return [told["names"][code] for code in unpacked(told["codes"], np.uint16)] if told else []


def _told_errors(live: Live, failed: Sequence[int]) -> tuple[list[dict[str, Any]], list[str]]:
    """Failed points as JSON can hold them, and their tracebacks, equal ones once.

    A traceback is kept without the exception's own text at its end, which makes most of them
    equal. When all texts together become long, the further ones are cut short.
    """
    told, heads, spent = [], {"": 0}, 0
    for index in failed:
        known, error = live.failure(index), live.errors[index]
        most = MOST_CHARACTERS if spent < ALL_CHARACTERS else FEW_CHARACTERS
        message = _cut(_message(error), most)
        head, tail = _split_traceback(known.traceback, error)
        head = _cut(head, most) if head not in heads else head
        if head not in heads and spent >= ALL_CHARACTERS:
            head, tail = "", ""
        spent += len(message) + len(tail) + (0 if head in heads else len(head))
        told.append(
            {
                "index": index,
                "input": {name: shorten(value) for name, value in live.point(index).items()},
                "type": type(error).__name__,
                "message": message,
                "traceback": heads.setdefault(head, len(heads)),
                "end": _cut(tail, most),
                "attempts": known.attempts,
                "worker": known.worker,
            }
        )
    return told, [*heads]


def _message(error: Exception) -> str:
    try:
        return str(error)
    except Exception as other:  # the text of the user's exception may raise anything  # noqa: BLE001
        return f"<{type(error).__name__} whose text raises {type(other).__name__}>"


def _split_traceback(text: str, error: Exception) -> tuple[str, str]:
    """A traceback without, and with only, the text of its exception."""
    at = text.rfind(f"\n{type(error).__name__}")
    return (text[: at + 1], text[at + 1 :]) if at >= 0 else (text, "")


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most // 2]} … {text[-most // 2 :]}"


def record_in(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """What the attributes of a dataset tell of its sweep; empty where it is from no sweep."""
    text = attributes.get(ATTRIBUTE)
    if not isinstance(text, str):
        return {}
    try:
        contents = json.loads(text)
    except ValueError:
        return {}
    return contents if isinstance(contents, dict) else {}


def live_in(attributes: Mapping[str, Any]) -> Live | Joined | None:
    """The live errors, in the process that ran the sweep; else None."""
    return getattr(attributes.get(ATTRIBUTE), "live", None)
