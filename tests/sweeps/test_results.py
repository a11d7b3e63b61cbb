"""What a sweep has does not depend on the order in which it came; what does not fit is told."""

import itertools
from collections import namedtuple

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from shoal.errors import TaskRaised
from shoal.sweeps.outputs import OutputMismatch, outputs_of
from shoal.sweeps.results import Results
from shoal.tasks import NotWritten

Pair = namedtuple("Pair", "b a")  # noqa: PYI024  (users have these)


def area(): ...


def labelled(dim, coords, size=2, **scalars):
    return xr.DataArray(np.arange(float(size)), {dim: coords, **scalars}, dim)


KINDS = {
    "numbers": [1, 0.5, 2**53 + 1, 1j, np.float32(2), True, None, "text"],
    "shapes": [np.zeros(2), np.ones(2, int), np.zeros(3), 1.0, np.nan, [1, 2], [[1], [2, 3]]],
    "labels": [
        labelled("t", [0, 1]),
        labelled("t", [0, 1], at=5),
        labelled("t", [0, 2]),
        labelled("s", [0, 1]),
        labelled("t", [0, 1, 2], 3),
        np.array([5.0, 6.0]),
        np.zeros(3),
    ],
    "names": [
        {"a": 1, "b": 2.0},
        {"b": 2, "a": 1},
        Pair(5, 6),
        {"a": 1},
        {"a": 1, "b": 2, "c": 3},
        7.0,
        {"a": np.zeros(2), "b": 1},
        xr.Dataset({"a": 1, "b": 2}),
        xr.Dataset({"a": ("t", [1.0, 2.0]), "b": 2}),
    ],
}


def told(results):
    """All that can be told of finished results, in a form that compares bits and types."""
    results.finish()
    columns = {
        name: (column.finished().dtype, [repr(value) for value in column.finished().ravel()])
        for name, column in results.columns.items()
    }
    errors = {index: (type(e), str(e)) for index, e in sorted(results.errors.items())}
    return (
        [*columns.items()],
        errors,
        results.dims,
        {n: c.values.tolist() for n, c in results.coords.items()},
    )


@st.composite
def arrivals(draw):
    values = draw(st.sampled_from(sorted(KINDS)).map(KINDS.get))
    some = draw(st.lists(st.sampled_from(values), min_size=1, max_size=7))
    order = draw(st.permutations(range(len(some))))
    cuts = sorted(draw(st.sets(st.integers(0, len(some)), max_size=2)) | {0, len(some)})
    return some, [order[a:b] for a, b in itertools.pairwise(cuts)]


@pytest.mark.parametrize("given_", [None, "y", {"y": "t"}, ["a", "b"]], ids=repr)
@given(case=arrivals())
def test_the_order_and_the_batches_of_arrival_do_not_matter(given_, case):
    values, batches = case
    by_batch, one_by_one = (
        Results(outputs_of(given_, area, []), len(values), ["x"]) for _ in range(2)
    )
    for batch in batches:
        by_batch.put(list(batch), [values[at] for at in batch])
    for index, value in enumerate(values):
        one_by_one.put([index], [value])
    assert told(by_batch) == told(one_by_one)


@given(case=arrivals())
def test_every_point_has_a_value_or_an_error_and_never_both(case):
    values, batches = case
    results = Results(outputs_of(None, area, []), len(values))
    for batch in batches:
        results.put(list(batch), [values[at] for at in batch])
    results.finish()
    assert set(results.errors) == set(np.flatnonzero(~results.filled()))
    for column in results.columns.values():
        assert np.array_equal(column.filled, results.filled())
    for index, error in results.errors.items():
        assert isinstance(error, OutputMismatch)
        assert error.value is not None or values[index] is None


def put_all(values, given_=None, taken=()):
    results = Results(outputs_of(given_, area, []), len(values), taken)
    for index in reversed(range(len(values))):
        results.put([index], [values[index]])
    results.finish()
    return results


def test_the_shape_of_the_first_point_is_right():
    results = put_all([np.zeros(2), np.zeros(3), 1.0, np.ones(2)])
    assert sorted(results.errors) == [1, 2]
    assert str(results.errors[1]) == "returned shape (3,), where point 0 returned shape (2,)"
    assert results.errors[2].value == 1.0


def test_given_dimensions_decide_before_the_first_point_does():
    results = put_all([np.nan, np.zeros(3), np.ones(3)], {"y": "t"})
    assert sorted(results.errors) == [0]
    assert "'y' of shape ()" in str(results.errors[0])
    assert results.columns["y"].finished()[1:].tolist() == [[0.0] * 3, [1.0] * 3]


def test_other_names_than_the_first_are_told_with_both():
    results = put_all([{"a": 1}, {"b": 1}])
    assert str(results.errors[1]) == (
        "returned 'b' of shape (), where point 0 returned 'a' of shape ()"
    )


def test_the_labels_of_the_first_point_that_has_any_are_right():
    first, second = labelled("t", [0, 1]), labelled("t", [5, 6])
    results = put_all([np.zeros(2), first, second, first])
    assert sorted(results.errors) == [2]
    assert "t=array([5, 6])" in str(results.errors[2])
    assert results.errors[2].value.tolist() == second.values.tolist()
    results.columns["area"].finished()
    assert results.errors[2].value.tolist() == second.values.tolist()
    assert results.dims["area"] == ("t",)
    assert results.coords["t"].values.tolist() == [0, 1]


@pytest.mark.parametrize(
    "value",
    [{"x": 1, "y": 2}, labelled("x", [0, 1]), xr.DataArray([1.0], {"x": ("t", [1])}, "t")],
    ids=["output", "dimension", "coordinate"],
)
def test_a_label_with_an_axis_s_name_is_refused_whichever_point_has_it(value):
    for values in ([value, 1.0], [1.0, value]):
        with pytest.raises(ValueError, match="'x'"):
            put_all(values, taken=["x"])


def test_vectorised_results_are_taken_as_points_are():
    results = Results(outputs_of(None, area, []), 5)
    results.put_arrays([3, 4], {"area": np.zeros((2, 3))})
    results.put_arrays(slice(0, 2), {"area": np.ones((2, 2))})
    results.put_arrays([2], {"other": np.ones((1, 2))})
    results.finish()
    assert sorted(results.errors) == [2, 3, 4]
    assert results.errors[3].value.tolist() == [0.0] * 3
    declared = Results(outputs_of({"y": ("s", "t")}, area, []), 2)
    declared.put_arrays(slice(0, 2), {"y": np.zeros((2, 3))})
    assert sorted(declared.errors) == [0, 1]


def test_values_written_by_workers_join_those_that_came_otherwise():
    results = Results(outputs_of(None, area, []), 5)
    results.put([0], [{"a": 1.0, "b": np.zeros(2)}])
    out = np.zeros(5, [("a", "f8"), ("b", "f8", 2)])
    results.adopt(out)
    out[1] = 2.0, (3.0, 4.0)
    out[3] = 5.0, (6.0, 7.0)
    odd = {"a": 1j, "b": np.ones(2)}
    results.written([1, 2, 3, 4], [None, NotWritten(odd), None, NotWritten({"a": 1})])
    results.finish()
    assert results.columns["a"].finished()[:4].tolist() == [1, 2, 1j, 5]
    assert results.columns["b"].finished()[:4].tolist() == [[0, 0], [3, 4], [1, 1], [6, 7]]
    assert sorted(results.errors) == [4]


def test_an_error_whose_text_raises_is_told_all_the_same():
    class Silent(Exception):
        def __str__(self):
            raise RuntimeError("no")

    results = Results(outputs_of(None, area, []), 3)
    silent, plain = Silent(), ValueError("x")
    results.fail({0: silent, 2: plain})
    assert results.errors[2] is plain
    assert type(results.errors[0]) is TaskRaised
    assert str(results.errors[0]) == "Silent, whose text raises RuntimeError"
    assert results.errors[0].__cause__ is silent


def test_nothing_is_no_result():
    results = Results(outputs_of(None, area, []), 3)
    results.put([], [])
    results.finish()
    assert (results.columns, results.errors) == ({}, {})
