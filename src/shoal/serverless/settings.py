"""Everything the operator decides, in one frozen object: flags, then environment, then a file."""

from __future__ import annotations

import dataclasses
import ipaddress
import os
import sys
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from shoal.serverless.models import Quotas

PREFIX = "SHOAL_SERVE_"
FILE = "shoal.toml"
MIB = 1 << 20


def _cores() -> int:
    count = getattr(os, "sched_getaffinity", None)
    return len(count(0)) if count else os.cpu_count() or 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the service is told.

    Attributes:
        data: The data directory; it holds all the service knows.
        host: The address to listen on.
        port: The port to listen on; 0 takes any that is free.
        max_jobs: How many jobs run at the same time.
        active_jobs_per_account: Queued and running jobs of one account; 0 is no limit.
        running_jobs_per_account: Running jobs of one account; 0 is no limit.
        queued_jobs: Queued jobs of all accounts; 0 is no limit.
        wall_seconds: How long a job may run; 0 is no limit.
        grace_seconds: How long a job that is to end has between SIGTERM and SIGKILL.
        claim_seconds: When another runner that does not start what it claimed counts as stuck.
        log_bytes: How much of a job's output is kept; the newest.
        artifact_bytes: The largest program.
        arguments_bytes: The largest arguments.
        result_bytes: The largest result.
        file_bytes: The largest file that is uploaded.
        job_python: The interpreter that runs programs.
        job_variables: The variables of our environment that jobs see; they see no others.
        fast_start: Whether jobs are forked of a process that has imported `job_imports` already.
        job_imports: The modules that it imports, of those that are installed where jobs run.
        demo_user: Whether the notebook's user is there, on loopback only.
        insecure: Whether a public address without encryption is accepted.
        hosts: Names, beside localhost and addresses, by which clients may call the service; where
            it listens on a public address and none is named, any.
        tls_certificate: The file of the certificate, with those that lead to its root; without one
            there is no encryption.
        tls_key: The file of its key.
        hold_seconds: How long an answer about a job may wait for news, if there are none.
    """

    data: Path
    host: str = "127.0.0.1"
    port: int = 8000
    max_jobs: int = dataclasses.field(default_factory=_cores)
    active_jobs_per_account: int = 50
    running_jobs_per_account: int = 0
    queued_jobs: int = 20_000
    wall_seconds: float = 24 * 3600.0
    grace_seconds: float = 5.0
    claim_seconds: float = 10.0
    log_bytes: int = 50 * MIB
    artifact_bytes: int = 50 * MIB
    arguments_bytes: int = 32 * MIB
    result_bytes: int = 256 * MIB
    file_bytes: int = 1024 * MIB
    job_python: str = sys.executable
    job_variables: tuple[str, ...] = (
        "LANG",
        "LC_ALL",
        "LC_CTYPE",
        "RAY_ADDRESS",
        "SHOAL_EXECUTOR",
        "SSL_CERT_FILE",
        "TZ",
    )
    fast_start: bool = True
    job_imports: tuple[str, ...] = (
        "numpy",
        "qiskit",
        "qiskit.primitives",
        "qiskit.qpy",
        "shoal.serverless.runtime",
        "urllib.request",
    )
    demo_user: bool = False
    insecure: bool = False
    hosts: tuple[str, ...] = ()
    tls_certificate: str = ""
    tls_key: str = ""
    hold_seconds: float = 10.0

    def __post_init__(self) -> None:
        """Raises ValueError for a value out of range."""
        for name, (least, most) in _RANGES.items():
            value = getattr(self, name)
            if not least <= value <= most:
                raise ValueError(f"{name}={value}: expected {_range_text(least, most)}")
        if not self.host:
            raise ValueError("host='': expected an address such as 127.0.0.1")
        if not Path(self.job_python).is_absolute():
            raise ValueError(f"job_python={self.job_python!r}: expected an absolute path")
        if bool(self.tls_certificate) != bool(self.tls_key):
            raise ValueError("tls_certificate and tls_key: expected both, or none")

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the service."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def quotas(self) -> Quotas:
        """What one account, and all together, may take."""
        return Quotas(
            active_jobs=self.active_jobs_per_account or None,
            queued_jobs=self.queued_jobs or None,
            running_jobs=self.running_jobs_per_account or None,
        )


def load(
    flags: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
    file: Path | None = None,
) -> Settings:
    """The settings from the command line, else the environment, else a file, else the defaults.

    Args:
        flags: Values by name; None is not given.
        environment: ``SHOAL_SERVE_MAX_JOBS=8`` and so on; the process's own by default.
        file: TOML; by default ``shoal.toml`` in the data directory, if that exists.

    Raises:
        ValueError: For an unknown name or a bad value; says where it came from.
    """
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    variables = os.environ if environment is None else environment
    from_environment = {
        name.removeprefix(PREFIX).lower(): value
        for name, value in variables.items()
        if name.startswith(PREFIX)
    }
    data = Path(given.get("data") or from_environment.get("data") or "shoal-data").expanduser()
    chosen = file or data / FILE
    from_file = _read(chosen) if file is not None or chosen.exists() else {}
    sources = (
        (str(chosen), from_file),
        ("the environment", from_environment),
        ("the command line", given),
    )
    values: dict[str, Any] = {}
    for source, found in sources:
        for name, value in found.items():
            values[name] = _parsed(source, name, value)
    values["data"] = data.absolute()
    return Settings(**values)


def known_names() -> tuple[str, ...]:
    """The names of all settings."""
    return tuple(_PARSERS)


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"{path}: cannot be read: {error}") from error


def _parsed(source: str, name: str, value: Any) -> Any:
    if name not in _PARSERS:
        known = ", ".join(sorted(_PARSERS))
        raise ValueError(f"{name} from {source}: there is no such setting; there are {known}")
    try:
        return _PARSERS[name](value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}={value!r} from {source}: {error}") from error


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise TypeError("expected a whole number")
    return int(value)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TypeError("expected a number")
    return float(value)


def _switch(value: Any) -> bool:
    words = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
    if isinstance(value, bool):
        return value
    if str(value).lower() not in words:
        raise ValueError("expected true or false")
    return words[str(value).lower()]


def _names(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",")]
    if not all(isinstance(part, str) for part in value):
        raise TypeError("expected names")
    return tuple(part for part in value if part)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("expected text")
    return value


_BY_TYPE: Mapping[str, Callable[[Any], Any]] = MappingProxyType(
    {
        "Path": Path,
        "bool": _switch,
        "float": _number,
        "int": _integer,
        "str": _text,
        "tuple[str, ...]": _names,
    }
)
_PARSERS = {each.name: _BY_TYPE[str(each.type)] for each in dataclasses.fields(Settings)}
_NO_END = float("inf")
_RANGES: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "port": (0, 65535),
        "max_jobs": (1, 100_000),
        "active_jobs_per_account": (0, _NO_END),
        "running_jobs_per_account": (0, _NO_END),
        "queued_jobs": (0, _NO_END),
        "wall_seconds": (0, 10**9),
        "grace_seconds": (0, 3600),
        "claim_seconds": (0.1, 3600),
        "log_bytes": (4096, 1 << 50),
        "artifact_bytes": (1, 1 << 50),
        "arguments_bytes": (1, 1 << 50),
        "result_bytes": (1, 1 << 50),
        "file_bytes": (1, 1 << 50),
        "hold_seconds": (0, 25),
    }
)


def _range_text(least: float, most: float) -> str:
    return f"{least} or more" if most == _NO_END else f"{least} to {most}"
