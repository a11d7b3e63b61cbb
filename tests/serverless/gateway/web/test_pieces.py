"""What an answer was read from is closed, also if the client takes nothing, or a part, of it."""

import asyncio
import io

import pytest

from shoal.serverless.gateway.web.pieces import Pieces


@pytest.mark.parametrize("taken", [0, 1, 2, 100])
def test_files_are_closed_however_much_is_taken(taken):
    source, left = io.BytesIO(b"abc"), [False]

    def parts():
        try:
            while part := source.read(1):
                yield part
        finally:
            left[0] = True

    async def receive():
        await asyncio.Event().wait()

    sent = []

    async def send(message):
        sent.append(message)
        if len(sent) > taken:
            raise ConnectionError

    pieces = parts()
    next_one = Pieces(pieces, pieces, source)
    scope = {"type": "http", "asgi": {"spec_version": "2.3"}}
    try:
        asyncio.run(next_one(scope, receive, send))
    except* ConnectionError:
        assert taken < 5
    assert source.closed
    assert left[0] == (taken > 0)
