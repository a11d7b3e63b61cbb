"""Runs a program as ``python program.py`` does, with our stand-ins at the end of its path.

It runs by itself, on the standard library of Python 3.9 alone: ``python start.py program.py``.
"""

from __future__ import annotations

import builtins
import os
import sys
import types
from importlib.machinery import SourceFileLoader

PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "path")  # noqa: PTH100, PTH118, PTH120
_kept: list[types.ModuleType | None] = []


def main() -> None:
    """Runs the program that the command line names."""
    if not getattr(sys.flags, "safe_path", False):
        del sys.path[0]  # ours
    run(sys.argv[1:])


def run(arguments: list[str]) -> None:
    """Runs a program as the main module of this process, and returns if it does.

    Args:
        arguments: The program's file, and what it finds after that in ``sys.argv``.

    Raises:
        SystemExit: If the program raises it, or ended with an exception, whose traceback is then
            written.
    """
    file = os.path.join(os.getcwd(), arguments[0])  # noqa: PTH109, PTH118
    sys.argv[:] = arguments
    if not getattr(sys.flags, "safe_path", False):
        sys.path.insert(0, os.path.dirname(os.path.realpath(file)))  # noqa: PTH120
    sys.path.append(PATH)
    module = types.ModuleType("__main__")
    module.__dict__.update(
        __builtins__=builtins,
        __file__=file,
        __loader__=SourceFileLoader("__main__", file),
        __annotations__={},
    )
    _kept.append(sys.modules.get("__main__"))  # its functions are still on the stack
    sys.modules["__main__"] = module
    try:
        with open(file, "rb") as source:  # noqa: PTH123
            text = source.read()
    except OSError as error:
        sys.stderr.write(f"{sys.executable}: can't open file {file!r}: {error}\n")
        sys.exit(2)
    try:
        exec(compile(text, file, "exec", dont_inherit=True), module.__dict__)  # noqa: S102
    except (SystemExit, KeyboardInterrupt):
        raise
    except BaseException as error:  # noqa: BLE001 - as at the end of every program
        _report(error)
        sys.exit(1)


def _report(error: BaseException) -> None:
    """Writes the traceback of an uncaught exception, without this file's own line."""
    trace = error.__traceback__ and error.__traceback__.tb_next
    error.__traceback__ = trace
    sys.last_type, sys.last_value, sys.last_traceback = type(error), error, trace
    sys.excepthook(type(error), error, trace)


if __name__ == "__main__":
    main()
