"""The same results and random streams for any number of workers, batching and deaths."""

import os
import random
import signal

import numpy as np
import pytest

import shoal
from shoal.tasks import Task, run

pytestmark = pytest.mark.timeout(60)
POINTS = 60
SLOW_1, SLOW_7 = (pytest.param(workers, marks=pytest.mark.slow) for workers in (1, 7))


def draw(x, rng):
    return x * rng.standard_normal(3), rng.integers(0, 2**63), rng.bit_generator.state["state"]


@pytest.fixture(scope="module")
def loop():
    children = np.random.SeedSequence(2014).spawn(POINTS)
    return [draw(x, np.random.default_rng(child)) for x, child in enumerate(children)]


def equal(got, loop):
    return len(got) == len(loop) and all(
        a[0].tobytes() == b[0].tobytes() and a[1:] == b[1:] for a, b in zip(got, loop, strict=True)
    )


@pytest.mark.parametrize("batch_size", [1, 7, "auto"])
@pytest.mark.parametrize("workers", [1, 2, 7])
def test_results_and_streams_are_the_loop_s(loop, workers, batch_size):
    """E24: 1, 2 and 7 workers."""
    got = shoal.map(draw, range(POINTS), max_workers=workers, batch_size=batch_size, seed=2014)
    assert equal(got, loop)


@pytest.mark.parametrize("workers", [SLOW_1, 2, SLOW_7])
def test_results_and_streams_are_the_loop_s_under_deaths_and_retries(loop, workers, tmp_path):
    """E24: with kills, errors and timeouts on the way: a task draws anew what it drew before."""

    def troubled(x, rng):
        drawn = draw(x, rng)
        mark = tmp_path / str(x)
        if x % 9 in (2, 4) and not mark.exists():
            mark.touch()
            if x % 9 == 4:
                raise OSError("only the first time")
            os.kill(os.getpid(), signal.SIGKILL)
        return drawn

    with shoal.executor("processes", max_workers=workers) as executor:
        got = shoal.map(
            troubled, range(POINTS), executor=executor, retries=1, worker_death_retries=9, seed=2014
        )
    assert len(list(tmp_path.iterdir())) == len([x for x in range(POINTS) if x % 9 in (2, 4)])
    assert equal(got, loop)


def test_a_failed_task_is_replayed_with_its_own_stream(loop):
    """E24: shoal.failure gives the generator's state as it was."""

    def fail(x, rng):
        drawn = rng.random()
        if x == 5:
            raise ValueError(drawn)

    [error] = [
        each
        for each in shoal.map(fail, range(8), max_workers=2, seed=1, on_error="return")
        if each is not None
    ]
    with pytest.raises(ValueError, match="0") as again:
        shoal.failure(error).replay()
    assert again.value.args == error.args


def test_outcomes_carry_the_streams_of_their_index(loop):
    """E24: whatever the order of completion."""
    tasks = [Task((x,)) for x in range(POINTS)]
    outcomes = sorted(run(draw, tasks, max_workers=2, seed=2014), key=lambda each: each.index)
    assert equal([outcome.value for outcome in outcomes], loop)


def test_no_two_workers_repeat_a_global_stream(pool):
    """E24: nor does one of them repeat the parent's, nor its predecessor's after a death."""

    def look(x):
        old = int(np.random.randint(2**62))  # noqa: NPY002  (numpy's old state)
        return os.getpid(), random.getrandbits(64), old

    seen = [look(0)]
    for _ in range(3):
        seen += shoal.map(look, range(8), executor=pool, batch_size=1)
        for pid in pool.supervisor.pids():
            os.kill(pid, signal.SIGKILL)
    pids, drawn, drawn_by_numpy = zip(*seen, strict=True)
    assert len(set(pids)) >= 4
    assert len(set(drawn)) == len(set(drawn_by_numpy)) == len(seen)
