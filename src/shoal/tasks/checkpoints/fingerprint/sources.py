"""Source and bytecode of functions, brought to a form that says what they do and no more."""

from __future__ import annotations

import ast
import dis
import functools
import hashlib
import importlib.util
import inspect
import linecache
import os
import sys
import sysconfig
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple

_HAS_DOCSTRING = 0x4000000  # CO_HAS_DOCSTRING of CPython 3.13 and later
_ANONYMOUS = ("<lambda>", "<genexpr>", "<listcomp>", "<setcomp>", "<dictcomp>")
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_DOCUMENTED = (*_FUNCTIONS, ast.ClassDef, ast.Module)
_STANDARD = tuple(
    os.path.realpath(sysconfig.get_path(kind)) + os.sep for kind in ("stdlib", "platstdlib")
)


class Source(NamedTuple):
    """What a function does.

    Attributes:
        digest: The same for the same syntax, however it is formatted, commented and documented.
        text: As it was written; the function's name where its source is not to be had.
    """

    digest: bytes
    text: str


@dataclass(frozen=True, slots=True)
class Reads:
    """What code looks up by name.

    Attributes:
        names: Global names, sorted.
        attributes: Names of attributes, of anything, sorted.
        imports: Modules it imports when it runs, sorted.
    """

    names: tuple[str, ...]
    attributes: tuple[str, ...]
    imports: tuple[str, ...]


def function_source(function: FunctionType) -> Source:
    """The function's syntax tree, or its bytecode where the source is not that of the function."""
    code = function.__code__
    found = _node_of(code, function.__globals__)
    if found is None:
        return Source(_hash(b"bytecode", bytecode(code)), function.__qualname__)
    node, text = found
    return Source(_hash(b"source", _dump(node, outermost=True).encode()), text)


def class_text(kind: type) -> str:
    """The source of a class, or its name where there is none."""
    try:
        return textwrap.dedent(inspect.getsource(kind))
    except (OSError, TypeError, SyntaxError, IndexError):
        return kind.__qualname__


@functools.lru_cache(maxsize=1024)
def reads(code: CodeType) -> Reads:
    """What `code`, and the code inside of it, looks up by name."""
    names, attributes, imports = set(), set(), set()
    for each in _with_inner(code):
        for instruction in dis.get_instructions(each):
            name = instruction.argval
            if not isinstance(name, str):
                continue
            if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
                names.add(name)
            elif instruction.opname == "IMPORT_NAME":
                imports.add(name)
            elif instruction.opname in ("LOAD_ATTR", "LOAD_METHOD", "IMPORT_FROM"):
                attributes.add(name)
    return Reads(tuple(sorted(names)), tuple(sorted(attributes)), tuple(sorted(imports)))


@functools.lru_cache(maxsize=1024)
def bytecode(code: CodeType) -> bytes:
    """A digest of what `code` does, without its name, its lines and its docstring."""
    constants = list(code.co_consts)
    if constants and isinstance(constants[0], str) and _documented(code):
        constants[0] = None
    return _hash(
        code.co_code,
        repr((code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)).encode(),
        repr((code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount)).encode(),
        repr(code.co_flags & ~_HAS_DOCSTRING).encode(),
        getattr(code, "co_exceptiontable", b""),
        *map(_constant, constants),
    )


def _documented(code: CodeType) -> bool:
    if sys.version_info >= (3, 13):
        return bool(code.co_flags & _HAS_DOCSTRING)
    return code.co_name not in _ANONYMOUS and bool(code.co_flags & inspect.CO_OPTIMIZED)


def _constant(value: object) -> bytes:
    if isinstance(value, CodeType):
        return bytecode(value)
    if isinstance(value, frozenset):
        return _hash(b"frozenset", *sorted(map(_constant, value)))
    if isinstance(value, tuple):
        return _hash(b"tuple", *map(_constant, value))
    return _hash(type(value).__name__.encode(), repr(value).encode("utf-8", "backslashreplace"))


def _with_inner(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _with_inner(constant)


class _Parsed(NamedTuple):
    text: str
    nodes: dict[int, list[Any]]
    codes: dict[int, list[CodeType]]


@functools.lru_cache(maxsize=64)
def _parse(text: str) -> _Parsed | None:
    """All functions in a file, as syntax and as code, by the line on which they start."""
    try:
        tree = ast.parse(text)
        whole = compile(text, "<source>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError):
        return None
    nodes: dict[int, list[Any]] = {}
    for node in ast.walk(tree):
        if isinstance(node, (*_FUNCTIONS, ast.Lambda)):
            decorators = [each.lineno for each in getattr(node, "decorator_list", [])]
            nodes.setdefault(min([node.lineno, *decorators]), []).append(node)
    codes: dict[int, list[CodeType]] = {}
    for code in _with_inner(whole):
        codes.setdefault(code.co_firstlineno, []).append(code)
    return _Parsed(text, nodes, codes)


def _node_of(code: CodeType, namespace: dict[str, Any]) -> tuple[ast.AST, str] | None:
    """The syntax of a function and its text; None if its file has changed since it was loaded."""
    linecache.checkcache(code.co_filename)
    text = "".join(linecache.getlines(code.co_filename, namespace))
    parsed = _parse(text) if text else None
    if parsed is None:
        return None
    line = code.co_firstlineno
    if bytecode(code) not in map(bytecode, parsed.codes.get(line, ())):
        return None
    nodes = [node for node in parsed.nodes.get(line, ()) if _named(node) == code.co_name]
    if len(nodes) > 1:
        nodes = [node for node in nodes if _spans(node, code)]
    if len(nodes) != 1:
        return None
    return nodes[0], _text_of(nodes[0], text, line)


def _named(node: Any) -> str:
    return getattr(node, "name", "<lambda>")


def _spans(node: Any, code: CodeType) -> bool:
    """Whether the body of a lambda is, to the column, what `code` returns."""
    body = getattr(node, "body", None)
    if not isinstance(body, ast.expr):
        return False
    span = body.lineno, body.end_lineno, body.col_offset, body.end_col_offset
    places = [place for place in code.co_positions() if None not in place and place[3]]
    return span in places and all(
        (span[0], span[2]) <= (start, column) and (end, last) <= (span[1], span[3])
        for start, end, column, last in places
    )


def _text_of(node: Any, text: str, line: int) -> str:
    if isinstance(node, ast.Lambda):
        return ast.get_source_segment(text, node) or ast.unparse(node)
    return textwrap.dedent("".join(text.splitlines(keepends=True)[line - 1 : node.end_lineno]))


def _dump(node: Any, *, outermost: bool = False) -> str:
    """As `ast.dump`, without docstrings and the outermost name, and the same in all Pythons."""
    if isinstance(node, list):
        return f"[{','.join(map(_dump, node))}]"
    if not isinstance(node, ast.AST):
        return f"{type(node).__name__}:{node!r}"
    fields = []
    for name, value in ast.iter_fields(node):
        if value is None and name == "value" and isinstance(node, ast.Constant):
            fields.append("value=None")
        if value is None or value == [] or name in ("kind", "type_comment", "ctx"):
            continue
        if name == "name" and outermost:
            continue
        if name == "body" and isinstance(node, _DOCUMENTED):
            value = _undocumented(value)  # noqa: PLW2901 - the same thing, cleaned
        fields.append(f"{name}={_dump(value)}")
    return f"{type(node).__name__}({';'.join(fields)})"


def _undocumented(body: list[ast.stmt]) -> list[ast.stmt]:
    if body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        documented = isinstance(body[0].value.value, str)
        return (body[1:] or [ast.Pass()]) if documented else body
    return body


def users_module(name: str | None) -> bool:
    """Whether a module was written by the user: no library's, none of Python's, none of shoal's."""
    if name is None or name == "__main__":
        return True
    top = name.partition(".")[0]
    if top == "shoal":
        return False
    module = sys.modules.get(name) or sys.modules.get(top)
    if not isinstance(module, ModuleType):
        return top not in sys.stdlib_module_names
    path = getattr(module, "__file__", None)
    if isinstance(path, str):
        return _users_file(path)
    return getattr(module, "__spec__", None) is None  # made by hand: built-in ones have a spec


@functools.lru_cache(maxsize=4096)
def _users_file(path: str) -> bool:
    if not path.endswith((".py", ".pyc", ".ipynb")):
        return False
    real = os.path.realpath(path)
    if {"site-packages", "dist-packages"} & set(real.split(os.sep)):
        return False
    return not real.startswith(_STANDARD)


def imported_source(name: str, package: str | None) -> Source | None:
    """The source of a user's module that is imported by a function when that runs.

    It is found as a file, whether or not it is loaded already: a second call must find the same.
    """
    for candidate in (name, f"{package}.{name}" if package else ""):
        path = _file_of(candidate) if candidate else None
        if path is None or not _users_file(path):
            continue
        try:
            with open(path, encoding="utf-8") as file:
                text = file.read()
            return Source(_hash(b"module", _dump(ast.parse(text)).encode()), text)
        except (OSError, ValueError, SyntaxError):
            continue
    return None


def _file_of(name: str) -> str | None:
    top, *rest = name.split(".")
    try:
        spec = importlib.util.find_spec(top)  # of a top-level name: imports nothing
    except (ImportError, ValueError, AttributeError):
        return None
    if spec is None or spec.origin is None:
        return None
    if not rest:
        return spec.origin
    for folder in spec.submodule_search_locations or ():
        for path in (
            os.path.join(folder, *rest) + ".py",
            os.path.join(folder, *rest, "__init__.py"),
        ):
            if os.path.isfile(path):
                return path
    return None


def _hash(*pieces: bytes) -> bytes:
    return combined(pieces)


def combined(pieces: Any) -> bytes:
    """One digest of several byte strings, which tells where each ends."""
    digest = hashlib.blake2b(digest_size=16)
    for piece in pieces:
        digest.update(len(piece).to_bytes(8, "little"))
        digest.update(piece)
    return digest.digest()
