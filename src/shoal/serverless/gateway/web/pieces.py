"""Answers in pieces, whose files are closed however the answer ends."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol

from starlette.responses import StreamingResponse

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send


class Closes(Protocol):
    """Something to be closed: a generator, or a file."""

    def close(self) -> object:
        """Lets go of what it holds."""
        ...


class Pieces(StreamingResponse):
    """An answer whose pieces are made in a thread, one after the other, while it is sent."""

    def __init__(self, pieces: Iterable[bytes], *closing: Closes, **options: Any) -> None:
        """Takes what `starlette.responses.StreamingResponse` takes, and what to close at the end.

        Args:
            pieces: The body.
            closing: Closed in this order, also if nobody takes the body to its end.
            options: Of the response.
        """
        super().__init__(pieces, **options)
        self._closing = closing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the answer, as far as the client takes it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            for each in self._closing:
                each.close()
