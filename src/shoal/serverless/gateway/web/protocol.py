"""Connections that end: headers that do not come, answers nobody reads, headers without end.

uvicorn waits for ever for the rest of a request's headers, for a client that reads its answer, and
for the rest of a body that nobody reads any more. Bodies that are read have their own deadline, in
`bodies`.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from shoal.serverless.gateway.web.json_text import dumped

HEADER_SECONDS = 15.0
WRITE_SECONDS = 60.0
HEADER_BYTES = 64 * 1024
MOST_CONNECTIONS = 4096


class Protocol(HttpToolsProtocol):
    """uvicorn's protocol on httptools, with an end to everything that may take long.

    Attributes:
        header_seconds: How long a client may take from its first byte, or from connecting, to the
            end of its headers.
        write_seconds: How long it may leave an answer unread.
    """

    header_seconds = HEADER_SECONDS
    write_seconds = WRITE_SECONDS
    most_connections = MOST_CONNECTIONS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._in_head = True  # from the end of one request to the end of the next one's headers

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begins to wait for a request; there may be too many who do."""
        super().connection_made(transport)
        if len(self.connections) > self.most_connections:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, "There are too many connections.")
            return
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forgets the timers."""
        super().connection_lost(exc)
        self._stop_head_timer()
        self.resume_writing()

    def data_received(self, data: bytes) -> None:
        """Takes what came; headers have an end in bytes and in time."""
        if self._in_head:
            self._head_bytes += len(data)
            self._await_head()
        super().data_received(data)
        if self._in_head and self._head_bytes > HEADER_BYTES and not self.transport.is_closing():
            message = f"The headers are longer than {HEADER_BYTES} bytes."
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, message)

    def on_headers_complete(self) -> None:
        """The headers are there; from here on the body has a deadline."""
        self._in_head = False
        self._head_bytes = 0
        self._stop_head_timer()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The request is there; what follows is another."""
        super().on_message_complete()
        self._in_head = True

    def on_response_complete(self) -> None:
        """Closes the connection if the rest of the request is still to come."""
        unread = not self._in_head
        super().on_response_complete()
        if unread and not self.transport.is_closing():
            self._close()

    def timeout_keep_alive_handler(self) -> None:
        """Nothing came for a while."""
        self._close()

    def send_400_response(self, msg: str) -> None:
        """Says so, in JSON, of what is not HTTP."""
        self._refuse(HTTPStatus.BAD_REQUEST, msg)

    def pause_writing(self) -> None:
        """The client does not keep up; it has a while to go on."""
        super().pause_writing()
        if self._write_timer is None:
            self._write_timer = self.loop.call_later(self.write_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """The client reads again."""
        super().resume_writing()
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def _await_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self.header_seconds, self._head_is_late)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        self._head_timer = None
        if not self.transport.is_closing():
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, "The request did not come in time.")

    def _refuse(self, status: HTTPStatus, message: str) -> None:
        """Answers by itself, without the application, and closes."""
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.response_complete:
            body = dumped({"message": message})
            head = (
                f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            )
            self.transport.write(head.encode() + body)
        self._close()

    def _close(self) -> None:
        """Closes the connection, after what is still to be sent if the client takes that soon."""
        if not self.transport.is_closing():
            self.transport.close()
            if self.transport.get_write_buffer_size():
                self.loop.call_later(self.write_seconds, self.transport.abort)
