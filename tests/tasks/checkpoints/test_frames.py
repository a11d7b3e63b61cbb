"""Every whole frame is found, whatever lies between them, and nothing else is taken for one."""

import itertools
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.tasks.checkpoints import frames
from shoal.tasks.checkpoints.frames import (
    HEAD_BYTES,
    MAGIC,
    Damage,
    Frame,
    frame_at,
    frame_head,
    scan,
)

payloads = st.lists(st.binary(max_size=60) | st.just(MAGIC * 3), max_size=8)


def file_of(data):
    descriptor = os.memfd_create("frames")
    os.write(descriptor, data)
    return descriptor


def scanned(data):
    descriptor = file_of(data)
    try:
        return list(scan(descriptor))
    finally:
        os.close(descriptor)


def written(payloads):
    data = b""
    for kind, payload in enumerate(payloads):
        data += frame_head(len(data), kind % 256, [payload]) + payload
    return data


@given(payloads)
def test_what_is_written_is_read(contents):
    found = scanned(written(contents))
    assert [(frame.kind, frame.payload) for frame in found] == list(enumerate(contents))
    ends = [0, *(frame.end for frame in found)]
    assert [frame.offset for frame in found] == ends[:-1]


@given(payloads, st.data())
@settings(deadline=None)
def test_any_damage_loses_the_frames_it_touches_and_gives_no_other(contents, data):
    whole = written(contents)
    before = scanned(whole)
    start = data.draw(st.integers(0, len(whole)))
    junk = data.draw(st.binary(max_size=40))
    hurt = whole[:start] + junk + whole[start + len(junk) :]
    found = scanned(hurt)
    kept = [frame for frame in found if isinstance(frame, Frame)]
    assert [frame for frame in before if hurt[frame.offset : frame.end] == whole[
        frame.offset : frame.end
    ]] == kept  # fmt: skip
    covered = sum(each.end - each.offset for each in found)
    assert covered == len(hurt)
    damage = [each for each in found if isinstance(each, Damage)]
    assert all(a.end != b.offset for a, b in itertools.pairwise(damage))


def test_a_frame_moved_elsewhere_is_none():
    inner = written([b"abc"])
    assert scanned(b"x" + inner) == [Damage(0, len(inner) + 1)]
    assert scanned(inner + inner)[1:] == [Damage(len(inner), len(inner))]


def test_a_length_beyond_the_file_reads_nothing():
    head = frame_head(0, 1, [memoryview(bytes(1 << 20))])
    assert scanned(head + b"short") == [Damage(0, HEAD_BYTES + 5)]


def test_a_payload_in_parts_is_one_payload():
    parts = [b"ab", memoryview(b"cd"), b""]
    [found] = scanned(frame_head(0, 9, parts) + b"abcd")
    assert found == Frame(0, 9, b"abcd")


def test_an_empty_file_has_no_frames():
    assert scanned(b"") == []


@pytest.mark.parametrize("window", [HEAD_BYTES, 64, 1000])
def test_the_window_makes_no_difference(monkeypatch, window):
    contents = [bytes([number]) * (number * 37 % 200) for number in range(60)]
    data = bytearray(written(contents))
    for offset in range(500, len(data), 1500):
        data[offset] ^= 1
    expected = scanned(data)
    assert any(isinstance(each, Damage) for each in expected)
    monkeypatch.setattr(frames._Reader.__init__, "__defaults__", (window,))
    assert scanned(data) == expected


def test_only_a_window_of_a_large_file_is_read_at_a_time(monkeypatch):
    asked = []
    real = os.pread

    def pread(descriptor, count, offset):
        asked.append(count)
        return real(descriptor, count, offset)

    data = written([bytes(10_000)] * 400)
    monkeypatch.setattr(frames.os, "pread", pread)
    assert len(scanned(data)) == 400
    assert max(asked) == frames.WINDOW_BYTES
    assert len(asked) < 10


def test_a_frame_is_read_again_by_its_offset():
    data = written([b"first", b"second"])
    descriptor = file_of(data)
    first, second = scan(descriptor)
    assert frame_at(descriptor, second.offset) == second
    assert frame_at(descriptor, first.offset + 1) is None
    assert frame_at(descriptor, len(data)) is None
    os.close(descriptor)


def test_systems_without_pread_read_the_same(monkeypatch):
    data = written([b"first", b"second"])
    expected = scanned(data)
    monkeypatch.delattr(frames.os, "pread")
    assert scanned(data) == expected
