"""Parts: named values with digests, and what differs between two lists of them."""

from __future__ import annotations

import difflib
import platform
import re
import types
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata

from shoal.tasks.checkpoints.fingerprint.digests import digest, written_by_user
from shoal.tasks.checkpoints.fingerprint.sources import class_text, function_source, users_module
from shoal.tasks.model import INPUT_CHARACTERS, cut, shorten

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


@dataclass(frozen=True, slots=True)
class Part:
    """One thing on which results depend.

    Attributes:
        name: What it is called, such as ``"closure scale"``.
        digest: Equal for equal values, in every process.
        text: For people; it may leave out what the digest knows.
    """

    name: str
    digest: str
    text: str


def part(name: str, value: object) -> Part:
    """A value as a part; never raises.

    Args:
        name: What to call it.
        value: Anything. Numbers and strings count by type and value, floats by their bits, arrays
            by dtype, shape and bytes, containers by what they hold, functions and the user's own
            classes by their source and what they use, libraries' by name, other objects by their
            type and what pickle would keep. What pickle could not keep counts by its type alone.
    """
    return Part(name, digest(value), _text(value))


def version_parts() -> list[Part]:
    """The versions on which every result depends: of Python, numpy and shoal."""
    versions = [("python", ".".join(platform.python_version_tuple()[:2]))]
    versions += [(name, metadata.version(name)) for name in ("numpy", "shoal")]
    return [part(f"version of {name}", version) for name, version in versions]


def _text(value: object) -> str:
    if isinstance(value, types.FunctionType) and written_by_user(value):
        return function_source(value).text
    if isinstance(value, type):
        return class_text(value) if users_module(value.__module__) else value.__qualname__
    if isinstance(value, str) and value.isprintable():
        return value
    try:
        state = vars(value) if type(value).__repr__ is object.__repr__ else {}
    except TypeError:  # it has no attributes of its own
        state = {}
    if state:
        inner = ", ".join(f"{name}={shorten(each)}" for name, each in state.items())
        return cut(_ADDRESS.sub("", f"{type(value).__qualname__}({inner})"), INPUT_CHARACTERS)
    return _ADDRESS.sub("", shorten(value))


def differences(old: Sequence[Part], new: Sequence[Part]) -> str:
    """What differs between two lists of parts, for people; empty if nothing does.

    Returns:
        For sources a unified diff, for values ``name: old → new``, each part on lines of its own.
    """
    return "\n".join(_differences({p.name: p for p in old}, {p.name: p for p in new}))


def _differences(old: dict[str, Part], new: dict[str, Part]) -> Iterator[str]:
    for name, before in old.items():
        after = new.get(name)
        if after is None:
            yield f"{name}: {_one_line(before.text)} → (not used)"
        elif after.digest != before.digest:
            yield from _changed(name, before.text, after.text)
    for name, after in new.items():
        if name not in old:
            yield f"{name}: (not used) → {_one_line(after.text)}"


def _changed(name: str, old: str, new: str) -> Iterator[str]:
    if old == new:
        yield f"{name}: {_one_line(new)} (shortened here; what is not shown differs)"
    elif "\n" in old.strip() or "\n" in new.strip():
        yield from difflib.unified_diff(
            old.rstrip().splitlines(),
            new.rstrip().splitlines(),
            f"{name}, as recorded",
            f"{name}, now",
            lineterm="",
        )
    else:
        yield f"{name}: {old.strip()} → {new.strip()}"


def _one_line(text: str) -> str:
    first, *more = text.strip().splitlines() or [""]
    return f"{first} …" if more else first
