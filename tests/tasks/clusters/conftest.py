"""Clusters for the tests of what runs on any of them."""

import pytest

from tests.tasks.clusters.here import Here


@pytest.fixture
def here():
    cluster = Here()
    yield cluster
    cluster.close()
