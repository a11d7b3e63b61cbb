"""Headers, sessions and records are read as they were written, and wrong indices are named."""

import json
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.errors import CheckpointUnreadable
from shoal.tasks.checkpoints import Part
from shoal.tasks.checkpoints.contents import (
    Header,
    Points,
    Session,
    checked_failed,
    checked_indices,
    record_parts,
)

any_text = st.text(st.characters(exclude_categories=()))


@given(
    st.integers(0, 9),
    st.integers(0, 10**30),
    st.lists(st.builds(Part, any_text, any_text, any_text)),
    st.binary(),
)
def test_a_header_is_read_as_written(section, total, parts, layout):
    header = Header(section, total, tuple(parts), layout)
    assert Header.from_bytes(header.to_bytes()) == header


def test_a_header_of_another_format_is_refused():
    payload = Header(0, 1, (), b"").to_bytes().replace(b'"format": 1', b'"format": 7')
    with pytest.raises(CheckpointUnreadable, match="version 7"):
        Header.from_bytes(payload)


def test_a_session_says_who_and_where_and_since_when():
    session = Session.here()
    assert Session.from_bytes(session.to_bytes()) == session
    assert session.pid == os.getpid()
    for said in (str(os.getpid()), session.host, session.utc, session.program):
        assert said in str(session)
    assert session.utc.endswith("+00:00")


@given(
    st.lists(st.integers(0, 2**63 - 1)),
    st.dictionaries(st.integers(0, 2**63 - 1), any_text),
    st.binary(),
)
def test_a_record_is_read_as_written(indices, failed, pickled):
    payload = b"".join(record_parts(3, np.array(indices, np.int64), failed, pickled))
    points = Points.from_bytes(payload)
    assert Points.section_of(payload) == points.section == 3
    assert points.indices.tolist() == indices
    assert points.indices.dtype == np.int64
    assert (points.failed, bytes(points.pickled)) == (failed, pickled)


@pytest.mark.parametrize(
    "indices", [[1, 2], (1, 2), range(1, 3), np.array([1, 2], "u1"), np.array([1, 2], ">i8")]
)
def test_any_sequence_of_integers_is_indices(indices):
    found = checked_indices(indices, 3, "indices")
    assert (found.tolist(), found.dtype) == ([1, 2], np.int64)


def test_no_indices_are_indices():
    assert checked_indices([], 0, "indices").tolist() == []
    assert checked_failed(None, 0) == checked_failed({}, 0) == {}


@pytest.mark.parametrize("wrong", [[1.0], ["1"], [True], [[1]], 5, None, [None], np.array(1)])
def test_what_are_no_integers_are_no_indices(wrong):
    with pytest.raises(TypeError, match="indices="):
        checked_indices(wrong, 9, "indices")


@pytest.mark.parametrize("wrong", [-1, 9, 2**63, 2**64, 10**30, -(10**30)])
def test_an_index_beyond_the_total_is_named(wrong):
    with pytest.raises(ValueError, match=f"indices contains {wrong}: expected 0 to 8"):
        checked_indices([0, wrong], 9, "indices")


def test_a_total_beyond_all_numbers_takes_what_indices_there_are():
    assert checked_indices([2**63 - 1], 10**100, "indices").tolist() == [2**63 - 1]
    with pytest.raises(ValueError, match="indices contains"):
        checked_indices([2**63], 10**100, "indices")


def test_failures_are_texts_of_indices():
    assert checked_failed({np.int64(1): "bad"}, 2) == {1: "bad"}
    with pytest.raises(TypeError, match="failed"):
        checked_failed({1: ValueError("bad")}, 2)
    with pytest.raises(TypeError, match="failed="):
        checked_failed([(1, "bad")], 2)
    with pytest.raises(ValueError, match="failed contains 2"):
        checked_failed({2: "bad"}, 2)


def test_a_header_can_be_read_without_shoal():
    payload = Header(2, 7, (Part("n", "d", "t"),), b"layout").to_bytes()
    length = int.from_bytes(payload[:8], "little")
    assert json.loads(payload[8 : 8 + length]) == {
        "format": 1,
        "section": 2,
        "total": 7,
        "parts": [["n", "d", "t"]],
    }
