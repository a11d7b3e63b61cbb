"""The files that a user keeps at the gateway, which jobs find in their data folder."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Any

from shoal.serverless.client.answers import object_of
from shoal.serverless.client.connection import Connection
from shoal.serverless.client.programs import Program, split_title
from shoal.serverless.errors import GatewayUnreachable

_CHUNK_SECONDS = 60.0
_KEEP_SECONDS = 600.0  # a large file is on the disk before the gateway answers


class Files:
    """The files of the user, or of one function."""

    def __init__(self, connection: Connection, function: Program | str | None = None) -> None:
        self._connection = connection
        self._params = _scope(function)

    def names(self) -> list[str]:
        """Their names, sorted."""
        answer = self._connection.api("GET", "/files/", params=self._params)
        found = object_of(answer).get("results")
        if not isinstance(found, list):
            raise GatewayUnreachable(f"{answer.url} answered no list of files")
        return sorted(str(name) for name in found)

    def upload(self, path: str | os.PathLike[str]) -> str:
        """Uploads a file under its own name, in place of one that is there; returns the name."""
        source = Path(path)
        if not source.is_file():
            raise ValueError(f"{str(path)!r} is no file")
        with source.open("rb") as contents:
            self._connection.api(
                "POST",
                "/files/upload/",
                params=self._params,
                files={"file": (source.name, contents)},
                timeout=_KEEP_SECONDS,
            )
        return source.name

    def download(
        self, name: str, folder: str | os.PathLike[str] = ".", *, target_name: str | None = None
    ) -> Path:
        """Downloads a file; returns where it is.

        It appears under its name when it is complete, in place of one that is there.

        Args:
            name: The file's, at the gateway.
            folder: Where to put it; it is made if it is not there.
            target_name: What to call it here; its own name by default.
        """
        chosen = name if target_name is None else target_name
        if Path(chosen).name != chosen or chosen in ("", ".", ".."):
            raise ValueError(f"target_name={chosen!r}: expected a name without folders")
        target = Path(folder) / chosen
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = target.with_name(f".{secrets.token_hex(8)}.part")
        try:
            self._fetch(name, draft)
            draft.replace(target)
        finally:
            with suppress(FileNotFoundError):
                draft.unlink()
        return target

    def delete(self, name: str) -> str:
        """Deletes a file; returns what the gateway says."""
        params = {**self._params, "file": name}
        answer = self._connection.api("DELETE", "/files/delete/", params=params)
        return str(object_of(answer).get("message", ""))

    def _fetch(self, name: str, draft: Path) -> None:
        params = {**self._params, "file": name}

        def fetch() -> None:
            with (
                self._connection.stream(
                    "/files/download/", read_seconds=_CHUNK_SECONDS, params=params
                ) as answer,
                draft.open("wb") as target,
            ):
                for chunk in answer.iter_bytes():
                    target.write(chunk)

        self._connection.patiently(fetch)


def _scope(function: Program | str | None) -> dict[str, Any]:
    """What tells the gateway whose files are meant."""
    if function is None:
        return {}
    if isinstance(function, Program):
        provider, title = function.provider, function.title
    else:
        provider, title = split_title(function)
    return {"function": title, **({"provider": provider} if provider else {})}
