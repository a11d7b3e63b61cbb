"""Checks at the door name the argument, its value and what is allowed."""

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.tasks.arguments import (
    NAMES,
    check_call,
    check_count,
    check_executor,
    check_function,
    check_name,
    check_options,
    checked_policy,
)

junk = (
    st.none()
    | st.booleans()
    | st.floats()
    | st.complex_numbers()
    | st.text()
    | st.binary()
    | st.lists(st.integers())
    | st.integers(max_value=0)
)


def test_every_known_name_is_accepted():
    for name in NAMES:
        check_name(name)
        check_executor(name)


@given(name=st.text() | st.none() | st.integers())
def test_every_other_name_is_refused_with_the_list_of_the_known(name):
    if name in NAMES:
        return
    with pytest.raises(ValueError, match="executor=") as caught:
        check_name(name)
    assert all(repr(known) in str(caught.value) for known in NAMES)


def test_an_executor_object_and_none_are_accepted():
    check_executor(None)
    with ThreadPoolExecutor(1) as pool:
        check_executor(pool)


@pytest.mark.parametrize("wrong", [ThreadPoolExecutor, 3, object(), [], b"serial"])
def test_what_is_no_executor_is_refused_with_its_type(wrong):
    with pytest.raises(TypeError, match="executor=") as caught:
        check_executor(wrong)
    assert type(wrong).__name__ in str(caught.value)


@given(value=junk, least=st.integers(1, 5))
def test_what_is_no_count_is_refused_by_name(value, least):
    with pytest.raises((TypeError, ValueError), match=f"^n=.*at least {least}"):
        check_count("n", value, least=least)


@given(value=st.integers(0, 10**30))
def test_a_count_is_given_back_as_a_plain_integer(value):
    assert check_count("n", value, least=0) == value
    if value < 2**63:
        assert type(check_count("n", np.int64(value), least=0)) is int


def test_none_is_a_count_only_where_it_is_allowed():
    assert check_count("n", None, optional=True) is None
    with pytest.raises(TypeError, match="n=None"):
        check_count("n", None)


@given(
    retries=st.integers(0, 100),
    deaths=st.integers(0, 100),
    seconds=st.none() | st.floats(1e-6, 1e6) | st.integers(1, 10**6),
)
def test_a_policy_holds_what_was_given(retries, deaths, seconds):
    policy = checked_policy(retries, deaths, seconds)
    assert (policy.retries, policy.worker_death_retries) == (retries, deaths)
    assert policy.timeout_seconds == seconds


@pytest.mark.parametrize("seconds", [0, -0.0, -1, math.nan, math.inf, -math.inf, np.float64(0)])
def test_a_timeout_that_is_no_time_is_refused_by_value(seconds):
    with pytest.raises(ValueError, match="timeout_seconds=") as caught:
        checked_policy(0, 0, seconds)
    assert repr(seconds) in str(caught.value)


@pytest.mark.parametrize("seconds", [True, "1", b"1", [1], 1j, np.True_])
def test_a_timeout_that_is_no_number_is_refused_by_value(seconds):
    with pytest.raises(TypeError, match="timeout_seconds="):
        checked_policy(0, 0, seconds)


@pytest.mark.parametrize("seconds", [np.float32(2), np.int64(2), np.uint8(2), np.float64(2)])
def test_numbers_of_numpy_are_numbers_of_seconds(seconds):
    assert checked_policy(0, 0, seconds).timeout_seconds == 2


def test_a_callable_of_any_kind_is_a_function():
    class Calls:
        def __call__(self):
            pass

    for function in (abs, Calls(), Calls, lambda: 0, [].append, np.sin):
        check_call(function, [[1]], "raise", None)


def test_each_part_of_a_call_is_refused_by_name():
    for wrong in (
        (5, [[1]], "raise", None),
        (abs, [[1]], "skip", None),
        (abs, [[1]], "raise", "yes"),
    ):
        named = next(
            name
            for name, good, given_ in zip(
                ("f", "iterables", "on_error", "progress"),
                (abs, [[1]], "raise", None),
                wrong,
                strict=True,
            )
            if good != given_
        )
        with pytest.raises((TypeError, ValueError), match=f"^{named}="):
            check_call(*wrong)
    with pytest.raises(TypeError, match="at least one iterable"):
        check_call(abs, [], "raise", None)


def test_what_can_be_called_is_a_function():
    for function in (abs, int, "".join, lambda: 0):
        check_function(function)
    for wrong in (5, None, "abs", [abs]):
        with pytest.raises(TypeError, match="f=.*is not callable"):
            check_function(wrong)


OPTIONS = {
    "executor": None,
    "max_workers": None,
    "batch_size": "auto",
    "timeout_seconds": None,
    "retries": 0,
    "worker_death_retries": 2,
    "threads_per_task": 1,
    "on_error": "return",
    "progress": None,
    "seed": None,
}


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("executor", "nowhere"),
        ("executor", 5),
        ("max_workers", 0),
        ("batch_size", "all"),
        ("batch_size", 0),
        ("timeout_seconds", -1),
        ("retries", -1),
        ("worker_death_retries", None),
        ("threads_per_task", 0),
        ("on_error", None),
        ("progress", 1),
        ("seed", -1),
        ("seed", "x"),
    ],
)
def test_each_option_of_a_call_is_refused_by_name_before_it(name, wrong):
    check_options(abs, **OPTIONS)
    with pytest.raises((TypeError, ValueError), match=f"^{name}="):
        check_options(abs, **{**OPTIONS, name: wrong})
    with pytest.raises(TypeError, match="f=5"):
        check_options(5, **OPTIONS)
