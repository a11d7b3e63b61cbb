"""One call can be read in four ways, and each gives every task once."""

import gc
import os
import threading
import weakref
from pathlib import Path

import numpy as np
import pytest

from shoal.tasks.arguments import checked_policy
from shoal.tasks.call import Call
from shoal.tasks.envelope import Calling


def call(f, inputs, **options):
    settings = {
        "executor": "serial",
        "max_workers": 2,
        "batch_size": 3,
        "policy": checked_policy(0, 0, None),
        "threads_per_task": 1,
        "on_error": "return",
        "progress": False,
    }
    return Call(f, [inputs], Calling("one"), **{**settings, **options})


def odd(x):
    if x % 4 == 3:
        raise ValueError(x)
    return 2 * x


@pytest.mark.parametrize("executor", ["serial", "threads", "processes"])
def test_collected_streamed_told_and_in_blocks_the_results_are_the_same(executor):
    def shown(value):
        return str(value)

    expected = [str(x) if x % 4 == 3 else str(2 * x) for x in range(20)]
    assert [*map(shown, call(odd, range(20), executor=executor).collect())] == expected
    assert [*map(shown, call(odd, range(20), executor=executor).stream())] == expected
    outcomes = sorted(
        call(odd, range(20), executor=executor).outcomes(), key=lambda outcome: outcome.index
    )
    assert [shown(each.value if each.ok else each.error) for each in outcomes] == expected
    told = {}
    for block in call(odd, range(20), executor=executor).blocks():
        for at, value in enumerate(block.values, block.start):
            told[at] = shown(block.errors.get(at, value))
    assert [told[at] for at in range(20)] == expected


@pytest.mark.parametrize("executor", ["serial", "threads", "processes"])
def test_blocks_that_are_to_raise_end_with_the_first_error(executor):
    got = []
    with pytest.raises(ValueError, match="3"):
        for block in call(odd, range(40), executor=executor, on_error="raise").blocks():
            got += range(block.start, block.stop)
    assert {0, 1, 2, 3} <= set(got)
    assert len(got) == len(set(got)) <= 40


def test_blocks_begin_no_more_when_asked():
    blocks = call(abs, range(60), batch_size=1).blocks()
    first = next(blocks)
    begun = blocks.begin_no_more()
    assert sum(len(each.values) for each in [first, *blocks]) == begun < 60


def test_closed_blocks_end():
    blocks = call(abs, range(60), batch_size=1, executor="processes").blocks()
    next(blocks)
    blocks.close()
    assert list(blocks) == []


@pytest.mark.parametrize("executor", ["threads", "processes"])
def test_outcomes_abandoned_from_another_thread_end_without_waiting_for_what_runs(
    executor, tmp_path
):
    pipe, ledger = tmp_path / "pipe", tmp_path / "ledger"
    os.mkfifo(pipe)

    def waits_at_first(x):
        if x == 0:
            Path(pipe).read_text()
        else:
            Path(ledger).touch()

    options = {"executor": executor, "max_workers": 1, "batch_size": 1}
    outcomes = call(waits_at_first, range(5), **options).outcomes()
    ended = []
    reader = threading.Thread(target=lambda: ended.extend(outcomes))
    reader.start()
    writer = os.open(pipe, os.O_WRONLY)  # opens when the first task is there to read
    try:
        outcomes.abandon()
        reader.join(60)
        assert not reader.is_alive()
    finally:
        os.close(writer)
    assert ended == []
    assert not ledger.exists()


def test_outcomes_abandoned_between_two_of_them_end():
    outcomes = call(abs, range(60), batch_size=1).outcomes()
    next(outcomes)
    outcomes.abandon()
    assert list(outcomes) == []
    outcomes.abandon()


def test_outcomes_may_be_abandoned_before_the_first_and_after_the_last():
    never = call(abs, range(3), executor="processes").outcomes()
    never.abandon()
    assert list(never) == []
    all_of_them = call(abs, range(3), executor="processes").outcomes()
    assert len(list(all_of_them)) == 3
    all_of_them.abandon()


def test_a_call_that_is_dropped_lets_go_of_its_function():
    def f(x):
        return x

    blocks = call(f, range(10)).blocks()
    next(blocks)
    known = weakref.ref(f)
    del f, blocks
    gc.collect()
    assert known() is None


def test_results_go_into_the_array_that_is_given():
    out = np.zeros(5)
    assert call(float, range(5), out=out).collect() is out
    assert out.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"batch_size": 0}, "batch_size=0"),
        ({"max_workers": 0}, "max_workers=0"),
        ({"threads_per_task": 0}, "threads_per_task=0"),
        ({"executor": "nowhere"}, "executor='nowhere'"),
        ({"on_error": "skip"}, "on_error='skip'"),
        ({"out": [0.0]}, "out="),
    ],
)
def test_bad_arguments_are_refused_at_the_call(options, words):
    with pytest.raises((TypeError, ValueError), match=words):
        call(abs, [1], **options)
