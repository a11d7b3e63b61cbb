"""A store, a service without HTTP, and runners that end with their test."""

from pathlib import Path

import pytest

from shoal.serverless.runner import Runner
from tests.serverless.making import Service, account, end_jobs, memory_folder, opened


@pytest.fixture
def store():
    with opened() as made:
        yield made


@pytest.fixture
def user(store):
    return account(store)


@pytest.fixture
def data():
    """A data directory in memory."""
    with memory_folder() as folder:
        yield Path(folder)


@pytest.fixture
def service(data):
    """A store and a user; nothing runs until a runner does."""
    made = Service.open(data)
    yield made
    made.store.close()
    end_jobs(data)


@pytest.fixture
def runner_of():
    """Starts runners; those still at work at the end are drained."""
    started = []

    def start(service, **options):
        runner = Runner(service.store, service.settings, **options)
        runner.start()
        started.append(runner)
        return runner

    yield start
    for runner in started:
        if not runner._draining:
            runner.drain()


@pytest.fixture
def runner(service, runner_of):
    return runner_of(service)
