"""Nobody is served without encryption or accounts by accident, and no password is known before."""

import stat

import pytest

from shoal.serverless.errors import StoreFull
from shoal.serverless.gateway import admission
from shoal.serverless.gateway.admission import CannotServe
from shoal.serverless.gateway.people import found, matches
from shoal.serverless.settings import Settings
from shoal.serverless.store import accounts


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.1.2.3"])
def test_on_loopback_nothing_is_asked_for(store, data, host):
    admission.check_address(Settings(data=data, host=host, demo_user=True), store)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
def test_a_public_address_wants_encryption_and_then_users(store, data, host):
    with pytest.raises(CannotServe, match="would see every token"):
        admission.check_address(Settings(data=data, host=host), store)
    for safe in ({"insecure": True}, {"tls_certificate": "c", "tls_key": "k"}):
        settings = Settings(data=data, host=host, **safe)
        with pytest.raises(CannotServe, match="there are no users yet"):
            admission.check_address(settings, store)
    admission.first_token(store, data)
    with pytest.raises(CannotServe, match="there are no users yet"):
        admission.check_address(settings, store)
    store.write(accounts.add, "ada")
    admission.check_address(settings, store)


def test_the_demo_user_is_for_loopback_alone(store, data):
    store.write(accounts.add, "ada")
    settings = Settings(data=data, host="0.0.0.0", insecure=True, demo_user=True)
    with pytest.raises(CannotServe, match="its password is known to everybody"):
        admission.check_address(settings, store)


def test_the_first_token_is_made_once_and_is_in_a_file_of_its_owner(store, data):
    text = admission.first_token(store, data)
    path = data / admission.TOKEN_FILE
    assert path.read_text() == f"{text}\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert store.read(accounts.authenticate, text).is_admin
    assert admission.first_token(store, data) is None
    assert path.read_text() == f"{text}\n"
    assert not list(data.glob(".admin-token*"))


def test_a_token_that_could_not_be_written_is_not_valid_and_the_next_start_makes_another(
    store, tmp_path
):
    with pytest.raises((OSError, StoreFull)):
        admission.first_token(store, tmp_path / "not" / "there")
    assert store.read(accounts.everyone) == ()
    assert admission.first_token(store, tmp_path)


def test_an_administrator_whose_tokens_are_all_revoked_gets_a_new_one(store, data):
    first = admission.first_token(store, data)
    [token] = store.read(accounts.tokens, admission.ADMIN)
    store.write(accounts.revoke, admission.ADMIN, token.id)
    second = admission.first_token(store, data)
    assert second not in (None, first)
    assert store.read(accounts.authenticate, first) is None


def test_the_demo_users_password_is_gone_when_it_is_not_asked_for(store):
    admission.demo_user(store)
    admission.demo_user(store)
    account = store.read(found, admission.DEMO_NAME)
    assert matches(account.password_hash, admission.DEMO_PASSWORD)
    admission.forget_demo_user(store)
    assert store.read(found, admission.DEMO_NAME).password_hash is None
    admission.forget_demo_user(store)


def test_a_user_of_that_name_with_another_password_keeps_it(store):
    from shoal.serverless.gateway import hashed

    kept = hashed("another")
    store.write(accounts.add, admission.DEMO_NAME, password_hash=kept)
    admission.forget_demo_user(store)
    with pytest.raises(CannotServe, match="a user named 'user' already"):
        admission.demo_user(store)
    assert store.read(found, admission.DEMO_NAME).password_hash == kept


def test_an_interpreter_that_cannot_be_run_is_said_before_jobs_fail_for_it(data):
    (data / "text").touch(mode=0o600)
    admission.check_job_python(Settings(data=data))
    for absent in ("/no/such/python", str(data / "text"), "/"):
        with pytest.raises(CannotServe, match="job_python='/"):
            admission.check_job_python(Settings(data=data, job_python=absent))
