"""What is answered with an error, and in which words: always a JSON object with a message."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from starlette.responses import Response

from shoal.serverless.errors import (
    ArtifactRefused,
    Conflict,
    NotActive,
    NotFound,
    QuotaExceeded,
    ServerlessError,
    StoreError,
    StoreFull,
)
from shoal.serverless.gateway.web.json_text import dumped

RETRY = {"Retry-After": "1"}


class Refusal(ServerlessError):
    """Ends a request with an error.

    Attributes:
        status: Of the answer.
        headers: What the answer says beside the message.
    """

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = dict(headers or {})


class ClientGone(ServerlessError):
    """The client left before its request was read; nobody is there to be answered."""


def answer(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """An error as every published client can read it: an object whose only value is a message."""
    body = dumped({"message": message})
    return Response(body, status, headers=dict(headers or {}), media_type="application/json")


def answer_for(error: ServerlessError) -> Response:
    """The answer to a request that ended in one of our errors."""
    if isinstance(error, Refusal):
        return answer(error.status, str(error), error.headers)
    status = status_of(error)
    headers = RETRY if status == HTTPStatus.SERVICE_UNAVAILABLE else None
    return answer(status, str(error), headers)


def status_of(error: ServerlessError) -> int:
    """The status that stands for an error of the service or its store."""
    for kind, status in _STATUSES:
        if isinstance(error, kind):
            return status
    return HTTPStatus.INTERNAL_SERVER_ERROR


_STATUSES: tuple[tuple[type[ServerlessError], int], ...] = (
    (ArtifactRefused, HTTPStatus.BAD_REQUEST),
    (NotFound, HTTPStatus.NOT_FOUND),
    (NotActive, HTTPStatus.FORBIDDEN),
    (Conflict, HTTPStatus.CONFLICT),
    (QuotaExceeded, HTTPStatus.TOO_MANY_REQUESTS),
    (StoreFull, HTTPStatus.INSUFFICIENT_STORAGE),
    (StoreError, HTTPStatus.SERVICE_UNAVAILABLE),
)
