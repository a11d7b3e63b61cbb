"""The wall clock may jump: only the monotonic one counts."""

import os
import shutil
import subprocess
import sys
import time

import pytest

import shoal
from shoal.errors import TaskTimeout
from shoal.tasks import Task, run

pytestmark = pytest.mark.timeout(60)
HOUR = 3600.0


@pytest.fixture
def jumping(monkeypatch):
    """A wall clock that is one hour ahead, then one behind, at every look."""
    real, looks = time.time, iter(range(1_000_000))
    monkeypatch.setattr(time, "time", lambda: real() + (HOUR if next(looks) % 2 else -HOUR))


@pytest.mark.usefixtures("jumping")
def test_no_timeout_fires_when_the_wall_clock_jumps(pool):
    """E21: and the order is kept."""

    def task(x):
        time.sleep(0.02)
        return x

    assert shoal.map(task, range(10), executor=pool, timeout_seconds=10) == list(range(10))
    assert list(shoal.imap(task, range(10), executor=pool, timeout_seconds=10)) == list(range(10))
    assert list(pool.map(task, range(4), timeout=10)) == list(range(4))
    assert pool.submit(task, 5).result(10) == 5


@pytest.mark.usefixtures("jumping")
def test_a_timeout_fires_although_the_wall_clock_jumps(pool):
    """E21: not an hour late."""
    begun = time.monotonic()
    got = shoal.map(
        lambda x: time.sleep(60 * x), [0, 1], executor=pool, timeout_seconds=0.3, on_error="return"
    )
    assert time.monotonic() - begun < 10
    assert isinstance(got[1], TaskTimeout)


def test_durations_are_not_those_of_the_wall_clock(pool):
    """E21: a jump inside the worker, while the task runs."""

    def task(x):
        real = time.time
        time.time = lambda: real() + HOUR
        time.sleep(0.05)
        time.time = real

    for outcome in run(task, [Task((x,)) for x in range(4)], executor=pool, timeout_seconds=10):
        assert outcome.ok
        assert 0.05 <= outcome.seconds < 5


def test_a_whole_program_under_a_clock_that_is_an_hour_off_works(tmp_path):
    """E21: libfaketime, with the monotonic clock left alone."""
    faketime = shutil.which("faketime")
    if faketime is None:
        pytest.skip("libfaketime is not installed")
    path = tmp_path / "program.py"
    path.write_text(
        "import shoal, time\n"
        "def task(x):\n"
        "    time.sleep(0.02)\n"
        "    return x\n"
        "print(shoal.map(task, range(20), timeout_seconds=5) == list(range(20)))\n"
    )
    done = subprocess.run(
        [faketime, "-f", "+1h", sys.executable, str(path)],
        env={**os.environ, "FAKETIME_DONT_FAKE_MONOTONIC": "1"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr
