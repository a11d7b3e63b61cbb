"""One pass over a file tells its sections, sessions, records and damage."""

import os
from pathlib import Path

import pytest

from shoal.errors import CheckpointUnreadable
from shoal.tasks.checkpoints import Checkpoint, part
from shoal.tasks.checkpoints.contents import HEADER, Header
from shoal.tasks.checkpoints.frames import MAGIC, frame_head
from shoal.tasks.checkpoints.reading import absolute_path, last_session, open_to_read, read


def contents_of(path, end=None):
    descriptor = open_to_read(str(path))
    try:
        return read(descriptor, str(path), end)
    finally:
        os.close(descriptor)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "file"
    for number in range(2):
        with Checkpoint(
            path, [part("n", number)], layout=b"x", total=9, on_change="accept"
        ) as checkpoint:
            checkpoint.append([number], number)
            checkpoint.append([2], number)
    return path


def test_each_header_begins_a_section_and_its_copy_does_not(path):
    found = contents_of(path)
    assert [header.section for header in found.headers] == [0, 1]
    assert [len(offsets) for offsets in found.records] == [2, 2]
    assert found.next_section == 2
    assert len(found.sessions) == 2
    assert found.end == found.size == path.stat().st_size
    assert found.damage == []


def test_reading_up_to_an_offset_leaves_out_what_comes_after(path):
    whole = contents_of(path)
    second = whole.records[0][1]
    assert [list(offsets) for offsets in contents_of(path, second).records] == [
        [whole.records[0][0]]
    ]


def test_damage_at_the_end_is_a_torn_tail_and_in_the_middle_is_not(path):
    found = contents_of(path)
    data = bytearray(path.read_bytes())
    data[found.records[0][0] + 30] ^= 1
    path.write_bytes(data[:-1])
    hurt = contents_of(path)
    assert [each.offset for each in hurt.damage] == [found.records[0][0]]
    assert hurt.end == found.records[1][1]
    assert hurt.size == len(data) - 1


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"hello", "not a checkpoint"),
        (bytes(100), "not a checkpoint"),
        (MAGIC[:3], "beginning is damaged"),
        (MAGIC + bytes(100), "beginning is damaged"),
    ],
)
def test_a_file_without_a_header_is_told_to_be_what_it_is(tmp_path, data, why):
    path = tmp_path / "file"
    path.write_bytes(data)
    found = contents_of(path)
    assert not found.headers
    assert why in found.why_not_one()


def test_an_unknown_format_names_the_file(tmp_path):
    path = tmp_path / "file"
    payload = Header(0, 1, (), b"").to_bytes().replace(b'"format": 1', b'"format": 2')
    path.write_bytes(frame_head(0, HEADER, [payload]) + payload)
    with pytest.raises(CheckpointUnreadable, match=f"{path}.*version 2"):
        contents_of(path)


def test_frames_of_unknown_kinds_are_passed_over(path):
    size = path.stat().st_size
    with open(path, "ab") as file:
        file.write(frame_head(size, 77, [b"news"]) + b"news")
    found = contents_of(path)
    assert found.end == found.size > size
    assert [len(offsets) for offsets in found.records] == [2, 2]


def test_paths_are_absolute_and_may_begin_at_home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/of/mine")
    assert absolute_path("file") == str(tmp_path / "file")
    assert absolute_path(Path("~/file")) == "/home/of/mine/file"
    assert absolute_path(b"/file") == "/file"
    for wrong in (5, None, object()):
        with pytest.raises(TypeError, match="path="):
            absolute_path(wrong)


def test_the_last_session_is_known_where_it_can_be_read(path, tmp_path):
    assert last_session(str(path)).pid == os.getpid()
    assert last_session(str(tmp_path / "missing")) is None
    (tmp_path / "other").write_bytes(b"hello")
    assert last_session(str(tmp_path / "other")) is None
    assert last_session(str(tmp_path)) is None
