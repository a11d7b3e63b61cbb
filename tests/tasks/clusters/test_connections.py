"""Connections by name: shared, kept, made again when lost, and closed when nobody uses them."""

import pytest

import shoal
from shoal.errors import ExecutorBroken
from shoal.tasks.clusters import connections
from tests.tasks.clusters.here import Here


class Connected(Here):
    """A cluster that knows whether it is of ours, as a connection of Dask does."""

    ours = True


@pytest.fixture
def made(monkeypatch):
    """The connections that are made, in order, while this test runs."""
    made = []

    def make(name, cores, threads_per_task):
        made.append(Connected())
        return made[-1]

    monkeypatch.setattr(connections, "_made", make)
    monkeypatch.setattr(connections, "_open", {})
    yield made
    for each in made:
        each.close()


def executor(threads=1):
    return connections.executor_on(
        "dask", threads_per_task=threads, max_workers=None, resources=None
    )


def test_executors_share_a_connection_and_the_last_one_closes_it(made):
    first, second = executor(), executor()
    assert len(made) == 1
    first.shutdown()
    assert not made[0].closed
    assert second.submit(abs, -1).result(30) == 1
    second.shutdown()
    assert made[0].closed
    with executor():
        assert len(made) == 2


def test_what_a_call_has_used_by_name_stays(made):
    connections.kept("dask", threads_per_task=1, max_workers=None)
    with executor():
        pass
    assert not made[0].closed
    assert connections.kept("dask", threads_per_task=1, max_workers=None) is made[0]


def test_workers_with_other_threads_are_others(made):
    with executor(1), executor(2):
        assert len(made) == 2


def test_a_lost_connection_is_made_again(made):
    connections.kept("dask", threads_per_task=1, max_workers=None)
    made[0].closed = True
    assert connections.kept("dask", threads_per_task=1, max_workers=None) is made[1]


def test_a_connection_that_nobody_could_use_is_closed(made, monkeypatch):
    monkeypatch.setattr(Here, "width", lambda self: (_ for _ in ()).throw(ExecutorBroken("no")))
    with pytest.raises(ExecutorBroken, match="no"):
        executor()
    assert made[0].closed


def test_all_are_closed_at_the_end_and_work_that_was_submitted_is_done(made):
    future = executor().submit(abs, -3)
    connections.kept("dask", threads_per_task=2, max_workers=None)
    connections._close_all()
    assert future.result(30) == 3
    assert all(each.closed for each in made)


@pytest.mark.parametrize("name", ["ray", "dask"])
def test_the_variable_names_a_cluster_too(monkeypatch, name):
    monkeypatch.setenv("SHOAL_EXECUTOR", name)
    here = Here()
    asked = []

    def kept(name, **options):
        asked.append(name)
        return here

    monkeypatch.setattr("shoal.tasks.clusters.kept", kept)
    assert shoal.map(abs, [-1, 2]) == [1, 2]
    assert asked == [name]
    here.close()
