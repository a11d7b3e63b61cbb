"""From a gateway's answer that is no success to the error that says so."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from shoal.serverless.errors import (
    Conflict,
    GatewayFailed,
    GatewayRefused,
    GatewayUnreachable,
    NotAuthenticated,
    NotFound,
    QuotaExceeded,
    ServerlessError,
)

if TYPE_CHECKING:
    import httpx

_MOST_CHARACTERS = 2000
_BY_STATUS: dict[int, type[ServerlessError]] = {
    401: NotAuthenticated,
    404: NotFound,
    409: Conflict,
    429: QuotaExceeded,
}


def error_of(response: httpx.Response) -> ServerlessError:
    """The error that an answer other than a success is; its body must have been read."""
    status = response.status_code
    if 300 <= status < 400:
        where = response.headers.get("location", "nowhere")
        return GatewayUnreachable(f"{response.url} sends us on to {where}: not followed")
    kind = _BY_STATUS.get(status, GatewayFailed if status >= 500 else GatewayRefused)
    error = kind(message_of(response))
    if isinstance(error, GatewayFailed | GatewayRefused):
        error.status_code = status
    if isinstance(error, GatewayFailed):
        error.retry_after_seconds = _asked_pause(response)
    return error


def message_of(response: httpx.Response) -> str:
    """What an answer says to people, or what can be said of it if it says nothing."""
    try:
        body = response.json()
    except ValueError:
        body = None
    if isinstance(body, dict) and body:
        said = body.get("message", ", ".join(f"{name}: {body[name]}" for name in body))
        return str(said)[:_MOST_CHARACTERS]
    address = response.url.copy_with(query=None)
    return f"{address} answered {response.status_code} {response.reason_phrase}".rstrip()


def json_of(response: httpx.Response) -> Any:
    """The JSON that an answer carries.

    Raises:
        GatewayUnreachable: If it carries none: something else than a gateway answered.
    """
    try:
        return response.json()
    except (ValueError, RecursionError) as error:
        kind = response.headers.get("content-type", "no content type")
        raise GatewayUnreachable(
            f"{response.url} answered {response.status_code} without JSON ({kind}): "
            "is there a gateway at this address?"
        ) from error


def object_of(response: httpx.Response) -> dict[str, Any]:
    """As `json_of`, for an answer that has to be an object."""
    found = json_of(response)
    if not isinstance(found, dict):
        shown = json.dumps(found)[:200]
        raise GatewayUnreachable(f"{response.url} answered {shown}: expected an object")
    return found


def _asked_pause(response: httpx.Response) -> float:
    """How many seconds an answer asks us to wait, 30 at most."""
    try:
        return min(max(float(response.headers.get("retry-after", 0)), 0.0), 30.0)
    except ValueError:  # a date
        return 0.0
