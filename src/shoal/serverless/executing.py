"""``shoal exec``: runs a program here, as a job would be run, without any gateway."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from shoal.serverless import compat

DESCRIPTION = (
    "Run a program in this folder, as a gateway would run it as a job: get_arguments() gives it "
    "the arguments, and what it gives save_result() is printed, as JSON, when it has ended. "
    "quantum_serverless and qiskit_serverless need not be installed."
)
EPILOG = (
    "Exit status: the program's own, 128 and its number if a signal ended it, 1 if it cannot be "
    "run, 2 wrong usage, 130 interrupted."
)


def add_arguments(subparsers: Any) -> None:
    """Adds the command to the ``shoal`` program."""
    parser = subparsers.add_parser(
        "exec",
        help="run a program here, without a gateway",
        description=DESCRIPTION,
        epilog=EPILOG,
    )
    parser.add_argument("program", metavar="PROGRAM", help="the program's file")
    parser.add_argument(
        "--arguments", metavar="FILE", help="a file with a JSON object; - is the standard input"
    )
    parser.add_argument("--result", metavar="FILE", help="write the result there, do not print it")
    parser.add_argument("--executor", metavar="NAME", help="where tasks run; sets SHOAL_EXECUTOR")
    parser.add_argument("--python", metavar="FILE", help="the interpreter; by default shoal's own")
    parser.set_defaults(command=_exec, parser=parser)


def _exec(chosen: argparse.Namespace) -> int:
    if not Path(chosen.program).is_file():
        raise ValueError(f"program={chosen.program!r}: there is no such file")
    text = _arguments_text(chosen.arguments)
    with tempfile.TemporaryDirectory(prefix="shoal-exec-") as made:
        folder = Path(made)
        arguments, result = folder / "arguments.json", folder / "result.json"
        arguments.write_text(text, encoding="utf-8")
        here = {"DATA_PATH": str(Path.cwd()), **os.environ}
        variables = {**here, "ARGUMENTS_PATH": str(arguments), "RESULTS_PATH": str(result)}
        if chosen.executor:
            variables["SHOAL_EXECUTOR"] = chosen.executor
        command = [chosen.python or sys.executable, str(compat.START), chosen.program]
        status = _run(command, variables)
        if status == 0 and result.exists():
            _give(_checked(result), chosen.result)
    return status


def _arguments_text(source: str | None) -> str:
    """The arguments in a file, or what `-` stands for; raises ValueError unless they are an object.

    The text goes to the program as it is.
    """
    if source is None:
        return "{}"
    name = "the standard input" if source == "-" else source
    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text(encoding="utf-8")
        found = json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"arguments from {name}: {error}") from error
    if not isinstance(found, dict):
        kind = type(found).__name__
        raise ValueError(f"arguments from {name}: expected a JSON object, not a {kind}")
    return text


def _run(command: list[str], variables: dict[str, str]) -> int:
    """The exit status of a program; an interruption reaches it as well, and is waited for."""
    try:
        process = subprocess.Popen(command, env=variables)
    except OSError as error:
        raise ValueError(f"python={command[0]!r} cannot be started: {error}") from error
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        code = process.wait()
    finally:
        signal.signal(signal.SIGINT, handler)
    return code if code >= 0 else 128 - code


def _checked(result: Path) -> str:
    """What a program saved, if a gateway would take it for a result."""
    try:
        text = result.read_text(encoding="utf-8")
        json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"what the program saved is not a result: {error}") from error
    return text


def _give(text: str, target: str | None) -> None:
    if target is None:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
        return
    try:
        Path(target).write_text(text, encoding="utf-8")
    except OSError as error:
        raise ValueError(f"result={target!r} cannot be written: {error}") from error
