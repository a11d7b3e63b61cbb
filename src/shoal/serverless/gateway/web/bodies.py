"""What clients send after the headers: not more than allowed, and not for ever."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from shoal.serverless.gateway.web.json_text import parsed_object
from shoal.serverless.gateway.web.refusals import ClientGone, Refusal

if TYPE_CHECKING:
    from starlette.types import Message, Receive

# A body may take this long, and longer only while it comes at this rate.
PATIENCE_SECONDS = 30.0
LEAST_BYTES_PER_SECOND = 16 * 1024
# So much of a body that is refused is read and thrown away: a client that is still sending when
# the connection closes does not see our answer.
DISCARDED_BYTES = 256 << 20
MOST_FIELDS = 64
_CLOSE = {"Connection": "close"}


class Body:
    """The body of one request, read once."""

    def __init__(self, receive: Receive, headers: Headers, *, patience: float = PATIENCE_SECONDS):
        length = headers.get("content-length", "")
        self._length = int(length) if length.isdecimal() else None
        self._done = self._length in (None, 0) and "transfer-encoding" not in headers
        self._waits_for_leave = "expect" in headers
        self._receive = receive
        self._patience = patience
        self._received = 0
        self._began = math.nan

    async def chunks(self, most_bytes: int) -> AsyncIterator[bytes]:
        """The body as it comes; refuses one that is longer, or too slow."""
        if self._length is not None and self._length > most_bytes:
            raise self._too_large(most_bytes)
        while not self._done:
            chunk, _ = await self._next()
            yield chunk
            if self._received > most_bytes:
                raise self._too_large(most_bytes)

    async def read(self, most_bytes: int) -> bytes:
        """The whole body."""
        return b"".join([chunk async for chunk in self.chunks(most_bytes)])

    async def discard(self) -> bool:
        """Reads what nobody wanted; False if the connection is better closed after the answer."""
        if self._done:
            return True
        if self._waits_for_leave and not self._received:
            return False
        if (self._length or 0) > DISCARDED_BYTES:
            return False
        try:
            while self._received <= DISCARDED_BYTES:
                _, is_last = await self._next()
                if is_last:
                    return True
        except Refusal:
            pass
        return False

    async def _next(self) -> tuple[bytes, bool]:
        """What came next, and whether it was the last."""
        loop = asyncio.get_running_loop()
        if math.isnan(self._began):
            self._began = loop.time()
        due = self._began + self._patience + self._received / LEAST_BYTES_PER_SECOND
        try:
            async with asyncio.timeout_at(due):
                message: Message = await self._receive()
        except TimeoutError as error:
            seconds = f"{loop.time() - self._began:.0f} s"
            raise Refusal(
                HTTPStatus.REQUEST_TIMEOUT, f"The body did not come within {seconds}.", _CLOSE
            ) from error
        if message["type"] != "http.request":
            raise ClientGone("the client left while it was sending")
        chunk: bytes = message.get("body", b"")
        self._done = not message.get("more_body", False)
        self._received += len(chunk)
        return chunk, self._done

    def _too_large(self, most_bytes: int) -> Refusal:
        message = f"The request is too large: at most {most_bytes} bytes are accepted."
        return Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, message)


@dataclass(frozen=True, slots=True)
class Fields:
    """What a form, or a JSON object, says by name.

    Attributes:
        values: Texts, or whatever the JSON object holds.
        files: Uploaded files, of a multipart form only; `close` removes them.
    """

    values: dict[str, Any]
    files: dict[str, UploadFile] = field(default_factory=dict)

    def close(self) -> None:
        """Removes what was uploaded."""
        for file in self.files.values():
            file.file.close()


async def read_fields(body: Body, headers: Headers, *, most_bytes: int, most_text: int) -> Fields:
    """A JSON object, a form, or a multipart form, whichever the request says it sends.

    Args:
        body: Not read yet.
        headers: Of the request.
        most_bytes: Of the whole.
        most_text: Of one text in a multipart form.

    Raises:
        Refusal: 400 for what cannot be read, 413 and 408 for what is too large or too slow.
    """
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        if kind == "multipart/form-data":
            return await _multipart(body, headers, most_bytes, most_text)
        data = await body.read(most_bytes)
        if kind == "application/x-www-form-urlencoded":
            return Fields(_form(data))
        if kind in ("application/json", "") or kind.endswith("+json"):
            return Fields(parsed_object(data) if data else {})
    except ValueError as error:
        raise Refusal(HTTPStatus.BAD_REQUEST, f"The request cannot be read: {error}.") from error
    accepted = "application/json, application/x-www-form-urlencoded or multipart/form-data"
    message = f"The request's Content-Type is {kind[:100]!r}: expected {accepted}."
    raise Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, message)


def _form(data: bytes) -> dict[str, Any]:
    pairs = parse_qsl(
        data.decode(), keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS
    )
    return dict(pairs)


async def _multipart(body: Body, headers: Headers, most_bytes: int, most_text: int) -> Fields:
    parser = MultiPartParser(
        headers,
        body.chunks(most_bytes),  # type: ignore[arg-type] # it only iterates
        max_files=1,
        max_fields=MOST_FIELDS,
        max_part_size=most_text,
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise ValueError(error.message) from error
    except OSError as error:
        message = f"There is no room for what is uploaded: {error.strerror}."
        raise Refusal(HTTPStatus.INSUFFICIENT_STORAGE, message) from error
    values: dict[str, Any] = {}
    files: dict[str, UploadFile] = {}
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            files[name] = value
        else:
            values[name] = value
    return Fields(values, files)
