"""The record of a sweep: short text, exact labels, live errors beside it."""

import copy
import json
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.sweeps.axes import grid_of
from shoal.sweeps.labelled import provenance, states
from shoal.sweeps.labelled.provenance import Live, Record, record_in, record_of, types_in


def live_of(errors, **axes):
    def f(**keywords):
        return keywords

    return Live(f, grid_of(f, axes, None), errors)


def test_a_record_is_text_that_keeps_its_live_part_in_this_process_only():
    record = Record("{}", live_of({}, x=[1]))
    assert record == "{}"
    assert copy.deepcopy(record) is record
    assert copy.copy({"shoal": record})["shoal"].live is record.live
    assert type(pickle.loads(pickle.dumps(record))) is str


def test_types_of_all_errors_are_told_even_where_their_texts_are_not(monkeypatch):
    monkeypatch.setattr(provenance, "MOST_ERRORS", 2)
    errors = {4: KeyError("a"), 1: ValueError("b"), 3: ValueError("c")}
    record = json.loads(record_of(live_of(errors, x=range(5)), {}))
    assert [each["index"] for each in record["errors"]] == [1, 3]
    assert types_in(record) == ["ValueError", "ValueError", "KeyError"]
    assert states.states_in(record).tolist() == [0, 1, 0, 1, 1]


def test_equal_tracebacks_are_kept_once_and_each_has_its_own_end():
    errors = {}
    for index in range(3):
        try:
            raise ValueError(f"number {index}")
        except ValueError as error:
            errors[index] = error
    told, heads = provenance._told_errors(live_of(errors, x=range(3)), [0, 1, 2])
    assert [each["message"] for each in told] == ["number 0", "number 1", "number 2"]
    assert len(heads) == 1
    head, tail = provenance._split_traceback("Traceback:\n  line\nValueError: no\n", errors[0])
    assert (head, tail) == ("Traceback:\n  line\n", "ValueError: no\n")


def test_long_messages_are_cut_and_many_of_them_shorter():
    errors = {index: ValueError(f"{index}" + "x" * 100_000) for index in range(500)}
    record = record_of(live_of(errors, x=range(500)), {})
    assert len(record) < 600_000
    assert len(json.loads(record)["errors"]) == 500


def test_what_is_no_record_tells_nothing():
    for attributes in ({}, {"shoal": 3}, {"shoal": "{"}, {"shoal": "[1]"}):
        assert record_in(attributes) == {}


labels = st.one_of(
    st.lists(st.floats(allow_nan=False), min_size=1, unique=True),
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, unique=True),
    st.lists(st.text(), min_size=1, unique=True),
    st.lists(st.booleans(), min_size=1, unique=True),
)


@given(labels)
def test_different_labels_have_different_keys_whatever_their_dtype(values):
    keys = states.keys_of([np.array(values, object)])
    assert len({*keys}) == len({*values})
    native = np.array(values)
    if native.tolist() == values:
        assert states.keys_of([native]) == keys


def test_dates_have_the_same_key_in_any_unit():
    days = np.array(["2024-02-29", "1969-01-01", "NaT"], "M8[D]")
    assert states.keys_of([days]) == states.keys_of([days.astype("M8[ns]")])
    assert len({*states.keys_of([days])}) == 3


def test_integers_and_the_floats_they_equal_have_the_same_key():
    assert states.keys_of([np.arange(3)]) == states.keys_of([np.arange(3.0)])


@given(st.lists(st.integers(0, 2), min_size=1))
def test_packed_arrays_come_back(values):
    array = np.array(values, np.uint8)
    assert states.unpacked(states.packed(array), np.uint8).tolist() == values


def test_a_failure_that_carries_nothing_is_run_again_from_its_point():
    live = live_of({2: ValueError("kept")}, x=[1, 2, 5])
    assert live.failure(2).replay() == {"x": 5}
    joined = provenance.Joined({7: (live, 2)})
    assert joined.point(7) == {"x": 5}
    assert joined.failure(7).replay() == {"x": 5}
    assert joined.errors == {7: live.errors[2]}
    with pytest.raises(KeyError):
        joined.origin(0)
