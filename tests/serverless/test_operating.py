"""The operator's commands make users and tokens that work, and say so in one line or in JSON."""

import json
import stat

import pytest

from shoal.cli import main
from shoal.serverless.gateway.people import found, matches
from shoal.serverless.store import Store, accounts


@pytest.fixture
def run(data, capsys):
    """Runs one command; returns what it printed."""

    def call(*words, status=0):
        assert main([*words, "--data", str(data)]) == status
        said = capsys.readouterr()
        return said.err if status else said.out

    return call


def who(data, token):
    with Store(data) as store:
        principal = store.read(accounts.authenticate, token)
        return None if principal is None else principal.name


def test_a_user_is_made_with_a_token_that_is_shown_once(run, data):
    said = run("user", "add", "ada")
    token = said.splitlines()[-1]
    assert who(data, token) == "ada"
    assert run("user", "list") == "ada\n"
    assert token not in run("token", "list", "ada")
    assert stat.S_IMODE((data / "store.sqlite").stat().st_mode) == 0o600


def test_a_removed_user_is_locked_out_and_can_be_taken_in_again(run, data):
    token = run("user", "add", "ada").splitlines()[-1]
    run("user", "remove", "ada")
    assert who(data, token) is None
    assert run("user", "list") == "ada (removed)\n"
    again = run("user", "add", "ada").splitlines()[-1]
    assert (who(data, again), who(data, token)) == ("ada", None)


def test_a_password_is_read_from_the_input_and_kept_as_a_hash(run, data, monkeypatch):
    import io

    monkeypatch.setattr("sys.stdin", io.StringIO("secret word\n"))
    run("user", "add", "ada", "--password")
    with Store(data) as store:
        assert matches(store.read(found, "ada").password_hash, "secret word")


def test_tokens_are_made_listed_and_revoked(run, data):
    run("user", "add", "ada")
    token = run("token", "create", "ada", "--label", "laptop", "--days", "1").strip()
    assert who(data, token) == "ada"
    listed = json.loads(run("token", "list", "ada", "--json"))
    assert [(each["label"], each["state"]) for each in listed] == [
        ("first token", "valid"),
        ("laptop", "valid"),
    ]
    assert [each["expires"] is None for each in listed] == [True, False]
    run("token", "revoke", "ada", listed[1]["id"])
    assert who(data, token) is None
    assert "revoked" in run("token", "list", "ada").splitlines()[1]


def test_every_command_speaks_json(run, data):
    made = json.loads(run("user", "add", "ada", "--json"))
    assert who(data, made["token"]) == made["name"] == "ada"
    [listed] = json.loads(run("user", "list", "--json"))
    assert (listed["name"], listed["has_password"], listed["is_removed"]) == ("ada", False, False)
    token = json.loads(run("token", "create", "ada", "--json"))
    assert who(data, token["token"]) == "ada"
    assert json.loads(run("token", "revoke", "ada", token["id"], "--json")) == {"id": token["id"]}
    assert json.loads(run("user", "remove", "ada", "--json")) == {"name": "ada"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("user", "add", "ada"), "exists already"),
        (("user", "add", "a b"), "expected letters, digits"),
        (("user", "add", "\x1b[31m"), "expected letters, digits"),
        (("user", "remove", "bob"), "no account named 'bob'"),
        (("token", "create", "bob"), "no account named 'bob'"),
        (("token", "create", "ada", "--days", "0"), "expected more than 0"),
        (("token", "create", "ada", "--days", "nan"), "expected more than 0"),
        (("token", "create", "ada", "--label", "x" * 300), "expected 0 to 255"),
        (("token", "revoke", "ada", "x"), "ada has no token x"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_status_1(run, words, said):
    run("user", "add", "ada")
    error = run(*words, status=1)
    assert said in error
    assert error.count("\n") == 1
    assert "\x1b" not in error


GIVEN = {
    "host": ("0.0.0.0", ["--host", "0.0.0.0"]),
    "port": (1, ["--port", "1"]),
    "max_jobs": (7, ["--max-jobs", "7"]),
    "job_python": ("/opt/python", ["--job-python", "/opt/python"]),
    "hosts": (("a", "b"), ["--hosts", "a,b"]),
    "tls_certificate": ("c", ["--tls-certificate", "c", "--tls-key", "k"]),
    "tls_key": ("k", ["--tls-certificate", "c", "--tls-key", "k"]),
    "insecure": (True, ["--insecure"]),
    "demo_user": (True, ["--demo-user"]),
}


@pytest.mark.parametrize("name", GIVEN)
def test_each_flag_of_serve_is_the_setting_of_its_name(run, data, monkeypatch, name):
    value, words = GIVEN[name]
    served = []
    monkeypatch.setattr("logging.basicConfig", lambda **_: None)
    monkeypatch.setattr("shoal.serverless.gateway.serve", lambda found, say: served.append(found))
    run("serve", *words)
    [settings] = served
    assert (getattr(settings, name), settings.data) == (value, data)


def test_the_room_alone_says_what_it_offers(capsys):
    for room, verbs in (("user", "add list remove"), ("token", "create list revoke")):
        assert main([room]) == 0
        said = capsys.readouterr().out
        assert all(verb in said for verb in verbs.split())
