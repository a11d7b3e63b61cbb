"""Names and passwords give tokens; everything else gives nothing away."""

import pytest

from shoal.serverless.gateway import people
from shoal.serverless.store import Store, accounts

LOGIN = "/dj-rest-auth/keycloak/login/"


@pytest.fixture(scope="module")
def ada(served):
    return served.user("ada", "secret")


def login(served, name, password):
    return served.anybody.post(LOGIN, data={"username": name, "password": password})


def test_a_name_and_its_password_give_a_token_that_works(served, ada):
    answer = login(served, "ada", "secret")
    assert answer.status_code == 200
    client = served.client(answer.json()["access"])
    assert client.get("/api/v1/programs/").json() == []


def test_the_token_of_a_login_ends_by_itself(served, ada):
    login(served, "ada", "secret")
    with Store(served.data) as store:
        labels = {token.label: token.expires_at for token in store.read(accounts.tokens, "ada")}
    assert labels["login"] is not None


def test_a_wrong_name_and_a_wrong_password_look_the_same(served, ada):
    answers = [login(served, "ada", "wrong"), login(served, "nobody", "secret")]
    assert {answer.status_code for answer in answers} == {400}
    assert answers[0].json() == answers[1].json()
    assert list(answers[0].json()) == ["message"]


@pytest.mark.parametrize("form", [{}, {"username": "ada"}, {"username": "ada", "password": "\0"}])
def test_half_a_login_is_refused(served, ada, form):
    assert served.anybody.post(LOGIN, data=form).status_code == 400


def test_a_name_that_nobody_can_have_is_refused_before_it_is_remembered(served):
    answer = login(served, "x" * 5000, "secret")
    assert (answer.status_code, "5000 characters" in answer.json()["message"]) == (400, True)


def test_guessing_is_slowed_down_for_one_name_and_no_other(served, ada, monkeypatch):
    monkeypatch.setattr(people, "FAILED_LOGINS", 2)
    served.user("bob", "secret")
    codes = [login(served, "bob", f"guess {n}").status_code for n in range(3)]
    assert codes == [400, 400, 429]
    assert int(login(served, "bob", "secret").headers["retry-after"]) > 0
    assert login(served, "ada", "secret").status_code == 200
