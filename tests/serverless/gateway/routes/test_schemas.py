"""A schema is applied in a process of its own, and nothing it says can hold up the gateway."""

import json

import pytest

NUMBER = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}}


def test_a_program_with_a_schema_runs_only_with_arguments_that_fit(user):
    user.upload("", arguments_schema=json.dumps(NUMBER))
    body = {"title": "program", "arguments": '{"n": 0}'}
    refused = user.post("/programs/run/", json=body)
    assert refused.status_code == 400
    assert "less than the minimum" in refused.json()["message"]
    assert user.get("/jobs/").json()["count"] == 0
    assert user.submit(arguments={"n": 1})
    user.upload("", arguments_schema="{}")
    assert user.submit(arguments={"n": 0})


@pytest.mark.slow
def test_a_pattern_that_takes_for_ever_is_ended_while_others_are_served(served, user):
    user.upload("", arguments_schema=json.dumps({"properties": {"a": {"pattern": "^(a+)+$"}}}))
    body = {"title": "program", "arguments": json.dumps({"a": "a" * 60 + "!"})}
    answer = user.post("/programs/run/", json=body)
    assert answer.status_code == 400
    assert "within the limits" in answer.json()["message"]
    assert served.anybody.get("/health").status_code == 200
