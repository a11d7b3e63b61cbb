"""Want of memory is told apart from a kill; large values and many values stay within bounds."""

import contextlib
import os
import resource
import signal
import time
from pathlib import Path

import psutil
import pytest

import shoal
from shoal.errors import WorkerDied
from shoal.tasks import Task
from shoal.tasks import run as run_tasks
from tests.faults.watching import until

pytestmark = pytest.mark.timeout(100)
MIB = 1 << 20
LIMIT = Path("/sys/fs/cgroup/memory")


def grab(mib):
    """Takes and touches memory."""
    return len(bytearray(b"x" * (mib * MIB)))


def launcher_of(pool):
    """The process that forks the pool's workers."""
    shoal.map(abs, range(4), executor=pool, batch_size=1)
    return psutil.Process(pool.supervisor.pids()[0]).ppid()


@pytest.fixture
def little_memory(fresh_pool):
    """A pool whose launcher, and so every later worker, lives in a cgroup of 64 MiB."""
    launcher = launcher_of(fresh_pool)
    group = LIMIT / f"shoal-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no cgroup v1 memory controller to write to: {error}")
    try:
        (group / "memory.limit_in_bytes").write_text(str(64 * MIB))
        with contextlib.suppress(OSError):  # only where swap is accounted
            (group / "memory.memsw.limit_in_bytes").write_text(str(64 * MIB))
        for pid in (launcher, *fresh_pool.supervisor.pids()):
            (group / "cgroup.procs").write_text(str(pid))
        yield fresh_pool
    finally:
        fresh_pool.supervisor.stop(kill=True)
        until(lambda: not (group / "cgroup.procs").read_text().split())
        end = time.monotonic() + 5
        while True:
            try:
                group.rmdir()
                break
            except OSError:
                assert time.monotonic() < end, "the cgroup could not be removed"


def test_memory_refused_to_a_task_is_its_memory_error(fresh_pool):
    """E04: RLIMIT_AS of 512 MiB above what the worker has: an exception, not a death."""
    launcher = launcher_of(fresh_pool)
    for pid in (launcher, *fresh_pool.supervisor.pids()):
        room = psutil.Process(pid).memory_info().vms + 512 * MIB
        resource.prlimit(pid, resource.RLIMIT_AS, (room, room))
    pids = set(fresh_pool.supervisor.pids())
    got = shoal.map(grab, [1, 2, 4096, 3], executor=fresh_pool, on_error="return")
    error = got.pop(2)
    assert got == [MIB, 2 * MIB, 3 * MIB]
    assert type(error) is MemoryError
    assert shoal.failure(error).args == (4096,)
    assert set(fresh_pool.supervisor.pids()) == pids


def test_an_array_too_large_is_numpy_s_own_memory_error(pool):
    """E04: the subclass that says the size and the shape."""

    def task(x):
        import numpy as np

        return np.empty(1 << 50)

    [error] = shoal.map(task, [1], executor=pool, on_error="return")
    assert isinstance(error, MemoryError)
    assert "Unable to allocate" in str(error)


@pytest.mark.needs_root
def test_a_worker_killed_for_want_of_memory_is_called_that(little_memory):
    """E04: a cgroup of 64 MiB; the point is named, the others have their results."""
    got = shoal.map(grab, [1, 2, 300, 3], executor=little_memory, on_error="return")
    error = got.pop(2)
    assert got == [MIB, 2 * MIB, 3 * MIB]
    assert isinstance(error, WorkerDied)
    assert (error.signal, error.attempts) == (9, 3)
    assert "out of memory" in str(error)
    assert shoal.failure(error).args == (300,)


@pytest.mark.needs_root
def test_a_worker_killed_by_hand_after_that_is_not(little_memory, tmp_path):
    """E04: another worker's lack of memory is no reason for this one's death."""
    gate = tmp_path / "gate"

    def task(mib):
        if mib:
            return grab(mib)
        while not gate.exists():
            time.sleep(0.002)
        return os.kill(os.getpid(), signal.SIGKILL)

    outcomes = run_tasks(
        task,
        [Task((0,)), Task((300,))],
        executor=little_memory,
        batch_size=1,
        worker_death_retries=0,
    )
    hungry = next(outcomes).error
    assert "out of memory" in str(hungry)
    gate.touch()
    [killed] = [outcome.error for outcome in outcomes]
    assert isinstance(killed, WorkerDied)
    assert "signal 9" in str(killed)
    assert "memory" not in str(killed)


def test_a_worker_killed_by_hand_is_not_called_out_of_memory(pool):
    """E04: the other side of the distinction."""
    [error] = shoal.map(
        lambda x: os.kill(os.getpid(), signal.SIGKILL), [1], executor=pool, on_error="return"
    )
    assert "signal 9" in str(error)
    assert "memory" not in str(error)


PEAK = """
    import sys
    import numpy as np
    import shoal

    def peak():
        for line in open("/proc/self/status"):
            if line.startswith("VmHWM"):
                return int(line.split()[1]) * 1024

    size = int(sys.argv[1])
    kind = sys.argv[2]

    def make(x):
        return np.ones(size // 8) if kind == "array" else b"x" * size

    start_here = peak()
    [start_there] = shoal.map(lambda x: peak(), [0], max_workers=1)
    [value] = shoal.map(make, [0], max_workers=1)
    [there] = shoal.map(lambda x: peak(), [0], max_workers=1)
    right = value.nbytes == size and value.min() == 1 if kind == "array" else value == b"x" * size
    here = peak() if kind == "array" else peak() - size
    print(right, (here - start_here + there - start_there) / size)
"""


def test_a_result_of_200_mb_takes_at_most_two_and_a_half_times_its_size(run):
    """E20: in the parent and in the worker together, at their peaks."""
    right, ratio = run(PEAK, 200_000_000, "array").split()
    assert right == "True"
    assert float(ratio) <= 2.5


@pytest.mark.slow  # moves a gigabyte
def test_a_result_of_1_gb_takes_at_most_two_and_a_half_times_its_size(run):
    """E20: as the one of 200 MB."""
    right, ratio = run(PEAK, 1_000_000_000, "array").split()
    assert right == "True"
    assert float(ratio) <= 2.5


def test_large_results_that_come_often_are_not_piled_up(run):
    """E20: a map over tasks of 20 MB each that are reduced as they come."""
    source = """
        import numpy as np
        import shoal

        def resident():
            for line in open("/proc/self/status"):
                if line.startswith("VmHWM"):
                    return int(line.split()[1]) * 1024

        start = None
        for value in shoal.imap(lambda x: np.full(2_500_000, x), range(60), max_workers=2):
            start = start or resident()
        print((resident() - start) / 20e6)
    """
    assert float(run(source)) <= 40


MILLION = """
    import sys
    import shoal

    def resident():
        for line in open("/proc/self/status"):
            if line.startswith("VmHWM"):
                return int(line.split()[1]) * 1024

    drawn = given = most_ahead = 0

    def inputs():
        global drawn
        for x in range(1_000_000):
            drawn += 1
            yield x

    right = True
    start = 0
    for value in shoal.imap(lambda x: x + 1, inputs(), max_workers=2):
        given += 1
        right = right and value == given
        if drawn - given > most_ahead:
            most_ahead = drawn - given
        if given == 100:
            start = resident()
    print(right, given, resident() - start, most_ahead)
"""


def test_a_million_inputs_from_a_generator_take_bounded_memory(run):
    """E22: the parent grows by at most 10 MB and reads a bounded number of inputs ahead."""
    right, given, grown, ahead = run(MILLION).split()
    assert (right, given) == ("True", "1000000")
    assert int(grown) <= 10_000_000
    assert int(ahead) <= 100_000


def test_a_reader_that_pauses_holds_the_input_back(pool):
    """E22: back-pressure: while nobody reads, no more is drawn."""
    drawn = []

    def inputs():
        x = 0
        while True:
            drawn.append(x)
            yield x
            x += 1

    results = shoal.imap(lambda x: x, inputs(), executor=pool, batch_size=1)
    assert next(results) == 0
    ahead = len(drawn)
    assert ahead <= 40
    for future in [pool.submit(abs, -1) for _ in range(50)]:  # the workers are free, and idle
        future.result(10)
    assert len(drawn) == ahead
    results.close()
