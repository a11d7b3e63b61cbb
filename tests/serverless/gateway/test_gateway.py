"""What a gateway remembers: what was told to whom, and answers that never change."""

from shoal.serverless.gateway.gateway import _KEPT_ANSWERS, _TOLD, Finished, Told
from shoal.serverless.models import Principal


def test_news_is_what_this_token_was_not_told_last():
    told = Told()
    assert told.is_news("t", "j", "QUEUED")
    told.tell("t", "j", "QUEUED")
    assert not told.is_news("t", "j", "QUEUED")
    assert told.is_news("t", "j", "RUNNING")
    assert told.is_news("u", "j", "QUEUED")
    assert told.is_news("t", "k", "QUEUED")


def test_no_more_is_remembered_than_there_is_room_for():
    told, finished = Told(), Finished()
    ada = Principal("a", "ada")
    for number in range(max(_TOLD, _KEPT_ANSWERS) + 10):
        told.tell("t", str(number), "QUEUED")
        finished.keep("a", str(number), "with", b"{}")
    assert told.is_news("t", "0", "QUEUED")
    assert finished.get(ada, "0", "with") is None
    assert (len(told._told), len(finished._kept)) == (_TOLD, _KEPT_ANSWERS)


def test_an_answer_is_kept_for_its_owner_alone_and_if_it_is_short():
    finished = Finished()
    finished.keep("a", "j", "with", b"{}")
    finished.keep("a", "k", "with", b"x" * 100_000)
    assert finished.get(Principal("a", "ada"), "j", "with") == b"{}"
    assert finished.get(Principal("a", "ada"), "j", "without") is None
    assert finished.get(Principal("b", "bob"), "j", "with") is None
    assert finished.get(Principal("a", "ada", job_id="k"), "j", "with") is None
    assert finished.get(Principal("a", "ada"), "k", "with") is None
