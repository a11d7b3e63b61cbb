"""A job can be asked, waited for, and given up."""

import os
import select
import threading
import uuid
from concurrent.futures import CancelledError

import pytest

pytest.importorskip("qiskit")

from qiskit.providers import JobError, JobStatus

import shoal
from shoal.quantum import CircuitsJob, ParallelBackend
from shoal.quantum.qiskit.job import Threads
from tests.faults.watching import until
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


@pytest.fixture(scope="module")
def workers():
    with shoal.executor("processes", max_workers=2) as executor:
        yield executor


def in_workers(executor, pipe, *names):
    return ParallelBackend(Awkward(str(pipe)), executor=executor, max_job_size=1).run(named(*names))


def nobody_reads(writer):
    """Whether a pipe is open at its other end no more."""
    poll = select.poll()
    poll.register(writer, 0)
    return bool(poll.poll(0))


def test_circuits_that_run_in_workers_when_their_job_is_cancelled_are_stopped(workers, pipe):
    job = in_workers(workers, pipe, "wait", "a", "b")
    writer = os.open(pipe, os.O_WRONLY)  # opens when the circuit is there to read
    try:
        assert job.cancel() is True
        assert isinstance(job._future.exception(timeout=60), CancelledError)
        until(lambda: nobody_reads(writer))
    finally:
        os.close(writer)
    assert in_workers(workers, pipe, "a", "b").result(timeout=60).success


def test_a_job_that_is_cancelled_leaves_others_on_the_same_workers_alone(workers, tmp_path):
    for name in ("one", "other"):
        os.mkfifo(tmp_path / name)
    job, other = (in_workers(workers, tmp_path / name, "wait") for name in ("one", "other"))
    writers = [os.open(tmp_path / name, os.O_WRONLY) for name in ("one", "other")]
    before = workers.supervisor.pids()
    job.cancel()
    until(lambda: nobody_reads(writers[0]))
    for writer in writers:
        os.close(writer)
    [experiment] = other.result(timeout=60).results
    assert experiment.success
    assert experiment.data.pid in before


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


def begun(run):
    job = CircuitsJob(Awkward(), "number", run, 1)
    job.submit()
    return job


def test_jobs_that_follow_one_another_run_in_one_thread_and_others_beside_it():
    threads = {begun(lambda job: threading.get_ident()).result() for _ in range(50)}
    assert len(threads) == 1
    gate = threading.Event()
    waiting = begun(lambda job: gate.wait(60))
    try:
        assert begun(lambda job: threading.get_ident()).result(timeout=60) not in threads
    finally:
        gate.set()
    assert waiting.result(timeout=60)
    assert begun(lambda job: threading.get_ident()).result() in threads


def test_a_job_that_is_cancelled_before_its_thread_is_free_leaves_it_free():
    threads, gate = Threads(), threading.Event()
    first = threads._first.submit(gate.wait, 60)  # keeps the thread from what is submitted next
    never = threads.submit(lambda job: 1, None)
    assert never.cancel()
    gate.set()
    assert first.result(timeout=60)
    assert threads._free.acquire(timeout=60)


def test_a_job_run_at_once_is_over_when_it_is_submitted():
    job = CircuitsJob(Awkward(), "number", lambda job: job.job_id(), 1)
    job.submit(at_once=True)
    assert job.status() is JobStatus.DONE
    assert job.result() == "number"
    failing = CircuitsJob(Awkward(), "number", lambda job: 1 / 0, 1)
    failing.submit(at_once=True)
    with pytest.raises(ZeroDivisionError):
        failing.result()


def test_jobs_have_ids_of_their_own_and_know_their_backend():
    backend = ParallelBackend(Awkward(), executor="serial")
    jobs = [backend.run(named("a")) for _ in range(3)]
    assert len({uuid.UUID(job.job_id()) for job in jobs}) == 3
    assert all(job.backend() is backend for job in jobs)
    assert jobs[0].result().job_id == jobs[0].job_id()
