"""What a request says is read into numbers, flags and texts, or refused with the reason."""

import pytest
from starlette.datastructures import Headers

from shoal.serverless.gateway.asking import Asked, name_of, plain, text_of
from shoal.serverless.gateway.web.bodies import Body
from shoal.serverless.gateway.web.refusals import Refusal


def asked(query=b""):
    scope = {"raw_path": b"/", "query_string": query, "client": None}
    headers = Headers({})
    return Asked(scope, headers, Body(None, headers), pattern="/", path={})


def test_a_query_gives_texts_numbers_and_flags():
    found = asked(b"a=b+c&limit=5&on=TRUE&off=0&empty=")
    assert found.query["a"] == "b c"
    assert found.number("limit", 10, 100) == 5
    assert (found.number("offset", 7, 100), found.number("empty", 3, 9)) == (7, 3)
    assert (found.flag("on", False), found.flag("off", True), found.flag("x", True)) == (1, 0, 1)


@pytest.mark.parametrize("text", ["-1", "101", "1.5", "x", "٣", "1" * 50, "0x1"])
def test_a_number_out_of_range_is_refused(text):
    from urllib.parse import quote

    with pytest.raises(Refusal, match="expected a whole number from 0 to 100") as caught:
        asked(f"limit={quote(text)}".encode()).number("limit", 10, 100)
    assert caught.value.status == 400


@pytest.mark.parametrize("query", [b"a=%FF", b"&".join([b"a=1"] * 50), b"a=%00", b"\xff=1"])
def test_a_query_that_is_no_text_is_refused(query):
    with pytest.raises(Refusal):
        _ = asked(query).query


def test_who_asks_is_known_only_where_a_token_was_needed():
    with pytest.raises(LookupError):
        _ = asked().principal


def test_texts_are_texts_and_null_is_nothing():
    assert text_of({"a": "x"}, "a") == "x"
    assert text_of({"a": None}, "a", "default") == text_of({}, "a", "default") == "default"
    for values in ({}, {"a": None}, {"a": 1}, {"a": ["x"]}, {"a": "\0"}, {"a": "\ud800"}):
        with pytest.raises(Refusal):
            text_of(values, "a")


@pytest.mark.parametrize("name", ["x" * 256, "a\nb", "a\x7f", "\x1b[31m"])
def test_a_name_is_short_and_in_one_line(name):
    with pytest.raises(Refusal):
        name_of({"a": name}, "a")


@pytest.mark.parametrize("name", ["x" * 255, "é", "e\u0301", "🐟", "\u202e", "<script>", "a b"])
def test_any_other_name_is_taken_as_it_is(name):
    assert name_of({"a": name}, "a") == plain("a", name) == name
