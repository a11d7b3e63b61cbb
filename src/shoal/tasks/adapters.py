"""What the engine must know of foreign objects, found by the name of their class.

The table below is text: an adapter is imported when an object of its class is met, and no sooner.
The engine therefore imports no SDK, and nobody has to register anything.
"""

from __future__ import annotations

import importlib
import io
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cloudpickle

from shoal.tasks.indexed import Indexed

PROTOCOL = 5
ROOM = "shoal.quantum.pennylane.adapters"

# Class to adapter; a class stands for its subclasses.
TABLE = {
    "autograd.tracer.Box": f"{ROOM}:BOX",
    "pennylane.devices.default_qubit.DefaultQubit": f"{ROOM}:SIMULATOR",
    "pennylane.workflow.qnode.QNode": f"{ROOM}:QNODE",
    "pennylane_lightning.lightning_base.lightning_base.LightningBase": f"{ROOM}:LIGHTNING",
}
SDKS = frozenset(name.partition(".")[0] for name in TABLE)


@dataclass(frozen=True, slots=True)
class Adapter:
    """How objects of one class are sent, and what they need.

    Attributes:
        reduce: As ``__reduce_ex__(5)`` of the object: how it is sent to a worker.
        memory_bytes: What a task needs that uses the object; None where that is nothing to count.
        no_threads: Why threads must not share the object; empty where they may.
    """

    reduce: Callable[[Any], Any]
    memory_bytes: Callable[[Any], int] | None = None
    no_threads: str = ""


@dataclass(slots=True)
class Needs:
    """What the objects need that a function uses.

    Attributes:
        memory_bytes: Memory of one task, as far as it is known.
        no_threads: Why threads must not share the function; empty where they may.
    """

    memory_bytes: int = 0
    no_threads: str = ""


@lru_cache(maxsize=4096)
def adapter_of(kind: type) -> Adapter | None:
    """The adapter of a class, or None."""
    for each in kind.__mro__:
        found = TABLE.get(f"{each.__module__}.{each.__qualname__}")
        if found is not None:
            module, _, name = found.partition(":")
            adapter: Adapter = getattr(importlib.import_module(module), name)
            return adapter
    return None


class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    """cloudpickle's, which sends the objects of the table as their adapters say."""

    def reducer_override(self, obj: Any) -> Any:
        """As `pickle.Pickler.reducer_override`."""
        kind: Any = type(obj)
        adapter = adapter_of(kind)
        if adapter is not None:
            self.met(adapter, obj)
            return adapter.reduce(obj)
        return super().reducer_override(obj)

    def met(self, adapter: Adapter, obj: Any) -> None:
        """Called for each object of the table on the way."""


def dumps(value: object) -> bytes:
    """As `cloudpickle.dumps`, with the adapters."""
    stream = io.BytesIO()
    Pickler(stream, PROTOCOL).dump(value)
    return stream.getvalue()


class _Looking(Pickler):
    """Adds up what the objects need that it meets."""

    def __init__(self, needs: Needs) -> None:
        super().__init__(io.BytesIO(), PROTOCOL, buffer_callback=lambda _: False)
        self._needs = needs

    def met(self, adapter: Adapter, obj: Any) -> None:
        """Counts the largest: tasks use one object after the other."""
        needs = self._needs
        needs.no_threads = needs.no_threads or adapter.no_threads
        if adapter.memory_bytes is not None:
            needs.memory_bytes = max(needs.memory_bytes, adapter.memory_bytes(obj))


def needs_of(function: Callable[..., Any]) -> Needs:
    """What the objects need that a function uses, directly or through others of its module.

    Looks by pickling, without the copies; costs nothing where none of the table's packages is
    loaded. What cannot be pickled is looked through as far as pickling gets.
    """
    needs = Needs()
    if SDKS.isdisjoint(sys.modules):
        return needs
    from shoal.tasks.processes.packing import by_value

    users = function.function if isinstance(function, Indexed) else function
    module = getattr(users, "__module__", None) or "builtins"
    library = module.partition(".")[0] in ("__main__", "builtins", "shoal", *SDKS)
    try:
        with by_value(() if library else (module,)):
            _Looking(needs).dump(users)
    except Exception:  # pickling runs the user's __reduce__, which may raise anything
        return needs
    return needs
