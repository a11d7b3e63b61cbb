"""A schema is applied, and what does not fit it is named with its place."""

import json

import pytest

from shoal.serverless.gateway.checking import answer

NUMBER = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}}


@pytest.mark.parametrize(
    ("schema", "arguments", "said"),
    [
        (NUMBER, {"n": 1}, None),
        (NUMBER, {"n": 0}, "at n): 0 is less than the minimum"),
        (NUMBER, [], "is not of type 'object'"),
        (True, {"anything": 1}, None),
        (False, {}, "False schema does not allow"),
        ({"$ref": "http://localhost:1/schema"}, {}, "refers to what is not in it"),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"type": "array"}}}, {}, "is not of type 'array'"),
        ({"$ref": "#"}, {}, "nested too deeply"),
    ],
)
def test_arguments_fit_or_the_place_that_does_not_is_named(schema, arguments, said):
    found = answer({"schema": schema, "arguments": json.dumps(arguments)})
    assert found == {} if said is None else said in found["message"]


def test_a_schema_that_is_none_is_named():
    assert "no JSON schema" in answer({"schema": {"type": "nonsense"}})["message"]
    assert answer({"schema": NUMBER}) == {}
