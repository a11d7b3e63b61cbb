"""Tasks on each executor that a program may find, the one without the engine included."""

import pytest

from shoal.serverless.runtime import distributing, forks


def _fresh():
    for executor in distributing._executors.values():
        executor.shutdown(wait=False, cancel_futures=True)
    distributing._executors.clear()
    for executor in forks._living.values():
        executor.shutdown(cancel_futures=True)
    forks._living.clear()


@pytest.fixture(params=["processes", "threads", "serial", "forks"])
def executor(request, monkeypatch):
    """Each executor in turn, by name."""
    _fresh()
    if request.param == "forks":
        monkeypatch.setattr(distributing, "_engine", lambda: None)
        monkeypatch.delenv("SHOAL_EXECUTOR", raising=False)
    else:
        monkeypatch.setenv("SHOAL_EXECUTOR", request.param)
    yield request.param
    _fresh()


@pytest.fixture
def forked(monkeypatch):
    """No engine."""
    _fresh()
    monkeypatch.setattr(distributing, "_engine", lambda: None)
    monkeypatch.delenv("SHOAL_EXECUTOR", raising=False)
    yield
    _fresh()


@pytest.fixture
def engine(monkeypatch):
    """The executor that is the default."""
    _fresh()
    monkeypatch.delenv("SHOAL_EXECUTOR", raising=False)
    yield
    _fresh()
