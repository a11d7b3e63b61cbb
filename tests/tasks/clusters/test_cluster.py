"""The watch over a cluster: its width, and its end."""

import pytest

from shoal.errors import ExecutorBroken
from shoal.tasks.clusters import cluster as module
from shoal.tasks.clusters.cluster import Watch


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(module, "GONE_SECONDS", 0.05)


def test_the_width_follows_the_cluster(here):
    watch = Watch(here)
    assert watch.width == 2
    here.wide = 5
    watch.look()
    assert watch.width == 5


def test_the_cluster_is_asked_once_a_second_at_most(here, monkeypatch):
    monkeypatch.setattr(module, "LOOK_SECONDS", 1000.0)
    watch = Watch(here)
    here.wide = 5
    watch.look()
    assert watch.width == 2


def test_a_cluster_without_workers_is_waited_for_and_then_given_up(here):
    here.wide = 0
    with pytest.raises(ExecutorBroken, match="here has had no worker for 0.05 s"):
        Watch(here)


def test_workers_that_were_there_are_waited_for_longer(here, monkeypatch):
    monkeypatch.setattr(module, "LOST_SECONDS", 0.2)
    watch = Watch(here)
    here.wide = 0
    with pytest.raises(ExecutorBroken, match="here has had no worker for 0.2 s"):
        while True:
            watch.look()
    with pytest.raises(ExecutorBroken, match="here has had no worker for 0.2 s"):
        Watch(here)


def test_workers_that_come_back_in_time_are_enough(here):
    watch = Watch(here)
    here.wide = 0
    watch.look()
    assert watch.width == 1
    here.wide = 1
    watch.look()
    here.wide = 0
    watch.look()
    assert watch.width == 1


def test_a_cluster_that_is_out_of_reach_is_an_error(here):
    watch = Watch(here)
    here.close()
    with pytest.raises(ExecutorBroken, match="gone"):
        watch.look()
