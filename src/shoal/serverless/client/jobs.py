"""One run of a program, seen from outside: its status, what it writes, and its result."""

from __future__ import annotations

import re
import sys
import time
from typing import IO, Any

from shoal.serverless.client.answers import json_of, object_of
from shoal.serverless.client.connection import Connection
from shoal.serverless.client.terminals import inert
from shoal.serverless.client.updates import State, log, row, state, updates
from shoal.serverless.encoding import decode
from shoal.serverless.errors import GatewayUnreachable, JobFailed, JobStopped, ResultNotReady

TRACEBACK = "Traceback (most recent call last):"
_LAST_LINES = 30


class Job:
    """One run of a program; all it knows is asked of the gateway anew.

    Attributes:
        job_id: What the gateway calls it. ``client.job(job_id)`` finds it again, from anywhere.
    """

    def __init__(self, connection: Connection, job_id: str) -> None:
        self.job_id = job_id
        self._connection = connection

    def __repr__(self) -> str:
        return f"<Job | {self.job_id}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Job) and self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    def status(self) -> str:
        """Where it is now.

        That is ``"QUEUED"``, ``"INITIALIZING"``, ``"RUNNING"``, or ``"RUNNING: MAPPING"`` and the
        like if the program says what it does; then one of ``"DONE"``, ``"ERROR"``, ``"CANCELED"``,
        which is final.
        """
        return state(self._connection, self.job_id).shown

    def in_terminal_state(self) -> bool:
        """Whether it has ended."""
        return state(self._connection, self.job_id).is_terminal

    def details(self) -> dict[str, Any]:
        """What the gateway tells about it, in the words of the wire; without its result."""
        return row(self._connection, self.job_id)

    def result(
        self,
        wait: bool = True,
        cadence: float = 30,
        verbose: bool = False,  # noqa: ARG002 - the published clients' name
        maxwait: int = 0,
        *,
        timeout_seconds: float | None = None,
    ) -> Any:
        """What the program saved, as Python values again; None if it saved nothing.

        Args:
            wait: Whether to wait for its end.
            cadence: How often the published clients look, in seconds; here the end is told.
            verbose: Accepted, without effect; `follow` shows more.
            maxwait: How often they look at most: waits for `maxwait` times `cadence` seconds, or
                as long as it takes if that is 0.
            timeout_seconds: How long to wait, at most; the job goes on after that.

        Raises:
            JobFailed: If it ended without success; the message ends with the program's traceback.
            ResultNotReady: If it has not ended yet.
        """
        if timeout_seconds is None and maxwait:
            timeout_seconds = maxwait * cadence
        text = self.result_text(wait, timeout_seconds=timeout_seconds)
        return None if text is None else decode(text)

    def result_text(self, wait: bool = True, *, timeout_seconds: float | None = None) -> str | None:
        """As `result`, as the JSON text that the program saved."""
        ended = self._wait(timeout_seconds) if wait else state(self._connection, self.job_id)
        if not ended.is_terminal:
            raise ResultNotReady(f"job {self.job_id} has not ended: its status is {ended.shown}")
        if ended.status != "SUCCEEDED":
            raise self._failure(ended)
        answer = self._connection.api("GET", f"/jobs/{self.job_id}/result/")
        if answer.status_code == 204:
            return None
        text = object_of(answer).get("result")
        if text is not None and not isinstance(text, str):
            raise GatewayUnreachable(f"{answer.url} answered a result that is no text")
        return text

    def logs(self) -> str:
        """What the program wrote so far, standard output and errors in the order of writing."""
        return log(self._connection, self.job_id)

    def filtered_logs(self, include: str | None = None, exclude: str | None = None) -> str:
        """The lines of `logs` in which `include` is found and `exclude` is not.

        Args:
            include: A regular expression; None takes every line.
            exclude: A regular expression; None leaves none out.
        """
        wanted, unwanted = re.compile(include or ""), re.compile(exclude or r"(?!)")
        return "\n".join(
            line
            for line in self.logs().split("\n")
            if wanted.search(line) and not unwanted.search(line)
        )

    def follow(
        self,
        file: IO[str] | None = None,
        *,
        status_file: IO[str] | None = None,
        timeout_seconds: float | None = None,
    ) -> str:
        """Prints what the program writes as it writes it, and each change of status, to the end.

        Control characters that would steer the terminal are shown as escapes, except those by
        which progress bars are drawn.

        Args:
            file: Where the program's text goes; the standard output by default.
            status_file: Where the changes of status go; the standard error stream by default.
            timeout_seconds: How long to follow, at most.

        Returns:
            Its last status, as `status` gives it. It does not raise if the job fails.

        Raises:
            ResultNotReady: If it has not ended within the time given.
        """
        text, notes = file or sys.stdout, status_file or sys.stderr
        began, shown = time.monotonic(), ""
        for update in updates(
            self._connection, self.job_id, logs=True, timeout_seconds=timeout_seconds
        ):
            if not isinstance(update, State):
                text.write(inert(update.text, layout=True))
                text.flush()
            elif update.shown != shown:
                shown = update.shown
                said = f"{shown}: {update.message}" if update.message else shown
                notes.write(f"[{time.monotonic() - began:7.1f} s] {inert(said)}\n")
                notes.flush()
        return shown

    def wait(self, *, timeout_seconds: float | None = None) -> str:
        """Waits for its end, and returns its last status; does not raise if it fails."""
        return self._wait(timeout_seconds).shown

    def stop(self, service: Any = None) -> str:  # noqa: ARG002 - the published clients' name
        """Has it stopped, with all its processes; returns what the gateway says.

        It has ended when `status` says so. What has ended already stays as it is.

        Args:
            service: Accepted, without effect: what it began at IBM is not stopped with it.
        """
        answer = self._connection.api("POST", f"/jobs/{self.job_id}/stop/", json={})
        return str(object_of(answer).get("message", ""))

    def cancel(self, service: Any = None) -> str:
        """The same as `stop`, in the words of the current clients."""
        return self.stop(service)

    def events(self, type: str | None = None) -> list[dict[str, Any]]:
        """What happened to it, the oldest first.

        Args:
            type: Only events of this kind, such as ``"ERROR"``.

        Returns:
            For each its ``event_type``, ``origin``, ``context``, ``created`` and ``data``.
        """
        params = {} if type is None else {"type": type}
        answer = self._connection.api("GET", f"/jobs/{self.job_id}/events/", params=params)
        found = json_of(answer)
        if not isinstance(found, list):
            raise GatewayUnreachable(f"{answer.url} answered no list of events")
        return found

    def error_message(self) -> str | None:
        """Why it ended without success, with the program's traceback; None if it did not."""
        now = state(self._connection, self.job_id)
        if not now.is_terminal or now.status == "SUCCEEDED":
            return None
        return str(self._failure(now))

    def _wait(self, timeout_seconds: float | None) -> State:
        for update in updates(
            self._connection, self.job_id, logs=False, timeout_seconds=timeout_seconds
        ):
            if isinstance(update, State) and update.is_terminal:
                return update
        raise ResultNotReady(f"job {self.job_id} has not ended")

    def _failure(self, ended: State) -> JobFailed:
        """The error that stands for how it ended."""
        logs = self.logs()
        was_stopped = ended.status == "STOPPED"
        told = [f"job {self.job_id} {'was stopped' if was_stopped else 'failed'}"]
        if ended.reason and not was_stopped:
            told[0] += f" ({ended.reason})"
        told += [ended.message] if ended.message else []
        told += [_told_by(event, ended.reason) for event in self.events("ERROR")]
        told += [] if was_stopped else [last_words(logs)]
        message = inert("\n\n".join(part for part in told if part), layout=True)
        error = JobStopped(message) if was_stopped else JobFailed(message)
        error.job_id, error.reason, error.logs = self.job_id, ended.reason, logs
        return error

    def _identity(self) -> tuple[str, str]:
        return self._connection.host, self.job_id


def last_words(logs: str) -> str:
    r"""The last traceback of a log, to its end, or else the last lines.

    >>> last_words("a\nTraceback (most recent call last):\n  ...\nValueError: 1\n")
    'Traceback (most recent call last):\n  ...\nValueError: 1'
    """
    # A chain of exceptions is printed as several tracebacks with a sentence between them.
    begin = logs.rfind(TRACEBACK)
    while begin > 0 and (link := _LINK.search(logs, 0, begin)) is not None:
        before = logs.rfind(TRACEBACK, 0, link.start())
        if before < 0:
            break
        begin = before
    if begin >= 0:
        return logs[begin:].rstrip()
    return "\n".join(logs.rstrip().split("\n")[-_LAST_LINES:])


_LINK = re.compile(
    r"\n\n(?:During handling of the above exception, another exception occurred"
    r"|The above exception was the direct cause of the following exception):\n\n\Z"
)


def _told_by(event: dict[str, Any], reason: str) -> str:
    """What a program said about its failure by ``send_error``."""
    data = event.get("data")
    if not isinstance(data, dict) or (reason and data.get("code") == reason):
        return ""  # the gateway's own words, which the state has told already
    code, message, exception = (data.get(name) or "" for name in ("code", "message", "exception"))
    head = ": ".join(str(part) for part in (code, message) if part)
    return "\n".join(str(part) for part in (head, exception) if part)
