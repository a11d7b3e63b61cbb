"""Blobs hold what was put in under its hash, whole or not at all."""

import errno
import hashlib
import os

import pytest

from shoal.serverless.errors import NotFound, StoreFull
from shoal.serverless.models import Payload
from shoal.serverless.store.blobs import INLINE_BYTES, Blobs


@pytest.fixture
def blobs(tmp_path):
    return Blobs(tmp_path)


def files(folder):
    return [path for path in folder.rglob("*") if path.is_file() and path.name != "lock"]


def test_bytes_come_back_under_their_hash(blobs):
    sha256, size = blobs.add([b"a", b"", b"bc"])
    assert (sha256, size) == (hashlib.sha256(b"abc").hexdigest(), 3)
    with os.fdopen(blobs.open(sha256), "rb") as source:
        assert source.read() == b"abc"


def test_the_same_bytes_are_kept_once(blobs, tmp_path):
    assert blobs.add([b"abc"]) == blobs.add([b"ab", b"c"])
    assert len(files(tmp_path)) == 1


@pytest.mark.parametrize("size", [0, 1, INLINE_BYTES - 2, INLINE_BYTES - 1, 3 * INLINE_BYTES])
def test_text_is_packed_and_unpacked_as_it_was(blobs, size):
    text = "é" + "x" * (size - 2) if size > 1 else "x" * size
    packed = blobs.pack(text)
    assert packed.size_bytes == len(text.encode())
    assert (packed.text is None) == (packed.size_bytes > INLINE_BYTES)
    assert blobs.unpack(packed) == text


def test_an_upload_that_breaks_off_leaves_nothing(blobs, tmp_path):
    def chunks():
        yield b"abc"
        raise ConnectionResetError

    with pytest.raises((ConnectionResetError, StoreFull)):
        blobs.add(chunks())
    assert files(tmp_path) == []


@pytest.mark.parametrize("call", ["write", "fsync"])
def test_a_disk_that_refuses_leaves_nothing(blobs, tmp_path, monkeypatch, call):
    def refuse(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(f"shoal.serverless.store.blobs.os.{call}", refuse)
    with pytest.raises(StoreFull, match="No space left"):
        blobs.add([b"abc"])
    monkeypatch.undo()
    assert files(tmp_path) == []


def test_what_is_gone_is_not_found_and_links_are_not_followed(blobs, tmp_path):
    unknown = "0" * 64
    with pytest.raises(NotFound):
        blobs.open(unknown)
    blobs.path(unknown).parent.mkdir()
    blobs.path(unknown).symlink_to("/etc/passwd")
    with pytest.raises(OSError, match="symbolic"):
        blobs.unpack(Payload(None, unknown, 3))
