"""One process from its first start to its end: jobs outlive it, and the next one goes on."""

import asyncio
import contextlib
import os
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import threading

import httpx
import pytest

from shoal.serverless.errors import StoreError
from shoal.serverless.gateway.admission import TOKEN_FILE, CannotServe
from shoal.serverless.gateway.serving import listen
from shoal.serverless.store import Store, accounts
from tests.faults.watching import until
from tests.serverless.gateway.serving import HOLDS, SECONDS, Served, User, process
from tests.serverless.making import end_jobs

QUICK = {"SHOAL_SERVE_GRACE_SECONDS": "0.5", "SHOAL_SERVE_FAST_START": "false"}


@pytest.fixture
def admin_of():
    """Gives the administrator of a gateway in another process."""
    clients = []

    def connect(data, address):
        token = (data / TOKEN_FILE).read_text().strip()
        headers = {"Authorization": f"Bearer {token}"}
        clients.append(httpx.Client(base_url=address, headers=headers, timeout=SECONDS))
        return User("admin", clients[-1], token)

    yield connect
    for client in clients:
        client.close()


@pytest.fixture
def cleared(data):
    """A data directory whose jobs are ended after the test."""
    yield data
    end_jobs(data)


def test_the_first_start_says_the_token_once_and_where_it_listens(admin_of, data):
    with process(data, **QUICK) as (running, address, lines):
        token = (data / TOKEN_FILE).read_text().strip()
        assert token in "".join(lines)
        assert lines[-1] == f"shoal serve: listening on {address}\n"
        assert admin_of(data, address).get("/programs/").json() == []
    with process(data, **QUICK) as (running, address, lines):
        assert token not in "".join(lines)
        assert admin_of(data, address).get("/programs/").status_code == 200
        assert running.poll() is None


def test_a_signal_ends_it_with_status_0_and_jobs_run_on_for_the_next_one(admin_of, cleared):
    with process(cleared, **QUICK) as (running, address, _):
        admin = admin_of(cleared, address)
        job_id = admin.run(HOLDS)
        admin.until(job_id, "RUNNING")
        running.send_signal(signal.SIGTERM)
        assert running.wait(SECONDS) == 0
    with process(cleared, **QUICK) as (running, address, _):
        assert admin_of(cleared, address).job(job_id)["status"] == "RUNNING"
        running.send_signal(signal.SIGINT)
        assert running.wait(SECONDS) == 0
    with process(cleared, **QUICK) as (_, address, _):
        admin = admin_of(cleared, address)
        assert admin.job(job_id)["status"] == "RUNNING"
        admin.post(f"/jobs/{job_id}/stop/")
        assert admin.until(job_id)["status"] == "STOPPED"
        events = admin.get(f"/jobs/{job_id}/events/").json()
        assert [event["data"]["status"] for event in events].count("RUNNING") == 1


def test_after_kill_9_what_was_acknowledged_is_there_and_what_ran_is_adopted(admin_of, cleared):
    with process(cleared, "--max-jobs", "1", **QUICK) as (running, address, _):
        admin = admin_of(cleared, address)
        held = admin.run(HOLDS, "held")
        admin.until(held, "RUNNING")
        waiting = admin.run("print('ran')", "waiting")
        running.kill()
        running.wait(SECONDS)
    with process(cleared, "--max-jobs", "1", **QUICK) as (_, address, _):
        admin = admin_of(cleared, address)
        assert admin.job(held)["status"] == "RUNNING"
        assert admin.job(waiting)["status"] == "QUEUED"
        admin.post(f"/jobs/{held}/stop/")
        assert admin.until(waiting)["status"] == "SUCCEEDED"
        assert admin.get(f"/jobs/{waiting}/logs/").json()["logs"] == "ran\n"


def test_who_waits_is_answered_when_it_ends(admin_of, cleared):
    with process(cleared, **QUICK) as (running, address, _):
        admin = admin_of(cleared, address)
        job_id = admin.run(HOLDS)
        admin.until_logged(job_id, "up")
        waiting = threading.Thread(
            target=admin.get, args=(f"/jobs/{job_id}/",), kwargs={"headers": {"Prefer": "wait=30"}}
        )
        with admin.client.stream("GET", f"/api/v1/jobs/{job_id}/stream/") as answer:
            lines = answer.iter_lines()
            assert next(lines) == "event: status"
            waiting.start()
            running.terminate()
            assert not [line for line in lines if "STOPPED" in line]
        assert running.wait(SECONDS) == 0
        waiting.join(SECONDS)
        assert not waiting.is_alive()


def test_an_address_that_is_taken_is_one_line_and_no_traceback(data):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "shoal", "serve", "--data", str(data), "--port", port]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS)
    assert done.returncode == 1
    assert done.stderr.startswith(f"shoal: cannot listen on 127.0.0.1, port {port}:")
    assert not (data / TOKEN_FILE).exists()


def test_a_public_address_without_encryption_is_refused_before_anything_is_made(data):
    with (
        pytest.raises(CannotServe, match="would see every token"),
        Served(data, {"host": "0.0.0.0"}),
    ):
        pass
    assert not (data / TOKEN_FILE).exists()


def test_what_does_not_resolve_is_refused():
    with pytest.raises(CannotServe, match="cannot listen on"):
        listen("nowhere.invalid", 0)


def test_a_data_directory_of_something_else_is_refused(data):
    (data / "store.sqlite").write_bytes(b"no database" * 1000)
    with pytest.raises(StoreError), Served(data):
        pass


def test_two_gateways_on_one_directory_serve_the_same_jobs(cleared):
    with Served(cleared) as first, Served(cleared) as second:
        user = first.user()
        other = User("user", second.client(user.token), user.token)
        job_id = user.run("print(1)")
        # Whoever asks the other one is not told of news: it looks when it is asked.
        until(lambda: other.job(job_id)["status"] == "SUCCEEDED", what="the end of the job")
        assert other.get(f"/jobs/{job_id}/logs/").json() == {"logs": "1\n"}


def test_a_revoked_token_ends_within_the_time_it_is_remembered(data):
    with Served(data) as served:
        user = served.user()
        assert user.get("/programs").status_code == 200
        with Store(data) as store:
            [token] = store.read(accounts.tokens, "user")
            store.write(accounts.revoke, "user", token.id)
        until(lambda: user.get("/programs").status_code == 401, what="the end of the token")


def test_a_stream_ends_with_its_token(data):
    with Served(data) as served:
        user = served.user()
        job_id = user.run(HOLDS)
        with user.client.stream("GET", f"/api/v1/jobs/{job_id}/stream/") as answer:
            lines = answer.iter_lines()
            assert next(lines) == "event: status"
            with Store(data) as store:
                [token] = store.read(accounts.tokens, "user")
                store.write(accounts.revoke, "user", token.id)
            assert not [line for line in lines if "STOPPED" in line]


def test_the_demo_user_logs_in_while_it_is_asked_for(data):
    form = {"username": "user", "password": "password123"}
    for options, status in (({"demo_user": True}, 200), ({}, 400)):
        with Served(data, options) as served:
            answer = served.anybody.post("/dj-rest-auth/keycloak/login/", data=form)
            assert answer.status_code == status


def test_a_full_account_is_told_so_and_has_room_again_after_an_end(data):
    options = {"active_jobs_per_account": 2, "max_jobs": 1}
    with Served(data, options) as served:
        user = served.user()
        user.upload(HOLDS)
        first = user.submit()
        user.submit()
        answer = user.post("/programs/run/", json={"title": "program"})
        message = "Active job limit reached. The maximum allowed is 2."
        assert (answer.status_code, answer.json()) == (429, {"message": message})
        user.post(f"/jobs/{first}/stop/")
        user.until(first)
        assert user.submit()


@pytest.mark.slow
def test_while_another_process_holds_the_database_writes_are_503_and_reads_go_on(data):
    with Served(data) as served:
        user = served.user()
        user.upload("print(1)")
        with contextlib.closing(sqlite3.connect(data / "store.sqlite")) as holder:
            holder.execute("BEGIN IMMEDIATE")
            answer = user.post("/programs/run/", json={"title": "program"})
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
            assert user.get("/jobs/").json()["count"] == 0
            holder.rollback()
        assert user.until(user.submit())["status"] == "SUCCEEDED"


@pytest.mark.slow
def test_a_thousand_wait_while_others_work(data):
    with Served(data) as served:
        user = served.user()
        job_id = user.run(HOLDS)
        user.until(job_id, "RUNNING")

        request = (
            f"GET /api/v1/jobs/{job_id} HTTP/1.1\r\nHost: localhost\r\nPrefer: wait=30\r\n"
            f"Authorization: Bearer {user.token}\r\nConnection: close\r\n\r\n"
        )

        async def wait():
            reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
            writer.write(request.encode())
            answer = await reader.read()
            writer.close()
            return answer[9:12]

        async def everybody():
            waiting = [asyncio.create_task(wait()) for _ in range(1000)]
            await asyncio.to_thread(user.post, f"/jobs/{job_id}/stop/")
            return await asyncio.gather(*waiting)

        answers = asyncio.run(everybody())
        assert set(answers) == {b"200"}
        assert user.until(job_id)["status"] == "STOPPED"


def certificate(folder):
    """A certificate of this machine's own making, for localhost."""
    names = [str(folder / "cert.pem"), str(folder / "key.pem")]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command += ["-out", names[0], "-keyout", names[1]]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("openssl is not here")
    return {"tls_certificate": names[0], "tls_key": names[1]}


def test_with_a_certificate_it_encrypts_and_jobs_still_reach_it(data, tmp_path):
    made = certificate(tmp_path)
    with Served(data, made) as served:
        assert served.address.startswith("https://")
        context = ssl.create_default_context(cafile=made["tls_certificate"])
        user = served.user()
        address = f"https://localhost:{served.port}"
        with httpx.Client(base_url=address, headers=user.client.headers, verify=context) as client:
            assert client.get("/api/v1/programs").json() == []
        source = (
            "import os, urllib.request\n"
            "print(urllib.request.urlopen(os.environ['ENV_JOB_GATEWAY_HOST'] + '/health').status)\n"
        )
        job_id = user.run(source)
        user.until(job_id)
        assert user.get(f"/jobs/{job_id}/logs/").json() == {"logs": "200\n"}
    port = (data / "jobs-port").read_text()
    with Served(data, made):
        assert (data / "jobs-port").read_text() == port


def test_a_certificate_that_is_none_is_refused(data, tmp_path):
    (tmp_path / "cert").write_text("none")
    files = {"tls_certificate": str(tmp_path / "cert"), "tls_key": str(tmp_path / "cert")}
    with pytest.raises(CannotServe, match="cannot be used"), Served(data, files):
        pass


def test_no_thread_and_no_descriptor_is_left_when_it_ends(data):
    with Served(data):
        pass
    threads, descriptors = threading.active_count(), len(os.listdir("/dev/fd"))
    with Served(data) as served:
        user = served.user()
        user.until(user.run("print(1)"))
    assert threading.active_count() == threads
    assert len(os.listdir("/dev/fd")) <= descriptors
