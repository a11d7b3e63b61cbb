"""JSON is read strictly, carried as it is, and written in pieces that make one text."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.serverless.gateway.web.json_text import (
    checked_payload,
    dumped,
    object_of_text,
    parsed_object,
)

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), values))
def test_what_json_writes_is_read_as_it_was(value):
    assert parsed_object(json.dumps(value).encode()) == value
    assert parsed_object(dumped(value)) == value


@given(st.binary(max_size=200))
def test_anything_else_is_a_value_error_and_never_another(data):
    try:
        assert isinstance(parsed_object(data), dict)
    except ValueError as error:
        assert str(error)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not JSON"),
        ("[1]", "a JSON array: expected an object"),
        ("null", "a JSON null"),
        ('{"a": NaN}', "NaN, which JSON does not have"),
        ('{"a": 1e999}', "1e999, which is no finite number"),
        ('{"a": {"b": 1, "b": 2}}', "names 'b' twice"),
        ('{"a": ' + "[" * 100_000, "nested too deeply|not JSON"),
    ],
)
def test_what_is_wrong_is_said(text, said):
    with pytest.raises(ValueError, match=said):
        parsed_object(text.encode())


@pytest.mark.parametrize("text", ["{}", "[1, NaN]", '"\\ud800"', " 1 ", "-Infinity"])
def test_a_payload_is_whatever_python_writes_as_json(text):
    assert checked_payload("arguments", text) is text


@pytest.mark.parametrize("text", ["", "{", "'a'", '"\ud800"', "\0", "[" * 100_000])
def test_a_payload_that_is_no_json_is_refused(text):
    with pytest.raises(ValueError, match="arguments"):
        checked_payload("arguments", text)


@given(st.lists(st.text()))
def test_pieces_of_a_text_make_one_object(parts):
    text = b"".join(object_of_text("logs", parts))
    assert json.loads(text) == {"logs": "".join(parts)}
