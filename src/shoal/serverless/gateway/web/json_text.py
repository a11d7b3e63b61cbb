"""JSON in and out: strict where we read it, and never decoded where we only carry it."""

from __future__ import annotations

import json
import math
from collections.abc import Generator, Iterable
from typing import Any, NoReturn

_MOST_DIGITS = 4300


def parsed_object(data: bytes) -> dict[str, Any]:
    """A JSON object from the wire; raises ValueError that says what is wrong with it.

    Stricter than `json.loads`: no NaN or infinity, not even as 1e999, no name twice, and an object
    at the top.
    """
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"the body is not UTF-8 (at byte {error.start})") from error
    try:
        value = json.loads(
            text, object_pairs_hook=_object, parse_constant=_no_constant, parse_float=_float
        )
    except json.JSONDecodeError as error:
        raise ValueError(f"the body is not JSON: {error}") from error
    except RecursionError as error:
        raise ValueError("the body is nested too deeply") from error
    if not isinstance(value, dict):
        raise ValueError(f"the body is a JSON {_kind(value)}: expected an object")
    return value


def checked_payload(name: str, text: str) -> str:
    """Text that is JSON, as it is; raises ValueError otherwise.

    As lenient as `json.loads`, because published clients write NaN where Python has it.
    """
    try:
        json.loads(text)
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{name} holds a lone surrogate, which is no character") from error
    except ValueError as error:
        raise ValueError(f"{name} is not JSON: {error}") from error
    except RecursionError as error:
        raise ValueError(f"{name} is nested too deeply") from error
    return text


def dumped(value: object) -> bytes:
    """A value as compact JSON."""
    return json.dumps(value, separators=(",", ":")).encode()


def object_of_text(name: str, parts: Iterable[str]) -> Generator[bytes, None, None]:
    """An object with one text in it, piece by piece, however long the text is."""
    yield b'{"%s":"' % name.encode()
    for part in parts:
        yield json.dumps(part)[1:-1].encode()
    yield b'"}'


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the body names {twice[:100]!r} twice")
    return made


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the body holds {text[:50]}, which is no finite number")
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"the body holds {name}, which JSON does not have")


def _kind(value: object) -> str:
    kinds = {list: "array", str: "string", bool: "boolean", int: "number", float: "number"}
    return kinds.get(type(value), "null")
