"""A summary counts points as they ended last, and looks at nothing it need not."""

import os
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.errors import CheckpointUnreadable
from shoal.tasks.checkpoints import Checkpoint, Part, part, summaries, summary
from shoal.tasks.checkpoints.contents import Points


def opened(path, n=1, layout=b"x", total=100):
    return Checkpoint(path, [part("n", n)], layout=layout, total=total, on_change="accept")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "file"


def test_points_are_done_failed_or_missing(path):
    with opened(path) as checkpoint:
        checkpoint.append([0, 1, 2], "values", {5: "ValueError: bad", 2: "ValueError: worse"})
        found = summary(path)
    assert (found.total, found.done, found.failed, found.missing) == (100, 2, 2, 96)
    assert found.failures == ((2, "ValueError: worse"), (5, "ValueError: bad"))
    assert found.parts == (part("n", 1),)
    assert (found.path, found.size_bytes) == (str(path), path.stat().st_size)
    [session] = found.sessions
    assert session.startswith(f"process {os.getpid()} on ")


def test_the_last_record_of_a_point_counts(path):
    with opened(path) as checkpoint:
        checkpoint.append([], None, {1: "bad", 2: "bad"})
        checkpoint.append([1], "better")
        checkpoint.append([1], "better")
    found = summary(path)
    assert (found.done, found.failed, found.failures) == (1, 1, ((2, "bad"),))


def test_sections_of_one_layout_are_counted_together(path):
    for n, layout, index in ((1, b"x", 0), (2, b"x", 1), (3, b"other", 2), (4, b"x", 3)):
        with opened(path, n, layout) as checkpoint:
            checkpoint.append([index], None)
    found = summary(path)
    assert (found.sections, found.done, found.recorded) == (4, 3, 4)
    assert found.parts == (part("n", 4),)


actions = st.lists(
    st.tuples(
        st.lists(st.integers(0, 30), max_size=5),
        st.dictionaries(st.integers(0, 30), st.just("bad"), max_size=3),
    ),
    max_size=20,
)


@given(actions, st.sampled_from([0, 3, 1000]))
def test_a_tally_is_what_a_dict_would_say(records, compact):
    tally, states, before = summaries.Tally(), {}, summaries.COMPACT_POINTS
    summaries.COMPACT_POINTS = compact
    try:
        for indices, failed in records:
            tally.add(Points(0, np.array(indices, np.int64), failed, memoryview(b"")))
            states |= dict.fromkeys(indices, True) | dict.fromkeys(failed, False)
    finally:
        summaries.COMPACT_POINTS = before
    done = sum(states.values())
    assert tally.counts() == (done, len(states) - done)
    assert set(tally.texts) == {index for index, ok in states.items() if not ok}


def test_a_huge_total_costs_nothing(path):
    with opened(path, total=10**100) as checkpoint:
        checkpoint.append([2**63 - 1, 0], None)
    assert summary(path).done == 2
    assert summary(path).missing == 10**100 - 2


class Trap:
    def __reduce__(self):
        return os._exit, (77,)


def test_nothing_is_unpickled_or_changed_or_locked(path):
    with opened(path) as checkpoint:
        checkpoint.append([0], Trap())
        before = path.read_bytes()
        assert pickle.dumps(Trap()) != b""
        assert summary(path).done == 1
        assert path.read_bytes() == before


def test_damage_is_told_with_its_offset_at_the_end_too(path):
    with opened(path) as checkpoint:
        checkpoint.append([0], None)
    size = path.stat().st_size
    with open(path, "ab") as file:
        file.write(b"torn")
    assert summary(path).damage == ((size, 4),)
    assert path.stat().st_size == size + 4


def test_what_is_no_checkpoint_is_told_in_one_line(tmp_path):
    (tmp_path / "empty").touch()
    (tmp_path / "text").write_text("hello")
    os.mkfifo(tmp_path / "pipe")
    for name, why in [
        ("missing", "No such file"),
        ("empty", "empty"),
        ("text", "not a checkpoint"),
        (".", "not a regular file"),
        ("pipe", "not a regular file"),
    ]:
        with pytest.raises(CheckpointUnreadable, match=why) as caught:
            summary(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_nothing_in_its_text_steers_a_terminal(path):
    odd = Part("function", "d", "a\x1b[31m\x9b\x7f\r\ud800 ü →\tend")
    with Checkpoint(path, [odd], layout=b"", total=2) as checkpoint:
        checkpoint.append([], None, {1: "ValueError: bad\x1b\nmore"})
    text = str(summary(path))
    assert r"a\x1b[31m\x9b\x7f\x0d\ud800 ü →" in text.replace("\n    ", "\\x0d")
    assert "point 1: ValueError: bad\\x1b\n    more" in text
    assert all(letter.isprintable() or letter in "\n\t" for letter in text)


def test_its_text_says_it_all(path):
    source = Part("function", "d", "def f(x):\n    return x\n")
    with Checkpoint(path, [source, part("axis x", [1, 2])], layout=b"", total=20) as checkpoint:
        checkpoint.append([0, 1], None, dict.fromkeys(range(3, 10), "ValueError: bad"))
    lines = str(summary(path)).splitlines()
    assert lines[0] == f"{path}: {path.stat().st_size} bytes"
    assert lines[1] == "points: 2 done, 7 failed, 11 missing, of 20"
    assert lines[2:6] == ["function:", "    def f(x):", "        return x", "axis x: [1, 2]"]
    assert lines[6].startswith(f"session 1: process {os.getpid()} on ")
    assert lines[7] == "failed: point 3: ValueError: bad"
    assert lines[-2:] == ["failed: 2 more", "damage: none"]
