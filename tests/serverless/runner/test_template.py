"""A program that is forked of the template finds what it finds in a new interpreter."""

import json
import os
import signal

import psutil
import pytest

from shoal.serverless.models import NewProgram
from shoal.serverless.store import programs
from tests.faults.watching import alive, until
from tests.serverless.making import HOLDS, SAVES, archive, submit, upload

LOOKS = """
import json, signal, sys
def looks():
    return {
        "arguments": sys.argv,
        "main": [__name__, __file__, __spec__ is None, sys.modules["__main__"].looks is looks],
        "path": sys.path,
        "directory": os.getcwd(),
        "variables": sorted(os.environ),
        "home": os.environ["HOME"],
        "signals": [str(signal.getsignal(n)) for n in (2, 13, 15, 17, 25)],
        "blocked": [int(n) for n in signal.pthread_sigmask(signal.SIG_BLOCK, [])],
        "descriptors": len(os.listdir("/dev/fd")),
        "leader": os.getsid(0) == os.getpid() == os.getpgid(0),
        "streams": [str(s.encoding) + str(s.line_buffering) + str(s.write_through)
                    for s in (sys.stdout, sys.stderr)],
        "terminal": os.isatty(0), "input": sys.stdin.read(), "mask": oct(os.umask(0)),
        "limits": __import__("resource").getrlimit(4),
        "flags": list(sys.flags)[:5],
        "hooks": [sys.excepthook is sys.__excepthook__, sys.stdout is sys.__stdout__],
        "wakeup": signal.set_wakeup_fd(-1),
        "forked": "colorsys" in sys.modules,
    }
save_result(json.dumps(looks()))
"""


def looks(service, job_id):
    job = service.until(job_id)
    assert job.status == "SUCCEEDED", service.log(job_id)
    text = service.result(job_id).replace(job_id, "THE JOB")
    return json.loads(text)


def test_a_program_finds_what_it_finds_in_a_new_interpreter(service, fast, runner_of):
    forked = looks(fast, fast.run(SAVES + LOOKS))
    fast.runner.drain()
    runner_of(service)
    plain = looks(service, service.run(SAVES + LOOKS))
    assert forked.pop("forked") is True
    assert plain.pop("forked") is False
    assert forked == plain


def test_no_two_forks_repeat_a_random_stream(fast):
    source = SAVES + (
        "import random, numpy\nsave_result(str([random.random(), numpy.random.rand()]).replace("
        "'np.float64', ''))"
    )
    ids = [fast.run(source) for _ in range(3)]
    found = [fast.result(job_id) for job_id in ids if fast.until(job_id)]
    assert len(set(found)) == 3


def test_a_fork_has_all_the_cores_that_numpy_would_have(service, fast):
    source = SAVES + (
        "import numpy, time\n"
        "a = numpy.ones((300, 300)); a @ a\n"
        "save_result(str(len(os.listdir('/proc/self/task'))))"
    )
    job_id = fast.run(source)
    assert fast.until(job_id).status == "SUCCEEDED"
    assert int(fast.result(job_id)) == len(os.sched_getaffinity(0))


def test_the_process_table_shows_whose_a_fork_is(fast):
    job_id = fast.run(HOLDS)
    fast.until_said(job_id, "up")
    shim = psutil.Process(int((fast.place(job_id).folder / "lock").read_text()))
    [program] = shim.children()
    for process in (shim, program):
        assert process.environ()["SHOAL_ATTEMPT"] == f"{job_id}.1"
    fast.stop(job_id)


def test_a_program_with_variables_of_its_own_starts_anew(fast):
    source = SAVES + "import sys; save_result(str('colorsys' in sys.modules).lower())"
    title = "with-variables"
    upload(fast.store, fast.user, source, title, env_vars={"OMP_NUM_THREADS": "1"})
    job_id = submit(fast.store, fast.user, title).id
    assert fast.until(job_id).status == "SUCCEEDED"
    assert fast.result(job_id) == "false"


def test_a_program_finds_its_own_module_of_a_name_that_is_imported_already(fast):
    source = SAVES + "import colorsys; save_result(str(colorsys.mine))"
    files = {"src/main.py": source, "src/colorsys.py": "mine = 7"}
    sha256, size = fast.store.blobs.add([archive(files)])
    fast.store.write(programs.upload, fast.user, NewProgram("own", "src/main.py", sha256, size))
    job_id = submit(fast.store, fast.user, "own").id
    assert fast.until(job_id).status == "SUCCEEDED", fast.log(job_id)
    assert fast.result(job_id) == "7"


@pytest.mark.parametrize(
    ("source", "reason", "said"),
    [
        ("1/0", "EXIT_1", "ZeroDivisionError: division by zero\n"),
        ("def f(: pass", "EXIT_1", "SyntaxError: "),
        ("import sys; sys.exit(3)", "EXIT_3", ""),
        ("import sys; sys.exit('why')", "EXIT_1", "why\n"),
        ("import os; os._exit(4)", "EXIT_4", ""),
        ("import os; os.kill(os.getpid(), 9)", "SIGNAL_9", ""),
        ("import os; os.kill(os.getpid(), 2)", "SIGNAL_2", "KeyboardInterrupt"),
        ("import no_such_module", "EXIT_1", "No module named 'no_such_module'"),
        ("import atexit; atexit.register(print, 'bye')", "", "bye\n"),
        ("open('held', 'w').write('x'); f = open('kept', 'w'); f.write('y')", "", ""),
        ("f = open('/dev/stdout', 'a'); f.write('unflushed')", "", "unflushed"),
        ("class Last:\n    def __del__(self): print('last')\nlast = Last()", "", "last\n"),
        ("import threading as t; t.Timer(0.2, print, ['late']).start()", "", "late\n"),
        ("import ctypes; ctypes.CDLL(None).printf(b'from C')", "", "from C"),
    ],
)
def test_a_fork_ends_as_a_new_interpreter_would(fast, source, reason, said):
    ids = [fast.run(source)]
    fast.until(ids[0])
    fast.runner._launcher.template.close()  # the next start is a plain one
    ids.append(fast.run(source))
    assert [fast.until(job_id).reason for job_id in ids] == [reason, reason]
    assert said in fast.log(ids[0])
    forked, plain = (fast.log(job_id).replace(job_id, "") for job_id in ids)
    if "KeyboardInterrupt" in said:  # its traceback shows what is around a program
        forked, plain = forked.splitlines()[-1], plain.splitlines()[-1]
    assert forked == plain


def test_a_fork_stops_with_all_it_started(fast):
    source = (
        "import os, subprocess, time\n"
        "child = subprocess.Popen(['setsid', 'sleep', '600'])\n"
        "print('up', os.getpid(), child.pid, flush=True)\ntime.sleep(600)\n"
    )
    job_id = fast.run(source)
    fast.until_said(job_id, "up")
    _, *pids = until(lambda: (found := fast.log(job_id).split())[2:] and found, what="the pids")
    fast.stop(job_id)
    assert fast.until(job_id).status == "STOPPED"
    until(lambda: not any(alive(int(pid)) for pid in pids), what="their ends")


def test_forks_outlive_the_template_and_the_runner(fast, runner_of):
    source = SAVES + "import time\nprint('up')\nwhile not os.path.exists('go'): time.sleep(0.01)\n"
    job_id = fast.run(source + "save_result('1')")
    fast.until_said(job_id, "up")
    fast.runner.drain()
    runner_of(fast)
    (fast.place(job_id).program / "go").touch()
    assert fast.until(job_id).status == "SUCCEEDED"
    assert fast.result(job_id) == "1"
    assert fast.job(job_id).fence == 1


def test_a_fork_whose_shim_is_killed_is_lost_and_leaves_nothing(fast):
    job_id = fast.run("import os\nprint('pid', os.getpid(), flush=True)\n" + HOLDS)
    fast.until_said(job_id, "up")
    pid = int(fast.log(job_id).split()[1])
    shim = int((fast.place(job_id).folder / "lock").read_text())
    os.kill(shim, signal.SIGKILL)
    job = fast.until(job_id)
    assert (job.status, job.reason) == ("FAILED", "LOST")
    until(lambda: not alive(pid), what="its end")
