"""Pools that a test may ruin, and programs that run beside the test."""

import textwrap
import time

import pytest

import shoal
from tests.faults.watching import Program


@pytest.fixture
def fresh_pool():
    """A new executor of two supervised workers, for a test that needs or leaves an odd one."""
    executor = shoal.executor("processes", max_workers=2)
    yield executor
    executor.supervisor.stop(kill=True)


@pytest.fixture(scope="module")
def kept_pools():
    """The executor that the tests of a module use one after the other."""
    kept = []
    yield kept
    for executor in kept:
        executor.supervisor.stop(kill=True)


def idle_soon(supervisor, seconds=0.2):
    """Whether no worker is at work any more; what was given up may need a moment to end."""
    end = time.monotonic() + seconds
    while any(worker.parcel for worker in list(supervisor._workers.values())):
        if time.monotonic() > end:
            return False
        time.sleep(0.002)
    return True


@pytest.fixture
def pool(kept_pools):
    """Two supervised workers that outlive the faults of one test and serve the next.

    What a test has shut down, or left at work, is ended by force and another made.
    """
    if not kept_pools:
        kept_pools.append(shoal.executor("processes", max_workers=2))
    [executor] = kept_pools
    yield executor
    if not executor.supervisor.usable or not idle_soon(executor.supervisor):
        executor.supervisor.stop(kill=True)
        kept_pools.clear()


@pytest.fixture
def start(tmp_path):
    """Starts Python programs given as text; whatever they leave behind is killed."""
    programs = []

    def start(source, *arguments, name="program.py", **options):
        path = tmp_path / name
        path.write_text(textwrap.dedent(source))
        program = Program([path, *arguments], cwd=options.pop("cwd", tmp_path), **options)
        programs.append(program)
        return program

    yield start
    for program in programs:
        program.end()


@pytest.fixture
def run(start):
    """Runs a program to its good end and returns its output."""

    def run(source, *arguments, **options):
        status, out, err = start(source, *arguments, **options).finish(120)
        assert status == 0, err
        return out

    return run
