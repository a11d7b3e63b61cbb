"""Paths lead to routes: parts by name, encoded slashes within a part, methods told apart."""

import pytest

from shoal.serverless.gateway.web.refusals import Refusal
from shoal.serverless.gateway.web.routing import Route, Router


async def answer(gateway, asked):
    """Answers."""


def router(*paths):
    return Router([Route(*path.split(), answer) for path in paths])


ROUTES = router("GET /jobs", "POST /jobs", "GET /jobs/provider", "GET /jobs/{id}/logs/{piece}")


@pytest.mark.parametrize("path", ["/jobs", "/jobs/", "//jobs", "/jobs//"])
def test_slashes_at_the_ends_do_not_count(path):
    assert ROUTES.find("GET", path.encode())[0].path == "/jobs"


def test_parts_are_named_and_decoded_one_by_one():
    _, names = ROUTES.find("GET", b"/jobs/a%2Fb%20c/logs/%C3%A9")
    assert names == {"id": "a/b c", "piece": "é"}


def test_a_fixed_part_comes_before_a_named_one():
    assert ROUTES.find("GET", b"/jobs/provider")[0].path == "/jobs/provider"


@pytest.mark.parametrize("path", [b"/", b"/x", b"/jobs/1", b"/jobs/1/logs", b"/jobs/1/logs/2/3"])
def test_what_is_not_there_is_404(path):
    with pytest.raises(Refusal) as caught:
        ROUTES.find("GET", path)
    assert caught.value.status == 404


def test_another_method_is_405_and_names_those_that_are():
    with pytest.raises(Refusal, match="PUT is not allowed here: GET, POST is") as caught:
        ROUTES.find("PUT", b"/jobs")
    assert (caught.value.status, caught.value.headers) == (405, {"Allow": "GET, POST"})


@pytest.mark.parametrize("path", [b"/jobs/%FF/logs/1", "/jobs/é/logs/1".encode()])
def test_a_path_that_is_no_text_is_400(path):
    with pytest.raises(Refusal) as caught:
        ROUTES.find("GET", path)
    assert caught.value.status == 400


def test_one_route_cannot_be_there_twice():
    with pytest.raises(ValueError, match="GET /a/{y} is there twice"):
        router("GET /a/{x}", "GET /a/{y}")
