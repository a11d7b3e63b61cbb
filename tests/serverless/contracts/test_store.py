"""What every database under the store must hold: states, results, quotas, order, secrecy."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from shoal.serverless.errors import Conflict, KeyReused, NotActive, NotFound, QuotaExceeded
from shoal.serverless.identifiers import new_id
from shoal.serverless.models import (
    Ending,
    EventKind,
    JobStatus,
    NewJob,
    NewProgram,
    Payload,
    Quotas,
    SubStatus,
    moment,
)
from shoal.serverless.store import accounts, attempts, jobs, programs
from tests.serverless.making import account, claim, submit, upload

SUCCEEDED = Ending(JobStatus.SUCCEEDED, result=Payload.of('{"a": NaN}'))
FAILED = Ending(JobStatus.FAILED, "EXIT_3", "It ended with exit code 3.")


@pytest.fixture
def user(store):
    made = account(store)
    upload(store, made)
    return made


def status(store, job):
    return store.read(attempts.get, job.id).status


def changes(store, user, job):
    return [event.after for event in store.read(jobs.events, user, job.id)]


# --- jobs -----------------------------------------------------------------------------------------


def test_a_job_goes_from_the_queue_to_its_end_and_each_step_is_an_event(store, user):
    taken = claim(store, user)
    job = taken.job
    assert store.write(attempts.mark_running, job.id, job.fence)
    assert store.write(attempts.finish, job.id, job.fence, SUCCEEDED)
    assert changes(store, user, job) == ["QUEUED", "PENDING", "RUNNING", "SUCCEEDED"]
    events = store.read(jobs.events, user, job.id)
    assert [event.before for event in events] == [None, "QUEUED", "PENDING", "RUNNING"]
    assert [event.actor for event in events] == ["user", "runner", "runner", "runner"]
    assert sorted(event.number for event in events) == [event.number for event in events]


def test_the_result_and_the_state_become_visible_together(store, user):
    job = claim(store, user).job
    looks, done = [], threading.Event()

    def look():
        while not done.is_set() or not looks:
            found = store.read(lambda t: (jobs.get(t, user, job.id), jobs.result(t, user, job.id)))
            looks.append((found[0].status, found[1] is not None))

    watching = threading.Thread(target=look)
    watching.start()
    store.write(attempts.finish, job.id, job.fence, SUCCEEDED)
    done.set()
    watching.join()
    assert set(looks) <= {(JobStatus.PENDING, False), (JobStatus.SUCCEEDED, True)}
    assert store.read(jobs.result, user, job.id).text == '{"a": NaN}'


@pytest.mark.parametrize("first", [SUCCEEDED, FAILED, Ending(JobStatus.STOPPED)])
@pytest.mark.parametrize("second", [SUCCEEDED, FAILED, Ending(JobStatus.STOPPED)])
def test_only_the_first_ending_counts(store, user, first, second):
    job = claim(store, user).job
    assert store.write(attempts.finish, job.id, job.fence, first)
    before = store.read(jobs.result, user, job.id)
    assert not store.write(attempts.finish, job.id, job.fence, second)
    assert not store.write(attempts.mark_running, job.id, job.fence)
    assert not store.write(attempts.put_back, job.id, job.fence)
    assert not store.write(attempts.run_again, job.id, job.fence)
    assert status(store, job) is first.status
    assert store.read(jobs.result, user, job.id) == before
    assert changes(store, user, job)[2:] == [first.status]


def test_a_late_writer_with_an_old_fence_changes_nothing(store, user):
    old = claim(store, user).job
    assert store.write(attempts.put_back, old.id, old.fence)
    [again] = store.write(attempts.claim, "other", 1)
    assert again.job.fence == old.fence + 1
    for change in (attempts.mark_running, attempts.put_back, attempts.run_again):
        assert not store.write(change, old.id, old.fence)
    assert not store.write(attempts.finish, old.id, old.fence, SUCCEEDED)
    assert status(store, old) is JobStatus.PENDING
    assert store.read(jobs.result, user, old.id) is None


def test_a_job_that_was_started_is_queued_again_only_as_often_as_declared(store, user):
    once, thrice = claim(store, user).job, claim(store, user, max_attempts=3).job
    assert not store.write(attempts.run_again, once.id, once.fence)
    assert store.write(attempts.run_again, thrice.id, thrice.fence)
    [second] = store.write(attempts.claim, "somebody", 1)
    assert store.write(attempts.run_again, thrice.id, second.job.fence)
    [third] = store.write(attempts.claim, "somebody", 1)
    assert not store.write(attempts.run_again, thrice.id, third.job.fence)
    assert store.read(attempts.get, thrice.id).attempts_left == 0


def test_a_queued_job_stops_at_once_and_a_running_one_when_it_is_gone(store, user):
    running = claim(store, user).job
    queued = submit(store, user)
    assert store.write(jobs.request_stop, user, queued.id).status is JobStatus.STOPPED
    found = store.write(jobs.request_stop, user, running.id)
    assert (found.status, found.stop_requested_at is not None) == (JobStatus.PENDING, True)
    again = store.write(jobs.request_stop, user, running.id)
    assert again.stop_requested_at == found.stop_requested_at
    assert store.write(attempts.finish, running.id, running.fence, Ending(JobStatus.STOPPED))
    assert store.write(jobs.request_stop, user, running.id).status is JobStatus.STOPPED
    assert store.write(attempts.claim, "somebody", 5) == ()


def test_a_job_that_was_to_stop_is_not_queued_again(store, user):
    job = claim(store, user, max_attempts=2).job
    store.write(jobs.request_stop, user, job.id)
    assert not store.write(attempts.run_again, job.id, job.fence)
    other = claim(store, user).job
    store.write(jobs.request_stop, user, other.id)
    assert store.write(attempts.put_back, other.id, other.fence)
    assert status(store, other) is JobStatus.STOPPED


def test_reports_are_taken_while_a_job_is_active_and_refused_after(store, user):
    job = claim(store, user).job
    assert store.write(jobs.set_sub_status, user, job.id, SubStatus.MAPPING).sub_status == "MAPPING"
    error = store.write(jobs.report_error, user, job.id, {"message": "é\n", "code": 3})
    assert (error.kind, error.data) == (EventKind.ERROR, {"message": "é\n", "code": 3})
    assert store.read(jobs.events, user, job.id, kind=EventKind.ERROR) == (error,)
    assert store.read(jobs.events, user, job.id, after=error.number) == ()
    store.write(attempts.finish, job.id, job.fence, FAILED)
    assert store.read(jobs.get, user, job.id).sub_status is None
    with pytest.raises(NotActive, match="its status is FAILED"):
        store.write(jobs.set_sub_status, user, job.id, SubStatus.MAPPING)
    with pytest.raises(NotActive):
        store.write(jobs.report_error, user, job.id, {})


def test_arguments_come_back_as_they_were_given(store, user):
    text = '{"a": [1e999, "é\u202e\\u0000", NaN]}'
    job = submit(store, user, arguments=Payload.of(text))
    assert store.read(jobs.arguments, user, job.id).text == text
    assert store.read(jobs.result, user, job.id) is None


# --- submitting -----------------------------------------------------------------------------------


def test_fifty_requests_with_one_key_make_one_job(store, user):
    def send(_):
        new = NewJob(new_id(), "program", idempotency_key="k", request_sha256="a")
        return store.write(jobs.submit, user, new)

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(send, range(50)))
    assert len({each.job.id for each in found}) == 1
    assert sum(each.is_new for each in found) == 1
    assert store.read(jobs.page, user).total == 1


def test_a_key_belongs_to_its_account_and_its_request(store, user):
    other = account(store, "other")
    upload(store, other)
    new = NewJob(new_id(), "program", idempotency_key="k", request_sha256="a")
    store.write(jobs.submit, user, new)
    mine = NewJob(new_id(), "program", idempotency_key="k", request_sha256="b")
    assert store.write(jobs.submit, other, mine).is_new
    with pytest.raises(KeyReused):
        store.write(jobs.submit, user, NewJob(new_id(), "program", idempotency_key="k"))


def test_a_repeated_id_is_the_same_job_and_nobody_elses(store, user):
    new = NewJob(new_id(), "program")
    assert store.write(jobs.submit, user, new).is_new
    assert not store.write(jobs.submit, user, new).is_new
    other = account(store, "other")
    upload(store, other)
    with pytest.raises(Conflict, match="this id cannot be used"):
        store.write(jobs.submit, other, new)


def test_quotas_count_what_is_active_and_free_it_at_the_end(store, user):
    quotas = Quotas(active_jobs=2, queued_jobs=None)
    first, _ = (store.write(jobs.submit, user, NewJob(new_id(), "program"), quotas) for _ in "ab")
    with pytest.raises(QuotaExceeded, match="Active job limit reached. The maximum allowed is 2."):
        store.write(jobs.submit, user, NewJob(new_id(), "program"), quotas)
    store.write(jobs.request_stop, user, first.job.id)
    assert store.write(jobs.submit, user, NewJob(new_id(), "program"), quotas).is_new
    other = account(store, "other")
    upload(store, other)
    with pytest.raises(QuotaExceeded, match="The queue is full"):
        store.write(jobs.submit, other, NewJob(new_id(), "program"), Quotas(None, 2))


def test_a_quota_of_n_lets_exactly_n_of_many_at_once_in(store, user):
    def send(_):
        try:
            return store.write(jobs.submit, user, NewJob(new_id(), "program"), Quotas(7, None))
        except QuotaExceeded:
            return None

    with ThreadPoolExecutor(16) as pool:
        found = [each for each in pool.map(send, range(40)) if each]
    assert len(found) == 7


def test_a_job_keeps_the_version_it_was_submitted_with(store, user):
    first = submit(store, user)
    newer = upload(store, user, "print(2)")
    second = submit(store, user)
    taken = store.write(attempts.claim, "somebody", 2)
    assert [each.program.version for each in taken] == [1, 2]
    assert [each.job.id for each in taken] == [first.id, second.id]
    assert newer.version == 2


# --- the queue ------------------------------------------------------------------------------------


def test_jobs_are_claimed_in_order_and_never_twice(store, user):
    queued = [submit(store, user).id for _ in range(40)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda n: store.write(attempts.claim, f"r{n}", 5), range(10)))
    taken = [each.job.id for claims in found for each in claims]
    assert sorted(taken) == queued
    assert all([c.job.id for c in claims] == sorted(c.job.id for c in claims) for claims in found)


def test_an_account_with_many_jobs_does_not_hold_up_another(store, user):
    for _ in range(20):
        submit(store, user)
    other = account(store, "other")
    upload(store, other)
    late = submit(store, other)
    taken = store.write(attempts.claim, "somebody", 2)
    assert late.id in {each.job.id for each in taken}


def test_an_account_runs_no_more_at_once_than_allowed(store, user):
    for _ in range(5):
        submit(store, user)
    taken = store.write(attempts.claim, "somebody", 5, running_jobs=2)
    assert len(taken) == 2
    store.write(attempts.finish, taken[0].job.id, 1, FAILED)
    assert len(store.write(attempts.claim, "somebody", 5, running_jobs=2)) == 1


def test_claimed_jobs_are_those_that_have_not_ended(store, user):
    one, two, three = (claim(store, user).job for _ in range(3))
    store.write(attempts.mark_running, two.id, 1)
    store.write(attempts.finish, three.id, 1, FAILED)
    submit(store, user)
    found = store.read(attempts.claimed)
    assert [(job.id, job.status) for job in found] == [(one.id, "PENDING"), (two.id, "RUNNING")]
    assert {job.claimed_by for job in found} == {"somebody"}


def test_counts_are_those_of_the_jobs(store, user):
    for ending in (SUCCEEDED, FAILED, FAILED):
        job = claim(store, user).job
        store.write(attempts.finish, job.id, 1, ending)
    submit(store, user)
    counts = store.read(jobs.counts)
    assert {str(name): number for name, number in counts.items() if number} == {
        "SUCCEEDED": 1,
        "FAILED": 2,
        "QUEUED": 1,
    }


# --- looking --------------------------------------------------------------------------------------


def test_pages_are_newest_first_and_filtered(store, user):
    made = [submit(store, user) for _ in range(7)]
    page = store.read(jobs.page, user, limit=3, offset=2)
    assert [job.id for job in page.items] == [job.id for job in made[4:1:-1]]
    assert page.total == 7
    store.write(jobs.request_stop, user, made[0].id)
    stopped = store.read(jobs.page, user, statuses=[JobStatus.STOPPED, JobStatus.FAILED])
    assert [job.id for job in stopped.items] == [made[0].id]
    later = store.read(jobs.page, user, created_after=made[4].created_at)
    assert [job.id for job in later.items] == [made[6].id, made[5].id]
    assert store.read(jobs.page, user, title="none").total == 0
    assert store.read(jobs.page, user, title="program", provider="").total == 7


def test_nobody_sees_anything_of_another(store, user):
    job = claim(store, user).job
    other = account(store, "other")
    looks = [
        (store.read, jobs.get),
        (store.read, jobs.arguments),
        (store.read, jobs.result),
        (store.read, jobs.events),
        (store.write, jobs.request_stop),
    ]
    before = store.read(attempts.get, job.id)
    unknown = new_id()
    for call, operation in looks:
        for job_id in (job.id, unknown):
            with pytest.raises(NotFound, match="not found"):
                call(operation, other, job_id)
    for operation, given in (
        (jobs.set_sub_status, SubStatus.MAPPING),
        (jobs.report_error, {"a": 1}),
    ):
        with pytest.raises(NotFound):
            store.write(operation, other, job.id, given)
    assert store.read(attempts.get, job.id) == before
    assert store.read(jobs.page, other).items == ()
    assert store.read(programs.page, other).items == ()
    with pytest.raises(NotFound, match="Qiskit Function program doesn't exist."):
        store.read(programs.newest, other, "program")
    with pytest.raises(NotFound):
        submit(store, other)


# --- accounts and tokens --------------------------------------------------------------------------


def test_a_token_is_valid_until_it_is_revoked_expires_or_its_account_is_disabled(
    store, user, clock
):
    ever, kept = store.write(accounts.add_token, "user", label="laptop")
    soon, _ = store.write(accounts.add_token, "user", seconds=5)
    assert store.read(accounts.authenticate, ever).account_id == user.account_id
    assert store.read(accounts.authenticate, soon) is not None
    for _ in range(5):
        clock()
    assert store.read(accounts.authenticate, soon) is None
    store.write(accounts.set_disabled, "user", True)
    assert store.read(accounts.authenticate, ever) is None
    store.write(accounts.set_disabled, "user", False)
    store.write(accounts.revoke, "user", kept.id)
    store.write(accounts.revoke, "user", kept.id)
    assert store.read(accounts.authenticate, ever) is None
    listed = {token.id: token for token in store.read(accounts.tokens, "user")}
    assert listed[kept.id].revoked_at is not None
    assert listed[kept.id].label == "laptop"


def test_what_is_no_token_proves_nobody(store, user):
    text, kept = store.write(accounts.add_token, "user")
    for wrong in (
        "",
        "x",
        text[:-1] + ("A" if text[-1] != "A" else "B"),
        f"shoal_{'0' * 16}{text[22:]}",
    ):
        assert store.read(accounts.authenticate, wrong) is None
    with pytest.raises(NotFound):
        store.write(accounts.revoke, "user", "0" * 16)
    account(store, "other")
    with pytest.raises(NotFound):
        store.write(accounts.revoke, "other", kept.id)


def test_a_jobs_token_sees_that_job_while_that_attempt_is_active(store, user):
    other = submit(store, user)
    store.write(jobs.request_stop, user, other.id)
    first = claim(store, user, max_attempts=2)
    mine = store.read(accounts.authenticate, first.token)
    assert (mine.job_id, mine.is_admin, mine.name) == (first.job.id, False, "user")
    assert store.read(jobs.get, mine, first.job.id).id == first.job.id
    with pytest.raises(NotFound):
        store.read(jobs.get, mine, other.id)
    assert [job.id for job in store.read(jobs.page, mine).items] == [first.job.id]
    store.write(attempts.run_again, first.job.id, 1)
    [second] = store.write(attempts.claim, "somebody", 1)
    assert store.read(accounts.authenticate, first.token) is None
    assert store.read(accounts.authenticate, second.token).job_id == first.job.id
    store.write(attempts.finish, first.job.id, 2, FAILED)
    assert store.read(accounts.authenticate, second.token) is None
    assert first.token not in repr(store.read(accounts.tokens, "user"))


def test_accounts_have_unique_names_and_passwords_only_as_hashes(store):
    made = store.write(accounts.add, "ann@uni-a.org", is_admin=True, password_hash="$argon2id$x")
    assert "argon2" not in repr(made)
    assert made.is_admin
    with pytest.raises(Conflict, match="exists already"):
        store.write(accounts.add, "ann@uni-a.org")
    for name in ("", "a b", "-a", "a/b", "é", "x" * 256):
        with pytest.raises(ValueError, match="expected letters"):
            store.write(accounts.add, name)
    store.write(accounts.set_password, "ann@uni-a.org", None)
    assert [each.password_hash for each in store.read(accounts.everyone)] == [None]
    for operation, given in (
        (accounts.set_password, "x"),
        (accounts.set_disabled, True),
        (accounts.revoke, "0" * 16),
    ):
        with pytest.raises(NotFound, match="there is no account named 'none'"):
            store.write(operation, "none", given)


# --- programs -------------------------------------------------------------------------------------


def test_titles_are_kept_as_they_are(store, user):
    titles = ["a/b", "é", "e\u0301", "💡", "\u202eabc", "x" * 255, " "]
    for title in titles:
        assert upload(store, user, title=title, about="é").title == title
    page = store.read(programs.page, user, limit=3)
    assert page.total == len(titles) + 1
    assert [each.title for each in page.items] == sorted([*titles, "program"])[:3]
    assert store.read(programs.newest, user, "💡").details == {"about": "é"}
    for title, message in {
        "": "expected 1 to 255",
        "x" * 256: "expected 1 to 255",
        "a\0": "cannot be stored",
        "a\ud800": "cannot be stored",
    }.items():
        with pytest.raises(ValueError, match=message):
            upload(store, user, title=title)


def test_a_message_is_stored_whatever_is_in_it(store, user):
    job = claim(store, user).job
    store.write(
        attempts.finish, job.id, 1, Ending(JobStatus.FAILED, "X", "a\0b\ud800" + "c" * 9999)
    )
    message = store.read(attempts.get, job.id).message
    assert message.startswith("a\ufffdb?c")
    assert len(message) == 4000


def test_all_of_one_operation_has_one_time(store, user):
    job = submit(store, user)
    assert job.created_at == job.changed_at
    assert store.read(jobs.events, user, job.id)[0].created_at == job.created_at
    assert job.created_at > moment(1_700_000_000_000_000)


# --- what the gateway asks for --------------------------------------------------------------------


def test_a_job_can_be_refused_for_its_program_and_nothing_is_kept(store, user):
    def refuse(program):
        raise ValueError(f"not {program.title}")

    with pytest.raises(ValueError, match="not program"):
        store.write(jobs.submit, user, NewJob(new_id(), "program"), admit=refuse)
    assert store.read(jobs.page, user).total == 0


def test_jobs_elsewhere_are_recorded_while_a_job_is_active_and_up_to_a_limit(
    store, user, monkeypatch
):
    monkeypatch.setattr(jobs, "MOST_REPORTS", 2)
    job = claim(store, user).job
    for name in ("a", "b"):
        store.write(jobs.report_runtime_job, user, job.id, {"runtime_job": name})
    with pytest.raises(QuotaExceeded, match="The maximum allowed is 2"):
        store.write(jobs.report_runtime_job, user, job.id, {"runtime_job": "c"})
    store.write(jobs.report_error, user, job.id, {"message": "m"})
    found = store.read(jobs.events, user, job.id, kind=EventKind.RUNTIME_JOB)
    assert [event.data["runtime_job"] for event in found] == ["a", "b"]
    store.write(attempts.finish, job.id, job.fence, FAILED)
    with pytest.raises(NotActive):
        store.write(jobs.report_runtime_job, user, job.id, {})


def test_programs_and_jobs_are_listed_with_a_provider_or_without(store, user):
    sha256, size = store.blobs.add([b"x"])
    store.write(programs.upload, user, NewProgram("ours", "main.py", sha256, size, "lab"))
    submit(store, user)
    submit(store, user, "ours", provider="lab")
    for is_provided, titles in ((True, ["ours"]), (False, ["program"]), (None, 2)):
        found = store.read(programs.page, user, is_provided=is_provided)
        listed = store.read(jobs.page, user, is_provided=is_provided)
        if is_provided is None:
            assert found.total == listed.total == titles
        else:
            assert [each.title for each in found.items] == titles
            assert [each.title for each in listed.items] == titles


def test_tokens_that_have_expired_are_forgotten_and_no_others(store, user):
    store.write(accounts.add_token, "user", label="over", seconds=-1)
    store.write(accounts.add_token, "user", label="valid", seconds=1000)
    job = claim(store, user).job
    assert store.write(accounts.drop_expired) == 1
    assert "over" not in {token.label for token in store.read(accounts.tokens, "user")}
    assert len(store.read(accounts.tokens, "user")) == 2
    assert job.fence == 1
