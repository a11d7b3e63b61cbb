"""From how a program ended and what it saved to how its job ended: one table, in code."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable

from shoal.serverless.models import Ending, JobStatus, Payload
from shoal.serverless.runner.places import Exit

READ_LOGS = "The job's logs say more."


def ending_of(
    ended: Exit, saved: Callable[[], bytes | None], pack: Callable[[str], Payload]
) -> Ending:
    """How a job ended.

    Args:
        ended: What the shim told.
        saved: Reads what the program saved; raises ValueError for something that is no result.
            Only asked after a good end, as only a success has a result.
        pack: Keeps a long result.
    """
    wrong = _wrong_end(ended)
    if wrong is not None:
        return wrong
    try:
        text = checked_result(saved())
    except ValueError as error:
        return _failed("BAD_RESULT", f"What it saved is not a result: {error}.")
    return Ending(JobStatus.SUCCEEDED, result=None if text is None else pack(text))


def _wrong_end(ended: Exit) -> Ending | None:
    """How a job ended whose program did not end by itself with exit code 0."""
    if ended.stopped:
        return stopped()
    if ended.problem is not None:
        reason, message = "SETUP", f"The program could not be started: {ended.problem}"
    elif ended.timed_out:
        reason, message = "TIMEOUT", f"It was ended after {ended.seconds:.0f} s, its time limit."
    elif ended.signal is not None:
        reason, message = (
            f"SIGNAL_{ended.signal}",
            f"It was killed by {_signal_name(ended.signal)}.",
        )
    elif ended.exit_code is None:
        return lost()
    elif ended.exit_code != 0:
        reason, message = f"EXIT_{ended.exit_code}", f"It ended with exit code {ended.exit_code}."
    else:
        return None
    return _failed(reason, message)


def checked_result(data: bytes | None) -> str | None:
    """A result as text, byte for byte as it was saved; raises ValueError unless it is JSON."""
    if data is None:
        return None
    try:
        text = data.decode()
        json.loads(text)
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8 ({error.reason} at byte {error.start})") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not JSON ({error})") from error
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    return text


def lost() -> Ending:
    """The end of a job whose supervisor is gone, so that nobody knows more."""
    return _failed("LOST", "The process that supervised it is gone, and it with it.")


def stopped() -> Ending:
    """The end of a job that was to be stopped, and whose processes are gone."""
    return Ending(JobStatus.STOPPED, "STOPPED_BY_USER", "It was stopped.")


def not_set_up(error: BaseException) -> Ending:
    """The end of a job that could not be prepared."""
    return Ending(JobStatus.FAILED, "SETUP", f"It could not be prepared: {error}")


def never_started(claims: int) -> Ending:
    """The end of a job that nobody managed to start."""
    message = f"It was claimed {claims} times and could not be started. The gateway's log says why."
    return Ending(JobStatus.FAILED, "SETUP", message)


def _failed(reason: str, message: str) -> Ending:
    return Ending(JobStatus.FAILED, reason, f"{message} {READ_LOGS}")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
