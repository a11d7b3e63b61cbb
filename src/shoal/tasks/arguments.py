"""Checks at the door: bad arguments are refused before any work, with their name and value."""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor
from numbers import Real
from typing import Any

from shoal.tasks.loop import Policy
from shoal.tasks.model import shorten

NAMES = ("serial", "threads", "processes", "loky")
LONGEST_SECONDS = 1e9
CAN_FORK = hasattr(os, "fork")


def check_name(name: object, source: str = "executor") -> None:
    """Raises ValueError for a name that is none of ours, and lists those."""
    if name not in NAMES:
        known = ", ".join(repr(each) for each in NAMES)
        raise ValueError(
            f"{source}={shorten(name)} is not known; expected one of {known}, "
            "or a concurrent.futures.Executor"
        )
    if name == "processes" and not CAN_FORK:
        raise ValueError("executor='processes' needs a system with fork; here, use 'loky'")


def check_count(name: str, value: object, *, optional: bool = False, least: int = 1) -> int | None:
    """Returns `value` if it is an integer of at least `least` (or None where that is allowed)."""
    if value is None and optional:
        return None
    try:
        number = operator.index(None if isinstance(value, bool) else value)  # type: ignore[arg-type]
    except TypeError:
        wanted = f"expected an integer of at least {least}"
        raise TypeError(f"{name}={shorten(value)}: {wanted}") from None
    if number < least:
        raise ValueError(f"{name}={number}: expected an integer of at least {least}")
    return number


def check_executor(executor: object) -> None:
    """Raises for what can never run anything, before any work is begun."""
    if executor is None or isinstance(executor, Executor):
        return
    if isinstance(executor, str):
        check_name(executor)
        return
    raise TypeError(
        f"executor={shorten(executor)}: expected a name such as 'processes', or a "
        f"concurrent.futures.Executor, not {type(executor).__name__}"
    )


def checked_policy(retries: int, worker_death_retries: int, timeout_seconds: Any) -> Policy:
    """What to do about faults, from checked arguments."""
    check_count("retries", retries, least=0)
    check_count("worker_death_retries", worker_death_retries, least=0)
    limit = None if timeout_seconds is None else _seconds("timeout_seconds", timeout_seconds)
    return Policy(int(retries), int(worker_death_retries), limit)


def _seconds(name: str, value: Any) -> float | None:
    """Checked seconds above 0; None for a time longer than any clock here can wait."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name}={shorten(value)}: expected a number of seconds")
    number: Any = value
    if not 0 < number < math.inf:
        raise ValueError(f"{name}={value!r}: expected seconds above 0, or None")
    return None if number > LONGEST_SECONDS else float(number)


def check_call(
    f: object, iterables: Sequence[Iterable[Any]], on_error: object, progress: object
) -> None:
    """Raises for arguments of map, imap and run that can never work."""
    if not callable(f):
        raise TypeError(f"f={shorten(f)} is not callable: expected a function")
    if not iterables:
        raise TypeError("nothing to map over: expected at least one iterable after the function")
    if not isinstance(on_error, str) or on_error not in ("raise", "return"):
        raise ValueError(f"on_error={shorten(on_error)}: expected 'raise' or 'return'")
    if progress is not None and not isinstance(progress, bool):
        raise TypeError(f"progress={shorten(progress)}: expected True, False or None")
