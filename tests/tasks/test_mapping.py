"""map, imap and run equal the serial loop on every executor, and refuse bad input at the door."""

import itertools
import math
import operator
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import shoal
from shoal.tasks import Outcome, Task, run
from shoal.tasks.model import shorten
from tests.searching import examples

ROOT = Path(__file__).parents[2]

numbers = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False)
values = numbers | st.text(max_size=5) | st.none() | st.binary(max_size=5)
items = st.recursive(values, lambda inner: st.lists(inner, max_size=3), max_leaves=5)
lists = st.lists(items, max_size=60)
batch_sizes = st.just("auto") | st.integers(1, 25)
widths = st.sampled_from([1, 2, 7])
names = st.sampled_from(["serial", "threads", "processes"])
modest = examples(40)


@pytest.fixture(scope="module")
def loky():
    with shoal.executor("loky", max_workers=2) as made:
        yield made


def run_program(text):
    """A program in a process of its own, ended after a while should it hang."""
    return subprocess.run(
        ["timeout", "-k", "1", "20", sys.executable, "-c", text],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def shape(value):
    """Something of everything that an input is made of."""
    return (type(value).__name__, repr(value)[::-1], value)


def second_time_lucky(value, tried):
    """Raises for a value seen first; only threads and the serial loop remember what was seen."""
    if repr(value) not in tried:
        tried.append(repr(value))
        raise LookupError(value)
    return value


@modest
@given(inputs=lists, executor=names, max_workers=widths, batch_size=batch_sizes)
def test_map_equals_the_serial_loop(inputs, executor, max_workers, batch_size):
    expected = [shape(value) for value in inputs]
    options = {"executor": executor, "max_workers": max_workers, "batch_size": batch_size}
    assert shoal.map(shape, inputs, **options) == expected
    assert shoal.map(shape, iter(inputs), **options) == expected
    assert list(shoal.imap(shape, inputs, **options)) == expected


@examples(20)
@given(inputs=lists, batch_size=batch_sizes)
def test_map_on_loky_equals_the_serial_loop(loky, inputs, batch_size):
    expected = [shape(value) for value in inputs]
    assert shoal.map(shape, inputs, executor=loky, batch_size=batch_size) == expected


@modest
@given(
    inputs=st.lists(st.integers(-20, 20), max_size=60),
    executor=names,
    max_workers=widths,
    batch_size=batch_sizes,
    retries=st.integers(0, 2),
)
def test_errors_are_those_of_the_serial_loop_whatever_the_retries(
    inputs,
    executor,
    max_workers,
    batch_size,
    retries,
):
    options = {
        "executor": executor,
        "max_workers": max_workers,
        "batch_size": batch_size,
        "retries": retries,
    }
    expected = []
    for value in inputs:
        try:
            expected.append(100 // value)
        except ZeroDivisionError as error:
            expected.append((type(error), str(error)))
    results = shoal.map(lambda x: 100 // x, inputs, on_error="return", **options)
    assert expected == [
        (type(each), str(each)) if isinstance(each, Exception) else each for each in results
    ]
    if 0 not in inputs:
        assert shoal.map(lambda x: 100 // x, inputs, **options) == expected
        return
    for call in (shoal.map, lambda *a, **k: list(shoal.imap(*a, **k))):
        with pytest.raises(ZeroDivisionError) as caught:
            call(lambda x: 100 // x, inputs, **options)
        assert shoal.failure(caught.value).index == inputs.index(0)
        assert shoal.failure(caught.value).attempts == retries + 1


@modest
@given(data=st.data(), executor=names, max_workers=widths, batch_size=batch_sizes)
def test_several_iterables_equal_zip(data, executor, max_workers, batch_size):
    columns = data.draw(st.lists(st.lists(st.integers(), max_size=30), min_size=2, max_size=4))
    expected = [sum(row) for row in zip(*columns, strict=False)]
    results = shoal.map(
        lambda *row: sum(row),
        *columns,
        executor=executor,
        max_workers=max_workers,
        batch_size=batch_size,
    )
    assert results == expected


@modest
@given(executor=names, max_workers=widths, batch_size=batch_sizes, retries=st.integers(0, 2))
def test_random_draws_depend_on_seed_and_position_alone(executor, max_workers, batch_size, retries):
    children = np.random.SeedSequence(8).spawn(20)
    expected = [np.random.default_rng(child).random(3).tolist() for child in children]
    results = shoal.map(
        lambda _, rng: rng.random(3).tolist(),
        range(20),
        seed=8,
        executor=executor,
        max_workers=max_workers,
        batch_size=batch_size,
        retries=retries,
    )
    assert results == expected


@pytest.mark.parametrize("executor", ["serial", "threads"])
@pytest.mark.parametrize("batch_size", ["auto", 1, 7])
def test_a_task_that_succeeds_at_its_second_attempt_gives_its_value(executor, batch_size):
    tried = []
    inputs = list(range(30))
    options = {"executor": executor, "batch_size": batch_size, "retries": 1}
    assert shoal.map(lambda x: second_time_lucky(x, tried), inputs, **options) == inputs


def test_a_retry_draws_the_same_random_numbers_as_the_first_attempt():
    drawn = []

    def f(x, rng):
        drawn.append((x, rng.random()))
        raise ValueError

    shoal.map(f, range(3), seed=4, retries=2, executor="serial", on_error="return")
    assert len(drawn) == 9
    assert len(set(drawn)) == 3


def test_a_result_that_cannot_be_sent_is_not_forgotten_when_a_neighbour_is_tried_again():
    def f(x):
        if x == 2:
            return (each for each in [x])
        if x == 5:
            raise ValueError(x)
        return x

    results = shoal.map(f, range(8), batch_size=8, retries=1, on_error="return")
    kinds = [type(result).__name__ for result in results]
    assert kinds == ["int", "int", "ResultNotReturned", "int", "int", "ValueError", "int", "int"]


def test_arrays_of_a_batch_are_not_mixed_up_when_a_neighbour_returns_a_local_class():
    def f(x):
        class Local:
            pass

        return np.full(20_000, x), Local(), np.full(20_000, -x)

    results = shoal.map(f, range(6), batch_size=6)
    assert [(a[0], b[0]) for a, _, b in results] == [(x, -x) for x in range(6)]


@pytest.mark.parametrize("executor", ["serial", "threads", "processes"])
def test_imap_of_an_endless_input_reads_a_bounded_number_ahead(executor):
    read = 0

    def endless():
        nonlocal read
        while True:
            read += 1
            yield read

    results = shoal.imap(
        lambda x: x + 1, endless(), executor=executor, max_workers=2, batch_size=10
    )
    assert list(itertools.islice(results, 35)) == list(range(2, 37))
    assert read <= 35 + 10 * (8 * 2 + 2 * 32)
    results.close()


def test_imap_goes_on_while_its_reader_is_busy(tmp_path):
    """What has been sent ahead runs, in all workers, though nobody asks for the next result."""

    def touch(path):
        path.touch()

    paths = [tmp_path / str(number) for number in range(4)]
    results = shoal.imap(touch, paths, max_workers=2, batch_size=1)
    next(results)
    deadline = time.monotonic() + 10
    while not all(path.exists() for path in paths):
        assert time.monotonic() < deadline, "a worker stood idle"
    assert list(results) == [None] * 3


def test_a_hung_task_of_imap_is_stopped_while_its_reader_is_busy(tmp_path):
    def touch_or_hang(path):
        path.write_text(str(os.getpid()))
        while path.name == "1":
            time.sleep(1)

    paths = [tmp_path / str(number) for number in range(2)]
    results = shoal.imap(
        touch_or_hang,
        paths,
        max_workers=2,
        batch_size=1,
        timeout_seconds=0.3,
        on_error="return",
    )
    assert next(results) is None
    deadline = time.monotonic() + 10
    while not (paths[1].exists() and paths[1].read_text()):
        assert time.monotonic() < deadline
    hung = Path("/proc", paths[1].read_text())
    while hung.exists():
        assert time.monotonic() < deadline, "the hung task still runs"
    assert isinstance(next(results), shoal.errors.TaskTimeout)


def test_imap_raises_where_the_serial_loop_would():
    results = shoal.imap(lambda x: 1 / x, [1, 2, 0, 4], batch_size=2)
    assert [next(results), next(results)] == [1.0, 0.5]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert list(results) == []


@modest
@given(
    inputs=st.lists(st.integers(-5, 5), max_size=40),
    executor=names,
    max_workers=widths,
    batch_size=batch_sizes,
)
def test_run_gives_one_outcome_a_task(inputs, executor, max_workers, batch_size):
    tasks = [Task((10, x), label=f"no {x}" if x % 2 else None) for x in inputs]
    options = {"executor": executor, "max_workers": max_workers, "batch_size": batch_size}
    outcomes = list(run(operator.floordiv, tasks, **options))
    assert sorted(outcome.index for outcome in outcomes) == list(range(len(inputs)))
    for outcome in outcomes:
        x = inputs[outcome.index]
        assert isinstance(outcome, Outcome)
        assert outcome.ok == (x != 0)
        assert outcome.label == (f"no {x}" if x % 2 else None)
        assert outcome.attempt == 1
        assert outcome.seconds >= 0
        assert int(outcome.worker.rpartition(":")[2]) > 0
        if outcome.ok:
            assert outcome.result() == 10 // x
        else:
            assert isinstance(outcome.error, ZeroDivisionError)


def test_run_reads_a_generator_of_tasks_a_bounded_number_ahead():
    def tasks():
        for number in itertools.count():
            yield Task((number,), label=number)

    outcomes = run(abs, tasks(), executor="threads", max_workers=2)
    first = list(itertools.islice(outcomes, 50))
    assert all(outcome.label == outcome.index == outcome.value for outcome in first)
    outcomes.close()


def test_run_counts_the_attempts_of_a_task():
    tried = []
    tasks = [Task((number, tried)) for number in range(3)]
    outcomes = run(second_time_lucky, tasks, executor="serial", retries=2)
    assert [outcome.attempt for outcome in outcomes] == [2, 2, 2]


def test_what_is_no_task_is_refused_by_place_and_value():
    with pytest.raises(TypeError, match=r"task 1 is 7"):
        list(run(abs, [Task((1,)), 7], executor="serial"))
    with pytest.raises(TypeError, match=r"task 0 is 7"):
        list(run(abs, iter([7]), executor="serial"))
    with pytest.raises(TypeError, match=r"tasks=7"):
        run(abs, 7)


def test_a_threads_setting_reaches_the_workers():
    for threads in (1, 2):
        [found] = shoal.map(lambda _: os.environ["OMP_NUM_THREADS"], [0], threads_per_task=threads)
        assert found == str(threads)


def test_calls_in_several_threads_get_their_own_results():
    def call(number):
        return shoal.map(lambda x: x * number, range(50), max_workers=2)

    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(call, range(12)))
    assert results == [[x * number for x in range(50)] for number in range(12)]


class Untouched:
    """An iterable that must not be drawn from."""

    def __init__(self):
        self.touched = False

    def __iter__(self):
        return self

    def __next__(self):
        self.touched = True
        raise StopIteration


# Argument, wrong value, error, what is named.
BAD_COUNTS = [-1, -(10**30), True, False, 1.0, 2.5, "2", [2], math.nan, 1j, np.float64(2)]
BAD = [
    *(("f", value, TypeError) for value in (None, 5, "abs", [abs])),
    *(("max_workers", value, None) for value in [0, *BAD_COUNTS]),
    *(("batch_size", value, None) for value in [0, *BAD_COUNTS, None, "AUTO"]),
    *(("retries", value, None) for value in [*BAD_COUNTS, None]),
    *(("worker_death_retries", value, None) for value in [*BAD_COUNTS, None]),
    *(("threads_per_task", value, None) for value in [0, *BAD_COUNTS, None]),
    *(
        ("timeout_seconds", value, ValueError)
        for value in (0, 0.0, -0.0, -1, -0.5, math.nan, math.inf, -math.inf)
    ),
    *(("timeout_seconds", value, TypeError) for value in (True, False, "1", [1], 1j, Decimal(1))),
    *(("on_error", value, ValueError) for value in ("ignore", None, True, "", "RAISE", 0)),
    *(("progress", value, TypeError) for value in ("yes", 0, 1, 2, [], 1.0)),
    *(("executor", value, ValueError) for value in ("proceses", "", "ray!", "Serial")),
    *(("executor", value, TypeError) for value in (5, [], object, ThreadPoolExecutor, b"serial")),
    *(("seed", value, TypeError) for value in (1.5, "1", True, {1}, 1j, object, [0.5])),
    *(("seed", value, ValueError) for value in (-1, [1, -1])),
]


def kind_of(value):
    """The kinds of error a count gets: of type for what is no integer, of value for a small one."""
    return ValueError if type(value) is int else TypeError


def call_with(name, argument, value, iterable):
    call = {"map": shoal.map, "imap": shoal.imap, "run": run}[name]
    if argument == "f":
        return call(value, iterable)
    return call(abs, iterable, **{argument: value})


@pytest.mark.parametrize(
    ("name", "argument", "value", "kind"),
    [
        pytest.param(name, *bad, id=f"{name}-{bad[0]}={bad[1]!r}"[:50])
        for name in ("map", "imap", "run")
        for bad in BAD
        if (name, bad[0]) != ("run", "on_error")
    ],
)
def test_a_bad_argument_is_named_with_its_value_before_anything_is_drawn(
    name, argument, value, kind
):
    iterable = Untouched()
    with pytest.raises((TypeError, ValueError)) as caught:
        call_with(name, argument, value, iterable)
    assert caught.type is (kind or kind_of(value))
    assert f"{argument}=" in str(caught.value)
    assert shorten(value)[:30] in str(caught.value)
    assert not iterable.touched


@pytest.mark.parametrize("name", ["map", "imap"])
@pytest.mark.parametrize("argument", ["progress", "on_error", "batch_size", "executor"])
def test_an_array_where_a_word_is_expected_is_named_too(name, argument):
    with pytest.raises((TypeError, ValueError), match=f"{argument}="):
        call_with(name, argument, np.array([1, 2]), [1])


@pytest.mark.parametrize("call", [shoal.map, shoal.imap])
@pytest.mark.parametrize("wrong", [5, None, 2.5, abs, object(), np.array(3)])
def test_what_is_not_iterable_is_named_with_its_place_and_value(call, wrong):
    with pytest.raises(TypeError, match="iterable 1 is not iterable"):
        call(abs, wrong)
    with pytest.raises(TypeError, match="iterable 2 is not iterable") as caught:
        call(abs, [1], wrong)
    assert type(wrong).__name__ in str(caught.value)


@pytest.mark.parametrize("call", [shoal.map, shoal.imap])
def test_nothing_to_map_over_is_refused(call):
    with pytest.raises(TypeError, match="at least one iterable"):
        call(abs)


@pytest.mark.parametrize("seconds", [5, 5.0, np.float64(5), np.float32(5), np.int64(5)])
def test_any_number_of_seconds_above_zero_is_a_timeout(seconds):
    assert shoal.map(abs, range(3), timeout_seconds=seconds) == [0, 1, 2]


def test_a_timeout_longer_than_any_clock_can_wait_is_no_limit():
    program = """
import time, shoal
for seconds in (3e6, 10**9, 1e300, 10**400):
    print(shoal.map(lambda x: time.sleep(0.1) or x, range(3), timeout_seconds=seconds))
"""
    done = run_program(program)
    assert (done.stdout, done.stderr) == ("[0, 1, 2]\n" * 4, "")


def test_bad_input_starts_no_process():
    program = """
import psutil, shoal
from tests.tasks.test_mapping import BAD, call_with

for name in ("map", "imap", "run"):
    for argument, value, _ in BAD:
        try:
            call_with(name, argument, value, [1])
        except (TypeError, ValueError):
            continue
        if (name, argument) != ("run", "on_error"):
            print("accepted:", name, argument, value)
    try:
        call_with(name, "executor", "processes", 5)
    except TypeError:
        continue
    print("accepted: no iterable")
print(psutil.Process().children(recursive=True))
"""
    done = run_program(program)
    assert done.stdout == "[]\n", done.stdout + done.stderr


def test_imap_and_run_start_no_process_before_they_are_read():
    program = """
import psutil, shoal
from shoal.tasks import Task, run
lazy = shoal.imap(abs, [1]), run(abs, [Task((1,))])
print(psutil.Process().children(recursive=True))
"""
    done = run_program(program)
    assert done.stdout == "[]\n", done.stderr
