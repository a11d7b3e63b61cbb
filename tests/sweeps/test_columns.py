"""A column keeps every value exactly, in the smallest dtype for all, whatever came first."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.sweeps.columns import Column, array_of

DAY = np.datetime64("2024-02-29")
NUMBERS = [
    3,
    2**53 + 1,
    2**63 - 1,
    2**63,
    -(2**70),
    0.5,
    -0.0,
    float("inf"),
    1j,
    np.int8(-7),
    np.uint8(200),
    np.uint64(2**63 + 1),
    np.float32(0.1),
    np.float16(0.25),
    np.complex64(1 - 2j),
    np.longdouble(1) / 3,
]
OTHERS = [True, np.True_, None, "text", b"a\0", (), {"k": 1}, DAY, DAY.astype("M8[ns]")]
OTHERS += [np.timedelta64(5, "s"), np.datetime64("NaT"), np.void(b"ab")]

anything = st.sampled_from(NUMBERS + OTHERS) | st.floats(width=32) | st.integers()


def alike(one, two):
    if isinstance(one, np.generic | np.ndarray):
        one, two = np.asarray(one), np.asarray(two)
        return (one.dtype, one.shape, one.tobytes()) == (two.dtype, two.shape, two.tobytes())
    return type(one) is type(two) and repr(one) == repr(two)


def same_array(one, two):
    assert (one.dtype, one.shape) == (two.dtype, two.shape)
    assert all(alike(*pair) for pair in zip(one.ravel(), two.ravel(), strict=True))


def column_of(values, batches=None):
    """A column that got these batches of positions, one after the other."""
    column = Column(len(values))
    for batch in [[at] for at in range(len(values))] if batches is None else batches:
        assert column.put(list(batch), [values[at] for at in batch]) == []
    return column.finished()


@st.composite
def in_batches(draw, values):
    some = draw(st.lists(values, min_size=1, max_size=24))
    order = draw(st.permutations(range(len(some))))
    cuts = sorted(draw(st.sets(st.integers(0, len(some)), max_size=3)) | {0, len(some)})
    return some, [order[a:b] for a, b in itertools.pairwise(cuts)]


@given(in_batches(anything))
def test_what_comes_out_does_not_depend_on_the_order_or_the_batches(case):
    values, batches = case
    same_array(column_of(values, batches), column_of(values))


@given(in_batches(anything))
def test_every_value_is_kept_exactly(case):
    values, batches = case
    for got, value in zip(column_of(values, batches), values, strict=True):
        if isinstance(value, float) and value != value:  # noqa: PLR0124  (NaN alone differs)
            assert got != got  # noqa: PLR0124
        elif isinstance(value, np.datetime64) and np.isnat(value):
            assert np.isnat(got)
        else:
            assert got == value


@given(st.lists(st.integers(), min_size=1))
def test_integers_never_become_floats(values):
    got = column_of(values)
    assert got.dtype in (np.int64, np.uint64, object)
    assert got.tolist() == values


@given(st.lists(st.floats(), min_size=1))
def test_floats_keep_their_bits(values):
    assert column_of(values).tobytes() == np.array(values).tobytes()


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([1, 2], "i8"),
        ([1, 0.5], "f8"),
        ([1, 1j], "c16"),
        ([2**53 + 1, 0.5], "O"),
        ([2**63, 5], "O"),
        ([2**63, 2**63 + 1], "u8"),
        ([2**64], "O"),
        ([True, False], "?"),
        ([True, 1], "O"),
        ([np.float32(1), 1.0], "f8"),
        ([np.int8(1), np.int16(1)], "i2"),
        ([np.int8(1), np.uint8(1)], "i2"),
        (["a", "b"], "O"),
        ([DAY, DAY], "M8[D]"),
        ([DAY, DAY.astype("M8[s]")], "M8[s]"),
        ([np.datetime64(10**6, "Y"), DAY.astype("M8[ns]")], "O"),
        ([None, DAY.astype("M8[ns]")], "O"),
    ],
    ids=repr,
)
def test_kinds_meet_in_the_smallest_that_holds_all(values, dtype):
    assert column_of(values).dtype == dtype
    assert column_of(values[::-1]).dtype == dtype


def test_a_time_among_objects_stays_a_time():
    [none, time] = column_of([None, np.datetime64(5, "ns")])
    assert none is None
    assert alike(time, np.datetime64(5, "ns"))


@pytest.mark.parametrize(
    ("value", "missing"),
    [
        (1.5, np.float64("nan")),
        (1j, np.complex128(complex("nan+nanj"))),
        (DAY, np.datetime64("NaT", "D")),
        (np.timedelta64(1, "s"), np.timedelta64("NaT", "s")),
        (np.float32(1), np.float32("nan")),
        ("x", float("nan")),
        (7, float("nan")),
        (True, float("nan")),
    ],
    ids=repr,
)
def test_a_missing_point_is_nan_or_nat_and_changes_no_value(value, missing):
    column = Column(2)
    column.put([1], [value])
    got = column.finished()
    assert alike(got[0], missing)
    assert got[1] == value
    assert got.dtype.kind not in "iub"
    if isinstance(value, int):
        assert type(got[1]) is type(value)


def test_text_of_vectorised_functions_is_not_cut_where_points_are_missing():
    column = Column(3)
    column.put([0, 1], np.array(["a", "bc"]))
    assert column.finished().tolist()[:2] == ["a", "bc"]
    assert np.isnan(column.finished()[2])


def test_nothing_at_all_is_nan():
    assert np.isnan(Column(3).finished()).all()


def test_many_values_of_several_kinds_are_told_apart():
    row = np.zeros(2)
    values = [1, row, 0.5, "x", row, *range(9), True]
    column = Column(20)
    column.put([19], [row])
    misfits = column.put(slice(0, len(values)), values)
    assert sorted(misfits) == [at for at, value in enumerate(values) if value is not row]
    assert np.flatnonzero(column.filled).tolist() == [1, 4, 19]


def test_arrays_of_other_shapes_are_told_by_position():
    column = Column(4)
    assert column.put([0], [np.zeros(2)]) == []
    assert column.put([1, 2, 3], [np.zeros(3), np.ones(2), 5.0]) == [0, 2]
    assert column.filled.tolist() == [True, False, True, False]


@pytest.mark.parametrize(
    "value",
    [
        np.ma.array([1.0, 2.0], mask=[False, True]),
        "text",
        b"a\0\0",
        [],
        [1, "a"],
        [True, False],
        [[1], [2, 3]],
        (2**63, -1),
        (2**53 + 1, 0.5),
        {"k": 1},
        None,
        len,
    ],
    ids=repr,
)
def test_what_no_array_holds_as_it_is_stays_an_object(value):
    own = array_of(value)
    assert (own.dtype, own.shape) == (object, ())
    kept = column_of([value, value])
    assert kept.shape == (2,)
    assert alike(kept[0], value)
    assert type(kept[1]) is type(value)


@pytest.mark.parametrize(
    ("value", "shape"), [([1, 2.5], (2,)), ((1, 2), (2,)), ([[1j], [2]], (2, 1)), ([2**40], (1,))]
)
def test_sequences_of_numbers_are_arrays(value, shape):
    assert array_of(value).shape == shape
    assert array_of(value).tolist() == np.array(value).tolist()


def test_what_workers_have_written_meets_what_came_otherwise():
    column = Column(6)
    column.put([0], [np.array([1, 2])])
    shared = np.zeros((6, 2), np.int64)
    column.adopt(shared)
    assert shared[0].tolist() == [1, 2]
    shared[2] = 3, 4
    column.written([2])
    column.put([1], [np.array([0.5, 0.5])])
    shared[3] = 2**53 + 1, 6
    column.written([3])
    got = column.finished()
    assert got.dtype == object
    assert got[:4].tolist() == [[1, 2], [0.5, 0.5], [3, 4], [2**53 + 1, 6]]
    assert type(got[0, 0]) is int
    assert np.isnan(got[4:].astype(float)).all()
