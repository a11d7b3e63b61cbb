"""The shim starts a program once, within its limits, and tells how all of it ended."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from shoal.serverless.identifiers import new_id
from shoal.serverless.runner.launching import SHIM, start_shim
from shoal.serverless.runner.leftovers import MARK
from shoal.serverless.runner.logs import read_log
from shoal.serverless.runner.places import Place, Stage
from tests.faults.watching import alive, lines, until


class Attempt:
    """A program under a shim, without a store."""

    def __init__(self, folder, source, **spec):
        self.place = Place(folder, new_id(), 1)
        self.place.make()
        self.place.program.mkdir()
        (self.place.program / "main.py").write_text(source)
        self.ledger = folder / "ledger"
        self.spec = {
            "arguments": [sys.executable, "main.py"],
            "environment": {MARK: self.place.attempt, "LEDGER": str(self.ledger)},
            "directory": str(self.place.program),
            "wall_seconds": 30.0,
            "grace_seconds": 0.3,
            "log_bytes": 100_000,
            "limits": {"RLIMIT_CORE": 0},
            **spec,
        }
        (self.place.folder / "spec.json").write_text(json.dumps(self.spec))
        self.pid = None

    def start(self, command=SHIM):
        self.began, tell = os.pipe()
        self.pid = start_shim(self.place, tell, command)
        os.close(tell)
        return self

    def running(self):
        """Waits for the program to run; True if it does."""
        try:
            return os.read(self.began, 1) == b"1"
        finally:
            os.close(self.began)

    def end(self):
        """Waits for the shim to end; returns what it told."""
        os.waitpid(self.pid, 0)
        stage, told = self.place.stage()
        said = (self.place.folder / "shim.txt").read_text()
        assert stage is Stage.ENDED, said
        return told

    @property
    def log(self):
        return read_log(self.place.log).data


@pytest.fixture
def attempt(tmp_path):
    def start(source, command=SHIM, **spec):
        made = Attempt(tmp_path, source, **spec)
        return made.start(command)

    return start


@pytest.fixture
def run(attempt):
    def run(source, **spec):
        made = attempt(source, **spec)
        assert made.running()
        return made.end(), made

    return run


@pytest.mark.parametrize("code", [0, 1, 3, 255])
def test_an_exit_code_is_told(run, code):
    told, _ = run(f"raise SystemExit({code})")
    assert (told.exit_code, told.signal, told.stopped, told.timed_out) == (code, None, False, False)


@pytest.mark.parametrize("number", [2, 9, 11, 13, 15])
def test_a_signal_is_told(run, number):
    told, _ = run(
        f"import os, signal\nsignal.signal({number}, signal.SIG_DFL)\n"
        f"os.kill(os.getpid(), {number})"
        if number != 9
        else "import os\nos.kill(os.getpid(), 9)"
    )
    assert (told.exit_code, told.signal) == (None, number)


def test_output_and_errors_are_one_log_in_order(run):
    _, made = run(
        "import sys\nfor n in range(3):\n print(n, flush=True)\n"
        " print('e', n, file=sys.stderr, flush=True)"
    )
    assert made.log == b"0\ne 0\n1\ne 1\n2\ne 2\n"


def test_a_log_without_end_keeps_its_end(run):
    told, made = run("import sys\nfor n in range(300000):\n sys.stdout.write(f'{n:09d}\\n')\n")
    assert told.log_bytes == 3_000_000
    assert made.log.endswith(b"000299999\n")
    assert 80_000 <= len(made.log) <= 100_000


def test_a_program_that_closes_its_output_goes_on(run):
    told, _ = run("import os\nos.close(1)\nos.close(2)\nos._exit(7)")
    assert told.exit_code == 7


def test_a_program_that_cannot_be_started_says_why(run):
    told, _ = run("", arguments=["/no/such/python", "main.py"])
    assert "No such file" in told.problem


def test_a_program_begins_with_signals_files_and_limits_as_usual(run):
    told, made = run(
        "import os, signal, resource, sys\n"
        "usual = [n for n in range(1, 32) if n not in (9, 19)"
        " and signal.getsignal(n) is signal.SIG_IGN]\n"
        "print(usual, os.listdir('/proc/self/fd'), resource.getrlimit(resource.RLIMIT_CORE))\n"
        "print(os.getpid() == os.getsid(0), os.getpid() == os.getpgid(0))\n"
        "print(signal.pthread_sigmask(signal.SIG_BLOCK, []), sys.stdin.read() == '')\n"
    )
    assert told.exit_code == 0
    # Python itself ignores SIGPIPE and SIGXFSZ; descriptor 3 is the folder being listed.
    assert made.log.decode() == ("[13, 25] ['0', '1', '2', '3'] (0, 0)\nTrue True\nset() True\n")


def test_the_end_of_children_is_known_although_the_gateway_ignores_it(tmp_path):
    made = Attempt(tmp_path, "import os\nos.kill(os.getpid(), 9)")
    program = (
        "import signal, sys\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"
        "import os\nos.dup2(1, 3, inheritable=True)\n"
        f"os.execv({SHIM[0]!r}, {[*SHIM, str(made.place.folder)]!r})"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    stage, told = made.place.stage()
    assert stage is Stage.ENDED
    assert (told.exit_code, told.signal) == (None, 9)


def test_a_program_that_runs_too_long_is_ended(run):
    told, _ = run("import time\ntime.sleep(60)", wall_seconds=0.2)
    assert (told.timed_out, told.stopped, told.signal) == (True, False, 15)
    assert 0.2 <= told.seconds < 5


def stop(made):
    made.place.ask_to_stop()
    handle = made.place.open_shim()
    if handle is not None:
        signal.pidfd_send_signal(handle, signal.SIGTERM)
        os.close(handle)


def test_a_program_may_end_well_when_it_is_stopped(attempt):
    made = attempt(
        "import signal, time\nsignal.signal(15, lambda *_: exit(0))\n"
        "print('up', flush=True)\ntime.sleep(60)"
    )
    assert made.running()
    until(lambda: b"up" in made.log)
    stop(made)
    told = made.end()
    assert (told.stopped, told.exit_code) == (True, 0)


STUBBORN = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for each in (1, 2):
            os.close(each)
        with open(os.environ["LEDGER"], "w") as ledger:
            print(os.getpid(), file=ledger)
        time.sleep(600)
    os._exit(0)
while not os.path.exists(os.environ["LEDGER"]) or not open(os.environ["LEDGER"]).read():
    time.sleep(0.01)
print("up", flush=True)
{then}
"""


def test_stopping_ends_what_ignores_it_and_what_ran_away(attempt):
    made = attempt(STUBBORN.format(then="time.sleep(600)"))
    until(lambda: b"up" in made.log)
    [daemon] = map(int, lines(made.ledger))
    assert alive(daemon)
    began = time.monotonic()
    stop(made)
    told = made.end()
    assert (told.stopped, told.signal) == (True, 9)
    assert not alive(daemon)
    assert 0.3 <= time.monotonic() - began < 30  # the grace time, and a slow machine
    os.close(made.began)


def test_the_end_of_a_program_is_the_end_of_all_it_started(attempt):
    made = attempt(STUBBORN.format(then="sys.exit(4)"))
    told = made.end()
    [daemon] = map(int, lines(made.ledger))
    assert (told.exit_code, told.stopped) == (4, False)
    assert not alive(daemon)
    os.close(made.began)


def test_an_attempt_that_is_to_stop_before_it_starts_never_does(tmp_path):
    made = Attempt(tmp_path, "import os\nopen(os.environ['LEDGER'], 'w').write('ran')")
    made.place.ask_to_stop()
    made.start()
    assert not made.running()
    assert made.end().stopped
    assert not made.ledger.exists()


def test_of_many_shims_for_one_attempt_one_starts_it(tmp_path):
    made = Attempt(tmp_path, "import os\nwith open(os.environ['LEDGER'], 'a') as f: f.write('x ')")
    shims = [
        made.start().pid for _ in range(4) if os.close(getattr(made, "began", os.dup(0))) is None
    ]
    for pid in shims:
        os.waitpid(pid, 0)
    os.close(made.began)
    assert lines(made.ledger) == ["x"]


def test_a_fenced_attempt_never_starts(tmp_path):
    made = Attempt(tmp_path, "import os\nopen(os.environ['LEDGER'], 'w').write('ran')")
    assert made.place.fence()
    made.start()
    assert not made.running()
    os.waitpid(made.pid, 0)
    assert made.place.stage() == (Stage.FENCED, None)
    assert not made.ledger.exists()


def test_a_program_dies_with_its_shim(attempt):
    made = attempt("import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(600)")
    assert made.running()
    until(lambda: made.log.endswith(b"\n"))
    pid = int(made.log)
    os.kill(made.pid, signal.SIGKILL)
    os.waitpid(made.pid, 0)
    until(lambda: not alive(pid))
    assert made.place.stage() == (Stage.LOST, None)


def test_the_lock_is_the_shims_alone(attempt):
    made = attempt("import time\nprint('up', flush=True)\ntime.sleep(600)")
    assert made.running()
    with (made.place.folder / "lock").open() as lock:
        with pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert int(lock.read()) == made.pid
        os.kill(made.pid, signal.SIGKILL)
        os.waitpid(made.pid, 0)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
