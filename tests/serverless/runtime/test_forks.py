"""Without the engine, tasks run in forks: the same values, and faults that stay with their task."""

import os
import signal

import psutil
import pytest

from shoal.errors import ResultNotReturned, TaskRaised, WorkerDied
from shoal.serverless.runtime import distribute_task, forks, get

pytestmark = [
    pytest.mark.usefixtures("forked"),
    pytest.mark.filterwarnings(r"ignore:os\.fork\(\) was called:RuntimeWarning"),  # JAX is loaded
]


@distribute_task()
def call(function, *args):
    return function(*args)


def test_what_needs_no_pickle_to_be_called_is_called(tmp_path):
    class Local:
        def method(self):
            return 5

    with open(tmp_path / "f", "w+") as held:
        assert get(call(Local().method)) == 5
        assert get(call(lambda: held.fileno() == held.fileno())) is True


@pytest.mark.parametrize("size", [0, 1, 65_536, 5_000_000])
def test_results_of_any_size_arrive(size):
    assert get([call(bytes, size) for _ in range(3)]) == [bytes(size)] * 3


def test_a_task_that_is_killed_is_named_and_costs_no_other():
    dead = call(lambda: os.kill(os.getpid(), signal.SIGKILL))
    gone, fine = call(os._exit, 7), call(abs, -1)
    with pytest.raises(WorkerDied, match="killed by signal 9") as caught:
        get(dead)
    assert caught.value.signal == 9
    with pytest.raises(WorkerDied, match="exit code 7") as caught:
        get(gone)
    assert caught.value.exit_code == 7
    assert get(fine) == 1


def exits():
    raise SystemExit(3)


def stops():
    raise StopIteration


class Odd(Exception):
    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")

    def __reduce__(self):  # as it is without tblib, which Dask brings and which makes do
        return Odd, self.args


def odd():
    raise Odd(1, 2)


@pytest.mark.parametrize(
    ("function", "message"), [(exits, "SystemExit: 3"), (stops, "StopIteration"), (odd, "1 and 2")]
)
def test_what_cannot_be_raised_again_is_told(function, message):
    with pytest.raises(TaskRaised, match=message):
        get(call(function))


def test_a_result_that_cannot_travel_is_told():
    with pytest.raises(ResultNotReturned, match="cannot be sent back"):
        get(call(lambda: lambda: 0))


def test_no_more_forks_run_than_cores(tmp_path):
    def peek():
        return len(psutil.Process(os.getppid()).children())

    assert max(get([call(peek) for _ in range(8)])) <= len(os.sched_getaffinity(0)) + len(
        psutil.Process().children()
    )


def test_no_fork_and_no_descriptor_is_left():
    get([call(abs, 1) for _ in range(3)])
    before = psutil.Process().num_fds()
    children = len(psutil.Process().children())
    get([call(abs, each) for each in range(20)])
    assert psutil.Process().num_fds() == before
    assert len(psutil.Process().children()) == children


def test_what_is_printed_is_printed_once(capfd):
    print("before", end=" ")
    get(call(print, "from a task"))
    assert capfd.readouterr().out == "before from a task\n"


def test_a_shutdown_cancels_what_has_not_begun():
    executor = forks.ForkExecutor(1)
    running = executor.submit(abs, -1)
    waiting = executor.submit(abs, -2)
    executor.shutdown(cancel_futures=True)
    assert running.result() == 1
    assert waiting.cancelled()


def test_a_call_may_be_cancelled_before_it_begins():
    executor = forks.ForkExecutor(1)
    running, waiting = executor.submit(abs, -1), executor.submit(abs, -2)
    assert waiting.cancel()
    executor.shutdown()
    assert running.result() == 1
    assert waiting.cancelled()
