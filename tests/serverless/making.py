"""Programs, accounts, jobs and runners for the tests of the service."""

import contextlib
import functools
import io
import sys
import tarfile
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from shoal.serverless.identifiers import new_id
from shoal.serverless.models import NewJob, NewProgram, Principal, Quotas
from shoal.serverless.runner import Place, read_log, shim
from shoal.serverless.runner.leftovers import MARK
from shoal.serverless.settings import Settings
from shoal.serverless.store import Store, accounts, attempts, jobs, programs
from tests.faults.watching import until

ENDLESS = Quotas(active_jobs=None, queued_jobs=None)
MEMORY = Path("/dev/shm")


def memory_folder():
    """A folder whose files need not survive a power cut, so that nothing waits for a disk."""
    where = MEMORY if MEMORY.is_dir() else None
    return tempfile.TemporaryDirectory(dir=where, prefix="shoal-test-")


@functools.cache
def empty_database():
    """A database as a new store makes it, which takes longer than most tests do."""
    with memory_folder() as folder:
        Store(Path(folder)).close()
        return (Path(folder) / "store.sqlite").read_bytes()


def prepared(folder):
    """The same folder, with an empty database in it."""
    (folder / "store.sqlite").write_bytes(empty_database())
    return folder


@contextlib.contextmanager
def opened(**options):
    """A new store in memory."""
    with memory_folder() as folder, Store(prepared(Path(folder)), **options) as store:
        yield store


def archive(files):
    """An uncompressed tar archive of text files by name."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as target:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text.encode())
            target.addfile(entry, io.BytesIO(text.encode()))
    return made.getvalue()


def account(store, name="user"):
    """A new account's principal."""
    store.write(accounts.add, name)
    text, _ = store.write(accounts.add_token, name)
    return store.read(accounts.authenticate, text)


def upload(store, principal, source="", title="program", **details):
    """A program of one file, ``main.py``."""
    sha256, size = store.blobs.add([archive({"main.py": source})])
    new = NewProgram(title, "main.py", sha256, size, details=details)
    return store.write(programs.upload, principal, new)


def submit(store, principal, title="program", **options):
    """A new job of a program."""
    new = NewJob(new_id(), title, **options)
    return store.write(jobs.submit, principal, new, ENDLESS).job


def claim(store, principal, title="program", **options):
    """A new job, claimed by somebody."""
    submit(store, principal, title, **options)
    [claimed] = store.write(attempts.claim, "somebody", 1)
    return claimed


@dataclass
class Service:
    """A store with a user, and runners where asked for: a gateway without HTTP."""

    store: Store
    user: Principal
    settings: Settings

    @classmethod
    def open(cls, data, **settings):
        store = Store(prepared(data))
        chosen = {"max_jobs": 4, "grace_seconds": 0.5, "fast_start": False, **settings}
        return cls(store, account(store), Settings(data=data, **chosen))

    def with_settings(self, **settings):
        return replace(self, settings=replace(self.settings, **settings))

    def run(self, source="", arguments="{}", **options):
        """Submits a program of one file; returns its job's id."""
        title = f"program-{new_id()}"
        upload(self.store, self.user, source, title)
        packed = self.store.blobs.pack(arguments)
        return submit(self.store, self.user, title, arguments=packed, **options).id

    def job(self, job_id):
        return self.store.read(attempts.get, job_id)

    def stop(self, job_id):
        return self.store.write(jobs.request_stop, self.user, job_id)

    def result(self, job_id):
        found = self.store.read(jobs.result, self.user, job_id)
        return None if found is None else self.store.blobs.unpack(found)

    def changes(self, job_id):
        """The states that the job's events tell of, in order."""
        events = self.store.read(jobs.events, self.user, job_id)
        return [event.after for event in events if event.kind == "STATUS"]

    def place(self, job_id, fence=1):
        return Place(self.settings.data / "jobs", job_id, fence)

    def log(self, job_id, fence=1):
        return read_log(self.place(job_id, fence).log).data.decode()

    def until(self, job_id, *statuses):
        """Waits for the job to be in one of these states, or to have ended; returns it."""

        def there():
            job = self.job(job_id)
            return job if job.status in statuses or job.status.is_terminal else None

        return until(there, what=f"the end of {job_id}")

    def until_said(self, job_id, text, fence=1):
        """Waits until the job's log holds a text."""
        until(lambda: text in self.log(job_id, fence), what=f"{text!r} in the log")


def end_jobs(data):
    """Kills all shims and jobs of a data directory; with the shims first, jobs die with them."""
    mark = f"{MARK}=".encode()
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, psutil.Error):
            found = (entry / "environ").read_bytes().split(b"\0")
            marks = [each.removeprefix(mark).decode() for each in found if each.startswith(mark)]
            attempt, _, fence = "".join(marks).partition(".")
            if attempt and (data / "jobs" / attempt / fence).exists():
                psutil.Process(int(entry.name)).kill()


SAVES = """
import os
def save_result(text):
    with open(os.environ["RESULTS_PATH"], "w") as target:
        target.write(text)
"""
HOLDS = "import time\nprint('up')\ntime.sleep(600)\n"


def shim_that(folder: Path, body: str) -> tuple[str, ...]:
    """A command for a shim that does something else at some step; `body` defines ``step(name)``."""
    text = (
        "import os, signal, sys\n"
        f"sys.path.append({str(Path(shim.__file__).parent)!r})\n"
        f"import shim\n{body}\n"
        "os.set_inheritable(3, False)\n"
        "shim.supervise(sys.argv[-1], notify=3, step=step)\n"
    )
    path = folder / f"shim-{new_id()}.py"
    path.write_text(text)
    return (sys.executable, "-I", "-S", str(path))
