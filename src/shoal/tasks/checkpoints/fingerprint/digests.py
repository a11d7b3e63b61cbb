"""A digest of nearly any value, equal for equal values in every process.

Pickles will not do: what they look like depends on which strings happen to be one object, and on
the order of sets, which differs from process to process. So values are walked instead.

A function is what its source, defaults and closure are. What it reads from its module is added
beside the walk, once per function, because functions of a module may know each other in circles.
"""

from __future__ import annotations

import copyreg
import enum
import functools
import inspect
import io
import math
import pickle
import struct
import types
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from typing import Any

from shoal.tasks.checkpoints.fingerprint.sources import (
    combined,
    function_source,
    imported_source,
    reads,
    users_module,
)

# What a class has by being one, and what says nothing about what it does.
_CLASS_FURNITURE = frozenset(
    {
        "__abstractmethods__",
        "__annotate__",
        "__annotate_func__",
        "__annotations__",
        "__annotations_cache__",
        "__dict__",
        "__doc__",
        "__firstlineno__",
        "__hash__",
        "__match_args__",
        "__slotnames__",
        "__module__",
        "__orig_bases__",
        "__parameters__",
        "__qualname__",
        "__static_attributes__",
        "__weakref__",
        "_abc_impl",
    }
)
_BUILT_IN = (
    types.BuiltinFunctionType,
    types.WrapperDescriptorType,
    types.MethodWrapperType,
    types.MethodDescriptorType,
    types.ClassMethodDescriptorType,
    types.GetSetDescriptorType,
    types.MemberDescriptorType,
)
_ATOMS: dict[type, Callable[[Any], bytes]] = {
    type(None): lambda _: b"",
    type(...): lambda _: b"",
    type(NotImplemented): lambda _: b"",
    bool: lambda value: b"1" if value else b"0",
    int: lambda value: hex(value).encode(),
    float: struct.Struct("<d").pack,
    complex: lambda value: struct.pack("<dd", value.real, value.imag),
    str: lambda value: value.encode("utf-8", "surrogatepass"),
    bytes: lambda value: value,
    bytearray: bytes,
    memoryview: bytes,
}


def digest(value: object) -> str:
    """A digest of `value` in hexadecimal; never raises.

    What cannot be looked into, such as an open file or a lock, counts by its type alone.
    """
    try:
        return Walker().digest(value).hex()
    except Exception:  # a value's own methods may raise anything, and it may be too deep to walk
        return combined([b"pickle", _pickle_or_type(value)]).hex()


def globals_read(function: types.FunctionType) -> Iterator[tuple[str, object]]:
    """What the function reads from its module, by name; of a user's module, what it reads of it."""
    found = reads(function.__code__)
    for name in found.names:
        if name in function.__globals__:
            value = function.__globals__[name]
            yield name, value
            yield from _members(name, value, found.attributes, 0)


def _members(
    name: str, module: object, attributes: tuple[str, ...], depth: int
) -> Iterator[tuple[str, object]]:
    if not isinstance(module, types.ModuleType) or not users_module(module.__name__) or depth > 3:
        return
    for attribute in attributes:
        if attribute in vars(module):
            value = vars(module)[attribute]
            yield f"{name}.{attribute}", value
            yield from _members(f"{name}.{attribute}", value, attributes, depth + 1)


def qualified(value: Any) -> str:
    """Module and name of a function, class or ufunc."""
    module = getattr(value, "__module__", None) or ""
    name = getattr(value, "__qualname__", None) or getattr(value, "__name__", None) or ""
    return f"{module}.{name or type(value).__qualname__}"


def written_by_user(function: types.FunctionType) -> bool:
    """Whether the code of a function is the user's, whatever a decorator says."""
    return users_module(function.__globals__.get("__name__"))


class Walker:
    """One walk over a value."""

    def __init__(self) -> None:
        self._open: dict[int, int] = {}
        self._lowest = math.inf
        self._known: dict[int, tuple[bytes, object]] = {}
        self._functions: dict[tuple[int, int], types.FunctionType] = {}

    def digest(self, value: object) -> bytes:
        """The digest of a value and of all that its functions read."""
        pieces = [self.walk(value)]
        seen: set[tuple[int, int]] = set()
        read: set[bytes] = set()
        while new := [key for key in self._functions if key not in seen]:
            for key in new:
                seen.add(key)
                read.update(self._read_by(self._functions[key]))
        return combined([*pieces, *sorted(read)])

    def _read_by(self, function: types.FunctionType) -> Iterator[bytes]:
        source = function_source(function).digest
        for name, value in globals_read(function):
            yield combined([source, name.encode(), self.walk(value)])
        for name in reads(function.__code__).imports:
            found = imported_source(name, function.__globals__.get("__package__"))
            if found is not None:
                yield combined([source, b"import", name.encode(), found.digest])

    def walk(self, value: Any) -> bytes:
        """The digest of a value by itself."""
        kind = type(value)
        if kind in _ATOMS:
            return combined([kind.__name__.encode(), _ATOMS[kind](value)])
        key = id(value)
        if key in self._known:
            return self._known[key][0]
        depth = len(self._open)
        if key in self._open:  # a circle: said by how far up it closes
            self._lowest = min(self._lowest, self._open[key])
            return combined([b"circle", str(depth - self._open[key]).encode()])
        around, self._lowest = self._lowest, math.inf
        self._open[key] = depth
        try:
            found = combined(self._pieces(value, kind))
        finally:
            del self._open[key]
        if self._lowest >= depth:
            # The value is kept too: another one in its place would have the same id.
            self._known[key] = found, value
            self._lowest = math.inf
        self._lowest = min(around, self._lowest)
        return found

    def _pieces(self, value: Any, kind: type) -> Iterator[bytes]:
        if kind in (list, tuple, deque):
            yield kind.__name__.encode()
            yield from map(self.walk, value)
        elif kind in (set, frozenset):
            yield kind.__name__.encode()
            yield from sorted(map(self.walk, value))
        elif kind in (dict, types.MappingProxyType):
            yield b"dict"
            yield from self._pairs(value.items())
        elif isinstance(value, type):
            yield from self._class(value)
        elif kind is types.FunctionType:
            yield from self._function(value)
        elif kind is types.ModuleType or isinstance(value, types.ModuleType):
            yield from (b"module", value.__name__.encode())
        else:
            yield from self._callable_or_object(value, kind)

    def _callable_or_object(self, value: Any, kind: type) -> Iterator[bytes]:
        if kind is functools.partial:
            yield b"partial"
            yield from map(self.walk, (value.func, value.args, value.keywords))
        elif kind is types.MethodType:
            yield from (b"method", self.walk(value.__func__), self.walk(value.__self__))
        elif isinstance(value, _BUILT_IN):
            bound = getattr(value, "__self__", None)
            yield from (b"built-in", qualified(value).encode())
            yield b"" if bound is None or isinstance(bound, types.ModuleType) else self.walk(bound)
        elif isinstance(value, staticmethod | classmethod):
            yield from (kind.__name__.encode(), self.walk(value.__func__))
        elif kind is property:
            yield b"property"
            yield from map(self.walk, (value.fget, value.fset, value.fdel))
        elif kind is types.CellType:
            yield b"cell"
            yield from [self.walk(value.cell_contents)] if _filled(value) else []
        elif kind is types.CodeType:
            raise TypeError("code without a function")
        elif isinstance(value, enum.Enum):
            yield from (b"enum", self.walk(kind), value.name.encode())
        elif (inner := inner_function(value)) is not None:
            yield from (b"wrapper", qualified(kind).encode(), self.walk(inner))
        else:
            yield from self._data(value, kind)

    def _data(self, value: Any, kind: type) -> Iterator[bytes]:
        from shoal.tasks.checkpoints.fingerprint.arrays import array_pieces

        pieces = array_pieces(value, self.walk)
        if pieces is not None:
            yield from pieces
            return
        yield from (b"object", self.walk(kind))
        if kind is weakref.ref:
            yield self.walk(value())
        else:
            yield from self._state(value, kind)

    def _state(self, value: Any, kind: type) -> Iterator[bytes]:
        """What pickle would keep of an object, walked."""
        try:
            reducer = copyreg.dispatch_table.get(kind)
            reduced = reducer(value) if reducer else value.__reduce_ex__(4)
        except Exception:  # there is no state that outlives the process: its type says all
            yield b"no state"
            return
        if isinstance(reduced, str):
            yield reduced.encode()
            return
        make, arguments, state, items, pairs = (*reduced, None, None, None)[:5]
        yield self.walk(make)
        yield from map(self.walk, arguments)
        yield self.walk(state)
        yield from map(self.walk, items or ())
        if isinstance(value, OrderedDict):
            yield from (self.walk(pair) for pair in pairs or ())
        else:
            yield from self._pairs(pairs or ())

    def _pairs(self, pairs: Any) -> Iterator[bytes]:
        for key, item in sorted((self.walk(key), self.walk(item)) for key, item in pairs):
            yield key
            yield item

    def _function(self, function: types.FunctionType) -> Iterator[bytes]:
        code = function.__code__
        yield b"function"
        if not written_by_user(function) and not function.__closure__:
            yield f"{function.__globals__.get('__name__')}.{code.co_qualname}".encode()
            return
        if written_by_user(function):
            self._functions.setdefault((id(code), id(function.__globals__)), function)
        yield function_source(function).digest
        yield self.walk(function.__defaults__)
        yield self.walk(function.__kwdefaults__)
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            yield name.encode()
            yield self.walk(cell.cell_contents) if _filled(cell) else b""

    def _class(self, kind: type) -> Iterator[bytes]:
        yield from (b"class", qualified(kind).encode())
        if not users_module(kind.__module__):
            return
        yield from map(self.walk, kind.__bases__)
        if issubclass(kind, enum.Enum):
            for name, member in kind.__members__.items():
                yield name.encode()
                yield self.walk(member.value)
        for name, value in sorted(vars(kind).items()):
            if name in _CLASS_FURNITURE or (
                issubclass(kind, enum.Enum) and not isinstance(value, types.FunctionType)
            ):
                continue
            yield name.encode()
            yield self.walk(value)


def inner_function(value: Any) -> Any:
    """The Python function inside a cached, compiled or otherwise wrapped callable, or None."""
    for name in ("py_func", "__wrapped__"):
        # What answers to any name, as proxies do, is not asked.
        if callable(value) and inspect.getattr_static(value, name, None) is not None:
            inner = getattr(value, name, None)
            if callable(inner) and inner is not value:
                return inner
    return None


def _filled(cell: types.CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018 - an empty cell raises
    except ValueError:
        return False
    return True


def _pickle_or_type(value: object) -> bytes:
    stream = io.BytesIO()
    try:
        # Without a memo, so that what is one object and what two equal ones makes no difference.
        pickler = pickle.Pickler(stream, 4)
        pickler.fast = True
        pickler.dump(value)
    except Exception:  # nothing of it can be told but what it is
        return qualified(type(value)).encode()
    return stream.getvalue()
