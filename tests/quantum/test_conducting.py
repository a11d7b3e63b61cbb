"""Chunks run here while that is sooner, and in workers as soon as it is not."""

import os
import time
from concurrent.futures import Executor

import pytest

import shoal
from shoal.quantum import conducting
from shoal.quantum.conducting import Conducting, Pace, Way, default_is_ours, is_on_this_machine
from shoal.quantum.splitting import Part, by_size


class Busy:
    """A simulation that takes its time and tells where it was."""

    def __init__(self, seconds=0.0):
        self.seconds = seconds

    def __call__(self, message):
        end = time.perf_counter() + self.seconds * len(message)
        while time.perf_counter() < end:
            pass
        return [(number, os.getpid()) for number in message]

    def load(self, number):
        return number


@pytest.fixture(autouse=True)
def _cold(monkeypatch):
    """No workers have loaded anything, as far as is known here."""
    monkeypatch.setattr(conducting, "_warm", {})
    monkeypatch.setattr(conducting, "_warming", set())
    monkeypatch.setattr(conducting, "_spent", {})


def numbers(chunk):
    return [at for part in chunk for at in range(part.start, part.stop)]


def conduct(busy, chunks, *, stopped=lambda: False, pace=None, **way):
    options = {"executor": None, "max_workers": 2, "by_cost": False, "progress": False}
    options |= {"may_run_here": True, "pace": pace or Pace(), "name": lambda: "busy"}
    conducting = Conducting(
        busy,
        numbers,
        chunks,
        Way(**{**options, **way}),
        seconds=[0.02 * sum(map(len, chunk)) for chunk in chunks],
        stopped=stopped,
    )
    ended = list(conducting)
    held = sorted(at for chunk, _ in ended for at in numbers(chunk))
    assert len(held) == len(set(held))
    return conducting, ended


def test_little_work_runs_here_and_starts_nothing():
    conductor, ended = conduct(Busy(), by_size(50, 1))
    assert {pid for _, value in ended for _, pid in value} == {os.getpid()}
    assert sorted(number for _, value in ended for number, _ in value) == list(range(50))
    assert conductor.here == len(ended) < 50


def test_work_on_an_executor_that_was_asked_for_never_runs_here():
    conductor, ended = conduct(Busy(), by_size(6, 1), executor="processes", may_run_here=False)
    assert os.getpid() not in {pid for _, value in ended for _, pid in value}
    assert conductor.here == 0
    assert len(ended) == 6


def test_chunks_by_cost_go_to_workers_in_few_messages_each_chunk_once():
    way = {"executor": "processes", "may_run_here": False, "by_cost": True}
    conductor, ended = conduct(Busy(), by_size(400, 1), **way)
    assert conductor.here == 0
    assert len(ended) < 100
    assert sorted(number for _, value in ended for number, _ in value) == list(range(400))


def test_what_workers_take_is_learnt_where_nothing_runs_here():
    pace = Pace()
    conduct(Busy(0.001), by_size(40, 1), executor="processes", may_run_here=False, pace=pace)
    assert pace.measured
    assert 0.02 < pace.seconds < 1


def test_work_goes_on_here_until_workers_are_ready_and_then_there(monkeypatch):
    monkeypatch.setattr(conducting, "WORTH_COLD_SECONDS", 0.5)
    conductor, ended = conduct(Busy(0.02), by_size(200, 1))
    here = {number for _, value in ended for number, pid in value if pid == os.getpid()}
    assert conductor.here > 0
    assert 0 in here
    assert 0 < len(here) < 200
    assert sum(len(value) for _, value in ended) == 200

    pace = Pace(1.0, measured=True)
    conductor, ended = conduct(Busy(0.02), by_size(20, 1), pace=pace)
    assert conductor.here == 0


def test_many_short_runs_start_workers_in_the_end(monkeypatch):
    monkeypatch.setattr(conducting, "WORTH_COLD_SECONDS", 0.6)
    pace, runs = Pace(1.0, measured=True), 0
    while not conducting._warm_here() and runs < 100:
        conduct(Busy(0.02), by_size(20, 1), pace=pace)
        runs += 1
        assert runs > 1 or not conducting._warming
    assert 1 < runs < 100


def test_nothing_is_begun_after_a_stop():
    done = []
    _, ended = conduct(Busy(), by_size(40, 1), stopped=lambda: len(done) > 0 or done.append(1))
    assert len(ended) < 2


def test_a_first_short_time_is_not_taken_for_slow_work():
    pace = Pace()
    pace.learn(0.3, 0.001)
    assert pace.seconds == 1.0
    pace.learn(0.002, 0.001)
    assert 1.0 < pace.seconds < 1.5
    slow = Pace()
    slow.learn(2.0, 0.01)
    assert slow.seconds == pytest.approx(200)


def test_a_time_too_short_to_be_measured_is_still_a_pace():
    pace = Pace()
    pace.learn(0.0, 1.0)
    assert pace.seconds > 0
    _, ended = conduct(Busy(), by_size(9, 1), pace=pace, by_cost=True, may_run_here=False)
    assert sum(len(value) for _, value in ended) == 9


def test_a_pace_that_was_too_slow_is_corrected_by_what_workers_take(monkeypatch):
    monkeypatch.setattr(conducting, "_warm", {os.getpid(): {"busy"}})
    pace = Pace(1000.0, measured=True)
    conductor, _ = conduct(Busy(0.001), by_size(40, 1), pace=pace)
    assert conductor.here == 0
    assert pace.seconds < 10


def test_the_variable_for_the_default_executor_is_heeded(monkeypatch):
    monkeypatch.delenv("SHOAL_EXECUTOR", raising=False)
    assert default_is_ours()
    monkeypatch.setenv("SHOAL_EXECUTOR", "loky")
    assert not default_is_ours()


def test_executors_elsewhere_do_not_count_on_the_memory_here(monkeypatch):
    monkeypatch.delenv("SHOAL_EXECUTOR", raising=False)
    here = [None, "processes", "loky", shoal.executor("processes", max_workers=1)]
    assert all(map(is_on_this_machine, here))
    assert not any(map(is_on_this_machine, ["ray", "dask://host:1", Executor()]))


def test_a_simulation_that_cannot_be_sent_runs_here(monkeypatch):
    def name():
        raise TypeError("cannot be pickled")

    monkeypatch.setattr(conducting, "WORTH_COLD_SECONDS", 0.0)
    monkeypatch.setattr(conducting, "WORTH_WARM_SECONDS", 0.0)
    conductor, ended = conduct(Busy(), by_size(50, 1), name=name)
    assert len(ended) == conductor.here


def test_chunks_are_labelled_by_their_experiments():
    assert conducting._label((Part(3, 4),)) == "experiment 3"
    assert conducting._label((Part(3, 5), Part(5, 8))) == "experiments 3 to 7"
