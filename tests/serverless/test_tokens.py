"""Tokens carry an id and a secret, and only the secret's hash is kept."""

import pytest

from shoal.serverless.tokens import digest, matches, mint, split


def test_a_token_is_split_into_what_it_was_made_of():
    for _ in range(200):  # secrets hold the separator too
        minted = mint()
        name, secret = split(minted.text)
        assert name == minted.id
        assert matches(secret, minted.secret_sha256)
        assert secret not in repr(minted.secret_sha256)


def test_no_two_tokens_are_alike():
    assert len({mint().text for _ in range(100)}) == 100


@pytest.mark.parametrize(
    "text",
    [
        *("", "shoal_", "awesome_token", "shoal_12_ab"),
        pytest.param(mint().text + "x", id="longer"),
        pytest.param(mint().text[:-1], id="shorter"),
    ],
)
def test_anything_else_is_no_token(text):
    assert split(text) is None


def test_another_secret_does_not_match():
    assert not matches("a", digest("b"))
