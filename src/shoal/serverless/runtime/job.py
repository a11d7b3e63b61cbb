"""What a program is given and gives back: arguments and a result, through files."""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from shoal.serverless.encoding import decode, encode


def get_arguments() -> Any:
    """The arguments with which the job was run, as a dictionary by name.

    They are read from the file that `ARGUMENTS_PATH` names, else from ``arguments.serverless`` in
    the working directory, else from the variable `ENV_JOB_ARGUMENTS`; without any of them there
    are none.

    Raises:
        ValueError: If they are no JSON, or hold a value that cannot be made again here.
        MissingExtra: If a value needs a package that is not installed, such as a circuit qiskit.
        OSError: If the file that is named is not there.
    """
    return decode(_arguments_text(), services=True)


def _arguments_text() -> str:
    named = os.environ.get("ARGUMENTS_PATH")
    if named:
        return Path(named).read_text(encoding="utf-8")
    with suppress(FileNotFoundError):
        return Path("arguments.serverless").read_text(encoding="utf-8")
    return os.environ.get("ENV_JOB_ARGUMENTS") or "{}"


def save_result(result: Any) -> bool:
    """Makes a value the job's result; of several, the last one counts.

    The result becomes visible when the program has ended, and only if it ends well. Outside of a
    job, where nothing says what to do with it, it is printed.

    Args:
        result: What `shoal.serverless.encoding.encode` can write: JSON's types, arrays, circuits,
            … None counts as ``{}``.

    Returns:
        True.

    Raises:
        TypeError: If something in it cannot be written as JSON; names the place. What was saved
            before stays.
        OSError: If the disk does not take it.
    """
    text = encode({} if result is None else result)
    named = os.environ.get("RESULTS_PATH")
    if named:
        _replace(Path(named), text)
    else:
        sys.stdout.write(f"Saved result: {text}\n")
        sys.stdout.flush()
    return True


def _replace(path: Path, text: str) -> None:
    """Writes a file in one step: whoever reads it finds all of the old one or of the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=".result-")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as target:
            target.write(text)
        os.replace(draft, path)  # noqa: PTH105 - the draft's name is a text
    except BaseException:
        with suppress(OSError):
            os.unlink(draft)  # noqa: PTH108 - as above
        raise


def is_running_in_serverless() -> bool:
    """Whether this is a job of a gateway."""
    return "ENV_JOB_ID_GATEWAY" in os.environ


def is_trial() -> bool:
    """Whether the job runs on trial."""
    return os.environ.get("ENV_ACCESS_TRIAL") == "True"


def get_function_size() -> str:
    """The size that was chosen for the job, such as ``"M"``; empty where there are no sizes."""
    return os.environ.get("ENV_JOB_FUNCTION_SIZE", "")


def get_compute_profile() -> str:
    """The machine that was chosen for the job; empty where there is no choice."""
    return os.environ.get("ENV_JOB_COMPUTE_PROFILE", "")
