"""A job can be asked, waited for, and given up."""

import os
import uuid
from concurrent.futures import CancelledError

import pytest

pytest.importorskip("qiskit")

from qiskit.providers import JobError, JobStatus

from shoal.quantum import CircuitsJob, ParallelBackend
from tests.quantum.circuits import Awkward, named


@pytest.fixture
def pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


def waiting(pipe):
    """A job whose second circuit waits for the pipe."""
    backend = ParallelBackend(Awkward(str(pipe)), executor="serial", max_job_size=1)
    return backend.run(named("a", "wait", "c"))


def test_a_job_runs_while_its_maker_goes_on_and_tells_how_far_it_is(pipe):
    job = waiting(pipe)
    with pipe.open("w"):  # opens when the second circuit is there to read
        assert job.running()
        assert job.progress() == (1, 3)
    assert job.result().success
    assert job.status() is JobStatus.DONE
    assert job.progress() == (3, 3)
    assert job.cancel() is False


def test_a_result_that_is_late_raises_and_the_job_runs_on(pipe):
    job = waiting(pipe)
    with pytest.raises(TimeoutError, match="of 3 experiments after 0.01 s"):
        job.result(timeout=0.01)
    pipe.open("w").close()
    assert len(job.result(timeout=60).results) == 3


def test_a_job_that_is_cancelled_begins_no_more_circuits(pipe):
    job = waiting(pipe)
    with pipe.open("w"):
        assert job.cancel() is True
        assert job.cancelled()
        with pytest.raises(CancelledError, match="was cancelled"):
            job.result()
    assert isinstance(job._future.exception(timeout=60), CancelledError)
    assert job.cancelled()
    assert job.progress() == (2, 3)


def test_a_job_that_is_cancelled_before_it_began_never_begins():
    job = ParallelBackend(Awkward(), executor="serial").run(named("a", "b"))
    job.cancel()
    if job.cancelled():
        with pytest.raises(CancelledError, match="was cancelled"):
            job.result()
    else:
        assert job.result().success


def test_a_job_is_submitted_once_and_not_asked_before():
    job = CircuitsJob(Awkward(), "number", lambda job: job.job_id(), 1)
    with pytest.raises(JobError, match=r"call submit\(\) first"):
        job.status()
    job.submit()
    assert job.result() == "number"
    with pytest.raises(JobError, match="submitted before"):
        job.submit()


def test_a_job_whose_run_raises_is_in_error_and_raises_it():
    def fails(job):
        raise LookupError(job.job_id())

    job = CircuitsJob(Awkward(), "number", fails, 1)
    job.submit()
    with pytest.raises(LookupError, match="number"):
        job.result()
    assert job.status() is JobStatus.ERROR


def test_jobs_have_ids_of_their_own_and_know_their_backend():
    backend = ParallelBackend(Awkward(), executor="serial")
    jobs = [backend.run(named("a")) for _ in range(3)]
    assert len({uuid.UUID(job.job_id()) for job in jobs}) == 3
    assert all(job.backend() is backend for job in jobs)
    assert jobs[0].result().job_id == jobs[0].job_id()
