"""A checkpoint gives back what was recorded, and goes on only with what made it."""

import errno
import os
import warnings
from pathlib import Path

import numpy as np
import pytest

from shoal.errors import (
    CheckpointChanged,
    CheckpointDamaged,
    CheckpointError,
    CheckpointInUse,
    CheckpointNotWritten,
    CheckpointUnreadable,
)
from shoal.tasks.checkpoints import Checkpoint, part, summary

ONE, TWO = [part("n", 1)], [part("n", 2)]


def opened(path, parts=ONE, *, layout=b"layout", total=100, **options):
    return Checkpoint(path, parts, layout=layout, total=total, **options)


def values(checkpoint):
    return [
        [(record.indices.tolist(), record.load()) for record in records]
        for _, records in checkpoint.sections
    ]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "file"


def test_what_was_recorded_is_there_the_next_time(path):
    with opened(path) as checkpoint:
        assert values(checkpoint) == [[]]
        checkpoint.append([3, 1], {"a": 1}, {7: "ValueError: bad"})
        checkpoint.append(np.arange(4, 6), None)
    with opened(path) as checkpoint:
        [(layout, records)] = checkpoint.sections
        assert layout == b"layout"
        assert len(records) == 2
        first, second = records
        assert first.indices.dtype == np.int64
        assert (first.indices.tolist(), first.failed, first.load()) == (
            [3, 1],
            {7: "ValueError: bad"},
            {"a": 1},
        )
        assert (second.indices.tolist(), second.failed, second.load()) == ([4, 5], {}, None)
        assert list(map(type, records)) == list(map(type, records))  # and again


def test_records_are_those_found_when_it_was_opened(path):
    with opened(path) as checkpoint:
        checkpoint.append([1], 1)
        assert values(checkpoint) == [[]]
    with opened(path) as checkpoint:
        checkpoint.append([2], 2)
        assert values(checkpoint) == [[([1], 1)]]
    with pytest.raises(CheckpointError, match="closed"):
        values(checkpoint)


def test_what_pickle_cannot_do_cloudpickle_does(path):
    n = 3
    with opened(path) as checkpoint:
        checkpoint.append([1], lambda x: x + n)
    with opened(path) as checkpoint:
        [[(_, function)]] = values(checkpoint)
    assert function(1) == 4


def test_a_value_that_cannot_be_pickled_is_an_ordinary_error_and_nothing_is_written(path):
    with opened(path) as checkpoint, open(path, "rb") as unpicklable:
        size = path.stat().st_size
        with pytest.raises(TypeError, match="pickle"):
            checkpoint.append([1], unpicklable)
        assert path.stat().st_size == size
        checkpoint.append([1], "fine")


class Gone:
    pass


def test_a_value_that_cannot_be_unpickled_is_damage(path, monkeypatch):
    with opened(path) as checkpoint:
        checkpoint.append([1, 2], Gone())
        checkpoint.append([3], "fine")
    monkeypatch.delattr(f"{__name__}.Gone")
    with opened(path) as checkpoint:
        [(_, records)] = checkpoint.sections
        gone, fine = records
        with (
            pytest.warns(CheckpointDamaged, match="2 points count as missing"),
            pytest.raises(CheckpointUnreadable, match=f"{path}.*cannot be unpickled"),
        ):
            gone.load()
        assert fine.load() == "fine"


def test_other_parts_are_refused_with_the_difference_and_the_ways_out(path):
    opened(path).close()
    before = path.read_bytes()
    with pytest.raises(CheckpointChanged) as caught:
        opened(path, TWO)
    for said in (str(path), "n: 1 → 2", 'on_change="accept"', "another file"):
        assert said in str(caught.value)
    assert path.read_bytes() == before
    opened(path).close()  # and it is not locked


def test_accepted_parts_begin_a_section_and_are_the_ones_compared_with_then(path):
    with opened(path) as checkpoint:
        checkpoint.append([1], "old")
    with opened(path, TWO, layout=b"new", on_change="accept") as checkpoint:
        assert [layout for layout, _ in checkpoint.sections] == [b"layout", b"new"]
        checkpoint.append([1], "new")
    with opened(path, TWO, layout=b"new") as checkpoint:
        assert values(checkpoint) == [[([1], "old")], [([1], "new")]]
    with pytest.raises(CheckpointChanged):
        opened(path)


def test_accepting_what_has_not_changed_goes_on_with_the_section(path):
    opened(path).close()
    with opened(path, on_change="accept") as checkpoint:
        assert len(checkpoint.sections) == 1


@pytest.mark.parametrize("options", [{"layout": b"other"}, {"total": 7}])
def test_another_layout_of_the_same_parts_begins_a_section(path, options):
    opened(path).close()
    with opened(path, **options) as checkpoint:
        assert len(checkpoint.sections) == 2


def test_the_order_of_parts_and_their_texts_make_no_difference(path):
    one, other = part("a", 1), part("b", 2)
    opened(path, [one, other, one]).close()
    with opened(path, [other, one]) as checkpoint:
        assert len(checkpoint.sections) == 1


def test_an_empty_file_is_a_new_one(path):
    path.touch()
    with opened(path) as checkpoint:
        assert values(checkpoint) == [[]]


@pytest.mark.parametrize("data", [b"x", b"my notes\n" * 100, bytes(5000)])
def test_a_file_of_something_else_is_refused_and_left_as_it_is(path, data):
    path.write_bytes(data)
    for on_change in ("refuse", "accept"):
        with pytest.raises(CheckpointUnreadable, match="not a checkpoint"):
            opened(path, on_change=on_change)
    assert path.read_bytes() == data


def test_opening_twice_in_one_process_is_refused_as_in_two(path):
    with opened(path) as checkpoint:
        with pytest.raises(CheckpointInUse, match=f"process {os.getpid()} on "):
            opened(path)
        checkpoint.append([1], 1)
    opened(path).close()


def test_paths_may_be_objects_and_begin_at_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    with opened(Path("~/file")) as checkpoint:
        assert checkpoint.path == str(tmp_path / "file")
        monkeypatch.chdir("/")
        checkpoint.append([1], 1)


@pytest.mark.parametrize(
    ("name", "code", "why"),
    [
        ("no/such/folder", errno.ENOENT, "No such file"),
        (".", errno.EISDIR, "Is a directory"),
        ("text/file", errno.ENOTDIR, "Not a directory"),
        ("x" * 300, errno.ENAMETOOLONG, "too long"),
    ],
)
def test_a_path_that_cannot_be_opened_is_named_with_the_reason(tmp_path, name, code, why):
    (tmp_path / "text").touch()
    with pytest.raises(CheckpointNotWritten, match=why) as caught:
        opened(tmp_path / name)
    assert caught.value.errno == code
    assert str(tmp_path) in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_file_or_folder_is_named(path, tmp_path):
    opened(path).close()
    path.chmod(0o400)
    with pytest.raises(CheckpointNotWritten, match="Permission denied"):
        opened(path)
    tmp_path.chmod(0o500)
    with pytest.raises(CheckpointNotWritten, match="Permission denied"):
        opened(tmp_path / "new")
    tmp_path.chmod(0o700)


@pytest.mark.parametrize(
    ("options", "kind", "said"),
    [
        ({"on_change": "overwrite"}, ValueError, "on_change='overwrite'"),
        ({"layout": "text"}, TypeError, "layout='text'"),
        ({"total": -1}, ValueError, "total=-1"),
        ({"total": 1.5}, TypeError, "total=1.5"),
    ],
)
def test_a_bad_argument_is_named_and_no_file_is_made(path, options, kind, said):
    with pytest.raises(kind, match=said):
        opened(path, **options)
    assert not path.exists()


def test_indices_beyond_the_total_are_refused_before_anything_is_written(path):
    with opened(path, total=5) as checkpoint:
        for wrong in ([5], [-1], [2**70]):
            with pytest.raises(ValueError, match="expected 0 to 4"):
                checkpoint.append(wrong, None)
    assert summary(path).recorded == 0


def test_a_file_removed_while_open_is_an_error_that_says_so(path):
    with opened(path) as checkpoint:
        path.unlink()
        with pytest.raises(CheckpointNotWritten, match="removed or replaced"):
            checkpoint.append([1], 1)


def test_a_record_lost_since_it_was_opened_is_warned_about(path):
    with opened(path) as checkpoint:
        checkpoint.append([1], 1)
    with opened(path) as checkpoint:
        [(_, records)] = checkpoint.sections
        with open(path, "r+b") as file:
            file.seek(records._offsets[0] + 30)
            file.write(b"????")
        with pytest.warns(CheckpointDamaged, match="was lost"):
            assert list(records) == []


def test_what_went_wrong_first_is_raised_and_the_disk_s_error_noted(path, monkeypatch):
    def fsync(descriptor):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("shoal.tasks.checkpoints.writing.SYNC_SECONDS", 1e6)
    with pytest.raises(ZeroDivisionError) as caught, opened(path) as checkpoint:
        monkeypatch.setattr("shoal.tasks.checkpoints.writing.os.fsync", fsync)
        checkpoint.append([1], 1)
        1 / 0  # noqa: B018
    assert "Input/output error" in caught.value.__notes__[0]


def test_a_long_list_of_damage_is_cut_short(path):
    with opened(path) as checkpoint:
        for number in range(60):
            checkpoint.append([number], number)
    with opened(path) as checkpoint:
        [(_, records)] = checkpoint.sections
        offsets = list(records._offsets)
    data = bytearray(path.read_bytes())
    for offset in offsets[::2]:
        data[offset + 30] ^= 1
    path.write_bytes(data)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        opened(path).close()
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert str(caught[0].message).count("at offset") == 20
    assert "10 more places" in str(caught[0].message)
