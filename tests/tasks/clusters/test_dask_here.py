"""The Dask of our own: outside of this process, on this machine only, gone when it is closed."""

import psutil
import pytest

import shoal
from shoal.tasks.clusters.dask import start_workers
from shoal.tasks.clusters.executor import ClusterExecutor
from tests.faults.watching import alive, until

pytestmark = pytest.mark.timeout(90)


def test_it_runs_with_its_threads_outside_of_this_process_and_leaves_nothing():
    cluster = start_workers(1, threads_per_task=2)
    with ClusterExecutor(cluster) as executor:
        assert cluster.client.scheduler.address.startswith("tcp://127.0.0.1:")
        threads = shoal.map(_threads, [0], executor=executor)
        assert threads == ["2"]
    process = psutil.Process(cluster._local._process.pid)
    family = [process.pid, *(child.pid for child in process.children(recursive=True))]
    assert len(family) >= 2
    cluster.close()
    until(lambda: not any(map(alive, family)))


def _threads(_):
    import os

    return os.environ["OMP_NUM_THREADS"]
