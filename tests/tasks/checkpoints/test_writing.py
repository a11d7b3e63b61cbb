"""Frames are appended whole or not at all, and reach the disk without anyone waiting for it."""

import errno
import gc
import os
import threading
import warnings

import pytest

from shoal.errors import CheckpointError, CheckpointNotWritten, CheckpointUnreadable
from shoal.tasks.checkpoints import writing
from shoal.tasks.checkpoints.frames import Frame, scan
from shoal.tasks.checkpoints.writing import FrameWriter, open_locked


def writer_at(path):
    return FrameWriter(str(path), *open_locked(str(path)))


def payloads(path):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return [each.payload if isinstance(each, Frame) else each for each in scan(descriptor)]
    finally:
        os.close(descriptor)


@pytest.fixture
def writer(tmp_path):
    writer = writer_at(tmp_path / "file")
    yield writer
    writer.close()


def test_a_frame_is_one_call_of_the_system(writer, monkeypatch):
    calls, real = [], os.writev
    monkeypatch.setattr(writing.os, "writev", lambda *args: (calls.append(args), real(*args))[1])
    writer.append(1, b"ab", b"cd")
    assert len(calls) == 1
    assert payloads(writer.path) == [b"abcd"]


@pytest.mark.parametrize("taken", [1, 24, 25, 26, 28])
def test_what_the_system_takes_in_part_is_written_to_the_end(writer, monkeypatch, taken):
    real = os.write
    monkeypatch.setattr(
        writing.os, "writev", lambda descriptor, parts: real(descriptor, b"".join(parts)[:taken])
    )
    monkeypatch.setattr(writing.os, "write", lambda descriptor, data: real(descriptor, data[:3]))
    writer.append(1, b"ab", b"cd")
    writer.append(2, b"", b"efgh")
    assert payloads(writer.path) == [b"abcd", b"efgh"]


def test_systems_without_writev_write_the_same(writer, monkeypatch):
    monkeypatch.delattr(writing.os, "writev")
    writer.append(1, b"ab", memoryview(b"cd"))
    assert payloads(writer.path) == [b"abcd"]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt()])
def test_what_is_interrupted_is_cut_back_and_the_next_one_is_written(writer, monkeypatch, error):
    writer.append(1, b"first")

    def half(descriptor, parts):
        os.write(descriptor, b"".join(parts)[:20])
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(writing.os, "writev", half)
        with pytest.raises(type(error)):
            writer.append(1, b"second")
    assert payloads(writer.path) == [b"first"]
    writer.append(1, b"third")
    assert payloads(writer.path) == [b"first", b"third"]


def test_what_cannot_be_cut_back_at_once_is_cut_before_the_next_one(writer, monkeypatch):
    writer.append(1, b"first")

    def half(descriptor, parts):
        os.write(descriptor, b"".join(parts)[:20])
        raise OSError(errno.EIO, "broken")

    def refuse(descriptor, size):
        raise OSError(errno.EIO, "broken")

    with monkeypatch.context() as patched:
        patched.setattr(writing.os, "writev", half)
        patched.setattr(writing.os, "ftruncate", refuse)
        for _ in range(2):
            with pytest.raises(OSError, match="broken"):
                writer.append(1, b"second")
    writer.append(1, b"third")
    assert payloads(writer.path) == [b"first", b"third"]


def test_an_idle_writer_syncs_once_and_then_waits(tmp_path, monkeypatch):
    """A point is durable though the next one never comes, and nothing is asked of the disk then."""
    synced, calls = threading.Event(), []
    monkeypatch.setattr(writing, "SYNC_SECONDS", 0.01)
    monkeypatch.setattr(writing.os, "fsync", lambda _: (calls.append(1), synced.set()))
    writer = writer_at(tmp_path / "file")
    assert threading.active_count() == 1 or not calls
    writer.append(1, b"x")
    assert synced.wait(10)
    thread = writer._syncer._thread
    thread.join(0.1)
    assert thread.is_alive()
    assert len(calls) == 1
    assert writer._syncer.synced_bytes == writer.end
    writer.close()
    assert not thread.is_alive()
    assert len(calls) == 1


def test_many_writes_are_one_sync(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(writing, "SYNC_SECONDS", 1e6)
    monkeypatch.setattr(writing.os, "fsync", calls.append)
    writer = writer_at(tmp_path / "file")
    for _ in range(1000):
        writer.append(1, b"x")
    writer.close()
    assert len(calls) <= 2  # the first at once, the rest at the end


def test_writing_does_not_wait_for_the_disk(tmp_path, monkeypatch):
    slow, calls = threading.Event(), []
    monkeypatch.setattr(writing.os, "fsync", lambda _: (calls.append(1), slow.wait(10)))
    writer = writer_at(tmp_path / "file")
    for _ in range(100):
        writer.append(1, b"x")
    assert len(calls) <= 1
    slow.set()
    writer.close()
    assert len(payloads(tmp_path / "file")) == 100


def test_a_file_open_here_is_locked_here_too(writer):
    with pytest.raises(BlockingIOError):
        open_locked(writer.path)


def test_closing_unlocks_and_a_second_time_does_nothing(writer):
    writer.close()
    writer.close()
    os.close(open_locked(writer.path)[0])
    with pytest.raises(CheckpointError, match="closed"):
        writer.append(1, b"x")


def test_the_file_is_not_inherited_by_other_programs(writer):
    assert not os.get_inheritable(writer.descriptor)


def test_a_file_system_without_locks_warns_and_goes_on(tmp_path, monkeypatch):
    def refuse(descriptor, how):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(writing.fcntl, "flock", refuse)
    with pytest.warns(UserWarning, match="cannot be locked"):
        writer = writer_at(tmp_path / "file")
    writer.append(1, b"x")
    writer.close()


def test_a_file_replaced_before_it_was_locked_is_opened_again(tmp_path, monkeypatch):
    path, real = tmp_path / "file", writing.fcntl.flock
    replaced = []

    def flock(descriptor, how):
        real(descriptor, how)
        if not replaced:
            replaced.append(path.unlink())

    monkeypatch.setattr(writing.fcntl, "flock", flock)
    writer = writer_at(path)
    writer.append(1, b"x")
    writer.close()
    assert payloads(path) == [b"x"]


@pytest.mark.parametrize("replace", [False, True])
def test_a_file_removed_or_replaced_while_open_is_told_at_the_next_write(writer, replace):
    writer.append(1, b"x")
    os.unlink(writer.path)
    if replace:
        with open(writer.path, "wb") as file:
            file.write(b"mine")
    with pytest.raises(CheckpointNotWritten, match="removed or replaced"):
        writer.append(1, b"y")
    if replace:
        with open(writer.path, "rb") as file:
            assert file.read() == b"mine"


@pytest.mark.parametrize("change", ["truncate", "grow"])
def test_a_file_changed_by_others_is_told_and_not_written_over(writer, change):
    writer.append(1, b"x")
    if change == "truncate":
        os.truncate(writer.path, 3)
    else:
        with open(writer.path, "ab") as file:
            file.write(b"more")
    with open(writer.path, "rb") as file:
        before = file.read()
    with pytest.raises(CheckpointNotWritten, match="changed by another program"):
        writer.append(1, b"y")
    with open(writer.path, "rb") as file:
        assert file.read() == before


def test_what_is_no_regular_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/null"):
        with pytest.raises(CheckpointUnreadable, match="not a regular file"):
            open_locked(str(path))


def test_a_writer_that_is_forgotten_says_so_and_unlocks(tmp_path):
    writer = writer_at(tmp_path / "file")
    writer.append(1, b"x")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del writer
        gc.collect()
    assert [warning.category for warning in caught] == [ResourceWarning]
    os.close(open_locked(str(tmp_path / "file"))[0])


def test_a_directory_that_cannot_be_synced_is_no_error(writer, monkeypatch):
    def refuse(descriptor):
        raise OSError(errno.EINVAL, "Invalid argument")

    with monkeypatch.context() as patched:
        patched.setattr(writing.os, "fsync", refuse)
        writer.sync_directory()
