"""Tasks made where they run, from their index, are the calls that the table says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import shoal
from shoal.errors import WorkerDied
from shoal.tasks import NotWritten, run_indexed, shared_array
from tests.searching import examples

TABLE = [{"x": float(at), "y": -at} for at in range(60)]


def add(x, y):
    return x + 10 * y


def values_of(blocks, count):
    """The values by their position, each exactly once."""
    values = {}
    for block in blocks:
        assert len(block.values) == block.stop - block.start
        for at, value in enumerate(block.values, block.start):
            assert at not in values
            values[at] = block.errors.get(at, value)
    assert sorted(values) == list(range(count))
    return [values[at] for at in range(count)]


@examples(40)
@given(
    indices=st.lists(st.integers(0, 59), max_size=40) | st.builds(range, st.integers(0, 60)),
    executor=st.sampled_from(["serial", "threads", "processes"]),
    batch_size=st.just("auto") | st.integers(1, 9),
)
def test_values_are_those_of_the_loop_over_the_indices(indices, executor, batch_size):
    blocks = run_indexed(add, TABLE, indices, executor=executor, batch_size=batch_size)
    assert values_of(blocks, len(indices)) == [add(**TABLE[at]) for at in indices]


@pytest.mark.parametrize("executor", ["serial", "threads", "processes"])
def test_the_stream_of_a_task_is_that_of_its_index_and_not_of_its_place(executor):
    children = np.random.SeedSequence(3).spawn(60)
    indices = [50, 7, 7, 0]
    blocks = run_indexed(
        lambda x, y, rng: rng.random(), TABLE, indices, seed=3, executor=executor, batch_size=3
    )
    assert values_of(blocks, 4) == [np.random.default_rng(children[at]).random() for at in indices]


@pytest.mark.parametrize("executor", ["serial", "threads", "processes"])
def test_an_error_names_the_arguments_and_can_be_replayed(executor):
    def fails(x, y):
        if y == -5:
            raise LookupError(x)
        return y

    got = values_of(run_indexed(fails, TABLE, [3, 5, 4], executor=executor), 3)
    assert (got[0], got[2]) == (-3, -4)
    assert "x=5.0, y=-5" in "".join(got[1].__notes__)
    failure = shoal.failure(got[1])
    assert (failure.index, failure.function.__name__) == (5, "fails")
    assert failure.kwargs == {"x": 5.0, "y": -5}
    with pytest.raises(LookupError, match=r"5\.0"):
        failure.replay()


def test_a_worker_that_dies_costs_the_task_that_killed_it():
    def dies(x, y):
        if y == -2:
            import os

            os._exit(3)
        return x

    got = values_of(
        run_indexed(dies, TABLE, range(6), worker_death_retries=0, max_workers=2, batch_size=3), 6
    )
    assert [each for each in got if not isinstance(each, Exception)] == [0.0, 1.0, 3.0, 4.0, 5.0]
    assert type(got[2]) is WorkerDied


@pytest.mark.parametrize("executor", ["serial", "threads", "processes"])
@pytest.mark.parametrize("make", [np.zeros, shared_array])
def test_results_are_written_at_their_index_or_come_back_as_they_are(make, executor):
    odd = {3: 1j, 4: 1, 5: np.float32(1), 6: "text", 7: None, 8: [1.0], 9: True}

    def f(x, y):
        return odd.get(-y, x)

    out = make(60)
    indices = [20, 1, *odd, 0, 30]
    blocks = run_indexed(f, TABLE, indices, out=out, executor=executor, batch_size=4, max_workers=2)
    for index, got in zip(indices, values_of(blocks, len(indices)), strict=True):
        if index in odd:
            assert type(got) is NotWritten
            assert (type(got.value), got.value) == (type(odd[index]), odd[index])
            assert out[index] == 0
        else:
            assert got is None
            assert out[index] == index


def test_the_first_error_in_the_order_of_the_indices_is_raised_when_asked():
    def fails(x, y):
        if x > 9:
            raise ValueError(x)
        return x

    blocks = run_indexed(fails, TABLE, [1, 2, 30, 40, 3], on_error="raise", batch_size=1)
    with pytest.raises(ValueError, match=r"30\.0"):
        list(blocks)


def test_no_further_tasks_are_begun_when_asked_and_those_begun_still_come():
    blocks = run_indexed(add, TABLE, range(60), batch_size=1, max_workers=2)
    first = next(blocks)
    begun = blocks.begin_no_more()
    settled = [first, *blocks]
    assert 1 <= begun < 60
    assert values_of(settled, begun) == [add(**TABLE[at]) for at in range(begun)]


def test_closing_ends_the_blocks():
    blocks = run_indexed(add, TABLE, range(60), batch_size=1, max_workers=2)
    next(blocks)
    blocks.close()
    assert list(blocks) == []
    assert shoal.map(abs, [-1]) == [1]


def test_time_in_workers_is_counted_once():
    blocks = list(run_indexed(add, TABLE, range(60), executor="serial", batch_size=7))
    assert all(block.seconds >= 0 and block.cpu_seconds >= 0 for block in blocks)
    assert 0 < sum(block.seconds for block in blocks) < 5


@pytest.mark.parametrize("wrong", [5, None, (x for x in [1]), np.arange(3), "01", {0: 1}])
def test_what_are_no_indices_is_refused(wrong):
    with pytest.raises(TypeError, match="indices="):
        run_indexed(add, TABLE, wrong)


def test_what_cannot_be_called_is_refused():
    with pytest.raises(TypeError, match="f=5 is not callable"):
        run_indexed(5, TABLE, [0])
