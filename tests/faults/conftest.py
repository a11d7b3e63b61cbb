"""A pool that a test may ruin, and programs that run beside the test."""

import textwrap

import pytest

import shoal
from tests.faults.watching import Program


@pytest.fixture
def pool():
    """A fresh executor of two supervised workers, ended by force if it must be."""
    executor = shoal.executor("processes", max_workers=2)
    yield executor
    executor.supervisor.stop(kill=True)


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
        status, out, err = start(source, *arguments, **options).finish(40)
        assert status == 0, err
        return out

    return run
