"""The databases that must pass the contract of the store; a new one is named here."""

import itertools

import pytest

from tests.serverless.making import opened

OPENED = {"sqlite": opened}


@pytest.fixture(params=OPENED)
def database(request):
    return request.param


@pytest.fixture
def clock():
    """Microseconds that advance by one second at each look."""
    ticks = itertools.count(1_700_000_000)
    return lambda: next(ticks) * 1_000_000


@pytest.fixture
def store(database, clock):
    with OPENED[database](clock_us=clock) as made:
        yield made
