"""A checkpoint survives any crash, torn byte, full disk, second writer or edited function."""

import errno
import os
import resource
import signal
import subprocess
import sys
import textwrap
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
from shoal.tasks.checkpoints import Checkpoint, function_parts, part, summary
from shoal.tasks.checkpoints.frames import Frame, scan

PARTS = [part("answer", 42)]
KIB = 1 << 10
root = Path(__file__).parents[2]


def opened(path, parts=PARTS, **options):
    return Checkpoint(path, parts, layout=b"layout", total=1000, **options)


def recorded(checkpoint):
    """All values by index, the newest where there are several."""
    return {
        int(index): record.load()
        for _, records in checkpoint.sections
        for record in records
        for index in record.indices
    }


def reopened(path, **options):
    """What a checkpoint holds when it is opened for more, and how it warned."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with opened(path, **options) as checkpoint:
            found = recorded(checkpoint)
    return found, [str(warning.message) for warning in caught]


@pytest.fixture
def no_waiting(monkeypatch):
    """Has the disk answer at once, for tests that open a file thousands of times."""
    monkeypatch.setattr("shoal.tasks.checkpoints.writing.os.fsync", lambda descriptor: None)


@pytest.fixture
def small(tmp_path):
    """A file of two sessions with a few values, one of them the bytes of another checkpoint."""
    with opened(tmp_path / "other") as other:
        other.append([900], "never")
    path = tmp_path / "small"
    with opened(path) as checkpoint:
        checkpoint.append([0], 1.5)
        checkpoint.append([1, 2], np.arange(2), {7: "ValueError: bad"})
    with opened(path) as checkpoint:
        checkpoint.append([3], (tmp_path / "other").read_bytes())
        checkpoint.append([4], "last")
    return path


def frames_of(path):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return list(scan(descriptor))
    finally:
        os.close(descriptor)


def same(value, expected):
    return (
        np.array_equal(value, expected) if isinstance(expected, np.ndarray) else value == expected
    )


def test_e10_a_file_cut_anywhere_gives_all_records_before_the_cut(small, no_waiting):
    whole, frames = small.read_bytes(), frames_of(small)
    everything = reopened(small)[0]
    ends = {index: frame.end for index, frame in zip((0, 1, 3, 4), records(frames), strict=True)}
    ends[2] = ends[1]
    header_end = frames[0].end
    for size in range(len(whole) + 1):
        small.write_bytes(whole[:size])
        if 0 < size < header_end:
            with pytest.raises(CheckpointUnreadable):
                opened(small)
            assert small.read_bytes() == whole[:size]
            continue
        found, warned = reopened(small)
        assert set(found) == {index for index, end in ends.items() if end <= size}
        assert all(same(found[index], everything[index]) for index in found)
        last = max((frame.end for frame in frames if frame.end <= size), default=0)
        assert len(warned) == (last < size)
        if warned:
            assert f"offset {last}" in warned[0]
            assert str(small) in warned[0]
        assert small.read_bytes()[:last] == whole[:last]
        if size % 16 == 0:
            assert reopened(small)[1] == []  # it was warned about once, and is whole again


def records(frames):
    return [frame for frame in frames if isinstance(frame, Frame) and frame.kind == 3]


def lost_by_a_flip(path, whole, everything, offset, bit):
    """The points lost when one bit is turned, after checking that all others are as they were."""
    hurt = bytearray(whole)
    hurt[offset] ^= 1 << bit
    path.write_bytes(hurt)
    found, warned = reopened(path)
    assert all(same(found[index], everything[index]) for index in found), offset
    assert set(found) <= set(everything), offset
    assert len(warned) == 1, (offset, warned)
    [frame] = [frame for frame in frames_of_bytes[path] if frame.offset <= offset < frame.end]
    assert f"offset {frame.offset}" in warned[0], (offset, warned)
    return set(everything) - set(found)


frames_of_bytes = {}


@pytest.mark.parametrize(
    "bits",
    [
        pytest.param(lambda offset: [offset % 8], id="one bit of each byte"),
        pytest.param(
            lambda offset: range(8),
            id="each bit",
            marks=[pytest.mark.slow, pytest.mark.timeout(600)],
        ),
    ],
)
def test_e11_a_flipped_bit_costs_one_record_at_most_and_gives_no_wrong_one(small, no_waiting, bits):
    whole = small.read_bytes()
    everything = reopened(small)[0]
    small.write_bytes(whole)
    frames_of_bytes[small] = frames_of(small)
    by_record = [{0}, {1, 2}, {3}, {4}]
    for offset in range(len(whole)):
        for bit in bits(offset):
            lost = lost_by_a_flip(small, whole, everything, offset, bit)
            assert lost in (set(), *by_record), offset


def test_e11_damage_in_the_middle_stays_where_it_is_and_is_told_each_time(small):
    hit = records(frames_of(small))[0]
    data = bytearray(small.read_bytes())
    data[hit.offset + 30] ^= 1
    small.write_bytes(data)
    for _ in range(2):
        found, [warned] = reopened(small)
        assert 0 not in found
        assert f"offset {hit.offset} " in warned
    assert small.read_bytes()[: len(data)] == data
    assert summary(small).damage[0][0] == hit.offset


def test_e11_a_header_has_a_copy_and_without_both_the_file_is_refused(small):
    first, second = frames_of(small)[:2]
    data = bytearray(small.read_bytes())
    data[first.offset + 40] ^= 1
    small.write_bytes(data)
    assert set(reopened(small)[0]) == {0, 1, 2, 3, 4}
    data[second.offset + 40] ^= 1
    small.write_bytes(data)
    with pytest.raises(CheckpointUnreadable, match="beginning is damaged"):
        opened(small)
    assert small.read_bytes() == data


def test_records_whose_headers_are_lost_are_not_taken_for_others(tmp_path):
    path = tmp_path / "file"
    for number in range(3):
        with opened(path, [part("n", number)], on_change="accept") as checkpoint:
            checkpoint.append([number], number)
    headers = [frame for frame in frames_of(path) if frame.kind == 1]
    data = bytearray(path.read_bytes())
    for header in headers[2:4]:
        data[header.offset + 40] ^= 1
    path.write_bytes(data)
    found, warned = reopened(path, parts=[part("n", 2)])
    assert found == {0: 0, 2: 2}
    assert len(warned) == 1


LIMITED = """
import resource, signal, sys
from shoal.errors import CheckpointNotWritten
from shoal.tasks.checkpoints import Checkpoint, part

with Checkpoint(sys.argv[1], [part("answer", 42)], layout=b"layout", total=1000) as checkpoint:
    done = len(checkpoint.sections[-1].records)
    limit = int(sys.argv[2])
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    for number in range(done, 40):
        try:
            checkpoint.append([number], bytes([number]) * 1000)
        except CheckpointNotWritten as error:
            print(number, error.errno, error)
            raise SystemExit(3)
"""


def test_e12_at_the_largest_file_size_what_was_recorded_is_safe_and_the_call_goes_on(tmp_path):
    path = tmp_path / "file"

    def run(limit):
        return subprocess.run(
            [sys.executable, "-c", LIMITED, path, str(limit)],
            capture_output=True,
            text=True,
            check=False,
        )

    done = run(20 * KIB)
    assert done.returncode == 3, done.stderr
    number, code, text = done.stdout.split(" ", 2)
    assert int(code) == errno.EFBIG
    assert 10 < int(number) < 20
    for said in (str(path), "bytes free", f"{number} points recorded before are safe", "goes on"):
        assert said in text
    assert summary(path).done == int(number)
    assert not summary(path).damage
    assert run(0).returncode == 0
    assert reopened(path)[0] == {number: bytes([number]) * 1000 for number in range(40)}


@pytest.fixture
def tiny_disk(tmp_path):
    """A disk of one MiB."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("tmpfs cannot be mounted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.needs_root
def test_e12_a_full_disk_stops_loudly_and_room_lets_it_go_on(tiny_disk):
    filler, path = tiny_disk / "filler", tiny_disk / "file"
    filler.write_bytes(bytes(500 * KIB))
    value = b"x" * (64 * KIB)
    with opened(path) as checkpoint:
        with pytest.raises(CheckpointNotWritten, match="No space left") as caught:
            for number in range(100):
                checkpoint.append([number], value)
        assert caught.value.errno == errno.ENOSPC
        assert isinstance(caught.value, OSError)
        assert f"{number} points recorded before are safe" in str(caught.value)
        assert str(len(value))[:3] in str(caught.value)
        assert summary(path).done == number
        assert not summary(path).damage
        filler.unlink()
        checkpoint.append([number], value)  # the same open file goes on too
    assert set(reopened(path)[0]) == set(range(number + 1))


@pytest.mark.needs_root
def test_e12_a_disk_that_is_full_at_the_start_leaves_an_empty_file_that_is_a_new_one(tiny_disk):
    filler, path = tiny_disk / "filler", tiny_disk / "file"
    with pytest.raises(OSError, match="No space"), open(filler, "wb", 0) as file:
        while True:
            file.write(bytes(KIB))
    with pytest.raises(CheckpointNotWritten, match="No space left"):
        opened(path)
    assert path.stat().st_size == 0
    filler.unlink()
    assert reopened(path) == ({}, [])


@pytest.mark.parametrize("n", [1, 2, 3])
def test_e13_a_sync_that_fails_is_loud_and_never_asked_again(tmp_path, monkeypatch, n):
    """The n-th fsync fails: of the directory, of the file, of the file later."""
    monkeypatch.setattr("shoal.tasks.checkpoints.writing.SYNC_SECONDS", 0.0)
    path, calls, real = tmp_path / "file", [], os.fsync

    def fsync(descriptor):
        calls.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        if len(calls) == n:
            raise OSError(errno.EIO, "Input/output error")
        real(descriptor)

    monkeypatch.setattr("shoal.tasks.checkpoints.writing.os.fsync", fsync)
    with pytest.raises(CheckpointNotWritten, match="Input/output error") as caught:  # noqa: SIM117
        with opened(path) as checkpoint:
            number = 0
            while len(calls) < n + 2:
                checkpoint.append([number % 1000], number)
                number += 1
    assert caught.value.errno == errno.EIO
    failed = calls[n - 1]
    assert failed not in calls[n:]
    monkeypatch.undo()
    found, warned = reopened(path)
    assert warned == []
    assert len(found) <= 1000


def test_e13_a_failure_of_the_last_sync_is_raised_when_closing(tmp_path, monkeypatch):
    monkeypatch.setattr("shoal.tasks.checkpoints.writing.SYNC_SECONDS", 1e6)
    checkpoint = opened(tmp_path / "file")

    def fsync(descriptor):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("shoal.tasks.checkpoints.writing.os.fsync", fsync)
    checkpoint.append([1], 1)
    with pytest.raises(CheckpointNotWritten, match="did not confirm"):
        checkpoint.close()
    checkpoint.close()
    monkeypatch.undo()
    assert reopened(tmp_path / "file")[0] == {1: 1}  # and the file is unlocked


def opened_torn(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CheckpointDamaged)
        return opened(path)


class FailingAt:
    """The n-th call of any of these functions of `os` fails, after doing half of it."""

    names = ("open", "writev", "write", "ftruncate", "fsync", "lseek", "fstat", "stat", "pread")

    def __init__(self, n, error_number):
        self.left, self.error_number = n, error_number

    def __getattr__(self, name):
        real = getattr(os, name)
        if name not in self.names:
            return real

        def call(*args, **kwargs):
            self.left -= 1
            if self.left:
                return real(*args, **kwargs)
            if name == "writev":  # a part of it is written, as on a full disk
                os.write(args[0], b"".join(args[1])[:30])
            raise OSError(self.error_number, os.strerror(self.error_number))

        return call


@pytest.mark.parametrize("error_number", [errno.EIO, errno.ENOSPC])
def test_e14_whichever_call_fails_all_that_was_recorded_is_safe(
    tmp_path, monkeypatch, error_number
):
    for n in range(1, 500):
        path, safe, refused = tmp_path / f"file{n}", [], []
        failing = FailingAt(n, error_number)
        with monkeypatch.context() as patched:
            for file in ("writing", "frames", "reading", "checkpoint", "summaries"):
                patched.setattr(f"shoal.tasks.checkpoints.{file}.os", failing)
            for start in (0, 5):  # made anew, and gone on with after a crash in a write
                if start and path.exists() and path.stat().st_size:
                    with open(path, "ab") as file:
                        file.write(b"torn")
                try:
                    with opened_torn(path) as checkpoint:
                        for number in range(start, start + 5):
                            checkpoint.append([number], f"value {number}")
                            safe.append(number)
                except CheckpointError as error:
                    refused.append(error)
        assert len(refused) <= 1  # after the one that fails, the same call goes on
        found, warned = reopened(path)
        assert set(safe) <= set(found), n
        assert all(found[number] == f"value {number}" for number in found)
        assert len(warned) <= (1 if refused else 0), n  # of the tear, if that was not cut yet
        if failing.left > 0:
            break
    else:
        pytest.fail("it never ran to its end")
    assert n > 20


HOLDER = """
import sys
from shoal.tasks.checkpoints import Checkpoint, part
checkpoint = Checkpoint(sys.argv[1], [part("answer", 42)], layout=b"layout", total=1000)
checkpoint.append([1], "kept")
print("ready", flush=True)
sys.stdin.read()
"""


def test_e15_a_second_writer_is_refused_until_the_first_is_gone(tmp_path):
    path = tmp_path / "file"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        try:
            assert holder.stdout.readline() == "ready\n"
            before = path.read_bytes()
            with pytest.raises(CheckpointInUse, match=f"process {holder.pid} on ") as caught:
                opened(path)
            assert os.uname().nodename in str(caught.value)
            assert str(path) in str(caught.value)
            assert path.read_bytes() == before
            assert summary(path).done == 1
        finally:
            os.kill(holder.pid, signal.SIGKILL)
    assert reopened(path) == ({1: "kept"}, [])


def test_e15_a_forked_child_neither_writes_nor_keeps_the_lock(tmp_path):
    path = tmp_path / "file"
    checkpoint = opened(path)
    waiting, release = os.pipe()
    answer, answering = os.pipe()
    child = os.fork()
    if not child:
        try:
            checkpoint.append([1], "from the child")
        except CheckpointError as error:
            os.write(answering, str(error).encode())
        checkpoint.close()
        os.close(release)
        os.read(waiting, 1)
        os._exit(0)
    os.close(waiting)
    assert b"forked" in os.read(answer, 1000)
    checkpoint.append([2], "from the parent")
    checkpoint.close()
    assert reopened(path) == ({2: "from the parent"}, [])  # though the child still runs
    os.close(release)
    assert os.waitpid(child, 0)[1] == 0
    os.close(answer)
    os.close(answering)


def test_e16_an_edited_function_is_refused_with_what_differs(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    module, path = tmp_path / "edited_model.py", tmp_path / "file"
    program = """
import sys
from edited_model import energy
from shoal.errors import CheckpointChanged
from shoal.tasks.checkpoints import Checkpoint, function_parts
try:
    with Checkpoint(
        sys.argv[1], function_parts(energy), layout=b"", total=9, on_change=sys.argv[2]
    ) as checkpoint:
        print(sum(len(records) for _, records in checkpoint.sections))
        checkpoint.append([1], energy(1.0))
except CheckpointChanged as error:
    print(error)
"""

    def run(source, on_change="refuse"):
        module.write_text(textwrap.dedent(source))
        done = subprocess.run(
            [sys.executable, "-B", "-c", program, path, on_change],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    source = """
    SCALE = 2.0

    def shifted(x):
        return x + 1

    def energy(x, power=2):
        return SCALE * shifted(x) ** power
    """
    assert run(source) == "0\n"
    assert run(source.replace("x + 1", "( x+1 )  # a comment")) == "1\n"
    before = path.read_bytes()
    said = run(source.replace("x + 1", "x + 3"))
    assert "-    return x + 1\n+    return x + 3\n" in said
    assert 'on_change="accept"' in said
    assert "global SCALE: 2.0 → 2.5" in run(source.replace("2.0", "2.5"))
    assert "default power: 2 → 3" in run(source.replace("power=2", "power=3"))
    assert path.read_bytes() == before
    assert run(source.replace("2.0", "2.5"), "accept") == "2\n"
    assert run(source.replace("2.0", "2.5")) == "3\n"


structured = np.zeros(3, [("x", "f8"), ("y", "i2", (2,))])
structured["y"] = 7
read_only = np.arange(3)
read_only.flags.writeable = False
ZOO = {
    "NaN with a payload": np.array([0x7FF8DEADBEEF0001], "u8").view("f8"),
    "signalling NaN": np.array([0x7FF0000000000001], "u8").view("f8"),
    "infinities": np.array([np.inf, -np.inf, -0.0, 1e308, 5e-324]),
    "complex": np.array([complex(-0.0, np.nan), 1j]),
    "float16": np.float16(1) / np.float16(3),
    "0-d": np.array(1.5),
    "structured": structured,
    "empty": np.empty((0, 3), "i4"),
    "non-contiguous": np.arange(20).reshape(4, 5)[::2, ::-2],
    "Fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "read-only": read_only,
    "bool": np.array([True, False]),
    "datetime64": np.array(["2026-01-01T00:00:00.000000001", "NaT"], "M8[ns]"),
    "text array": np.array(["a\0b", "ü", ""]),
    "long double": np.array([1, 3], "g") / 3,
    "big-endian": np.arange(3, dtype=">i4"),
}
PLAIN = [
    2**200,
    -(2**63),
    True,
    None,
    b"\x00\xff",
    "NUL \0 and \ud800 surrogate",
    "",
    [],
    {},
    {"a": [1, (2.5, {3})]},
    complex(1, -2),
    frozenset({1, 2}),
]


@pytest.mark.parametrize("name", ZOO)
def test_e19_an_array_comes_back_bit_for_bit(tmp_path, name):
    path, value = tmp_path / "file", ZOO[name]
    with opened(path) as checkpoint:
        checkpoint.append([0], value)
    found = reopened(path)[0][0]
    assert (found.dtype, found.shape) == (value.dtype, value.shape)
    assert found.tobytes() == value.tobytes()


def test_e19_plain_values_come_back_as_they_were(tmp_path):
    path, floats = tmp_path / "file", [float("nan"), float("-inf"), -0.0, 5e-324]
    with opened(path) as checkpoint:
        for index, value in enumerate(PLAIN):
            checkpoint.append([index], value, {999: "text \ud800 \0"})
        checkpoint.append([999], floats)
    found = reopened(path)[0]
    assert [value.hex() for value in found.pop(999)] == [value.hex() for value in floats]
    values = list(found.values())
    assert values == PLAIN
    assert list(map(type, values)) == list(map(type, PLAIN))


def test_a_file_that_holds_its_own_bytes_is_read_right_and_recovered_right(tmp_path, no_waiting):
    path = tmp_path / "file"
    with opened(path) as checkpoint:
        checkpoint.append([0], "first")
        checkpoint.append([1], path.read_bytes() * 3)
        checkpoint.append([2], "last")
    inner = records(frames_of(path))[1]
    whole = path.read_bytes()
    for offset in range(inner.offset, inner.offset + 25):  # its head, so that its end is not known
        hurt = bytearray(whole)
        hurt[offset] ^= 4
        path.write_bytes(hurt)
        assert reopened(path)[0] == {0: "first", 2: "last"}


def test_a_limit_of_this_process_is_not_left_behind():
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


def test_an_edited_lambda_is_refused(tmp_path):
    path = tmp_path / "file"
    opened(path, function_parts(lambda x: x + 1)).close()
    opened(path, function_parts(lambda  x  :  x+1)).close()  # fmt: skip
    with pytest.raises(CheckpointChanged, match="lambda x: x \\+ 2"):
        opened(path, function_parts(lambda x: x + 2))


def test_damage_is_a_warning_that_can_be_made_an_error(small):
    small.write_bytes(small.read_bytes()[:-3])
    with warnings.catch_warnings():
        warnings.simplefilter("error", CheckpointDamaged)
        with pytest.raises(CheckpointDamaged):
            opened(small)
    assert set(reopened(small)[0]) == {0, 1, 2, 3}
