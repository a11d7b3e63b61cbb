"""A sweep that is killed, interrupted, torn or out of disk goes on, to the same end."""

import contextlib
import os
import random
import signal
import textwrap
import warnings
from collections import Counter

import numpy as np
import pytest

import shoal
from shoal.errors import CheckpointChanged, CheckpointDamaged, CheckpointUnreadable
from shoal.sweeps import PointsFailed
from shoal.tasks import summary
from shoal.tasks.checkpoints.contents import Points
from shoal.tasks.checkpoints.frames import frame_at
from shoal.tasks.checkpoints.reading import open_to_read, read
from tests.faults.test_interrupts import assert_ended_by_ctrl_c, interrupt
from tests.faults.test_values import ZOO, same
from tests.faults.watching import lines, until

pytestmark = pytest.mark.timeout(120)

A, B = 20, 15
PROGRAM = """
    import os, sys, time
    import numpy as np
    import shoal

    def note(*indices):
        descriptor = os.open("ledger", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(descriptor, "".join(f"{index}\\n" for index in indices).encode())
        os.close(descriptor)

    def busy(seconds):
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            pass

    def point(a, b, rng):
        busy(0.001)
        note(int(a) * 15 + b)
        return rng.random() + 1j * a, {"a": a, "b": [b]}

    def block(a, b):
        busy(0.001 * len(a))
        note(*(a.astype(int) * 15 + b))
        return np.sin(a + b), a - 1j * b

    def sweep(kind, **options):
        blocks = kind == "block"
        options |= {"vectorized": True, "batch_size": 10} if blocks else {"seed": 5}
        dataset = shoal.sweep(
            globals()[kind],
            {"a": np.arange(20.0), "b": list(range(15))},
            outputs=["one", "two"],
            verify_points=0,
            **options,
        )
        return dataset.one.values.tobytes(), repr(dataset.two.values.tolist()), dataset

    if __name__ == "__main__":
        numbers, text, dataset = sweep(sys.argv[1], checkpoint="points", max_workers=2)
        open("one", "wb").write(numbers)
        print(text)
        print(dataset.shoal.provenance["points_from_checkpoint"])
"""


def recorded(path):
    """The points in a checkpoint that have a value."""
    descriptor = open_to_read(str(path))
    try:
        found = read(descriptor, str(path))
        frames = (frame_at(descriptor, offset) for each in found.records for offset in each)
        return {int(at) for frame in frames for at in Points.from_bytes(frame.payload).indices}
    finally:
        os.close(descriptor)


@pytest.fixture(scope="module")
def undisturbed():
    """How the program ends that nobody disturbs, and that needs no other process."""
    program = {"__name__": "program"}
    exec(textwrap.dedent(PROGRAM), program)
    program |= {"note": lambda *_: None, "busy": lambda _: None}
    return {kind: program["sweep"](kind, executor="serial")[:2] for kind in ("point", "block")}


@pytest.fixture
def finished(start, tmp_path):
    """Runs the program to its end; returns its numbers and its text."""

    def finished(kind):
        status, out, err = start(PROGRAM, kind).finish(120)
        assert status == 0, err
        return (tmp_path / "one").read_bytes(), out.splitlines()[0]

    return finished


slow = pytest.mark.slow


def killed(program, ledger, least):
    """Kills the program when it has noted more than so many lines, or at its end."""
    until(lambda: len(lines(ledger)) > least or program.process.poll() is not None)
    with contextlib.suppress(ProcessLookupError):
        os.kill(program.pid, signal.SIGKILL)
    until(lambda: not program.living(), 20, "the end of all workers")


@pytest.mark.parametrize(
    ("kind", "seed", "kills"),
    [
        ("point", 0, 3),
        ("block", 0, 2),
        *(pytest.param("point", seed, 10, marks=slow) for seed in range(1, 21)),
        *(pytest.param("block", seed, 10, marks=slow) for seed in range(1, 6)),
    ],
)
@pytest.mark.timeout(300)
def test_e08_a_sweep_killed_again_and_again_keeps_every_point_it_had(  # noqa: PLR0917 - fixtures
    start, finished, tmp_path, undisturbed, kind, seed, kills
):
    """E08: at random moments; the slow suite does so hundreds of times."""
    chance = random.Random(seed)
    path, ledger = tmp_path / "points", tmp_path / "ledger"
    safe, called = set(), Counter()
    for _ in range(kills):
        before = len(lines(ledger))
        killed(start(PROGRAM, kind), ledger, before + chance.randrange(A * B // kills))
        new = Counter(map(int, lines(ledger)[before:]))
        assert not safe & set(new)  # what was safe was not run again
        called += new
        again = recorded(path) if path.exists() and path.stat().st_size else set()
        assert safe <= again  # and stays safe
        assert again <= set(called)
        safe = again
    before = len(lines(ledger))
    assert finished(kind) == undisturbed[kind]
    assert set(map(int, lines(ledger)[before:])) == set(range(A * B)) - safe


@pytest.mark.parametrize("kind", ["point", pytest.param("block", marks=slow)])
def test_e09_after_ctrl_c_the_checkpoint_is_whole_and_the_same_call_goes_on(
    start, finished, tmp_path, undisturbed, kind
):
    program = start(PROGRAM, kind)
    until(lambda: len(lines(tmp_path / "ledger")) > 100)
    interrupt(program)
    assert_ended_by_ctrl_c(program)
    told = summary(tmp_path / "points")
    assert told.done > 0
    assert not told.damage
    assert finished(kind) == undisturbed[kind]
    assert summary(tmp_path / "points").done == A * B


def numbered(x, y):
    if x == 2 and y == "bad":
        raise ValueError("bad point")
    return {"number": x / 3, "word": f"{x}{y}", "pair": np.array([x, 1j])}


AXES = {"x": [1, 2, 3], "y": ["a", "bad", "\0"]}


@pytest.fixture
def no_waiting(monkeypatch):
    """Has the disk answer at once, for tests that open a file many times."""
    monkeypatch.setattr("shoal.tasks.checkpoints.writing.os.fsync", lambda descriptor: None)


@pytest.fixture
def small(tmp_path, no_waiting):
    """A sweep's checkpoint and its dataset."""
    return tmp_path / "points", resumed(tmp_path / "points")[0]


def resumed(path):
    """The dataset of the sweep, and the warnings of damage."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = shoal.sweep(numbered, AXES, executor="serial", checkpoint=path)
    assert [each.category for each in caught].count(PointsFailed) == 1  # the bad point is one still
    return found, [each for each in caught if each.category is CheckpointDamaged]


def some(size, count):
    """Some offsets for the fast suite, and all for the slow one."""
    every = pytest.param(range, id="all", marks=pytest.mark.slow)
    return [pytest.param(lambda length: range(3, length, max(length // count, 1)), id=size), every]


@pytest.mark.parametrize("offsets", some("some", 40))
@pytest.mark.timeout(600)
def test_e10_a_sweep_whose_checkpoint_is_cut_ends_the_same(small, offsets):
    path, expected = small
    data = path.read_bytes()
    taken = []
    for size in offsets(len(data)):
        path.write_bytes(data[:size])
        try:
            found, damage = resumed(path)
        except CheckpointUnreadable:
            assert path.read_bytes() == data[:size]
            assert not any(taken)  # the header alone cannot be done without
            continue
        assert found.identical(expected.assign_attrs(found.attrs))
        assert len(damage) <= 1
        taken.append(found.shoal.provenance["points_from_checkpoint"])
    assert taken == sorted(taken)
    assert taken[-1] > 0


@pytest.mark.parametrize("offsets", some("some", 60))
@pytest.mark.timeout(600)
def test_e11_a_sweep_with_a_flipped_bit_in_its_checkpoint_ends_the_same(small, offsets):
    path, expected = small
    data = path.read_bytes()
    lost = []
    for offset in offsets(len(data)):
        hurt = bytearray(data)
        hurt[offset] ^= 1 << offset % 8
        path.write_bytes(hurt)
        found, damage = resumed(path)
        assert found.identical(expected.assign_attrs(found.attrs)), offset
        assert len(damage) == 1
        lost.append(8 - found.shoal.provenance["points_from_checkpoint"])
    assert 0 < max(lost) <= 8  # one record: here of one worker's batch
    assert min(lost) == 0


DISK = """
    import resource, sys
    import numpy as np
    import shoal
    from shoal.errors import CheckpointNotWritten

    def f(x, vectorized):
        with open("ledger", "a") as file:
            file.write(f"{x if np.ndim(x) == 0 else len(x)}\\n")
        return np.full((*np.shape(x), 200), np.random.default_rng(0).random())

    shoal.map(abs, range(4), max_workers=2)
    limit, vectorized = int(sys.argv[1]), sys.argv[2] == "block"
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        dataset = shoal.sweep(
            f,
            {"x": list(range(100))},
            constants={"vectorized": vectorized},
            vectorized=vectorized,
            verify_points=0,
            batch_size=5,
            checkpoint="points",
            max_workers=2,
        )
    except CheckpointNotWritten as error:
        import os
        from tests_left import running
        print(error)
        print(running())
        raise SystemExit(3)
    print(dataset.f.values.tobytes().hex()[:16], dataset.f.shape, dataset.f.isnull().sum().item())
"""
LEFT = """
import time
import shoal

def running():
    \"\"\"Whether a worker still has work, after a moment.\"\"\"
    supervisor = shoal.executor("processes").supervisor
    end = time.monotonic() + 2
    while any(worker.parcel for worker in list(supervisor._workers.values())):
        if time.monotonic() > end:
            return True
    return False
"""


@pytest.mark.parametrize("kind", ["point", pytest.param("block", marks=slow)])
def test_e12_a_full_disk_stops_the_sweep_loudly_and_room_lets_it_go_on(start, tmp_path, kind):
    (tmp_path / "tests_left.py").write_text(LEFT)
    status, out, err = start(DISK, 50_000, kind).finish(120)
    assert status == 3, err
    assert "points recorded before are safe; once that is remedied, the same call goes on" in out
    assert out.splitlines()[-1] == "False"  # nothing runs on
    told = summary(tmp_path / "points")
    assert 0 < told.done < 60
    assert not told.damage
    status, out, err = start(DISK, 0, kind).finish(120)
    assert status == 0, err
    assert "(100, 200) 0" in out
    assert summary(tmp_path / "points").done == 100


def test_e15_a_second_sweep_on_a_checkpoint_is_refused_until_the_first_is_gone(start, tmp_path):
    first = start(PROGRAM, "point")
    until(lambda: len(lines(tmp_path / "ledger")) > 20)
    os.kill(first.pid, signal.SIGSTOP)  # so that it is not done before the second has asked
    status, _, err = start(PROGRAM, "point").finish(120)
    assert status == 1
    assert "CheckpointInUse" in err
    assert f"is in use by process {first.pid} on {os.uname().nodename}" in err
    os.kill(first.pid, signal.SIGKILL)
    until(lambda: not first.living(), 20, "the end of its workers")
    until(lambda: lines(tmp_path / "ledger"))
    assert recorded(tmp_path / "points")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            ("1j * a", "2j * a"),
            ["-    return rng.random() + 1j * a", "+    return rng.random() + 2"],
        ),
        (("busy(0.001)\n", "busy(0.002)\n"), ["-    busy(0.001)", "+    busy(0.002)"]),
        (("arange(20.0)", "arange(21.0)"), ["dimensions", "axis a"]),
        (('"seed": 5', '"seed": 6'), ["seed: 5 → 6"]),
    ],
    ids=["function", "function's call", "axis", "seed"],
)
@slow
def test_e16_what_has_changed_is_refused_and_shown(start, finished, change, said):
    finished("point")
    status, _, err = start(PROGRAM.replace(*change), "point").finish(120)
    assert status == 1
    assert "CheckpointChanged" in err
    assert 'on_change="accept"' in err
    assert all(each in err for each in said), err
    accepting = PROGRAM.replace(*change).replace(
        "verify_points=0", 'verify_points=0, on_change="accept"'
    )
    status, out, err = start(accepting, "point").finish(120)
    assert status == 0, err
    assert int(out.split()[-1]) == A * B


def test_e16_a_lambda_that_changed_is_refused(tmp_path):
    options = {"executor": "serial", "checkpoint": tmp_path / "points", "outputs": "y"}
    shoal.sweep(lambda x: x + 1, {"x": [1, 2]}, **options)
    with pytest.raises(CheckpointChanged, match=r"lambda x: x \+ 2"):
        shoal.sweep(lambda x: x + 2, {"x": [1, 2]}, **options)


def equal(one, other):
    """Whether two datasets hold the same bits."""
    return list(one.data_vars) == list(other.data_vars) and all(
        same(one[name].values, other[name].values) and one[name].dims == other[name].dims
        for name in one.data_vars
    )


@pytest.mark.parametrize("name", ZOO)
@pytest.mark.filterwarnings("ignore::shoal.sweeps.PointsFailed")
@pytest.mark.filterwarnings("ignore:.*float16")  # pandas has no index of that kind
def test_e19_a_value_survives_worker_checkpoint_and_resume(tmp_path, no_waiting, name):
    """E19: as an axis' value and as a result; half and all of it from the checkpoint."""
    value = ZOO[name]
    if name == "datetime scalar":
        value = np.datetime64("NaT", "s")  # without a unit it can be no label

    def f(x, k):
        return x

    def sweep(k, **options):
        return shoal.sweep(f, {"x": [value], "k": k}, outputs="value", **options)

    options = {"max_workers": 2, "checkpoint": tmp_path / "points", "on_change": "accept"}
    alone = sweep([0, 1], executor="serial")
    sweep([0], **options)
    for taken in (1, 2):
        found = sweep([0, 1], **options)
        assert found.shoal.provenance["points_from_checkpoint"] == taken
        assert equal(found, alone)
