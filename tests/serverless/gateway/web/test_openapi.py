"""The description says what the table says."""

from shoal.serverless.gateway.routes import TABLE
from shoal.serverless.gateway.web.openapi import described
from shoal.serverless.gateway.web.routing import Needs, Takes


def test_each_route_is_described_with_its_names_its_body_and_its_token():
    paths = described(TABLE)["paths"]
    for route in TABLE:
        found = paths[f"{route.path}/"][route.method.lower()]
        places = {(each["name"], each["in"]) for each in found["parameters"]}
        assert places == {(name, "path") for name in route.names} | {
            (name, "query") for name in route.query
        }
        assert ("security" in found) == (route.needs is not Needs.NOTHING)
        assert ("requestBody" in found) == (route.takes is not Takes.NOTHING)
        assert found["summary"].endswith(".")
