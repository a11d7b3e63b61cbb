"""What users of executorlib, loky, emcee, tqdm and asyncio write, on our executors."""

import asyncio
import concurrent.futures
import io
import os
import time
from functools import partial

import numpy as np
import pytest
from tqdm import tqdm

import shoal
from shoal.errors import WorkerDied

pytestmark = pytest.mark.timeout(60)


def square(x):
    return x * x


@pytest.fixture(params=["processes", "threads", "loky", "serial"])
def executor(request):
    if request.param == "loky":
        pytest.importorskip("loky")
    with shoal.executor(request.param, max_workers=2) as made:
        yield made


def test_submit_as_completed_and_wait(executor):
    futures = {executor.submit(square, x): x for x in range(12)}
    done = {futures[each]: each.result() for each in concurrent.futures.as_completed(futures)}
    assert done == {x: x * x for x in range(12)}
    finished, waiting = concurrent.futures.wait(futures, timeout=10)
    assert (len(finished), len(waiting)) == (12, 0)


def test_map_reads_several_iterables_in_order(executor):
    assert list(executor.map(pow, [2, 3, 4], [5, 2, 2])) == [32, 9, 16]
    assert list(executor.map(square, range(50), chunksize=7)) == [x * x for x in range(50)]


def test_a_bar_of_tqdm_around_map(executor):
    text = io.StringIO()
    results = list(tqdm(executor.map(square, range(20)), total=20, file=text))
    assert results == [x * x for x in range(20)]
    assert "20/20" in text.getvalue()


def test_a_pool_in_the_manner_of_emcee(executor):
    """Samplers want an object with a `map` that takes a method and the rows of an array."""

    class Sampler:
        def __init__(self, pool):
            self.pool = pool

        def log_probability(self, position, scale):
            return -0.5 * float(np.sum((position / scale) ** 2))

        def compute(self, positions):
            mapped = self.pool.map(partial(Sampler(None).log_probability, scale=2.0), positions)
            return np.array(list(mapped))

    positions = np.random.default_rng(8).normal(size=(16, 3))
    expected = [Sampler(None).log_probability(row, 2.0) for row in positions]
    assert Sampler(executor).compute(positions).tolist() == expected


def test_futures_chain_by_callbacks(executor):
    seen = []
    future = executor.submit(square, 7)
    future.add_done_callback(lambda each: seen.append(each.result()))
    assert future.result(10) == 49
    concurrent.futures.wait([future])
    executor.submit(square, 1).result(10)
    assert seen == [49]


def test_an_event_loop_runs_blocking_calls_beside_itself(executor):
    async def work():
        loop = asyncio.get_running_loop()
        calls = [loop.run_in_executor(executor, square, x) for x in range(20)]
        wrapped = asyncio.wrap_future(executor.submit(pow, 2, 10))
        return await asyncio.gather(*calls), await wrapped

    assert asyncio.run(work()) == ([x * x for x in range(20)], 1024)


def test_an_event_loop_goes_on_while_workers_work(workers, tmp_path):
    gate = tmp_path / "gate"

    def wait_for_gate(path):
        while not os.path.exists(path):
            time.sleep(0.002)
        return "opened"

    async def work():
        loop = asyncio.get_running_loop()
        held = loop.run_in_executor(workers, wait_for_gate, str(gate))
        assert await loop.run_in_executor(workers, square, 3) == 9
        assert not held.done()
        gate.touch()
        return await held

    assert asyncio.run(work()) == "opened"


def test_errors_and_deaths_arrive_at_the_await_and_name_the_input(workers):
    def fail(x):
        if x:
            os._exit(3)
        raise LookupError("nothing there")

    async def work():
        loop = asyncio.get_running_loop()
        calls = [loop.run_in_executor(workers, fail, x) for x in (0, 1)]
        return await asyncio.gather(*calls, return_exceptions=True)

    error, death = asyncio.run(work())
    assert isinstance(error, LookupError)
    assert isinstance(death, WorkerDied)
    assert shoal.failure(error).args == (0,)
    assert shoal.failure(death).args == (1,)


def test_a_whole_map_runs_beside_an_event_loop():
    async def work():
        both = (asyncio.to_thread(shoal.map, square, range(n), max_workers=2) for n in (30, 40))
        return await asyncio.gather(*both)

    assert asyncio.run(work()) == [[x * x for x in range(n)] for n in (30, 40)]


def test_adaptives_own_runner_takes_our_executor_with_a_number_of_tasks(workers):
    adaptive = pytest.importorskip("adaptive")
    learner = adaptive.Learner1D(lambda x: x**3, bounds=(-1, 1))
    adaptive.BlockingRunner(learner, npoints_goal=12, executor=workers, ntasks=2)
    assert learner.npoints >= 12
    assert all(value == x**3 for x, value in learner.data.items())
    assert workers.submit(square, 3).result() == 9, "the runner leaves the executor open"
