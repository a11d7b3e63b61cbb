"""What happens to a job, as it happens: the gateway's event stream, or else repeated questions."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

from shoal.serverless.client.answers import object_of
from shoal.serverless.client.connection import Connection, check_seconds, pauses
from shoal.serverless.errors import (
    GatewayFailed,
    GatewayRefused,
    GatewayUnreachable,
    NotFound,
    ResultNotReady,
)

SILENCE_SECONDS = 30.0  # a gateway says something every 10 s
_BREATH_SECONDS = 0.02  # between streams, should one be closed again and again
_TERMINAL = frozenset({"STOPPED", "SUCCEEDED", "FAILED"})
# The words of the published clients, which programs compare with.
_SHOWN: Mapping[str, str] = MappingProxyType(
    {
        "PENDING": "INITIALIZING",
        "STOPPED": "CANCELED",
        "STOPPING": "CANCELING",
        "SUCCEEDED": "DONE",
        "FAILED": "ERROR",
        "OPTIMIZING_HARDWARE": "OPTIMIZING_FOR_HARDWARE",
        "WAITING_QPU": "WAITING_FOR_QPU",
    }
)
ON_THE_WIRE: Mapping[str, str] = MappingProxyType({shown: raw for raw, shown in _SHOWN.items()})


@dataclass(frozen=True, slots=True)
class State:
    """Where a job is, in the gateway's words.

    Attributes:
        reason: Why it ended as it did, as a code; empty if all is well.
        message: The same as a sentence.
    """

    status: str
    sub_status: str | None = None
    reason: str = ""
    message: str = ""

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> State:
        """What of a gateway's answer is about this."""
        return cls(
            str(row.get("status", "UNKNOWN")),
            row.get("sub_status") or None,
            row.get("reason") or "",
            row.get("message") or "",
        )

    @property
    def is_terminal(self) -> bool:
        """Whether the job has ended."""
        return self.status in _TERMINAL

    @property
    def shown(self) -> str:
        """As users see it, such as ``"DONE"`` or ``"RUNNING: MAPPING"``."""
        if self.status == "RUNNING" and self.sub_status:
            return f"RUNNING: {_SHOWN.get(self.sub_status, self.sub_status)}"
        return _SHOWN.get(self.status, self.status)


class Written(NamedTuple):
    """Something that a job wrote.

    Attributes:
        end: The offset in bytes where what follows begins.
        attempt: Which run of the job wrote it; a job that runs again writes anew.
    """

    text: str
    end: int
    attempt: int | None = None


def state(connection: Connection, job_id: str) -> State:
    """Where the job is now; the gateway is asked not to wait for a change."""
    return State.of(row(connection, job_id))


def row(connection: Connection, job_id: str) -> dict[str, Any]:
    """What the gateway tells of a job, without its result."""
    headers = {"Prefer": "wait=0"}  # RFC 7240
    params = {"with_result": "false"}
    return object_of(connection.api("GET", f"/jobs/{job_id}/", params=params, headers=headers))


def updates(
    connection: Connection, job_id: str, *, logs: bool, timeout_seconds: float | None = None
) -> Iterator[State | Written]:
    """The job's state now and each one after that, and what it writes; ends with the job.

    A connection that breaks is made again, and goes on where it was.

    Args:
        connection: To its gateway.
        job_id: The job's.
        logs: Whether what it writes is told too, from the beginning.
        timeout_seconds: How long to wait for its end.

    Raises:
        ResultNotReady: If it has not ended by then.
        GatewayUnreachable: If the gateway is away for longer than the connection's patience.
    """
    deadline = None
    if timeout_seconds is not None:
        deadline = time.monotonic() + check_seconds("timeout_seconds", timeout_seconds)
    last, tries, away_since = Written("", 0), pauses(), None
    while True:
        try:
            for update in _streamed(connection, job_id, logs, last, deadline):
                tries, away_since = pauses(), None
                if isinstance(update, Written):
                    last = update
                yield update
                if isinstance(update, State) and update.is_terminal:
                    return
        except NotFound:
            state(connection, job_id)  # is it the job that is not there, or the stream?
            yield from _asked(connection, job_id, logs, deadline)
            return
        except (GatewayUnreachable, GatewayFailed) as error:
            now = time.monotonic()
            away_since = now if away_since is None else away_since
            if now - away_since > connection.patience_seconds:
                raise
            check(deadline, job_id, error)
            time.sleep(next(tries))
        check(deadline, job_id)
        time.sleep(_BREATH_SECONDS)


def check(deadline: float | None, job_id: str, cause: BaseException | None = None) -> None:
    """Raises ResultNotReady after the deadline."""
    if deadline is not None and time.monotonic() >= deadline:
        raise ResultNotReady(f"job {job_id} has not ended in the time given; it goes on") from cause


def _streamed(
    connection: Connection, job_id: str, logs: bool, last: Written, deadline: float | None
) -> Iterator[State | Written]:
    """One event stream from where the last one ended.

    It ends early so as not to be silent beyond the deadline.
    """
    began = time.monotonic()
    read_seconds = SILENCE_SECONDS
    if deadline is not None:
        read_seconds = min(read_seconds, max(deadline - began, 0.05))
    path = f"/jobs/{job_id}/stream/"
    params = {"logs": "true" if logs else "false", "offset": str(last.end)}
    if last.attempt is not None:
        params["attempt"] = str(last.attempt)
    headers = {"Accept": "text/event-stream"}
    with connection.stream(path, read_seconds=read_seconds, params=params, headers=headers) as told:
        if not told.headers.get("content-type", "").startswith("text/event-stream"):
            raise NotFound("there is no event stream")
        for kind, data in events(told.iter_bytes()):
            if kind == "status":
                yield State.of(data)
            elif kind == "log":
                end = int(data.get("end", last.end))
                yield Written(str(data.get("text", "")), end, data.get("attempt"))
            now = time.monotonic()
            if deadline is not None and deadline - now < read_seconds and now - began > 1.0:
                return


def events(chunks: Iterable[bytes]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The events of a stream, each with its data; a comment is an event named ``"comment"``.

    The format is that of the HTML standard, section 9.2.6. An event's ``id`` joins its data as
    ``end``, if that is a number.
    """
    name, number = "message", ""
    data: list[str] = []
    for line in _lines(chunks):
        if not line:
            if data:
                yield name, _read("\n".join(data)) | ({"end": number} if number.isdigit() else {})
            name, number, data = "message", "", []
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not field:
            yield "comment", {}
        elif field == "event":
            name = value
        elif field == "id":
            number = value
        elif field == "data":
            data.append(value)


def _read(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise GatewayUnreachable(f"an event of the gateway is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise GatewayUnreachable("an event of the gateway is no object")
    return found


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    # str.splitlines and httpx cut at characters that are none of a stream's line ends.
    pending = b""
    for chunk in chunks:
        *whole, pending = (pending + chunk).split(b"\n")
        for line in whole:
            yield line.removesuffix(b"\r").decode(errors="replace")


def _asked(
    connection: Connection, job_id: str, logs: bool, deadline: float | None
) -> Iterator[State | Written]:
    """The same from a gateway that has no stream."""
    before, seen, pause = None, 0, 0.1
    while True:
        now = state(connection, job_id)
        if now != before and not now.is_terminal:
            yield now
        if logs:
            text = log(connection, job_id)
            if len(text) > seen:
                yield Written(text[seen:], len(text))
                seen = len(text)
        if now.is_terminal:
            yield now
            return
        check(deadline, job_id)
        before, pause = now, min(1.3 * pause, 1.0)
        left = pause if deadline is None else max(deadline - time.monotonic(), 0.0)
        time.sleep(min(pause, left))


def log(connection: Connection, job_id: str) -> str:
    """All that is kept of what the job wrote."""
    answer = connection.api("GET", f"/jobs/{job_id}/logs/")
    if answer.status_code == 204:
        return ""
    text = object_of(answer).get("logs")
    if text is not None and not isinstance(text, str):
        error = GatewayRefused(f"the logs of job {job_id} are no text")
        error.status_code = answer.status_code
        raise error
    return text or ""
