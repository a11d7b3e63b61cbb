"""Tokens are remembered for a moment, guessing is slowed down, passwords are never kept."""

import asyncio

import pytest

from shoal.serverless.gateway import people
from shoal.serverless.gateway.people import (
    FAILED_LOGINS,
    FAILED_WITHIN_SECONDS,
    REMEMBERED_SECONDS,
    REMEMBERED_TOKENS,
    Logins,
    Throttle,
    Tokens,
    hashed,
    matches,
)
from shoal.serverless.gateway.web.refusals import Refusal
from shoal.serverless.models import Account, Principal, moment

WHO = ("ada", "127.0.0.1")
costly = people._hasher  # the other tests have a cheap one


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_a_token_is_remembered_for_a_moment():
    clock = Clock()
    tokens = Tokens(clock)
    ada = Principal("1", "ada")
    assert tokens.remembered("t") is None
    tokens.remember("t", ada)
    assert tokens.remembered("t") is ada
    clock.now = REMEMBERED_SECONDS + 0.01
    assert tokens.remembered("t") is None


def test_the_token_of_a_job_is_forgotten_when_the_job_changes():
    tokens = Tokens(Clock())
    tokens.remember("of-a-job", Principal("1", "ada", job_id="j"))
    tokens.remember("of-another", Principal("1", "ada", job_id="k"))
    tokens.remember("of-a-person", Principal("1", "ada"))
    tokens.jobs_changed(frozenset({"j", "x"}))
    assert tokens.remembered("of-a-job") is None
    assert tokens.remembered("of-another")
    assert tokens.remembered("of-a-person")


def test_no_more_tokens_are_remembered_than_there_is_room_for():
    tokens = Tokens(Clock())
    for number in range(REMEMBERED_TOKENS + 10):
        tokens.remember(str(number), Principal("1", "ada", job_id=str(number)))
    assert tokens.remembered("0") is None
    assert tokens.remembered(str(REMEMBERED_TOKENS))
    assert len(tokens._known) == len(tokens._of_jobs) == REMEMBERED_TOKENS


def test_failures_within_a_minute_make_a_pause_that_ends():
    clock = Clock()
    throttle = Throttle(clock)
    for _ in range(FAILED_LOGINS):
        throttle.check(WHO)
        throttle.failed(WHO)
    with pytest.raises(Refusal, match="Too many failed logins") as caught:
        throttle.check(WHO)
    assert (caught.value.status, caught.value.headers) == (429, {"Retry-After": "61"})
    throttle.check(("ada", "10.0.0.1"))
    clock.now = FAILED_WITHIN_SECONDS + 0.1
    throttle.check(WHO)


def test_the_right_password_forgets_the_failures():
    throttle = Throttle(Clock())
    for _ in range(2 * FAILED_LOGINS):
        throttle.failed(WHO)
        throttle.succeeded(WHO)
    throttle.check(WHO)


def test_a_password_takes_time_and_memory_to_guess():
    assert costly().hash("secret").startswith("$argon2id$v=19$m=65536,t=3,p=4$")


def test_a_hash_is_of_one_password_and_has_a_salt_of_its_own():
    kept = hashed("secret")
    assert kept != hashed("secret")
    assert "secret" not in kept
    assert kept.startswith("$argon2id$")
    assert matches(kept, "secret")
    assert not matches(kept, "secret ")
    assert not matches(kept, "x" * 5000)
    assert not matches("no hash", "secret")


@pytest.mark.parametrize("password", ["", "x" * 1025])
def test_an_empty_or_endless_password_is_refused(password):
    with pytest.raises(ValueError, match="expected 1 to 1024 bytes"):
        hashed(password)


def test_only_an_account_that_is_there_with_a_password_can_log_in():
    def account(**options):
        return Account("1", "ada", False, moment(0), **options)

    kept = hashed("secret")
    cases = [
        (account(password_hash=kept), "secret", True),
        (account(password_hash=kept), "wrong", False),
        (account(password_hash=kept, is_disabled=True), "secret", False),
        (account(), "secret", False),
        (None, "secret", False),
    ]

    async def check():
        logins = Logins()
        return [await logins.check(each, password) for each, password, _ in cases]

    assert asyncio.run(check()) == [expected for _, _, expected in cases]
