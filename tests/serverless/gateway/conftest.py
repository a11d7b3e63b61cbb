"""A gateway for the tests of one file, and users of their own for each test."""

import itertools
from pathlib import Path

import pytest

from tests.serverless.gateway.serving import Served
from tests.serverless.making import memory_folder

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def served():
    """One gateway for all tests of a file."""
    with memory_folder() as folder, Served(Path(folder) / "data") as made:
        yield made


@pytest.fixture
def user(served):
    return served.user(f"user-{next(_numbers)}")


@pytest.fixture
def other(served):
    return served.user(f"other-{next(_numbers)}")
