"""Bodies end: in bytes, in time, and where a client leaves; forms and JSON are one thing."""

import asyncio
import json

import pytest
from starlette.datastructures import Headers

from shoal.serverless.gateway.web import bodies
from shoal.serverless.gateway.web.bodies import Body, read_fields
from shoal.serverless.gateway.web.refusals import ClientGone, Refusal

JSON = {"content-type": "application/json"}
FORM = {"content-type": "application/x-www-form-urlencoded"}


def body_of(*chunks, headers=None, patience=30.0, ends=True):
    """A body that comes in these chunks, and then ends, or never does."""
    left = list(chunks)

    async def receive():
        if not left:
            await asyncio.Event().wait()
        chunk = left.pop(0)
        if chunk is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": chunk, "more_body": bool(left) or not ends}

    given = {"transfer-encoding": "chunked", **(headers or {})}
    return Body(receive, Headers(given), patience=patience)


def fields(body, headers, most=1000):
    return asyncio.run(read_fields(body, Headers(headers), most_bytes=most, most_text=most))


def test_a_body_is_what_its_chunks_are():
    assert asyncio.run(body_of(b"ab", b"", b"c").read(3)) == b"abc"


def test_an_upload_for_which_there_is_no_room_is_refused_as_such(monkeypatch):
    async def full(self, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("starlette.datastructures.UploadFile.write", full)
    form = (
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\ndata\r\n--b--\r\n'
    )
    with pytest.raises(Refusal, match="No space left") as caught:
        fields(body_of(form), {"content-type": "multipart/form-data; boundary=b"})
    assert caught.value.status == 507


def test_without_a_length_and_chunks_there_is_no_body_to_wait_for():
    async def receive():
        raise AssertionError

    assert asyncio.run(Body(receive, Headers({})).read(0)) == b""
    assert asyncio.run(Body(receive, Headers({"content-length": "0"})).discard())


def test_a_body_that_is_too_long_is_refused_by_its_length_before_it_is_read():
    body = body_of(b"x", headers={"content-length": "1001"})
    with pytest.raises(Refusal, match="at most 1000 bytes") as caught:
        asyncio.run(body.read(1000))
    assert (caught.value.status, body._received) == (413, 0)


def test_a_body_that_is_longer_than_it_said_is_refused_while_it_comes():
    with pytest.raises(Refusal) as caught:
        asyncio.run(body_of(*[b"x" * 100] * 11).read(1000))
    assert caught.value.status == 413


def test_a_body_that_does_not_come_is_refused_after_a_while():
    with pytest.raises(Refusal, match="did not come") as caught:
        asyncio.run(body_of(b"x", ends=False, patience=0.01).read(1000))
    assert (caught.value.status, caught.value.headers["Connection"]) == (408, "close")


def test_a_client_that_leaves_is_not_answered():
    with pytest.raises(ClientGone):
        asyncio.run(body_of(b"x", None, ends=False).read(1000))


def test_what_nobody_wanted_is_read_and_thrown_away(monkeypatch):
    monkeypatch.setattr(bodies, "DISCARDED_BYTES", 1000)
    assert asyncio.run(body_of(*[b"x" * 100] * 10).discard())
    assert not asyncio.run(body_of(*[b"x" * 100] * 30).discard())
    assert not asyncio.run(body_of(b"x", headers={"content-length": "1001"}).discard())
    assert not asyncio.run(body_of(b"x", ends=False, patience=0.01).discard())
    waiting = body_of(b"x", headers={"expect": "100-continue"})
    assert not asyncio.run(waiting.discard())


def test_json_and_forms_say_the_same():
    said = {"title": "a b", "x": "é&"}
    assert fields(body_of(json.dumps(said).encode()), JSON).values == said
    assert fields(body_of(b"title=a+b&x=%C3%A9%26"), FORM).values == said
    part = 'Content-Disposition: form-data; name="{}"\r\n\r\n{}\r\n'
    parts = "".join(f"--b\r\n{part.format(*each)}" for each in said.items())
    multipart = {"content-type": "multipart/form-data; boundary=b"}
    assert fields(body_of(f"{parts}--b--\r\n".encode()), multipart).values == said


def test_a_file_comes_with_its_name_and_is_gone_when_closed():
    head = 'Content-Disposition: form-data; name="file"; filename="é.txt"\r\n\r\n'
    data = f"--b\r\n{head}hello\r\n--b--\r\n".encode()
    headers = {"content-type": "multipart/form-data; boundary=b"}
    found = fields(body_of(data[:50], data[50:]), headers)
    file = found.files["file"]
    assert (file.filename, file.file.read()) == ("é.txt", b"hello")
    found.close()
    assert file.file.closed


@pytest.mark.parametrize(
    ("data", "headers", "status"),
    [
        (b"{", JSON, 400),
        (b"a=%FF", FORM, 400),
        (b"&".join(b"a%d=1" % n for n in range(100)), FORM, 400),
        (b"x", {"content-type": "text/plain"}, 415),
        (b"x", {"content-type": "multipart/form-data"}, 400),
        (b"x", {"content-type": "multipart/form-data; boundary=b"}, 400),
        (b"--b\r\n\r\n\r\n--b--", {"content-type": "multipart/form-data; boundary=b"}, 400),
    ],
)
def test_what_cannot_be_read_is_refused(data, headers, status):
    with pytest.raises(Refusal) as caught:
        fields(body_of(data), headers)
    assert caught.value.status == status
