"""A program as its author has it: a title, a file to run, and the folder that goes with it."""

from __future__ import annotations

import dataclasses
import json
import os
import stat
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shoal.serverless.client.jobs import Job
    from shoal.serverless.client.services import ServerlessClient

MOST_BYTES = 50 << 20
MOST_FILES = 10_000
TITLE_CHARACTERS = 255
# What belongs to a working copy and not to a program. Virtual environments stay behind as well.
LEFT_OUT = frozenset({".git", ".hg", ".ipynb_checkpoints", ".mypy_cache", ".venv", "__pycache__"})


@dataclass(frozen=True)
class Program:
    """A program: to be uploaded, or as a gateway has it.

    Attributes:
        title: Its name on the gateway, of at most 255 characters. ``"provider/title"`` names the
            provider as well.
        entrypoint: The file that is run, relative to `working_dir`.
        working_dir: The folder that is uploaded, with all that is in it, except
            version control, caches and virtual environments.
        provider: Whom it belongs to, if it is offered to others.
        description: A few words for people.
        version: The author's name for the version; the gateway numbers versions itself.
        env_vars: Environment variables for its jobs.
        dependencies: Packages it needs, for the operator to read; none are installed.
        arguments_schema: A JSON schema that arguments have to satisfy.
    """

    title: str
    _: KW_ONLY
    entrypoint: str | None = None
    working_dir: str | os.PathLike[str] = "./"
    provider: str | None = None
    description: str | None = None
    version: str | None = None
    env_vars: Mapping[str, str] = field(default_factory=dict, repr=False)
    dependencies: Sequence[Any] = field(default_factory=tuple)
    arguments_schema: Mapping[str, Any] | None = None
    client: ServerlessClient | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Raises TypeError or ValueError for what no gateway would take."""
        provider, title = split_title(self.title, self.provider)
        object.__setattr__(self, "title", title)
        object.__setattr__(self, "provider", provider)
        for name, value in self.env_vars.items():
            if not all(isinstance(each, str) for each in (name, value)):
                raise TypeError(f"env_vars: {name!r}={value!r}: expected a text for each name")

    def run(self, **arguments: Any) -> Job:
        """Runs it with these arguments, on the gateway it was uploaded to or comes from."""
        return self._at_gateway().run(self, arguments)

    def jobs(self, **which: Any) -> list[Job]:
        """Its jobs, the newest first; see `ServerlessClient.jobs`."""
        return self._at_gateway().jobs(function=self, **which)

    def at(self, client: ServerlessClient) -> Program:
        """The same program on a gateway."""
        return dataclasses.replace(self, client=client)

    def _at_gateway(self) -> ServerlessClient:
        if self.client is None:
            raise ValueError(f"{self.title!r} is on no gateway yet: use what client.upload returns")
        return self.client


def split_title(title: str, provider: str | None = None) -> tuple[str | None, str]:
    """The provider, if there is one, and the title proper.

    >>> split_title("ibm/sampler")
    ('ibm', 'sampler')
    """
    for name, value in (("title", title), ("provider", provider)):
        if not isinstance(value, str) and not (name == "provider" and value is None):
            raise TypeError(f"{name}={value!r}: expected a text")
    if provider is None and "/" in title:
        provider, _, title = title.partition("/")
    if not title.strip() or len(title) > TITLE_CHARACTERS:
        raise ValueError(f"title={title!r:.80}: expected 1 to {TITLE_CHARACTERS} characters")
    return provider or None, title


def form_of(program: Program) -> dict[str, str]:
    """What an upload says about a program beside its files."""
    form = {
        "title": program.title,
        "entrypoint": checked_entrypoint(program),
        "provider": program.provider,
        "description": program.description,
        "version": program.version,
        "runner": "ray",
        "arguments": "{}",
        "dependencies": json.dumps(list(program.dependencies)),
        "env_vars": json.dumps(dict(program.env_vars)),
        "arguments_schema": (
            None if program.arguments_schema is None else json.dumps(dict(program.arguments_schema))
        ),
    }
    return {name: value for name, value in form.items() if value is not None}


def checked_entrypoint(program: Program) -> str:
    """The file that is run, with slashes; raises ValueError if it is not in the folder."""
    if program.entrypoint is None:
        raise ValueError(f"entrypoint=None: which file of {program.title!r} is to be run?")
    path = PurePosixPath(Path(program.entrypoint).as_posix())
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"entrypoint={program.entrypoint!r}: expected a path within working_dir")
    if not (Path(program.working_dir) / path).is_file():
        raise ValueError(
            f"entrypoint={program.entrypoint!r}: no such file in "
            f"working_dir={str(program.working_dir)!r}"
        )
    return str(path)


def pack(working_dir: str | os.PathLike[str], target: IO[bytes]) -> None:
    """Writes a folder as an archive: what links lead to instead of links, and nothing of its owner.

    The same contents give the same bytes. Nothing is written into the folder.

    Raises:
        ValueError: If it is too large, holds too many files, or links that run in a circle.
    """
    total = 0
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for count, (name, path) in enumerate(_contents(Path(working_dir))):
            info = tarfile.TarInfo(name)
            with path.open("rb") as source:
                found = os.fstat(source.fileno())
                info.size = found.st_size
                info.mode = 0o755 if found.st_mode & 0o100 else 0o644
                total += info.size
                if total > MOST_BYTES or count >= MOST_FILES:
                    raise ValueError(_too_much(Path(working_dir)))
                archive.addfile(info, source)


def _contents(folder: Path) -> Iterator[tuple[str, Path]]:
    """The files below a folder in the order of their names, links followed."""
    pending = [(folder, "", frozenset({folder.resolve()}))]
    while pending:
        here, prefix, above = pending.pop()
        for path in sorted(here.iterdir()):
            name = f"{prefix}{path.name}"
            if not path.exists():
                raise ValueError(f"{path} is a link that leads nowhere")
            if path.is_dir():
                if path.name in LEFT_OUT or (path / "pyvenv.cfg").exists():
                    continue
                real = path.resolve()
                if real in above:
                    raise ValueError(f"{path} leads back to {real}: links run in a circle")
                pending.append((path, f"{name}/", above | {real}))
            elif stat.S_ISREG(path.stat().st_mode):
                yield name, path


def _too_much(folder: Path) -> str:
    sizes: dict[str, int] = {}
    for name, path in _contents(folder):
        top = name.partition("/")[0]
        sizes[top] = sizes.get(top, 0) + path.stat().st_size
    largest = sorted(sizes, key=lambda name: -sizes[name])[:3]
    shown = ", ".join(f"{name} ({sizes[name] / 1e6:.1f} MB)" for name in largest)
    return (
        f"working_dir={str(folder)!r}: more than {MOST_BYTES >> 20} MiB or {MOST_FILES} files; "
        f"the largest are {shown}. Give a folder with the program alone."
    )
