"""A batch system: dask-jobqueue submits jobs, here to this machine, and their workers run ours."""

import os
import threading

import numpy as np
import pytest

import shoal
from shoal.sweeps import PointsFailed
from tests.faults.watching import until

pytest.importorskip("dask_jobqueue")

from dask_jobqueue.local import LocalCluster
from distributed import Client

pytestmark = pytest.mark.timeout(90)


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    """A client of two jobs of one worker each, on the loopback interface."""
    folder = str(tmp_path_factory.mktemp("jobs"))
    with (
        LocalCluster(
            cores=1,
            processes=1,
            memory="1GB",
            nanny=False,
            local_directory=folder,
            log_directory=folder,
            worker_extra_args=["--host", "127.0.0.1", "--no-dashboard"],
            scheduler_options={"host": "127.0.0.1", "dashboard": False},
        ) as cluster,
        Client(cluster) as client,
    ):
        cluster.scale(jobs=2)
        client.wait_for_workers(2, timeout=60)
        jobs = [job.process for job in cluster.workers.values()]
        yield client
    for job in jobs:  # killed by dask-jobqueue, which leaves them and their pipes lying
        job.proc.wait(timeout=60)
        job.stdout.close()
        job.stderr.close()


@pytest.fixture(params=["client", "client's executor"])
def executor(request, client):
    """Both ways in which the jobs may be handed to us."""
    return client if request.param == "client" else client.get_executor()


def test_a_map_runs_in_the_jobs_with_the_loops_results(executor):
    results = shoal.map(lambda x: (x, os.getpid()), range(200), executor=executor)
    assert [x for x, _ in results] == list(range(200))
    assert os.getpid() not in {pid for _, pid in results}


def test_a_failing_input_is_named(executor):
    with pytest.raises(ZeroDivisionError) as caught:
        shoal.map(lambda x: 1 / (x - 3), range(6), executor=executor)
    assert shoal.failure(caught.value).args == (3,)
    assert "task 3 failed on input 3" in caught.value.__notes__[0]


def test_a_sweep_goes_on_from_its_checkpoint_in_the_jobs(client, tmp_path):
    def gap(field, coupling, mended=str(tmp_path / "mended")):
        if (field, coupling) == (2.0, 1.0) and not os.path.exists(mended):
            raise ArithmeticError("not yet")
        return 2 * abs(coupling - field)

    axes = {"field": [0.0, 1.0, 2.0], "coupling": [0.5, 1.0]}
    options = {"executor": client, "checkpoint": tmp_path / "gap.shoal"}
    with pytest.warns(PointsFailed, match="1 of 6"):
        first = shoal.sweep(gap, axes, **options)
    assert int(np.isnan(first.gap).sum()) == 1
    (tmp_path / "mended").touch()
    second = shoal.sweep(gap, axes, **options)
    assert second.gap.values.tolist() == [[1.0, 2.0], [1.0, 0.0], [3.0, 2.0]]


def test_joblib_runs_in_the_jobs(executor, joblib):
    with joblib.parallel_config(backend="shoal", executor=executor, n_jobs=2):
        pids = joblib.Parallel()(joblib.delayed(os.getpid)() for _ in range(8))
        with pytest.raises(ZeroDivisionError) as caught:
            joblib.Parallel(batch_size=2)(joblib.delayed(divmod)(1, x - 3) for x in range(20))
    assert os.getpid() not in pids
    assert shoal.failure(caught.value).args == (1, 0)
    until(lambda: "shoal-joblib" not in {each.name for each in threading.enumerate()})
