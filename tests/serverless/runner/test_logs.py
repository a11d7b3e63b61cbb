"""A log can be followed from any place, and keeps its newest bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.serverless.runner.logs import read_log, read_tail
from shoal.serverless.runner.shim import LOG_PIECES, Log


@given(
    parts=st.lists(st.binary(min_size=1, max_size=50), max_size=20),
    most=st.integers(1, 100),
    step=st.integers(1, 60),
)
def test_what_is_read_is_a_tail_of_what_was_written(tmp_path_factory, parts, most, step):
    folder = tmp_path_factory.mktemp("log") / "log"
    log = Log(str(folder), most)
    for part in parts:
        log.write(part)
    written = b"".join(parts)
    assert log.size == len(written)
    whole = read_log(folder)
    assert written.endswith(whole.data)
    assert len(whole.data) >= min(len(written), most - most // LOG_PIECES - LOG_PIECES)
    assert len(whole.data) <= max(most, LOG_PIECES)
    offset, found = 0, []
    while (part := read_log(folder, offset, most_bytes=step)).data:
        found.append(part.data)
        offset = part.end
    assert b"".join(found) == whole.data
    assert offset == (len(written) if whole.data else 0)
    assert read_tail(folder, step).data == whole.data[-step:]
    log.close()


def test_a_log_that_is_not_there_yet_is_empty(tmp_path):
    assert read_log(tmp_path / "none") == (0, b"")
    assert read_tail(tmp_path / "none") == (0, b"")


def test_reading_goes_on_where_it_ended_as_the_log_grows(tmp_path):
    log = Log(str(tmp_path), 1000)
    log.write(b"one")
    first = read_log(tmp_path)
    assert read_log(tmp_path, first.end).data == b""
    log.write(b"two")
    assert read_log(tmp_path, first.end).data == b"two"
    log.close()


def test_a_full_disk_costs_the_log_and_not_the_job(tmp_path, monkeypatch):
    log = Log(str(tmp_path), 1000)
    log.write(b"one")

    def refuse(*_):
        raise OSError("full")

    monkeypatch.setattr("shoal.serverless.runner.shim.os.write", refuse)
    log.write(b"lost")
    monkeypatch.undo()
    log.write(b"three")
    log.close()
    assert log.size == len("onelostthree")
    assert read_log(tmp_path).data.startswith(b"one")
    assert read_log(tmp_path, 7).data == b"three"


@pytest.mark.parametrize("offset", [0, 5, 10**9])
def test_an_offset_outside_is_no_error(tmp_path, offset):
    log = Log(str(tmp_path), 16)
    log.write(b"x" * 100)
    log.close()
    part = read_log(tmp_path, offset)
    assert part.data == b"x" * len(part.data)
