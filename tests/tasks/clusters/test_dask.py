"""Dask as it is: clients of the user's, threads, versions, and what it cannot do."""

import os

import distributed
import pytest

import shoal
from shoal.errors import ExecutorBroken
from shoal.tasks.clusters import dask as module
from tests.clusters import kept

pytestmark = pytest.mark.timeout(90)


@pytest.fixture(scope="module")
def cluster():
    return kept("dask")


@pytest.fixture
def client(cluster):
    address = cluster.client.scheduler.address
    with distributed.Client(address, set_as_default=False) as client:
        yield client


def test_a_client_of_the_user_s_is_an_executor_and_stays_open(client):
    assert shoal.map(lambda x: x + 1, range(30), executor=client) == list(range(1, 31))
    assert list(shoal.imap(abs, [-1, 2], executor=client)) == [1, 2]
    assert client.submit(abs, -3).result() == 3


def test_an_address_is_an_executor(client):
    address = client.scheduler.address.replace("tcp://", "dask://")
    with shoal.executor(address) as executor:
        assert executor.submit(abs, -3).result(30) == 3
        assert shoal.map(abs, [-1], executor=address) == [1]


def test_a_closed_client_is_an_error(cluster):
    client = distributed.Client(cluster.client.scheduler.address, set_as_default=False)
    assert shoal.map(abs, [-1], executor=client) == [1]
    client.close()
    with pytest.raises(ExecutorBroken, match="client is closed"):
        shoal.map(abs, [1], executor=client)


def test_workers_of_ours_have_the_numerical_threads_asked_for(cluster):
    def threads(_):
        return os.environ["OMP_NUM_THREADS"], os.environ["NUMEXPR_NUM_THREADS"]

    assert shoal.map(threads, [0], executor="dask") == [("1", "1")]


def test_workers_of_others_keep_theirs(client):
    with pytest.raises(ValueError, match=r"threads_per_task=3 .* OMP_NUM_THREADS=\['1'\]"):
        shoal.map(abs, [1], executor=client, threads_per_task=3)


def test_resources_are_refused(cluster):
    with pytest.raises(ValueError, match="needs executor='ray'"):
        shoal.executor("dask", resources={"num_cpus": 1})


@pytest.mark.parametrize("what", ["python", "distributed", "shoal", "cloudpickle"])
def test_a_dask_of_other_versions_is_refused(cluster, monkeypatch, what):
    real = module.check_versions
    monkeypatch.setattr(
        module, "check_versions", lambda name, there: real(name, {**there, what: "0.1"})
    )
    if what in ("shoal", "cloudpickle"):
        monkeypatch.setattr(module, "_asked", lambda cluster, package: {})
    with pytest.raises(ExecutorBroken, match=rf"{what} is .* here and 0\.1 there"):
        module.check(cluster)


def test_a_dask_without_workers_is_given_up(cluster, monkeypatch):
    from shoal.tasks.clusters import cluster as watching

    monkeypatch.setattr(watching, "LOST_SECONDS", 0.2)
    monkeypatch.setattr(module.DaskCluster, "width", lambda self: 0)
    with pytest.raises(ExecutorBroken, match="dask has had no worker"):
        shoal.map(abs, [1], executor="dask")


def test_a_task_within_a_task_runs_inline(cluster):
    def nested(_):
        return [shoal.map(lambda _: os.getpid(), range(2), executor="dask"), os.getpid()]

    for (one, two), outer in shoal.map(nested, range(2), executor="dask"):
        assert one == two == outer
