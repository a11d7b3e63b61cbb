"""Checks at the door: bad arguments are refused before any work, with their name and value."""

from __future__ import annotations

import math
import operator
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor
from numbers import Real
from typing import Any

from shoal.tasks.model import Policy, shorten
from shoal.tasks.seeds import check_seed

NAMES = ("serial", "threads", "processes", "loky", "ray", "dask")
RESOURCES = ("num_cpus", "num_gpus", "memory", "resources")
ADDRESSES = ("ray://", "ray:", "dask://")
LONGEST_SECONDS = 1e9
CAN_FORK = hasattr(os, "fork")


def check_name(name: object, source: str = "executor") -> None:
    """Raises ValueError for a name that is none of ours, and lists those."""
    if isinstance(name, str) and name.startswith(ADDRESSES):
        _check_address(name, source)
        return
    if name not in NAMES:
        known = ", ".join(repr(each) for each in NAMES)
        raise ValueError(
            f"{source}={shorten(name)} is not known; expected one of {known}, an address "
            "'ray://host:port', 'ray:host:port' or 'dask://host:port', "
            "or a concurrent.futures.Executor"
        )
    if name == "processes" and not CAN_FORK:
        raise ValueError("executor='processes' needs a system with fork; here, use 'loky'")


def _check_address(name: str, source: str) -> None:
    """Raises ValueError for an address that is not host:port."""
    kind = next(each for each in ADDRESSES if name.startswith(each))
    host, _, port = name.removeprefix(kind).rpartition(":")
    if not host or not (port.isdecimal() and 0 < int(port) < 65536):
        raise ValueError(
            f"{source}={shorten(name)}: expected {kind}host:port, with a port from 1 to 65535"
        )


def check_resources(resources: object, name: str, *, allowed: bool) -> None:
    """Raises for resources of a task that Ray would not know, or where there is no Ray."""
    if resources is None:
        return
    if not allowed:
        raise ValueError(f"resources={shorten(resources)} needs executor='ray', not {name!r}")
    if not isinstance(resources, Mapping):
        raise TypeError(f"resources={shorten(resources)}: expected a mapping such as num_cpus=2")
    unknown = sorted(set(resources) - set(RESOURCES))
    if unknown:
        raise ValueError(f"resources={shorten(resources)}: expected {', '.join(RESOURCES)}")
    for what in RESOURCES[:3]:
        value: Any = resources.get(what, 0)
        if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= value < math.inf:  # type: ignore[operator]
            raise ValueError(f"resources={shorten(resources)}: expected {what} from 0")


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


def is_dask_client(value: object) -> bool:
    """Whether a value is a `distributed.Client`; imports nothing."""
    distributed = sys.modules.get("distributed")
    return distributed is not None and isinstance(value, distributed.Client)


def check_executor(executor: object) -> None:
    """Raises for what can never run anything, before any work is begun."""
    if executor is None or isinstance(executor, Executor) or is_dask_client(executor):
        return
    if isinstance(executor, str):
        check_name(executor)
        return
    raise TypeError(
        f"executor={shorten(executor)}: expected a name such as 'processes', a "
        f"concurrent.futures.Executor or a Dask client, not {type(executor).__name__}"
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


def check_function(f: object) -> None:
    """Raises TypeError for what cannot be called."""
    if not callable(f):
        raise TypeError(f"f={shorten(f)} is not callable: expected a function")


def check_options(
    f: object,
    *,
    executor: object = None,
    max_workers: object = None,
    batch_size: object = "auto",
    timeout_seconds: Any = None,
    retries: Any = 0,
    worker_death_retries: Any = 2,
    threads_per_task: object = 1,
    on_error: object = "raise",
    progress: object = None,
    seed: Any = None,
) -> None:
    """Raises what a call of the engine with these arguments would raise at its door.

    For callers that have something to do before the call, such as opening a file. What they do not
    offer has the default of `shoal.map`, which is never refused.
    """
    check_call(f, [()], on_error, progress)
    check_executor(executor)
    check_count("max_workers", max_workers, optional=True)
    check_count("threads_per_task", threads_per_task)
    if batch_size != "auto":
        check_count("batch_size", batch_size)
    checked_policy(retries, worker_death_retries, timeout_seconds)
    check_seed(seed)


def check_call(
    f: object, iterables: Sequence[Iterable[Any]], on_error: object, progress: object
) -> None:
    """Raises for arguments of map, imap and run that can never work."""
    check_function(f)
    if not iterables:
        raise TypeError("nothing to map over: expected at least one iterable after the function")
    if not isinstance(on_error, str) or on_error not in ("raise", "return"):
        raise ValueError(f"on_error={shorten(on_error)}: expected 'raise' or 'return'")
    if progress is not None and not isinstance(progress, bool):
        raise TypeError(f"progress={shorten(progress)}: expected True, False or None")
