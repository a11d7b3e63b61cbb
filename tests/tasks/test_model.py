"""Outcomes and failures carry what they say, travel, and describe any input in one short line."""

import copy
import pickle
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import shoal
from shoal.tasks import Failure, Outcome, Task
from shoal.tasks.model import (
    INPUT_CHARACTERS,
    attach_failure,
    cut,
    describe_input,
    has_failure,
    shorten,
)
from shoal.tasks.seeds import check_seed


class Moody:
    """Its repr raises what it is given."""

    def __init__(self, error):
        self.error = error

    def __repr__(self):
        raise self.error


anything = st.recursive(
    st.none() | st.integers() | st.floats() | st.text(max_size=2000) | st.binary(max_size=2000),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=40,
)


def divided(x, rng=None):
    if rng is not None:
        raise ValueError(f"{x}: {rng.random()}")
    return 1 / x


def failed(f, inputs, **options):
    [error] = [
        each
        for each in shoal.map(f, inputs, on_error="return", **options)
        if isinstance(each, BaseException)
    ]
    return error


def test_a_task_is_a_call_with_a_label_and_cannot_be_changed():
    task = Task((1,), {"base": 2}, label="one")
    assert (task.args, task.kwargs, task.label) == ((1,), {"base": 2}, "one")
    assert (Task().args, dict(Task().kwargs), Task().label) == ((), {}, None)
    with pytest.raises(FrozenInstanceError):
        task.args = ()


def outcome(value=None, error=None):
    return Outcome(
        index=3, value=value, error=error, label=None, attempt=1, seconds=0.5, worker="here:1"
    )


def test_an_outcome_gives_its_value():
    assert outcome(5).ok
    assert outcome(5).result() == 5


def test_an_outcome_with_an_error_raises_that_very_error():
    error = OSError("disk")
    assert not outcome(error=error).ok
    with pytest.raises(OSError, match="disk") as caught:
        outcome(error=error).result()
    assert caught.value is error


def test_an_outcome_can_be_pickled():
    assert pickle.loads(pickle.dumps(outcome(5))) == outcome(5)


@pytest.mark.parametrize("executor", ["serial", "threads", "processes"])
def test_a_replay_makes_the_same_call_again_here(executor):
    error = failed(divided, [2, 1, 0, 4], executor=executor)
    found = shoal.failure(error)
    assert (found.index, found.args, found.kwargs, found.attempts) == (2, (0,), {}, 1)
    assert found.function is divided
    with pytest.raises(ZeroDivisionError) as caught:
        found.replay()
    assert caught.traceback[-1].name == "divided"


@pytest.mark.parametrize("executor", ["serial", "threads", "processes"])
def test_a_replay_draws_the_same_random_numbers(executor):
    errors = shoal.map(divided, range(5), seed=9, executor=executor, on_error="return")
    for error in errors:
        for _ in range(2):
            with pytest.raises(ValueError, match=":") as caught:
                shoal.failure(error).replay()
            assert str(caught.value) == str(error)


def test_a_replay_returns_what_the_function_returns_this_time():
    switch = {"broken": True}

    def switched(x):
        if switch["broken"]:
            raise RuntimeError("broken")
        return 2 * x

    error = failed(switched, [21], executor="serial")
    switch["broken"] = False
    assert shoal.failure(error).replay() == 42


def test_a_replay_has_the_contents_a_reused_buffer_had_at_that_task():
    def reusing():
        buffer = [0]
        for number in range(6):
            buffer[0] = number
            yield buffer

    def picky(buffer):
        if buffer[0] == 3:
            raise LookupError(buffer[0])

    error = failed(picky, reusing(), executor="processes", batch_size=6)
    assert shoal.failure(error).args == ([3],)
    with pytest.raises(LookupError, match="3"):
        shoal.failure(error).replay()


def test_an_error_from_elsewhere_has_no_failure():
    with pytest.raises(LookupError, match="ValueError was not raised by a task of shoal: mine"):
        shoal.failure(ValueError("mine"))


def test_a_failed_tasks_error_can_be_pickled_even_where_its_input_and_function_cannot():
    error = failed(lambda lock: lock.missing, [__import__("threading").Lock()], executor="serial")
    loaded = pickle.loads(pickle.dumps(error))
    assert type(loaded) is AttributeError
    assert str(loaded) == str(error)
    assert loaded.__notes__ == error.__notes__


def test_a_pickled_failure_is_a_description():
    error = failed(divided, [1, 0], executor="processes")
    loaded = shoal.failure(pickle.loads(pickle.dumps(error)))
    original = shoal.failure(error)
    assert loaded.index == original.index
    assert loaded.args == ("0",)
    assert loaded.traceback == original.traceback
    assert loaded.worker == original.worker
    with pytest.raises(LookupError, match="without its function"):
        loaded.replay()


def test_an_error_may_be_pickled_twice_and_copied():
    error = failed(divided, [0], executor="processes")
    twice = pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(error))))
    assert shoal.failure(twice).index == 0
    assert shoal.failure(copy.copy(error)).index == 0


def test_a_label_is_kept_by_the_failure():
    failure = Failure(abs, (1,), {}, 0, "named", 1, "", "")
    assert describe_input(failure.args, failure.kwargs, failure.label) == "'named'"


def test_a_replay_does_not_change_the_failure():
    failure = Failure(lambda **kwargs: sorted(kwargs), (), {"a": 1}, 0, None, 1, "", "")
    failure.seed = check_seed(1)
    assert failure.replay() == ["a", "rng"]
    assert failure.kwargs == {"a": 1}


def test_an_exception_that_takes_no_attributes_cannot_hold_a_failure():
    class Closed(Exception):
        def __setattr__(self, name, value):
            raise AttributeError(name)

    error = Closed()
    with pytest.raises(AttributeError):
        attach_failure(error, Failure(abs, (1,), {}, 0, None, 1, "", ""))
    assert not has_failure(error)
    assert has_failure(failed(divided, [0], executor="serial"))


@given(anything)
def test_any_input_is_described_in_one_line_of_bounded_length(value):
    for text in (
        shorten(value),
        describe_input((value,), {}),
        describe_input((value, value), {"x": value}),
        describe_input((), {}, label=value if value is not None else "label"),
    ):
        assert len(text) <= INPUT_CHARACTERS
        assert "\n" not in text


@pytest.mark.parametrize(
    "value",
    [
        "x" * 10**7,
        list(range(10**6)),
        dict.fromkeys(range(1000), "x" * 1000),
        np.random.default_rng(1).random((1000, 1000)),
        10**5000,
        b"y" * 10**7,
        type("Wordy", (), {"__repr__": lambda _: "word " * 10**6})(),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_huge_input_is_shortened(value):
    assert 0 < len(shorten(value)) <= INPUT_CHARACTERS


@pytest.mark.parametrize("value", [3.141592653589793, -0.0, 1e-300, 2**64, 1 + 2j, "phi", None])
def test_numbers_and_names_are_not_shortened(value):
    assert shorten(value) == repr(value)


@pytest.mark.parametrize(
    "error", [ValueError("no"), RecursionError(), LookupError(), MemoryError()]
)
def test_a_repr_that_raises_becomes_the_name_of_its_type(error):
    for value in (Moody(error), [1, Moody(error)], {"a": Moody(error)}):
        assert "Moody" in shorten(value)


def test_a_repr_that_raises_breaks_no_error():
    def fails(x):
        raise KeyError("key")

    error = failed(fails, [Moody(ValueError())], executor="serial")
    assert isinstance(error, KeyError)
    assert "Moody" in "".join(error.__notes__)


def test_several_arguments_are_described_as_they_are_called():
    assert describe_input((1, "a"), {"base": 16}) == "(1, 'a', base=16)"
    assert describe_input((7,), {}) == "7"
    assert describe_input((), {}) == "()"
    assert describe_input((7,), {}, label="seven") == "'seven'"


@given(text=st.text(), characters=st.integers(60, 200))
def test_cutting_keeps_both_ends_and_says_how_much_is_missing(text, characters):
    short = cut(text, characters)
    assert len(short) <= max(characters, 0)
    if len(text) <= characters:
        assert short == text
    else:
        half = characters // 2 - 20
        assert short.startswith(text[:half])
        assert short.endswith(text[-half:])
        assert f"{len(text) - 2 * half} characters" in short


@pytest.mark.parametrize(
    "value",
    [np.float64(0.1), np.float32(0.5), np.int64(-3), np.complex128(1 + 2j), np.True_],
    ids=repr,
)
def test_numbers_of_numpy_are_told_as_the_numbers_they_are(value):
    assert shorten(value) == str(value)
    assert shorten([value]) == f"[{value}]"
    assert describe_input((), {"x": value}) == f"(x={value})"
