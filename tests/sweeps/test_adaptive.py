"""Learners of adaptive on our executors: true values, named errors, nothing left behind."""

import os
import signal
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from operator import itemgetter

import numpy as np
import pytest

import shoal
from shoal.errors import WorkerDied
from shoal.sweeps import sample
from tests.faults.watching import Program, lines, until

adaptive = pytest.importorskip("adaptive")

pytestmark = pytest.mark.timeout(60)


def peak(x, offset=0.1):
    return x + np.sin(7 * x) + 0.01 / (0.01 + (x - offset) ** 2)


def ring(xy):
    x, y = xy
    return float(np.tanh(20 * (x**2 + y**2 - 0.5)))


def noisy(number):
    return float(np.random.default_rng(number).normal(3.0))


def curve(point):
    return np.array([point[0] * point[1], np.cos(point[2])])


def peak_and_square(x):
    return {"height": peak(x), "square": x**2}


@pytest.fixture(scope="module")
def workers():
    """Two warm worker processes."""
    with shoal.executor("processes", max_workers=2) as made:
        yield made


def bits(value):
    array = np.asarray(value)
    return array.dtype.str, array.shape, array.tobytes()


def assert_values_are_those_of_a_call_here(data, f):
    assert data
    for point, value in data.items():
        assert bits(value) == bits(f(point)), point


# What is made, of which function, which goal.
LEARNERS = {
    "1D": (lambda: adaptive.Learner1D(peak, (-1, 1)), peak, {"points": 60}),
    "2D": (lambda: adaptive.Learner2D(ring, [(-1, 1)] * 2), ring, {"points": 40}),
    "ND": (lambda: adaptive.LearnerND(curve, [(0, 1)] * 3), curve, {"points": 20}),
    "average": (lambda: adaptive.AverageLearner(noisy, atol=0.2), noisy, {"loss": 1.0}),
    "integrator": (lambda: adaptive.IntegratorLearner(np.cosh, (0, 1), 1e-8), np.cosh, {}),
}


@pytest.mark.parametrize("kind", LEARNERS)
def test_values_are_those_of_a_call_here_and_one_worker_takes_adaptives_own_points(kind, workers):
    make, f, goal = LEARNERS[kind]
    learner = make()
    assert sample(learner, executor=workers, **goal) is learner
    assert_values_are_those_of_a_call_here(learner.data, f)
    adaptive.runner.simple(
        alone := make(), npoints_goal=goal.get("points"), loss_goal=goal.get("loss")
    )
    assert list(sample(make(), executor="serial", max_workers=1, **goal).data) == list(alone.data)


def test_a_sequence_ends_by_itself_even_if_more_points_are_asked_for(workers):
    for goal in ({}, {"points": 100}, {"seconds": 60}):
        learner = adaptive.SequenceLearner(lambda word: word.upper(), ["a", "b", "c"])
        assert sample(learner, executor=workers, **goal).result() == ["A", "B", "C"]


def test_each_learner_of_a_balancing_one_gets_its_points(workers):
    learners = [adaptive.Learner1D(lambda x, power=power: x**power, (0, 1)) for power in (1, 2, 3)]
    sample(adaptive.BalancingLearner(learners), points=8, executor=workers)
    for power, learner in enumerate(learners, 1):
        assert learner.npoints >= 8
        assert all(value == x**power for x, value in learner.data.items())


def test_a_data_saver_keeps_everything_the_function_returned(workers):
    learner = adaptive.Learner1D(peak_and_square, (-1, 1))
    saver = sample(adaptive.DataSaver(learner, itemgetter("height")), points=12, executor=workers)
    assert_values_are_those_of_a_call_here(saver.data, peak)
    assert saver.extra_data == {x: peak_and_square(x) for x in saver.data}


@pytest.mark.parametrize("executor", ["threads", "loky", None])
def test_closures_run_on_every_executor(executor):
    shift = 0.5
    learner = adaptive.Learner1D(lambda x: x + shift, (0, 1))
    sample(learner, points=6, executor=executor, max_workers=2)
    assert_values_are_those_of_a_call_here(learner.data, lambda x: x + shift)


def test_the_first_goal_that_is_met_ends_it_with_few_points_too_many():
    def sampled(**options):
        learner = adaptive.Learner1D(peak, (-1, 1))
        return sample(learner, executor="threads", max_workers=3, **options)

    assert 10 <= sampled(points=10, loss=1e-9).npoints <= 12
    found = sampled(points=10_000, loss=0.5)
    assert found.loss() <= 0.5
    assert found.npoints < 100
    assert 7 <= sampled(goal=lambda learner: learner.npoints >= 7, points=10_000).npoints <= 9
    assert sampled(seconds=0.05).npoints > 0
    assert sampled(goal=lambda _: True).npoints == 0


@pytest.mark.parametrize("executor", ["serial", "threads", "processes"])
def test_an_error_keeps_its_type_and_names_the_point(executor):
    learner = adaptive.Learner1D(lambda x: 1 / (x - 0.5), (0, 1))
    with pytest.raises(ZeroDivisionError) as caught:
        sample(learner, points=50, executor=executor, max_workers=2)
    assert "shoal: the learner's function failed at point 0.5" in caught.value.__notes__
    assert not isinstance(caught.value.__context__, RuntimeError)
    assert {0, 1} <= set(learner.data), "what was finished is kept"
    assert not learner.pending_points
    if executor == "processes":
        assert shoal.failure(caught.value).args == (0.5,)
        with pytest.raises(ZeroDivisionError):
            shoal.failure(caught.value).replay()


def test_a_point_that_kills_its_worker_is_named_and_nothing_else_is_lost():
    learner = adaptive.Learner1D(lambda x: os._exit(3) if x == 0.5 else x, (0, 1))
    with pytest.raises(WorkerDied) as caught:
        sample(learner, points=9, executor="processes", max_workers=1)
    assert "failed at point 0.5" in caught.value.__notes__[-1]
    assert learner.data == {0: 0, 1: 1}


def test_an_error_of_the_goal_is_not_taken_for_one_of_the_function():
    def goal(_):
        raise RuntimeError("no goal") from KeyError("cause")

    with pytest.raises(RuntimeError, match="^no goal$"):
        sample(adaptive.Learner1D(abs, (0, 1)), goal=goal, executor="serial")


def test_a_point_that_fails_is_tried_again_as_often_as_asked():
    tried = []

    def second_time_lucky(x):
        tried.append(x)
        if tried.count(x) == 1:
            raise OSError(x)
        return x

    learner = adaptive.Learner1D(second_time_lucky, (0, 1))
    assert sample(learner, points=8, retries=1, executor="serial", max_workers=1).npoints == 8
    tried.clear()
    with pytest.raises(OSError, match="0"):
        sample(learner.new(), points=8, executor="serial")


def test_points_that_fail_can_be_skipped_and_are_told_of(workers):
    learner = adaptive.Learner1D(lambda x: x or 1 / x, (0, 1))
    with pytest.warns(RuntimeWarning, match=r"failed: 1; the first is 0.0\n[^$]*ZeroDi") as told:
        sample(learner, points=9, executor=workers, on_error="skip")
    assert told[0].filename == __file__
    assert learner.npoints >= 9
    assert 0 not in learner.data
    failing = adaptive.Learner1D(lambda x: x / 0, (0, 1))
    with pytest.warns(RuntimeWarning, match="failed: "):  # it ends, although no point succeeds
        sample(failing, points=5, executor=workers, on_error="skip")


def test_an_executor_that_was_given_lives_on_after_success_and_error():
    with ThreadPoolExecutor(2) as mine:
        sample(adaptive.Learner1D(abs, (-1, 1)), points=4, executor=mine)
        with pytest.raises(ZeroDivisionError):
            sample(adaptive.Learner1D(lambda x: x / 0, (0, 1)), points=4, executor=mine)
        assert mine.submit(abs, -1).result() == 1


def test_a_learner_goes_on_where_it_was(workers, tmp_path):
    learner = sample(adaptive.Learner1D(peak, (-1, 1)), points=10, executor=workers)
    first = dict(learner.data)
    learner.save(tmp_path / "peak.pickle")
    loaded = adaptive.Learner1D(peak, (-1, 1))
    loaded.load(tmp_path / "peak.pickle")
    for each in (learner, loaded):
        sample(each, points=25, executor=workers)
        assert each.npoints >= 25
        assert first.items() <= each.data.items()
        assert_values_are_those_of_a_call_here(each.data, peak)


CTRL_C = """
    import pathlib, time
    import adaptive
    from shoal.sweeps import sample

    def f(x):
        with open("ledger", "a") as file:
            file.write("begun\\n")
        if 0 < x < 1:
            time.sleep(60)
        return x

    class Learner(adaptive.Learner1D):
        def remove_unfinished(self):
            super().remove_unfinished()
            pathlib.Path("stopping").touch()

    learner = Learner(f, (0, 1))
    try:
        sample(learner, points=50, executor="processes", max_workers=2)
    except KeyboardInterrupt:
        print(sorted(learner.data.items()), learner.pending_points)
        learner.function = abs
        print(sample(learner, points=5, executor="processes", max_workers=2).npoints >= 5)
        raise
"""


def test_ctrl_c_pressed_twice_leaves_no_process_and_a_usable_learner(tmp_path):
    (tmp_path / "program.py").write_text(textwrap.dedent(CTRL_C))
    program = Program(["program.py"], cwd=tmp_path)
    try:
        until(lambda: len(lines(tmp_path / "ledger")) == 4)
        os.killpg(program.pid, signal.SIGINT)
        until((tmp_path / "stopping").exists)
        os.killpg(program.pid, signal.SIGINT)
        status, out, err = program.finish(30)
        assert status == -signal.SIGINT, err
        assert out.splitlines() == ["[(0.0, 0.0), (1.0, 1.0)] set()", "True"]
        until(lambda: not program.living(), 20, "the end of all processes")
    finally:
        program.end()


def test_bad_arguments_are_named_with_their_value_before_any_work():
    learner = adaptive.Learner1D(lambda _: os._exit(1), (0, 1))
    bad = [
        *(("learner", value, TypeError) for value in (5, None)),
        ("goal", "loss", TypeError),
        *((name, "9", TypeError) for name in ("points", "loss", "seconds")),
        *((name, -1, ValueError) for name in ("points", "loss", "seconds", "retries")),
        *(("seconds", value, ValueError) for value in (0, float("nan"), float("inf"))),
        *(("executor", *each) for each in ((5, TypeError), ("proceses", ValueError))),
        *(("max_workers", *each) for each in ((0, ValueError), (1.5, TypeError))),
        *(("on_error", value, ValueError) for value in ("return", None)),
    ]
    for name, value, kind in bad:
        options = {"learner": learner, "goal": lambda _: False, name: value}
        with pytest.raises(kind) as caught:
            sample(options.pop("learner"), **options)
        assert f"{name}={value!r}" in str(caught.value)


def test_a_sampling_that_would_never_end_is_refused():
    with pytest.raises(ValueError, match="a Learner1D never ends by itself: .*goal=, points="):
        sample(adaptive.Learner1D(abs, (0, 1)))
    with pytest.raises(ValueError, match="a SequenceLearner needs all its points"):
        sample(adaptive.SequenceLearner(abs, [1, 2]), on_error="skip")


def test_adaptive_is_imported_late_and_its_extra_is_named_where_it_is_missing():
    code = """
import sys, shoal.sweeps.adaptive
print("adaptive" in sys.modules)
sys.modules["adaptive"] = None
try:
    shoal.sweeps.sample(5, points=3)
except shoal.errors.MissingExtra as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    late, message = done.stdout.splitlines()
    assert late == "False"
    assert "pip install 'shoal[adaptive]'" in message
