"""A function as parts: its source, what it was given, what it uses."""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Callable, Iterator
from importlib import metadata
from typing import Any

from shoal.tasks.checkpoints.fingerprint.digests import (
    digest,
    globals_read,
    inner_function,
    qualified,
    written_by_user,
)
from shoal.tasks.checkpoints.fingerprint.parts import Part, part
from shoal.tasks.checkpoints.fingerprint.sources import (
    class_text,
    function_source,
    imported_source,
    reads,
    users_module,
)


def function_parts(f: Callable[..., Any]) -> list[Part]:
    """What the results of a function depend on, besides its arguments.

    That is its source, or its bytecode where there is none, defaults, closure values, the globals
    it reads, the same of functions and classes of the user's that it calls, and the versions of
    the libraries it uses. Comments, docstrings, formatting and its own name make no difference.

    Args:
        f: Any callable: a function, lambda, method, partial, instance with `__call__`, built-in or
            ufunc, or one of these wrapped by a decorator.

    Returns:
        One part each, the function itself first, in the same order in every process. Names are
        unique.
    """
    return _Taking().parts(f)


class _Taking:
    """One function taken to parts."""

    def __init__(self) -> None:
        self._parts: dict[str, Part] = {}
        self._seen: set[tuple[int, int]] = set()
        self._libraries: set[str] = set()
        self._pending: list[tuple[str, types.FunctionType]] = []

    def parts(self, f: Callable[..., Any]) -> list[Part]:
        self._take("function", f)
        while self._pending:
            name, function = self._pending.pop(0)
            self._function(name, function)
        for top in sorted(self._libraries):
            version = _version(top)
            if version is not None:
                self._add(part(f"version of {top}", version))
        return list(self._parts.values())

    def _add(self, new: Part) -> None:
        name, number = new.name, 2
        while name in self._parts:
            if self._parts[name].digest == new.digest:
                return
            name, number = f"{new.name} ({number})", number + 1
        self._parts[name] = Part(name, new.digest, new.text)

    def _take(self, name: str, f: Any) -> None:
        """Adds any callable, under `name`."""
        if isinstance(f, types.FunctionType):
            self._function(name, f)
        elif isinstance(f, functools.partial):
            self._take(name, f.func)
            for number, value in enumerate(f.args):
                self._value(f"partial argument {number}", value)
            for key, value in sorted(f.keywords.items()):
                self._value(f"partial argument {key}", value)
        elif isinstance(f, types.MethodType):
            self._take(name, f.__func__)
            self._value("bound to", f.__self__)
        elif isinstance(f, type):
            self._class(name, f)
        elif (inner := inner_function(f)) is not None:
            self._take(name, inner)
            self._add(part("wrapped by", qualified(type(f))))
            self._library(type(f).__module__)
        elif users_module(type(f).__module__):
            self._class(name, type(f))
            self._value("instance", f)
        else:
            self._named(name, f)

    def _named(self, name: str, f: Any) -> None:
        """Adds what a library made: by its name, and its state if it has one."""
        described = qualified(f)
        self._add(Part(name, digest(f), described))
        self._library(getattr(f, "__module__", None) or type(f).__module__)

    def _function(self, name: str, f: types.FunctionType) -> None:
        if not written_by_user(f) and not f.__closure__:
            self._named(name, f)
            return
        key = id(f), 0
        if key in self._seen:
            return
        self._seen.add(key)
        source = function_source(f)
        self._add(Part(name, source.digest.hex(), source.text))
        of = "" if name == "function" else f" of {f.__qualname__}"
        self._arguments(f, of)
        for free, cell in zip(f.__code__.co_freevars, f.__closure__ or (), strict=True):
            try:
                self._value(f"closure {free}{of}", cell.cell_contents)
            except ValueError:  # the cell is still empty
                continue
        self._globals(f)

    def _arguments(self, f: types.FunctionType, of: str) -> None:
        """Adds the defaults."""
        names = f.__code__.co_varnames[: f.__code__.co_argcount]
        defaults = f.__defaults__ or ()
        for name, value in zip(names[len(names) - len(defaults) :], defaults, strict=True):
            self._value(f"default {name}{of}", value)
        for name, value in sorted((f.__kwdefaults__ or {}).items()):
            self._value(f"default {name}{of}", value)

    def _globals(self, f: types.FunctionType) -> None:
        key = id(f.__code__), id(f.__globals__)
        if not written_by_user(f):
            self._library(f.__globals__.get("__name__"))
            return
        if key in self._seen:
            return
        self._seen.add(key)
        for name, value in globals_read(f):
            self._value(f"global {name}", value)
        for name in reads(f.__code__).imports:
            found = imported_source(name, f.__globals__.get("__package__"))
            if found is not None:
                self._add(Part(f"module {name}", found.digest.hex(), found.text))
            else:
                self._library(name)

    def _value(self, name: str, value: Any) -> None:
        """Adds a value: functions and classes of the user's with all they use."""
        if isinstance(value, types.ModuleType):
            self._library(value.__name__)
        elif isinstance(value, types.FunctionType) and written_by_user(value):
            if not _lambda(value):
                name = f"function {value.__qualname__}"
            self._pending.append((name, value))
        elif isinstance(value, type) and users_module(value.__module__):
            self._class(f"class {value.__qualname__}", value)
        else:
            self._add(part(name, value))
            self._library(getattr(value, "__module__", None) or type(value).__module__)

    def _class(self, name: str, kind: type) -> None:
        if not users_module(kind.__module__):
            self._named(name, kind)
            return
        key = id(kind), 1
        if key in self._seen:
            return
        self._seen.add(key)
        self._add(Part(name, digest(kind), class_text(kind)))
        for base in kind.__mro__[1:]:
            if base is not object:
                self._class(f"class {base.__qualname__}", base)
        for method in _methods(kind):
            self._globals(method)

    def _library(self, module: Any) -> None:
        top = module.partition(".")[0] if isinstance(module, str) else ""
        if top and not users_module(top) and top not in sys.stdlib_module_names:
            self._libraries.add(top)


def _lambda(function: types.FunctionType) -> bool:
    return function.__name__ == "<lambda>"


def _methods(kind: type) -> Iterator[types.FunctionType]:
    for _, value in sorted(vars(kind).items()):
        function = getattr(value, "__func__", None) or getattr(value, "fget", None) or value
        if isinstance(function, types.FunctionType):
            yield function


@functools.cache
def _version(top: str) -> str | None:
    """The version of the distribution that a package came with, or None."""
    if top == "builtins":
        return None
    try:
        return metadata.version(top)
    except (metadata.PackageNotFoundError, ValueError):
        pass
    names = metadata.packages_distributions().get(top)
    if names:
        return metadata.version(names[0])
    version = getattr(sys.modules.get(top), "__version__", None)
    return version if isinstance(version, str) else None
