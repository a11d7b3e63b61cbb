"""Every error has a status, and a body that every published client can read."""

import json

import pytest

from shoal.serverless import errors
from shoal.serverless.gateway.web.refusals import Refusal, answer, answer_for, status_of


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.ArtifactRefused("a"), 400),
        (errors.NotFound("a"), 404),
        (errors.NotActive("a"), 403),
        (errors.KeyReused("a"), 409),
        (errors.QuotaExceeded("a"), 429),
        (errors.StoreBusy("a"), 503),
        (errors.StoreUnsure("a"), 503),
        (errors.StoreFull("a"), 507),
        (errors.ServerlessError("a"), 500),
    ],
)
def test_an_error_has_its_status_and_its_words(error, status):
    assert status_of(error) == status
    made = answer_for(error)
    assert (made.status_code, json.loads(made.body)) == (status, {"message": "a"})
    assert ("retry-after" in made.headers) == (status == 503)


def test_a_refusal_brings_its_status_and_headers():
    made = answer_for(Refusal(405, "no", {"Allow": "GET"}))
    assert (made.status_code, made.headers["allow"]) == (405, "GET")


@pytest.mark.parametrize("message", ["", "é\n\0", "\ud800", "<script>"])
def test_any_message_is_valid_json(message):
    made = answer(400, message)
    assert json.loads(made.body) == {"message": message}
    assert made.headers["content-type"] == "application/json"
