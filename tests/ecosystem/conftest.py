"""What the tests of other people's libraries share: two warm workers, and joblib that knows us."""

import pytest

import shoal
from shoal.tasks.joblib import register_joblib


@pytest.fixture(scope="session")
def workers():
    """Two supervised workers for all tests here, which may not ruin them."""
    with shoal.executor("processes", max_workers=2) as executor:
        yield executor


@pytest.fixture(scope="session")
def joblib():
    """joblib, with our backend in its registry."""
    module = pytest.importorskip("joblib")
    register_joblib()
    return module
