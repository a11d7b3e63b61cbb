"""map, imap and run on every executor, ours and foreign ones: what the serial loop would give."""

import itertools

import numpy as np
import pytest

import shoal
from shoal.errors import ExecutorClosed
from shoal.tasks import Task, run
from tests.contracts.conftest import CLUSTERS, FOREIGN, OURS, make_executor
from tests.contracts.payloads import Odd, add, draw, fail_if_three, noisy, pair, square

pytestmark = pytest.mark.timeout(60)
NAMES = [pytest.param((name, False), id=f"name-{name}") for name in OURS if name != "loky"]
INSTANCES = [pytest.param((name, True), id=f"instance-{name}") for name in OURS + FOREIGN]


@pytest.fixture(params=NAMES + INSTANCES)
def executor(request, warm):
    name, instance = request.param
    return warm(name) if instance else name


@pytest.fixture(params=[None, 1, 3])
def batch_size(request):
    return "auto" if request.param is None else request.param


def test_loky_by_its_name_serves_map_imap_and_run():
    """The other claims are made of an instance, since each call by name starts its own workers."""
    assert shoal.map(square, range(20), executor="loky", max_workers=2) == [
        x * x for x in range(20)
    ]
    squares = shoal.imap(square, itertools.count(), executor="loky", max_workers=2)
    assert list(itertools.islice(squares, 20)) == [x * x for x in range(20)]
    squares.close()
    [outcome] = run(fail_if_three, [Task((3,))], executor="loky", max_workers=2)
    assert isinstance(outcome.error, Odd)


def test_map_equals_the_loop(executor, batch_size):
    xs = [0.1 * x for x in range(100)]
    got = shoal.map(square, xs, executor=executor, max_workers=2, batch_size=batch_size)
    assert got == [square(x) for x in xs]


def test_map_zips_several_iterables(executor):
    got = shoal.map(add, range(50), itertools.count(7), executor=executor, max_workers=2)
    assert got == [x + y for x, y in zip(range(50), itertools.count(7), strict=False)]


def test_map_takes_lambdas_closures_and_methods(executor):
    shift = 3
    assert shoal.map(lambda x: x + shift, [1, 2], executor=executor, max_workers=2) == [4, 5]
    assert shoal.map("a-b".split, ["-", "b"], executor=executor, max_workers=2) == [
        ["a", "b"],
        ["a-", ""],
    ]


def test_map_takes_generators(executor):
    got = shoal.map(square, (x for x in range(40)), executor=executor, max_workers=2)
    assert got == [x * x for x in range(40)]


def test_map_takes_arrays_by_rows(executor):
    rows = np.arange(12.0).reshape(4, 3)
    got = shoal.map(np.sum, rows, executor=executor, max_workers=2)
    assert got == [np.sum(row) for row in rows]


def test_a_buffer_yielded_again_and_again_is_read_as_it_was(executor, batch_size):
    def inputs():
        buffer = [0]
        for x in range(30):
            buffer[0] = x
            yield buffer

    got = shoal.map(
        lambda buffer: buffer[0] ** 2,
        inputs(),
        executor=executor,
        max_workers=2,
        batch_size=batch_size,
    )
    assert got == [x * x for x in range(30)]


@pytest.mark.parametrize(
    "nothing",
    [[], (), range(0), iter(()), np.empty((0, 3))],
    ids=lambda nothing: type(nothing).__name__,
)
def test_nothing_in_nothing_out(executor, nothing):
    assert shoal.map(square, nothing, executor=executor, max_workers=2) == []
    assert list(shoal.imap(square, nothing, executor=executor, max_workers=2)) == []
    assert list(run(square, [], executor=executor, max_workers=2)) == []


def test_an_error_is_raised_with_its_type_and_names_the_input(executor):
    with pytest.raises(Odd, match="x = 3") as caught:
        shoal.map(fail_if_three, [1, 2, 3, 4], executor=executor, max_workers=2)
    assert type(caught.value) is Odd
    assert any("task 2" in note and "3" in note for note in caught.value.__notes__)
    assert shoal.failure(caught.value).args == (3,)
    with pytest.raises(Odd, match="x = 3"):
        shoal.failure(caught.value).replay()


def test_the_first_error_in_input_order_is_raised(executor, batch_size):
    def fail(x):
        if x >= 5:
            raise ValueError(x)
        return x

    with pytest.raises(ValueError, match="5") as caught:
        shoal.map(fail, range(40), executor=executor, max_workers=2, batch_size=batch_size)
    assert caught.value.args == (5,)


def test_the_error_of_a_task_comes_before_a_later_error_of_the_generator(executor, batch_size):
    def inputs():
        yield from range(10)
        raise LookupError("the generator is broken")

    got = []
    with pytest.raises(Odd, match="x = 3"):
        shoal.map(fail_if_three, inputs(), executor=executor, max_workers=2, batch_size=batch_size)
    with pytest.raises(Odd, match="x = 3"):
        for result in shoal.imap(
            fail_if_three, inputs(), executor=executor, max_workers=2, batch_size=batch_size
        ):
            got.append(result)  # noqa: PERF402  (what came before the error is the point)
    assert got == [0, 1, 2]


def test_all_that_a_broken_generator_gave_is_run_before_its_error(executor, batch_size):
    def inputs():
        yield from range(10)
        raise LookupError("the generator is broken")

    got = []
    with pytest.raises(LookupError, match="the generator is broken"):
        for result in shoal.imap(
            square, inputs(), executor=executor, max_workers=2, batch_size=batch_size
        ):
            got.append(result)  # noqa: PERF402  (as above)
    assert got == [x * x for x in range(10)]


def test_errors_are_data_when_asked(executor, batch_size):
    got = shoal.map(
        fail_if_three,
        range(10),
        executor=executor,
        max_workers=2,
        batch_size=batch_size,
        on_error="return",
    )
    assert isinstance(got[3], Odd)
    assert got[:3] + got[4:] == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    lazily = list(
        shoal.imap(fail_if_three, range(10), executor=executor, max_workers=2, on_error="return")
    )
    assert isinstance(lazily[3], Odd)
    assert lazily[4:] == [4, 5, 6, 7, 8, 9]


def test_a_seed_gives_the_streams_of_the_positions(executor, batch_size):
    children = np.random.SeedSequence(42).spawn(20)
    expected = [x + np.random.default_rng(child).random(3) for x, child in enumerate(children)]
    got = shoal.map(
        noisy, range(20), executor=executor, max_workers=2, batch_size=batch_size, seed=42
    )
    assert [row.tobytes() for row in got] == [row.tobytes() for row in expected]


def test_imap_equals_the_loop(executor, batch_size):
    got = shoal.imap(add, range(60), range(60), executor=executor, batch_size=batch_size)
    assert list(got) == [2 * x for x in range(60)]


def test_imap_of_an_endless_input_gives_as_much_as_is_asked(executor):
    squares = shoal.imap(square, itertools.count(), executor=executor, max_workers=2)
    assert list(itertools.islice(squares, 500)) == [x * x for x in range(500)]
    squares.close()
    assert shoal.map(square, [3], executor=executor, max_workers=2) == [9]


def test_imap_runs_nothing_before_it_is_read(executor):
    drawn = []

    def inputs():
        for x in range(3):
            drawn.append(x)
            yield x

    results = shoal.imap(square, inputs(), executor=executor, max_workers=2)
    assert drawn == []
    assert list(results) == [0, 1, 4]


def test_run_gives_every_outcome_once(executor):
    tasks = [Task((x,), {"y": -x}, label=f"point {x}") for x in range(30)]
    outcomes = list(run(pair, iter(tasks), executor=executor, max_workers=2))
    outcomes.sort(key=lambda outcome: outcome.index)
    assert [outcome.index for outcome in outcomes] == list(range(30))
    assert [outcome.value for outcome in outcomes] == [((x,), {"y": -x}) for x in range(30)]
    assert [outcome.label for outcome in outcomes] == [f"point {x}" for x in range(30)]
    assert {outcome.attempt for outcome in outcomes} == {1}
    assert all(outcome.ok and outcome.seconds >= 0 for outcome in outcomes)
    assert all(":" in outcome.worker for outcome in outcomes)


def test_run_with_a_seed_gives_the_streams_of_the_positions(executor):
    children = np.random.SeedSequence(7).spawn(6)
    expected = [np.random.default_rng(each).integers(0, 99, 4).tolist() for each in children]
    tasks = [Task((), {"low": 0, "high": 99}) for _ in range(6)]
    outcomes = run(draw, tasks, executor=executor, max_workers=2, seed=7)
    values = {outcome.index: outcome.value for outcome in outcomes}
    assert [values[index] for index in range(6)] == expected


def test_retries_run_a_task_that_raised_again(executor, tmp_path):
    def fail_once(x):
        mark = tmp_path / str(x)
        if x % 3 == 0 and not mark.exists():
            mark.touch()
            raise OSError(x)
        return x

    outcomes = list(
        run(
            fail_once,
            [Task((x,)) for x in range(9)],
            executor=executor,
            max_workers=2,
            retries=1,
        )
    )
    assert {outcome.index: outcome.attempt for outcome in outcomes} == {
        x: 2 if x % 3 == 0 else 1 for x in range(9)
    }
    assert sorted(outcome.value for outcome in outcomes) == list(range(9))


def test_an_instance_stays_open_for_its_owner(warm, executor):
    if isinstance(executor, str):
        pytest.skip("a name has no owner")
    shoal.map(square, range(5), executor=executor, max_workers=2)
    assert executor.submit(square, 3).result(30) == 9


def test_an_instance_is_never_wider_than_it_was_made():
    with shoal.executor("processes", max_workers=1) as executor:
        outcomes = list(
            run(square, [Task((x,)) for x in range(40)], executor=executor, max_workers=4)
        )
        assert len({outcome.worker for outcome in outcomes}) == 1
        assert len(executor.supervisor.pids()) == 1


@pytest.mark.parametrize("name", [*OURS, *FOREIGN])
def test_a_closed_instance_is_refused(name):
    closed = make_executor(name)
    closed.shutdown()
    with pytest.raises(ExecutorClosed):
        shoal.map(square, [1, 2], executor=closed)


@pytest.mark.parametrize("name", ["threads", "loky", *CLUSTERS, *FOREIGN])
def test_a_timeout_is_refused_where_no_task_can_be_stopped(name, warm):
    executor = warm(name)
    with pytest.raises(ValueError, match="timeout_seconds=1"):
        shoal.map(square, [1, 2], executor=executor, timeout_seconds=1)
