"""A gateway for the tests of one file, and users of their own for each test."""

import itertools
from pathlib import Path

import pytest

from shoal.serverless.gateway import people
from tests.serverless.gateway.serving import Served
from tests.serverless.making import memory_folder

_numbers = itertools.count(1)


@pytest.fixture(scope="session", autouse=True)
def cheap_passwords():
    """Passwords that take no memory and time to check."""
    from argon2 import PasswordHasher

    made = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(people, "_hasher", lambda: made)
        people._nobodys.cache_clear()
        yield
    people._nobodys.cache_clear()


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
