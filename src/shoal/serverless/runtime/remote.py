"""Functions that become programs of their own: a call uploads the function and runs it as a job."""

from __future__ import annotations

import functools
import importlib
import inspect
import sys
import tempfile
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

_ENTRYPOINT = """\
import cloudpickle
from qiskit_serverless import get_arguments, save_result

with open({name!r}, "rb") as source:
    function = cloudpickle.load(source)
result = function(**get_arguments())
if result is not None:
    save_result(result)
"""


def distribute_qiskit_function(
    provider: Any = None,
    dependencies: Sequence[str] | None = None,
    working_dir: str | None = None,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Makes a function a program: a call uploads it, runs it as a job, and returns the job.

    The function travels by value, with what it uses of its own module, by cloudpickle, which the
    job's Python needs too, in the same minor version. What it returns is the job's result.

    Args:
        provider: A client of a gateway; None makes one from the environment.
        dependencies: As for a program.
        working_dir: A folder that is uploaded along.

    Returns:
        A decorator. The decorated function takes named arguments only.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        if not inspect.isfunction(function):
            raise TypeError(f"distribute_qiskit_function() of {function!r}: expected a function")

        @functools.wraps(function)
        def run(*args: Any, **arguments: Any) -> Any:
            if args:
                raise TypeError(f"{function.__name__}() takes named arguments only")
            serverless = importlib.import_module("shoal.serverless")
            client = serverless.ServerlessClient() if provider is None else provider
            with tempfile.TemporaryDirectory() as made:
                folder = Path(working_dir or made)
                written = _write(function, folder)
                try:
                    program = serverless.Program(
                        function.__name__,
                        entrypoint=written[0].name,
                        working_dir=folder,
                        dependencies=tuple(dependencies or ()),
                    )
                    client.upload(program)
                    return client.run(function.__name__, arguments=arguments)
                finally:
                    for path in written:
                        path.unlink(missing_ok=True)

        return run

    return decorate


distribute_program = distribute_qiskit_function


def _by_value(function: Callable[..., Any]) -> bytes:
    """A function pickled so that its module need not be where it is unpickled."""
    cloudpickle = importlib.import_module("cloudpickle")
    module = sys.modules[function.__module__]
    known = module.__name__ in cloudpickle.list_registry_pickle_by_value()
    if not known:
        cloudpickle.register_pickle_by_value(module)
    try:
        data: bytes = cloudpickle.dumps(function)
    finally:
        if not known:
            cloudpickle.unregister_pickle_by_value(module)
    return data


def _write(function: Callable[..., Any], folder: Path) -> tuple[Path, Path]:
    """Writes the entrypoint and the pickled function into a folder; returns where."""
    suffix = uuid.uuid4().hex[:8]
    pickled = folder / f"function_{suffix}.pkl"
    entrypoint = folder / f"entrypoint_{suffix}.py"
    pickled.write_bytes(_by_value(function))
    entrypoint.write_text(_ENTRYPOINT.format(name=pickled.name), encoding="utf-8")
    return entrypoint, pickled
