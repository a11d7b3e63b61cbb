"""A launcher forks workers on request, reports their ends, and takes them all with it."""

import os
import select
import signal
import subprocess
import sys
from time import monotonic

import psutil
import pytest

from shoal.tasks.processes.handle import WorkerHandle
from shoal.tasks.processes.launcher import STARTED
from shoal.tasks.processes.launching import Launching
from shoal.tasks.processes.limits import THREAD_VARIABLES
from tests.faults.watching import until


class Reports:
    """Reads the reports of a launcher, waiting for those that are due."""

    def __init__(self, launching):
        self._launching = launching
        self._waiting = []

    def next(self):
        end = monotonic() + 20
        while not self._waiting:
            assert select.select([self._launching.control], [], [], end - monotonic())[0]
            got = self._launching.reports()
            if got is None:
                return None
            self._waiting += got
        return self._waiting.pop(0)


@pytest.fixture
def launching():
    made = Launching(1)
    yield made
    made.close()


@pytest.fixture
def reports(launching):
    return Reports(launching)


@pytest.fixture
def hire(launching):
    handles = []

    def make(key):
        handles.append(WorkerHandle(key, launching))
        return handles[-1]

    yield make
    for handle in handles:
        handle.close()


def launcher_of(launching):
    return psutil.Process(launching._process.pid)


def gone(process):
    """Whether it ends within a while; what nobody has reaped yet has ended too."""
    end = monotonic() + 10
    while monotonic() < end:
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
    return False


def test_a_worker_is_reported_with_its_key_and_its_process_id(hire, reports):
    hire(7)
    key, pid, status = reports.next()
    assert (key, status) == (7, STARTED)
    assert psutil.pid_exists(pid)


def test_workers_are_children_of_the_launcher_and_not_ours(hire, reports, launching):
    hire(1)
    _, pid, _ = reports.next()
    assert psutil.Process(pid).ppid() == launcher_of(launching).pid
    assert launcher_of(launching).ppid() == os.getpid()


def test_a_worker_leads_a_process_group_of_its_own(hire, reports):
    hire(1)
    _, pid, _ = reports.next()
    assert os.getpgid(pid) == pid
    assert os.getsid(pid) != os.getsid(0)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_the_signal_that_ended_a_worker_is_reported(hire, reports, number):
    hire(3)
    _, pid, _ = reports.next()
    os.kill(pid, number)
    key, ended, status = reports.next()
    assert (key, ended) == (3, pid)
    assert os.waitstatus_to_exitcode(status) == -number


def test_a_worker_whose_supervisor_hangs_up_ends_well(hire, reports):
    handle = hire(4)
    reports.next()
    handle.end.close()
    _, _, status = reports.next()
    assert os.waitstatus_to_exitcode(status) == 0


def test_many_workers_are_all_reported(hire, reports):
    for key in range(10):
        hire(key)
    started = [reports.next() for _ in range(10)]
    assert sorted(key for key, _, _ in started) == list(range(10))
    assert len({pid for _, pid, _ in started}) == 10


def test_closing_ends_the_launcher_and_all_its_workers(hire, reports, launching):
    for key in range(3):
        hire(key)
    workers = [psutil.Process(reports.next()[1]) for _ in range(3)]
    launcher = launcher_of(launching)
    launching.close()
    assert all(gone(process) for process in [launcher, *workers])


def test_workers_do_not_outlive_a_launcher_that_was_killed(hire, reports, launching):
    hire(1)
    worker = psutil.Process(reports.next()[1])
    launcher_of(launching).kill()
    assert reports.next() is None
    assert gone(worker)


def test_the_numbers_of_threads_are_set_before_anything_is_imported():
    launching = Launching(3)
    try:
        environment = until(launcher_of(launching).environ)  # Linux shows it a moment after exec
    finally:
        launching.close()
    assert {environment[name] for name in THREAD_VARIABLES} == {"3"}


def test_the_launcher_is_started_under_the_flags_of_this_interpreter():
    program = (
        "import psutil, shoal; shoal.map(abs, [1], max_workers=1)\n"
        "[launcher] = psutil.Process().children()\n"
        "print('-B' in launcher.cmdline(), shoal.map(lambda _: __debug__, [1]))"
    )
    done = subprocess.run(
        [sys.executable, "-B", "-O", "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "True [False]\n"


def test_a_command_line_of_any_length_starts_workers(monkeypatch):
    """As a shell makes it of ``program data/*``: thousands of file names."""
    monkeypatch.setattr(sys, "argv", ["program", *(f"data/{number:050}" for number in range(5000))])
    launching = Launching(1)
    handle = WorkerHandle(1, launching)
    try:
        assert Reports(launching).next()[2] == STARTED
    finally:
        handle.close()
        launching.close()


def test_a_launcher_that_is_gone_has_nothing_more_to_report(launching, reports):
    launcher_of(launching).kill()
    assert reports.next() is None


def test_nothing_to_report_is_an_empty_list(launching):
    assert launching.reports() == []
