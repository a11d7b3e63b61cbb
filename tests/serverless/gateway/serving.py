"""A gateway that serves over HTTP, in a thread of the test or in a process of its own."""

import contextlib
import functools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from shoal.serverless.gateway import hashed, serve
from shoal.serverless.gateway.admission import TOKEN_FILE
from shoal.serverless.settings import Settings
from shoal.serverless.store import Store, accounts
from tests.faults.watching import until
from tests.serverless.making import SAVES, archive, end_jobs

API = "/api/v1"
SECONDS = 60.0
CHOSEN = {"max_jobs": 4, "grace_seconds": 0.5, "job_imports": ()}
ENDED = ("SUCCEEDED", "FAILED", "STOPPED")


@dataclass
class User:
    """Somebody with a token, and the requests they make."""

    name: str
    client: httpx.Client
    token: str

    def get(self, path, **options):
        return self.client.get(f"{API}{path}", **options)

    def post(self, path, **options):
        return self.client.post(f"{API}{path}", **options)

    def upload(self, source="", title="program", **fields):
        answer = self.post(
            "/programs/upload/",
            data={"title": title, "entrypoint": "main.py", **fields},
            files={"artifact": ("artifact.tar", archive({"main.py": source}))},
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    def submit(self, title="program", arguments=None, **fields):
        body = {"title": title, "arguments": json.dumps(arguments or {}), **fields}
        answer = self.post("/programs/run/", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()["id"]

    def run(self, source="", title="program", arguments=None, **fields):
        self.upload(source, title)
        return self.submit(title, arguments, **fields)

    def job(self, job_id, **options):
        return self.get(f"/jobs/{job_id}/", headers={"Prefer": "wait=0"}, **options).json()

    def until(self, job_id, *statuses):
        """Waits for the job to be in one of these states, or to have ended."""

        def there():
            job = self.get(f"/jobs/{job_id}/").json()  # the gateway answers when there is news
            return job if job["status"] in (*statuses, *ENDED) else None

        return until(there, what=f"the end of {job_id}")

    def until_logged(self, job_id, text):
        until(lambda: text in self.get(f"/jobs/{job_id}/logs/").json()["logs"], what=repr(text))


@dataclass
class Served:
    """A gateway in a thread of this process."""

    data: Path
    options: dict = field(default_factory=dict)
    address: str = ""
    said: list = field(default_factory=list)
    _clients: list = field(default_factory=list)

    def __enter__(self):
        settings = Settings(data=self.data, port=0, **{**CHOSEN, **self.options})
        self._stopping, started = threading.Event(), threading.Event()
        self._failure = None

        def say(text):
            self.said.append(text)
            if "listening on" in text:
                self.address = text.split()[-1]
                started.set()

        def run():
            try:
                serve(settings, say=say, stopping=self._stopping)
            except BaseException as error:  # noqa: BLE001
                self._failure = error
                started.set()

        self._thread = threading.Thread(target=run, name="gateway")
        self._thread.start()
        assert started.wait(SECONDS)
        if self._failure is not None:
            self._thread.join()
            raise self._failure
        return self

    def __exit__(self, *_):
        for client in self._clients:
            client.close()
        self._stopping.set()
        self._thread.join()
        end_jobs(self.data)
        if self._failure is not None:
            raise self._failure

    @property
    def port(self):
        return int(self.address.rsplit(":", 1)[1])

    @functools.cached_property
    def anybody(self):
        """A client without a token."""
        return self.client()

    def client(self, token=None):
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        made = httpx.Client(
            base_url=self.address,
            headers=headers,
            timeout=SECONDS,
            transport=httpx.HTTPTransport(verify=False),  # certificates take long to load
        )
        self._clients.append(made)
        return made

    def user(self, name="user", password=None):
        """A new user, made as the operator makes them: by another opening of the store."""
        with Store(self.data) as store:
            kept = None if password is None else hashed(password)
            store.write(accounts.add, name, password_hash=kept)
            token, _ = store.write(accounts.add_token, name)
        return User(name, self.client(token), token)

    def admin(self):
        token = (self.data / TOKEN_FILE).read_text().strip()
        return User("admin", self.client(token), token)

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=SECONDS)


@contextlib.contextmanager
def process(data, *options, **variables):
    """`shoal serve` in a process of its own; gives the process and its address."""
    command = [sys.executable, "-m", "shoal", "serve", "--data", str(data), "--port", "0"]
    with subprocess.Popen(
        [*command, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **variables},
    ) as running:
        lines = []
        for line in running.stdout:
            lines.append(line)
            if "listening on" in line:
                break
        else:
            raise AssertionError(f"{lines} {running.stderr.read()}")
        try:
            yield running, line.split()[-1], lines
        finally:
            if running.poll() is None:
                running.send_signal(signal.SIGKILL)
            running.stdout.close()
            running.stderr.close()


def raw(served, data, *, until_closed=True):
    """Sends bytes as they are; returns what comes back until the connection closes."""
    with served.connect() as connection:
        connection.sendall(data)
        found = b""
        while part := connection.recv(65536):
            found += part
            if not until_closed:
                break
        return found


SAVING = f"{SAVES}\nimport json, os\n"
ECHO = (
    f"{SAVES}\nimport os\nsave_result(open(os.environ['ARGUMENTS_PATH']).read())\nprint('done')\n"
)
HOLDS = "import time\nprint('up', flush=True)\ntime.sleep(600)\n"
