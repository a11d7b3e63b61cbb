"""Ray as it is: resources, threads, versions, joining and leaving."""

import os
import re
import sys

import pytest
import ray

import shoal
from shoal.errors import ExecutorBroken, MissingExtra
from shoal.tasks import clusters
from shoal.tasks.clusters import ray as module
from shoal.tasks.clusters.ray import RayCluster, RayConnection, staying_local
from tests.clusters import kept
from tests.faults.watching import until

pytestmark = pytest.mark.timeout(90)


@pytest.fixture(scope="module")
def cluster():
    return kept("ray")


def threads_there(_):
    return {name: value for name, value in os.environ.items() if name.endswith("_NUM_THREADS")}


def test_a_task_has_the_numerical_threads_asked_for(cluster):
    [one] = shoal.map(threads_there, [0], executor="ray")
    [three] = shoal.map(threads_there, [0], executor="ray", threads_per_task=3)
    assert set(one.values()) == {"1"}
    assert set(three.values()) == {"3"}
    assert "OPENBLAS_NUM_THREADS" in one


def test_resources_make_room_for_fewer_tasks(cluster):
    whole = cluster.width()
    with shoal.executor("ray", resources={"num_cpus": whole}) as executor:
        assert executor.width == 1
        assert shoal.map(abs, [-1, 2], executor=executor) == [1, 2]
    with shoal.executor("ray", resources={"num_cpus": 0.5}) as executor:
        assert executor.width == 2 * whole


@pytest.mark.parametrize(
    "resources", [{"num_cpus": 1000}, {"num_gpus": 8}, {"memory": 1e15}, {"resources": {"tpu": 1}}]
)
def test_resources_that_no_node_has_are_an_error_at_once(cluster, resources):
    with pytest.raises(ExecutorBroken, match="no node for resources") as caught:
        shoal.executor("ray", resources=resources)
    assert "CPU" in str(caught.value)


def test_another_ray_than_the_one_connected_to_is_refused(cluster):
    connected = ray.get_runtime_context().gcs_address
    with shoal.executor(f"ray:{connected}") as executor:
        assert executor.submit(abs, -1).result(30) == 1
    with pytest.raises(ExecutorBroken, match=f"connected to the Ray at {connected}"):
        shoal.executor("ray:127.0.0.1:1")


def test_a_ray_of_the_user_s_is_used_and_left_running(cluster):
    theirs = RayConnection("ray", cores=1, threads=1)
    theirs.close()
    assert ray.is_initialized()
    assert RayCluster(theirs).width() == cluster.width()


@pytest.mark.parametrize("what", ["python", "ray", "shoal", "cloudpickle"])
def test_a_ray_of_other_versions_is_refused(cluster, monkeypatch, what):
    real = module.check_versions
    monkeypatch.setattr(
        module, "check_versions", lambda name, there: real(name, {**there, what: "0.1"})
    )
    with pytest.raises(ExecutorBroken, match=rf"{what} is .* here and 0\.1 there"):
        RayConnection("ray", cores=1, threads=1)


def test_where_ray_s_client_is_missing_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "grpc", None)
    with pytest.raises(MissingExtra, match=r"pip install 'ray\[client\]'"):
        module._check_client("ray://there:10001", "there:10001")


def test_a_ray_started_here_listens_on_this_machine_only(cluster):
    assert ray.get_runtime_context().gcs_address.startswith("127.0.0.1:")
    assert {node["NodeManagerAddress"] for node in ray.nodes()} == {"127.0.0.1"}


def test_the_environment_is_given_back(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("NEW", raising=False)
    before = dict(os.environ)
    with staying_local({"OMP_NUM_THREADS": "1", "NEW": "1"}):
        assert os.environ["OMP_NUM_THREADS"] == os.environ["NEW"] == "1"
    assert dict(os.environ) == before


def test_what_is_dropped_is_ended_where_it_runs(cluster, tmp_path):
    mark = tmp_path / "pid"

    def hang(_):
        import time

        mark.write_text(str(os.getpid()))
        time.sleep(600)

    results = shoal.imap(hang, [1], executor="ray")
    running = clusters.ClusterExecutor(cluster)
    future = running.submit(hang, 1)
    pid = int(until(lambda: mark.exists() and mark.read_text()))
    running.cluster.stop(list(running._running), at_once=True)
    assert future.exception(30) is not None
    running.shutdown()
    until(lambda: not os.path.exists(f"/proc/{pid}"))
    results.close()


def test_a_task_within_a_task_runs_inline(cluster):
    def nested(_):
        return [shoal.map(lambda _: os.getpid(), range(2), executor="ray"), os.getpid()]

    for (one, two), outer in shoal.map(nested, range(2), executor="ray"):
        assert one == two == outer


@pytest.mark.parametrize(
    ("status", "mode", "words"),
    [
        ("UNIMPLEMENTED", None, "no server for Ray's clients"),
        ("UNAUTHENTICATED", None, "set RAY_AUTH_MODE=token"),
        ("UNAUTHENTICATED", "token", "^$"),
        ("UNAVAILABLE", None, "does not answer"),
        ("INTERNAL", None, "^$"),  # what a server for clients says to an empty request
    ],
)
def test_why_ray_s_client_would_be_refused_is_said(monkeypatch, status, mode, words):
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    if mode is not None:
        monkeypatch.setenv("RAY_AUTH_MODE", mode)
    assert re.search(words, module._why_no_client(status))
