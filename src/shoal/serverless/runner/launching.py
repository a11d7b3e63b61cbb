"""Prepares an attempt's folder and starts the shim in it."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from shoal.serverless import artifacts, compat
from shoal.serverless.models import Job
from shoal.serverless.runner.leftovers import MARK
from shoal.serverless.runner.places import Place
from shoal.serverless.settings import Settings
from shoal.serverless.store import Claim, Store

# Linux takes no single variable above 128 KiB; older programs read their arguments from one.
ARGUMENT_VARIABLE_BYTES = 131_072 - len("ENV_JOB_ARGUMENTS=") - 1

_START = "import sys; sys.path.append(sys.argv[1]); import shim; shim.main()"
SHIM = (sys.executable, "-I", "-S", "-c", _START, str(Path(__file__).parent))


def prepare(claim: Claim, place: Place, store: Store, settings: Settings, gateway: str) -> None:
    """Fills an attempt's folder with the program, its arguments, and what the shim is to do.

    Raises:
        ServerlessError: If the program cannot be unpacked, or a blob is gone.
        OSError: If the disk does not take it.
    """
    place.make()
    with os.fdopen(store.blobs.open(claim.program.artifact_sha256), "rb") as source:
        artifacts.unpack(source, place.program)
    text = store.blobs.unpack(claim.arguments)
    _write(place.arguments, text)
    with suppress(FileExistsError):  # the program brought a file of that name: it is its own
        os.link(place.arguments, place.program / "arguments.serverless")
    place.results.parent.mkdir(exist_ok=True, mode=0o700)
    variables = environment(claim, place, settings, gateway, os.environ)
    _share_arguments(claim.job, place, settings)
    if len(text.encode()) < ARGUMENT_VARIABLE_BYTES:
        variables["ENV_JOB_ARGUMENTS"] = text
    spec = {
        "arguments": [settings.job_python, str(compat.START), claim.program.entrypoint],
        "environment": variables,
        "directory": str(place.program),
        "wall_seconds": settings.wall_seconds or None,
        "grace_seconds": settings.grace_seconds,
        "log_bytes": settings.log_bytes,
        "limits": limits(),
    }
    _write(place.folder / "spec.json", json.dumps(spec))


def environment(
    claim: Claim, place: Place, settings: Settings, gateway: str, ours: Mapping[str, str]
) -> dict[str, str]:
    """All that a job sees of the outside, in the words of every generation of clients.

    Of our own environment it gets the variables that the operator names, and no others; what the
    program's upload asked for comes on top, but cannot replace what the service sets.
    """
    common = common_environment(settings, ours)
    wanted = claim.program.details.get("env_vars")
    asked = wanted if isinstance(wanted, Mapping) else {}
    folder = place.folder
    return {
        **common,
        **{str(name): str(value) for name, value in asked.items()},
        "PATH": common["PATH"],
        "PYTHONUNBUFFERED": common["PYTHONUNBUFFERED"],
        "HOME": str(folder / "program"),
        MARK: place.attempt,
        "ENV_JOB_GATEWAY_HOST": gateway,
        "ENV_JOB_GATEWAY_TOKEN": claim.token,
        "ENV_JOB_ID_GATEWAY": claim.job.id,
        "ENV_JOB_GATEWAY_INSTANCE": "shoal",
        "ENV_ACCESS_TRIAL": "False",
        "ARGUMENTS_PATH": str(place.arguments),
        "RESULTS_PATH": str(place.results),
        "DATA_PATH": str(_data_folder_of(claim.job, settings)),
    }


def common_environment(settings: Settings, ours: Mapping[str, str]) -> dict[str, str]:
    """What all jobs see alike, unless the upload of their program asks for something else.

    Ray would else join whatever Ray it finds on the machine: another job's, or another user's.
    """
    passed = {name: ours[name] for name in settings.job_variables if name in ours}
    path = f"{Path(settings.job_python).parent}:/usr/local/bin:/usr/bin:/bin"
    return {"RAY_ADDRESS": "local", **passed, "PATH": path, "PYTHONUNBUFFERED": "1"}


def data_folder(
    settings: Settings, account_id: str, provider: str = "", function: str = ""
) -> Path:
    """Where the jobs of an account find and leave files; named by its id, never by its name.

    The programs of a provider have a folder each, whose name tells nothing.
    """
    account = settings.data / "accounts" / account_id
    if not provider:
        return account / "data"
    name = hashlib.sha256(f"{provider}/{function}".encode()).hexdigest()[:32]
    return account / "functions" / name


def limits() -> dict[str, int]:
    """Resource limits of every job: no core dumps, and our own limit of open files."""
    return {"RLIMIT_CORE": 0, "RLIMIT_NOFILE": resource.getrlimit(resource.RLIMIT_NOFILE)[0]}


def clear(job: Job, place: Place, settings: Settings) -> None:
    """Removes what only a living job needs, wherever it is."""
    with suppress(OSError):
        _share_arguments(job, None, settings)
    place.clear()


def start_shim(place: Place, notify: int, command: Sequence[str] = SHIM) -> int:
    """Starts the shim in a session of its own; returns its process id.

    Args:
        place: The prepared attempt.
        notify: A descriptor that gets one byte once the program runs, and is closed otherwise.
        command: What to run; the folder is added.
    """
    errors = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
        (os.POSIX_SPAWN_OPEN, 2, str(place.folder / "shim.txt"), errors, 0o600),
        (os.POSIX_SPAWN_DUP2, notify, 3),
    ]
    arguments = [*command, str(place.folder)]
    variables = {"PATH": "/usr/bin:/bin", MARK: place.attempt}
    return os.posix_spawn(command[0], arguments, variables, file_actions=actions, setsid=True)


def _data_folder_of(job: Job, settings: Settings) -> Path:
    return data_folder(settings, job.account_id, job.provider, job.title)


def _share_arguments(job: Job, place: Place | None, settings: Settings) -> None:
    """Has the arguments, or no more, where qiskit-serverless 0.26 to 0.31 looks for them.

    The folder is the account's, whose jobs may have put anything there; no link is followed.
    """
    data = _data_folder_of(job, settings)
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    name = f"{job.id}.json"
    with suppress(FileExistsError):
        (data / "arguments").mkdir(mode=0o700)
    with suppress(OSError):
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        folder = os.open(data / "arguments", flags)
        try:
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=folder)
            if place is not None:
                os.link(place.arguments, name, dst_dir_fd=folder)
        finally:
            os.close(folder)


def _write(path: Path, text: str) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, 0o600), "w", encoding="utf-8") as target:
        target.write(text)
