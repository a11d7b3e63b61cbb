"""What the engine must know of foreign objects, found by the name of their class.

The table below is text: an adapter is imported when an object of its class is met, and no sooner.
The engine therefore imports no SDK, and nobody has to register anything.
"""

from __future__ import annotations

import importlib
import io
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from types import FunctionType
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

    def add(self, memory_bytes: int, no_threads: str) -> None:
        """Counts one more object; of the memory the most, since tasks use one after the other."""
        self.memory_bytes = max(self.memory_bytes, memory_bytes)
        self.no_threads = self.no_threads or no_threads


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

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._met = Needs()
        self._defined: dict[int, Any] = {}  # functions and classes on the way, each once

    def reducer_override(self, obj: Any) -> Any:
        """As `pickle.Pickler.reducer_override`."""
        kind: Any = type(obj)
        adapter = adapter_of(kind)
        if adapter is not None:
            memory = 0 if adapter.memory_bytes is None else adapter.memory_bytes(obj)
            self._met.add(memory, adapter.no_threads)
            return adapter.reduce(obj)
        if kind is FunctionType or isinstance(obj, type):
            self._defined[id(obj)] = obj
        return super().reducer_override(obj)

    def needs(self) -> Needs:
        """What the objects need that were on the way, directly or in modules sent by name."""
        for each in self._defined.values():
            behind = needs_behind(each)
            self._met.add(behind.memory_bytes, behind.no_threads)
        return self._met


def dumps(value: object) -> bytes:
    """As `cloudpickle.dumps`, with the adapters."""
    stream = io.BytesIO()
    Pickler(stream, PROTOCOL).dump(value)
    return stream.getvalue()


def needs_of(function: Callable[..., Any]) -> Needs:
    """What the objects need that a function uses, directly or through others of its module.

    Looks by pickling, without the copies. What cannot be pickled is looked through as far as
    pickling gets.
    """
    if SDKS.isdisjoint(sys.modules):
        return Needs()
    return _looked(function.function if isinstance(function, Indexed) else function).needs()


def needs_behind(named: Any) -> Needs:
    """What a function or class needs that workers import by name; nothing for any other.

    They have what its module makes at import, whatever becomes of that here: it is looked for once.
    """
    from shoal.tasks.processes.packing import importable, written_by_user

    module = named.__module__ or ""
    if SDKS.isdisjoint(sys.modules) or not (importable(named) and written_by_user(module)):
        return Needs()
    return _needs_behind(module, named.__qualname__, id(named))


@lru_cache(maxsize=256)
def _needs_behind(module: str, name: str, _: int) -> Needs:
    """What is needed by the function or class of this name and address."""
    from shoal.tasks.processes.packing import by_value

    with by_value((module,)):
        return _looked(getattr(sys.modules[module], name))._met  # noqa: SLF001  (nothing further: one module is the function's own)


def _looked(value: Any) -> Pickler:
    """A pickler that has pickled a value, as far as that went, and kept nothing of it."""
    pickler = Pickler(io.BytesIO(), PROTOCOL, buffer_callback=lambda _: False)
    with suppress(Exception):  # pickling runs the user's __reduce__, which may raise anything
        pickler.dump(value)
    return pickler
