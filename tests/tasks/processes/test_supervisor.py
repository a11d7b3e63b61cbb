"""The supervisor runs each parcel once on a worker, within its call's limit, and ends cleanly."""

import os
import signal
import threading
from queue import SimpleQueue
from time import monotonic

import numpy as np
import psutil
import pytest

import shoal
from shoal import errors
from shoal.tasks.dispatch import Batch
from shoal.tasks.envelope import Calling
from shoal.tasks.processes.dispatcher import Packer, read_delivery
from shoal.tasks.processes.packing import Packed, pack_function
from shoal.tasks.processes.supervisor import Supervisor
from tests.faults.watching import alive, until


class Caller:
    """Hands parcels to a supervisor and collects what is delivered."""

    def __init__(self, supervisor, function, *, limit=2, timeout_seconds=None):
        self.supervisor = supervisor
        calling = Calling(timed=timeout_seconds is not None)
        self.packer = Packer(
            supervisor, function, calling, limit=limit, timeout_seconds=timeout_seconds
        )
        self.answers = SimpleQueue()

    def send(self, *items, **options):
        batch = Batch(0, list(items))
        parcel = self.packer.parcel(
            batch, lambda got: self.answers.put(read_delivery(batch, 1, got))
        )
        self.supervisor.submit(parcel, **options)
        return parcel

    def next(self):
        return self.answers.get(timeout=30)

    def attended(self):
        self.supervisor.seat.attend(lambda: not self.answers.empty(), 30)
        return self.answers.get(timeout=30)


@pytest.fixture
def supervisor():
    """A new one, for a test that stops it, breaks it or counts its workers."""
    made = Supervisor(1)
    yield made
    made.stop(kill=True)
    made.join()


@pytest.fixture(scope="module")
def shared():
    """One for all tests that leave it as they found it."""
    made = Supervisor(1)
    yield made
    made.stop(kill=True)
    made.join()


def wait_for_file(path):
    until(lambda: os.path.exists(path))
    return os.getpid()


def pid_of(_):
    return os.getpid()


def test_nothing_is_started_before_there_is_work(supervisor):
    assert supervisor.pids() == []
    assert supervisor.usable
    assert supervisor.ours


def test_answers_come_to_a_thread_that_attends_and_to_one_that_does_not(shared):
    caller = Caller(shared, abs)
    caller.send(-1, attended=True)
    assert caller.attended().ended.values == [1]
    caller.send(-2)
    assert caller.next().ended.values == [2]


def test_workers_are_kept_for_the_next_call(supervisor):
    pids = set()
    for _ in range(5):
        caller = Caller(supervisor, pid_of, limit=1)
        caller.send(0)
        pids.update(caller.next().ended.values)
    assert len(pids) == 1
    until(lambda: set(supervisor.pids()) == pids)


def test_no_more_parcels_of_a_call_run_at_once_than_its_limit(shared, tmp_path):
    gate = tmp_path / "gate"
    wide, narrow = Caller(shared, pid_of, limit=3), Caller(shared, wait_for_file, limit=1)
    for _ in range(3):
        narrow.send(gate)
    for _ in range(3):
        wide.send(0)
    assert all(wide.next().ended for _ in range(3)), "a narrow call must not hold up a wide one"
    assert narrow.packer.call.running == 1
    gate.touch()
    assert len({narrow.next().ended.values[0] for _ in range(3)}) <= 3
    assert narrow.packer.call.running == 0


def test_one_call_of_two_uses_two_workers(shared, tmp_path):
    def meet(name):
        (tmp_path / name).touch()
        until(lambda: len(list(tmp_path.iterdir())) == 2)
        return os.getpid()

    caller = Caller(shared, meet, limit=2)
    caller.send("a")
    caller.send("b")
    assert len({caller.next().ended.values[0] for _ in range(2)}) == 2


def test_calls_from_many_threads_get_their_own_answers(shared):
    results = {}

    def call(number):
        caller = Caller(shared, lambda x: (number, x))
        for x in range(20):
            caller.send(x, attended=bool(x % 2))
        results[number] = sorted(
            (caller.attended() if x % 3 else caller.next()).ended.values[0] for x in range(20)
        )

    threads = [threading.Thread(target=call, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {number: [(number, x) for x in range(20)] for number in range(5)}


def test_a_withdrawn_call_delivers_nothing_more_and_the_workers_serve_others(shared, tmp_path):
    gate = tmp_path / "gate"
    dropped = Caller(shared, wait_for_file, limit=1)
    for _ in range(3):
        dropped.send(gate)
    shared.withdraw(dropped.packer.call, at_once=False)
    caller = Caller(shared, abs, limit=1)
    for number in (-1, -2):  # the first is served after the withdrawal was, the second after it
        caller.send(number)
        assert caller.next().ended.values == [-number]
        gate.touch()
    assert dropped.answers.empty()


@pytest.mark.parametrize("at_once", [True, False])
def test_a_withdrawn_call_that_does_not_end_by_itself_is_ended(shared, tmp_path, at_once):
    told = tmp_path / "told"

    def hang(_):
        told.write_text(str(os.getpid()))
        threading.Event().wait()

    caller = Caller(shared, hang, limit=1)
    caller.send(0)
    until(lambda: told.exists() and told.read_text())
    pid = int(told.read_text())
    begun = monotonic()
    shared.withdraw(caller.packer.call, at_once=at_once)
    until(lambda: not alive(pid))
    if not at_once:
        assert monotonic() - begun >= 0.9, "it has a second to end by itself"
    other = Caller(shared, abs)
    other.send(-5)
    assert other.next().ended.values == [5]


def test_after_stop_nothing_is_taken_and_what_was_taken_is_finished(supervisor, tmp_path):
    gate = tmp_path / "gate"
    caller = Caller(supervisor, wait_for_file, limit=1)
    caller.send(gate)
    caller.send(gate)
    supervisor.stop()
    supervisor.stop()
    assert not supervisor.usable
    with pytest.raises(errors.ExecutorClosed):
        caller.send(gate)
    gate.touch()
    assert [caller.next().ended is not None for _ in range(2)] == [True, True]
    supervisor.join()
    assert supervisor.pids() == []


def test_stopping_can_cancel_what_has_not_begun(supervisor, tmp_path):
    gate, cancelled = tmp_path / "gate", []
    caller = Caller(supervisor, wait_for_file, limit=1)
    caller.send(gate)
    with supervisor._lock:
        told = caller.packer.parcel(Batch(0, [gate]), caller.answers.put)
        told.cancel = lambda: cancelled.append("told")
        supervisor.submit(told)
        caller.send(gate)
        supervisor.stop(cancel_pending=True)
    closed = caller.next()
    assert isinstance(closed.error, errors.ExecutorClosed)
    gate.touch()
    assert caller.next().ended is not None
    supervisor.join()
    assert cancelled == ["told"]


def test_stopping_can_give_up_what_runs(supervisor, tmp_path):
    caller = Caller(supervisor, wait_for_file, limit=1)
    caller.send(tmp_path / "never")
    until(supervisor.pids)
    [pid] = supervisor.pids()
    supervisor.stop(kill=True)
    assert isinstance(caller.next().error, errors.ExecutorClosed)
    supervisor.join()
    until(lambda: not alive(pid))


def test_a_claim_that_is_refused_drops_the_parcel(shared):
    caller = Caller(shared, abs)
    parcel = caller.packer.parcel(Batch(0, [-1]), caller.answers.put)
    parcel.claim = lambda: False
    shared.submit(parcel)
    caller.send(-2)
    assert caller.next().ended.values == [2]
    assert caller.answers.empty()


def test_a_supervisor_that_never_worked_stops_at_once():
    made = Supervisor(1)
    made.stop()
    made.join()
    with pytest.raises(errors.ExecutorClosed):
        Caller(made, abs).send(1)


def test_a_callback_that_raises_harms_nothing(shared, caplog):
    caller = Caller(shared, abs)

    def raises(_):
        raise ValueError("mine")

    shared.submit(caller.packer.parcel(Batch(0, [-1]), raises))
    caller.send(-2)
    assert caller.next().ended.values == [2]
    until(lambda: "an exception in a callback was ignored" in caplog.text)


def test_a_reference_by_name_has_one_number_and_anything_else_a_new_one_each_time(shared):
    named, by_reference = pack_function(abs, None, [])
    assert by_reference
    first = shared.function_number(named, by_reference=True)
    assert shared.function_number(Packed(named.data), by_reference=True) == first
    assert shared.function_number(named, by_reference=False) != first


def test_a_forgotten_function_gets_a_new_number(shared):
    first = Packer(shared, abs, Calling(), limit=1).call
    shared.forget_function(first)
    assert Packer(shared, abs, Calling(), limit=1).call.function_number != first.function_number


def test_finishing_a_call_closes_its_shared_arrays(shared):
    array = np.zeros(300_000)
    caller = Caller(shared, lambda _: float(array[0]))
    caller.send(0)
    assert caller.next().ended.values == [0.0]
    assert caller.packer.call.regions.descriptors
    shared.finish(caller.packer.call)
    until(lambda: not caller.packer.call.regions.descriptors)


def test_a_worker_whose_death_is_not_reported_yet_disturbs_nobody(supervisor, tmp_path):
    """The launcher is held, so that a worker is known to be gone and not yet known to be dead."""
    gate, array = tmp_path / "gate", np.zeros(300_000)
    first = Caller(supervisor, lambda _: (os.getpid(), float(array[0])), limit=1)
    first.send(0)
    [(pid, _)] = first.next().ended.values
    [worker] = supervisor._workers.values()
    launcher = psutil.Process(pid).parent()
    held, other = Caller(supervisor, pid_of), Caller(supervisor, wait_for_file)
    other.send(gate)
    held.send(0)
    assert held.next().ended is not None
    launcher.suspend()
    try:
        os.kill(worker.pid, signal.SIGKILL)
        until(lambda: worker.inbox.closed)
        supervisor.finish(first.packer.call)
        supervisor.withdraw(first.packer.call, at_once=True)
    finally:
        launcher.resume()
    gate.touch()
    answer = other.next()
    assert answer.ended is not None or answer.death is not None
    last = Caller(supervisor, abs, limit=2)
    last.send(-3)
    assert last.next().ended.values == [3]


def test_workers_that_never_begin_are_the_executors_failure(supervisor, tmp_path, monkeypatch):
    from shoal.tasks.processes import supervisor as module

    told = tmp_path / "told"
    monkeypatch.setattr(module, "STILLBORN_LIMIT", 3)
    kills = []

    def hire_and_kill():
        worker = hire()
        kills.append(worker)
        end = worker.end
        monkeypatch.setattr(worker, "give", lambda parcel: _give_and_hang_up(worker, parcel, end))
        return worker

    hire = supervisor._hire
    monkeypatch.setattr(supervisor, "_hire", hire_and_kill)
    caller = Caller(supervisor, abs, limit=1)
    caller.send(-1)
    answer = caller.next()
    assert isinstance(answer.error, errors.ExecutorBroken)
    assert "before they could begin" in str(answer.error)
    assert len(kills) == 3
    assert not told.exists()


def _give_and_hang_up(worker, parcel, end):
    """Records the parcel and ends the worker before it can have seen it."""
    worker.parcel = parcel
    parcel.call.running += 1
    end.shutdown(2)


def test_a_timeout_stops_the_task_while_nobody_attends(shared):
    def hang(_):
        threading.Event().wait()

    caller = Caller(shared, hang, timeout_seconds=0.2)
    caller.send(0)
    assert caller.next().death.timed_out


def test_a_child_that_was_forked_leaves_the_supervisor_alone():
    assert shoal.map(abs, [-1]) == [1]
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            made = shoal.executor("processes", max_workers=1)
            os.write(write, b"%d" % made.submit(abs, -7).result(20))
            made.shutdown()
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as told:
        assert told.read() == b"7"
    os.waitpid(child, 0)
    assert shoal.map(abs, [-2]) == [2]


@pytest.mark.parametrize("cores", [1, 2])
def test_who_waits_looks_without_sleeping_only_while_a_core_is_free(supervisor, monkeypatch, cores):
    looks, wait = [], supervisor._lookout.wait

    def watched(seconds, *, awake=False):
        looks.append(awake)
        return wait(seconds, awake=awake)

    monkeypatch.setattr(supervisor, "_cores", cores)
    monkeypatch.setattr(supervisor._lookout, "wait", watched)
    caller = Caller(supervisor, abs, limit=1)
    caller.send(-1, attended=True)
    assert caller.attended().ended.values == [1]
    assert looks[0] == (cores > 1)
