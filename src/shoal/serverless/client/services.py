"""The gateway as an object: upload programs, run them, find jobs and files."""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

from shoal.serverless.client.answers import json_of, object_of
from shoal.serverless.client.connection import Connection
from shoal.serverless.client.files import Files
from shoal.serverless.client.jobs import Job
from shoal.serverless.client.programs import Program, form_of, pack, split_title
from shoal.serverless.client.updates import ON_THE_WIRE
from shoal.serverless.encoding import encode
from shoal.serverless.errors import GatewayUnreachable

HOST = "http://127.0.0.1:8000"
_PACKED_IN_MEMORY = 8 << 20


class ServerlessClient:
    """A gateway, in somebody's name. Making one asks the gateway whether it knows them.

    Requests whose answer is lost are repeated, for `patience_seconds`. A job is asked for with a
    key of its own, so that it runs once however often that is repeated.

    Args:
        host: Its address; by default ``SHOAL_GATEWAY_HOST``, or what the published clients
            read, ``ENV_GATEWAY_PROVIDER_HOST``, or this machine at port 8000.
        token: Yours; by default ``SHOAL_GATEWAY_TOKEN`` or ``ENV_GATEWAY_PROVIDER_TOKEN``.
        instance: Sent as it is; the gateway of shoal takes no notice.
        channel: As `instance`.
        timeout_seconds: How long the gateway may be silent.
        patience_seconds: How long to try again when it is out of reach, once it was reached; before
            that it is a second.

    Raises:
        GatewayUnreachable: If nobody answers there, or no gateway does.
        NotAuthenticated: If it does not know the token.
        ValueError: For an address or a token that cannot be one.
    """

    def __init__(
        self,
        host: str | None = None,
        token: str | None = None,
        *,
        instance: str | None = None,
        channel: str | None = None,
        timeout_seconds: float = 30.0,
        patience_seconds: float = 60.0,
    ) -> None:
        self._connection = Connection(
            host or _from_environment("HOST") or HOST,
            _required(token),
            headers=_headers(instance, channel),
            timeout_seconds=timeout_seconds,
            patience_seconds=patience_seconds,
        )
        self._connection.verify()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self._connection.host}>"

    def upload(self, program: Program) -> Program:
        """Uploads a program with its folder, as a new version if its title is there already.

        Returns:
            The program as the gateway has it, which can ``run``.

        Raises:
            ValueError: If the file to run is not in the folder, or the folder is too large.
        """
        return self._upload(program)

    def run(
        self,
        program: Program | str,
        arguments: Mapping[str, Any] | None = None,
        config: Any = None,
        provider: str | None = None,
        *,
        idempotency_key: str | None = None,
        max_attempts: int = 1,
    ) -> Job:
        """Has a program run, and returns at once.

        Args:
            program: An uploaded program, or its title, or ``"provider/title"``.
            arguments: What the program gets from ``get_arguments``: JSON values, numpy arrays,
                complex numbers, circuits and whatever the published clients can send.
            config: What the published clients call so; kept with the job.
            provider: Whose program it is, if it is offered by somebody.
            idempotency_key: A name for this request. The same request under the same name is
                the same job; by default each call has a name of its own.
            max_attempts: How often it may be started if it is lost, from 1. More than once only
                for programs that do no harm when they run twice.

        Raises:
            NotFound: If there is no such program.
            QuotaExceeded: If you have as many jobs as you may.
        """
        return self.run_text(
            program,
            encode(_arguments(arguments)),
            config,
            provider,
            idempotency_key=idempotency_key,
            max_attempts=max_attempts,
        )

    def run_text(
        self,
        program: Program | str,
        text: str,
        config: Any = None,
        provider: str | None = None,
        *,
        idempotency_key: str | None = None,
        max_attempts: int = 1,
    ) -> Job:
        """As `run`, with arguments that are JSON text already."""
        provider, title = _named(program, provider)
        body = {
            "title": title,
            "provider": provider,
            "arguments": text,
            "config": _config(config),
            "max_attempts": max_attempts,
        }
        key = uuid4().hex if idempotency_key is None else idempotency_key
        headers = {"Idempotency-Key": key}
        answer = self._connection.api("POST", "/programs/run/", json=body, headers=headers)
        return self._job_of(object_of(answer))

    def job(self, job_id: str) -> Job:
        """A job by its id; raises NotFound if there is none, or it is somebody else's."""
        if not isinstance(job_id, str):
            raise TypeError(f"job_id={job_id!r}: expected a text")
        if not job_id.replace("-", "").isalnum():
            raise ValueError(f"job_id={job_id!r}: expected an id such as Job.job_id")
        found = Job(self._connection, job_id)
        found.details()
        return found

    def jobs(
        self,
        *,
        function: Program | str | None = None,
        limit: int = 10,
        offset: int = 0,
        status: str | None = None,
        created_after: datetime | None = None,
    ) -> list[Job]:
        """Your jobs, the newest first.

        Args:
            function: Only those of this program.
            limit: How many at most.
            offset: How many of the newest to pass over.
            status: Only those with this status, in the words of `Job.status`.
            created_after: Only those asked for after this time.
        """
        rows = self.job_rows(
            function=function,
            limit=limit,
            offset=offset,
            status=status,
            created_after=created_after,
        )
        return [self._job_of(row) for row in rows]

    def job_rows(
        self,
        *,
        function: Program | str | None = None,
        limit: int = 10,
        offset: int = 0,
        status: str | None = None,
        created_after: datetime | None = None,
    ) -> list[dict[str, Any]]:
        """As `jobs`, as what the gateway tells about each, in the words of the wire."""
        for name, value, least in (("limit", limit, 1), ("offset", offset, 0)):
            if type(value) is not int or value < least:
                raise ValueError(f"{name}={value!r}: expected a whole number from {least}")
        params: dict[str, str] = {"limit": str(limit), "offset": str(offset)}
        if function is not None:
            provider, title = _named(function, None)
            params |= {"function": title} | ({"provider": provider} if provider else {})
        if status is not None:
            params["status"] = ON_THE_WIRE.get(status.partition(":")[0], status.partition(":")[0])
        if created_after is not None:
            params["created_after"] = created_after.isoformat()
        return _rows(self._connection.api("GET", "/jobs/", params=params))

    def functions(self) -> list[Program]:
        """The programs that you may run."""
        return [self._program_of(row) for row in _rows(self._connection.api("GET", "/programs"))]

    def function(self, title: str, provider: str | None = None) -> Program:
        """A program by its title; raises NotFound if there is none."""
        provider, title = split_title(title, provider)
        params = {"provider": provider} if provider else {}
        part = quote(title, safe="")
        part = part.replace(".", "%2E") if part.strip(".") == "" else part  # else it is a path
        path = f"/programs/get_by_title/{part}"
        answer = self._connection.api("GET", path, params=params)
        return self._program_of(object_of(answer))

    def files(self, function: Program | str | None = None) -> list[str]:
        """The names of your files, or of those of one function."""
        return Files(self._connection, function).names()

    def file_upload(
        self, file: str | os.PathLike[str], function: Program | str | None = None
    ) -> str:
        """Uploads a file under its own name, in place of one that is there; returns the name."""
        return Files(self._connection, function).upload(file)

    def file_download(
        self,
        file: str,
        function: Program | str | None = None,
        *,
        target_name: str | None = None,
        download_location: str | os.PathLike[str] = "./",
    ) -> Path:
        """Downloads a file into a folder; returns where it is."""
        where = Files(self._connection, function)
        return where.download(file, download_location, target_name=target_name)

    def file_delete(self, file: str, function: Program | str | None = None) -> str:
        """Deletes a file; returns what the gateway says."""
        return Files(self._connection, function).delete(file)

    def close(self) -> None:
        """Closes the connections that are kept open; nothing can be asked after that."""
        self._connection.close()

    def _upload(self, program: Program) -> Program:
        if not isinstance(program, Program):
            raise TypeError(f"program={program!r}: expected a Program")
        form = form_of(program)
        with tempfile.SpooledTemporaryFile(max_size=_PACKED_IN_MEMORY) as archive:
            pack(program.working_dir, archive)
            answer = self._connection.api(
                "POST",
                "/programs/upload/",
                data=form,
                files={"artifact": ("artifact.tar", archive)},
                headers={"Idempotency-Key": uuid4().hex},
            )
        return self._program_of(object_of(answer), program)

    def _program_of(self, row: Mapping[str, Any], uploaded: Program | None = None) -> Program:
        known = {
            name: row[name]
            for name in ("title", "provider", "entrypoint", "description", "version")
            if isinstance(row.get(name), str) and row[name]
        }
        if "title" not in known:
            raise GatewayUnreachable("the gateway answered a program without a title")
        if uploaded is not None:
            return dataclasses.replace(uploaded, client=self, **known)
        return Program(client=self, **known)

    def _job_of(self, row: Mapping[str, Any]) -> Job:
        if not isinstance(row.get("id"), str):
            raise GatewayUnreachable("the gateway answered a job without an id")
        return Job(self._connection, row["id"])


class ServerlessProvider(ServerlessClient):
    """The same, as notebooks for Quantum Serverless call it, with a username and a password.

    Args:
        username: Yours, if you have no token.
        password: That of the username.
        token: Instead of the two.
        host: As for `ServerlessClient`, whose other options there are as well.
    """

    def __init__(
        self,
        *,
        username: str | None = None,
        password: str | None = None,
        token: str | None = None,
        host: str | None = None,
        timeout_seconds: float = 30.0,
        patience_seconds: float = 60.0,
    ) -> None:
        if (username is None) != (password is None):
            raise ValueError("username and password: expected both, or a token")
        self._connection = Connection(
            host or _from_environment("HOST") or HOST,
            None if username is not None and token is None else _required(token),
            headers={},
            timeout_seconds=timeout_seconds,
            patience_seconds=patience_seconds,
        )
        if username is not None and password is not None and token is None:
            self._connection.log_in(username, password)
        else:
            self._connection.verify()

    def __repr__(self) -> str:
        return "<ServerlessProvider: gateway-provider>"

    def upload(self, program: Program) -> str:  # type: ignore[override] # the notebook shows it
        """Uploads a program with its folder; returns its title."""
        return self._upload(program).title

    def run(self, program: Program | str, *args: Any, **options: Any) -> Job:
        """As `ServerlessClient.run`; a program with files of its own is uploaded first.

        That is what `run` of a `Program` did in these clients. One that comes from the gateway is
        run as it is there.
        """
        if isinstance(program, Program) and program.client is None and program.entrypoint:
            program = self._upload(program)
        return super().run(program, *args, **options)

    def get_job_by_id(self, job_id: str) -> Job:
        """The same as `job`."""
        return self.job(job_id)

    def get_jobs(self, limit: int = 10, offset: int = 0) -> list[Job]:
        """The same as `jobs`."""
        return self.jobs(limit=limit, offset=offset)


def _required(token: str | None) -> str:
    found = token or _from_environment("TOKEN")
    if not found:
        raise ValueError(
            "token=None: expected a token, here (in a shell: --token-file FILE) or in the variable "
            "SHOAL_GATEWAY_TOKEN"
        )
    return found


def _from_environment(what: str) -> str | None:
    return os.environ.get(f"SHOAL_GATEWAY_{what}") or os.environ.get(f"ENV_GATEWAY_PROVIDER_{what}")


def _headers(instance: str | None, channel: str | None) -> dict[str, str]:
    given = {"Service-CRN": instance, "Service-Channel": channel}
    return {name: value for name, value in given.items() if value}


def _arguments(arguments: Mapping[str, Any] | None) -> dict[str, Any]:
    if arguments is None:
        return {}
    if not isinstance(arguments, Mapping):
        raise TypeError(f"arguments: expected names and values, not {type(arguments).__name__}")
    for name in arguments:
        if not isinstance(name, str):
            raise TypeError(f"arguments: {name!r} is no name: expected a text")
    return dict(arguments)


def _config(config: Any) -> dict[str, Any]:
    if config is None:
        return {}
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        return dataclasses.asdict(config)
    if isinstance(config, Mapping):
        return dict(config)
    raise TypeError(f"config={config!r}: expected names and values")


def _named(program: Program | str, provider: str | None) -> tuple[str | None, str]:
    if isinstance(program, Program):
        return provider or program.provider, program.title
    if not isinstance(program, str):
        raise TypeError(f"program={program!r}: expected a Program or its title")
    return split_title(program, provider)


def _rows(answer: Any) -> list[dict[str, Any]]:
    found = json_of(answer)
    rows = found.get("results") if isinstance(found, dict) else found
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise GatewayUnreachable(f"{answer.url} answered no list")
    return rows
