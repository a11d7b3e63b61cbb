"""Ctrl-C and a killed parent: nothing is left running, and nothing but one traceback is said."""

import os
import random
import re
import signal
import time

import pytest

from tests.faults.watching import Program, alive, lines, until

pytestmark = pytest.mark.timeout(60)

SLEEPERS = """
    import os, sys, time
    import shoal

    def sleep(x):
        with open("ledger", "a") as file:
            file.write(f"{os.getpid()}\\n")
        time.sleep(60)

    how = sys.argv[1]
    if how == "map":
        shoal.map(sleep, range(40), max_workers=2)
    elif how == "imap":
        list(shoal.imap(sleep, range(40), max_workers=2))
    elif how == "run":
        from shoal.tasks import Task, run
        list(run(sleep, [Task((x,)) for x in range(40)], max_workers=2))
    elif how == "threads":
        import threading
        each = [threading.Thread(target=shoal.map, args=(sleep, range(4))) for _ in range(2)]
        for thread in each:
            thread.daemon = True
            thread.start()
        for thread in each:
            thread.join()
    else:
        with shoal.executor("processes", max_workers=2) as executor:
            futures = [executor.submit(sleep, x) for x in range(40)]
            if how == "result":
                futures[0].result()
            elif how == "executor-map":
                list(executor.map(sleep, range(40)))
    print("not reached")
"""


def interrupt(program, *, to="group"):
    """What a terminal does at Ctrl-C, to the group; or what `kill -INT` does, to the parent."""
    if to == "group":
        os.killpg(program.pid, signal.SIGINT)
    else:
        os.kill(program.pid, signal.SIGINT)


def assert_ended_by_ctrl_c(program, *, presses=1, seconds=30):
    """Exit status 130, one traceback and no other word, nothing left soon after.

    A second press may strike while Python itself prints or ends; that much is its own affair.
    """
    status, out, err = program.finish(seconds)
    assert status == -signal.SIGINT, err
    assert out == ""
    tracebacks = err.count("Traceback (most recent call last)")
    assert 1 <= tracebacks <= presses, err
    raised = re.findall(r"^(\w+(?:\.\w+)*)(?::.*)?$", err, re.MULTILINE)
    assert set(raised) <= {"KeyboardInterrupt"}, err
    assert "Warning" not in err
    if presses == 1:
        assert err.endswith("\nKeyboardInterrupt\n"), err
        assert "Exception ignored" not in err
    until(lambda: not program.living(), 20, "the end of all processes")


HOWS = ["map", "imap", "run", "result", "executor-map", "threads"]


def slow(*values):
    """A case for the slow suite only."""
    return pytest.param(*values, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    ("how", "to"),
    [
        *((how, "group") for how in HOWS),
        ("map", "parent"),
        *(slow(how, "parent") for how in HOWS if how != "map"),
    ],
)
def test_ctrl_c_ends_everything_with_one_traceback(start, tmp_path, how, to):
    """E09: once, while tasks run."""
    program = start(SLEEPERS, how)
    until(lambda: len(lines(tmp_path / "ledger")) == 2)
    interrupt(program, to=to)
    assert_ended_by_ctrl_c(program)


@pytest.mark.parametrize(
    ("pause", "to"),
    [
        (0.0, "group"),
        (0.01, "parent"),
        (0.1, "group"),
        slow(0.0, "parent"),
        slow(0.01, "group"),
        slow(0.1, "parent"),
    ],
)
def test_a_second_ctrl_c_does_no_harm(start, tmp_path, to, pause):
    """E09: twice, the second at once or while the first is seen to."""
    program = start(SLEEPERS, "map")
    until(lambda: len(lines(tmp_path / "ledger")) == 2)
    interrupt(program, to=to)
    end = time.monotonic() + pause
    while time.monotonic() < end and program.process.poll() is None:
        pass
    if program.process.poll() is None:
        interrupt(program, to=to)
    assert_ended_by_ctrl_c(program, presses=2)


@pytest.mark.parametrize("presses", [1, 2])
def test_ctrl_c_while_a_worker_imports(start, tmp_path, presses):
    """E09: the import takes for ever in the worker, and no time in the parent."""
    (tmp_path / "heavy.py").write_text(
        "import os, time\n"
        "if os.getpid() != int(os.environ.get('MAIN', os.getpid())):\n"
        "    open('ledger', 'a').write('importing\\n')\n"
        "    time.sleep(60)\n"
        "def task(x):\n"
        "    return x\n"
    )
    until(lambda: time.time() - (tmp_path / "heavy.py").stat().st_ctime > 0.1)
    program = start(
        """
        import os
        os.environ["MAIN"] = str(os.getpid())
        import shoal
        from heavy import task

        shoal.map(task, range(40), max_workers=2)
        """
    )
    until(lambda: len(lines(tmp_path / "ledger")) == 2)
    for _ in range(presses):
        interrupt(program)
    assert_ended_by_ctrl_c(program, presses=presses)


@pytest.mark.parametrize("presses", [1, 2])
def test_ctrl_c_while_workers_start(start, tmp_path, presses):
    """E09: at the moment when the first process of the pool appears."""
    program = start(SLEEPERS, "map")
    until(program.others)
    for _ in range(presses):
        interrupt(program)
    assert_ended_by_ctrl_c(program, presses=presses)


def test_ctrl_c_while_the_program_waits_at_its_end(start, tmp_path):
    """E09: work that was submitted and not waited for is given up too."""
    program = start(
        """
        import time
        import shoal

        def sleep(x):
            open("ledger", "a").write("begun\\n")
            time.sleep(60)

        executor = shoal.executor("processes", max_workers=1)
        executor.submit(sleep, 1)
        """
    )
    until(lambda: lines(tmp_path / "ledger"))
    interrupt(program)
    program.finish(30)
    until(lambda: not program.living(), 20, "the end of all processes")


def test_after_ctrl_c_the_session_goes_on(start, tmp_path):
    """E09: as in a notebook: the call is given up, its tasks are gone, the next call works."""
    program = start(
        """
        import os, time
        import shoal

        def sleep(x):
            with open("ledger", "a") as file:
                file.write(f"{os.getpid()}\\n")
            time.sleep(60)

        for _ in range(3):
            try:
                shoal.map(sleep, range(40), max_workers=2)
            except KeyboardInterrupt:
                print("interrupted", flush=True)
            print(shoal.map(abs, [-1, -2, -3], max_workers=2), flush=True)
        """
    )
    for number in (1, 2, 3):
        until(lambda number=number: len(lines(tmp_path / "ledger")) == 2 * number)
        interrupt(program)
    status, out, err = program.finish(120)
    assert (status, err) == (0, "")
    assert out.splitlines() == ["interrupted", "[1, 2, 3]"] * 3
    assert not any(map(alive, map(int, lines(tmp_path / "ledger"))))


AT_ANY_MOMENT = """
    import random, signal, sys, threading
    import shoal

    random.seed(int(sys.argv[1]))
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    interrupted = 0
    for _ in range(int(sys.argv[2])):
        try:
            signal.setitimer(signal.ITIMER_REAL, random.uniform(0.0005, 0.03))
            while True:
                got = shoal.map(lambda x: x * x, range(300), max_workers=2, batch_size=7)
                assert got == [x * x for x in range(300)]
        except KeyboardInterrupt:
            interrupted += 1
        assert shoal.map(lambda x: x + 1, range(20), max_workers=2) == list(range(1, 21))
    print(interrupted, flush=True)
    thread = threading.Thread(target=lambda: print(shoal.map(abs, [-1], max_workers=2)))
    thread.start()
    thread.join()
"""


@pytest.mark.parametrize(("seed", "times"), [(0, 40), *(slow(seed, 150) for seed in range(3))])
def test_ctrl_c_at_any_moment_leaves_a_session_that_works_and_ends(start, seed, times):
    """E09: interrupts strike anywhere; every later result is right, and the exit prompt."""
    status, out, err = start(AT_ANY_MOMENT, seed, times).finish(120)
    assert (status, out) == (0, f"{times}\n[1]\n"), err


@pytest.mark.parametrize("how", ["map", "imap", "result"])
def test_a_killed_parent_leaves_nothing_behind(start, tmp_path, how):
    """E08: SIGKILL while tasks run: workers and launcher are gone within two seconds."""
    program = start(SLEEPERS, how)
    until(lambda: len(lines(tmp_path / "ledger")) == 2)
    assert len(program.living()) == 4
    os.kill(program.pid, signal.SIGKILL)
    until(lambda: not program.living(), 20, "the end of all processes")


def test_a_terminated_parent_leaves_nothing_behind(start, tmp_path):
    """E08: SIGTERM, which Python does not turn into an exception."""
    program = start(SLEEPERS, "map")
    until(lambda: len(lines(tmp_path / "ledger")) == 2)
    os.kill(program.pid, signal.SIGTERM)
    until(lambda: not program.living(), 20, "the end of all processes")


def test_a_killed_parent_whose_child_lives_on_leaves_no_worker_behind(start, tmp_path):
    """E08: a process the parent forked holds copies of every pipe; that must not matter."""
    program = start(
        """
        import os, time
        import shoal

        def sleep(x):
            open("ledger", "a").write("begun\\n")
            time.sleep(60)

        shoal.map(abs, range(4), max_workers=2)
        child = os.fork()
        if child == 0:
            time.sleep(60)
            os._exit(0)
        open("child", "w").write(str(child))
        shoal.map(sleep, range(40), max_workers=2)
        """
    )
    until(lambda: len(lines(tmp_path / "ledger")) == 2)
    [child] = map(int, lines(tmp_path / "child"))
    os.kill(program.pid, signal.SIGKILL)
    until(lambda: program.living() == [child], 20, "the end of the workers")


@pytest.mark.parametrize("kind", [signal.SIGKILL, signal.SIGINT], ids=["killed", "ctrl-c"])
def test_a_parent_that_ends_while_it_instructs_its_launcher_leaves_nothing_behind(start, kind):
    """E08, E09: half an instruction is none; and nobody waits for the other half."""
    program = start(
        """
        import sys
        import shoal

        sys.argv.append("x" * 100_000_000)
        shoal.map(abs, range(4), max_workers=2)
        """
    )
    until(program.others)
    os.kill(program.pid, kind)
    until(lambda: not program.living(), 20, "the end of all processes")
    _, _, err = program.finish(30)
    assert err.count("Traceback") <= 1, err


def kill_at(program, seconds):
    """SIGKILL after about this time, or when it has ended."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and program.process.poll() is None:
        time.sleep(0.001)
    if program.process.poll() is None:
        os.kill(program.pid, signal.SIGKILL)
    until(lambda: not program.living(), 20, "the end of all processes")
    program.process.communicate()


@pytest.mark.parametrize("seed", range(2))
def test_a_parent_killed_at_a_random_moment_leaves_nothing_behind(start, seed):
    """E08: while and after the launcher and its workers start; the slow suite has 200 moments."""
    kill_at(start(SLEEPERS, "map"), random.Random(seed).uniform(0.05, 0.6))


@pytest.mark.slow  # two hundred programs, started and killed: about a minute
@pytest.mark.timeout(300)
def test_two_hundred_parents_killed_leave_nothing_behind(start, tmp_path):
    """E08: 200 seeds."""
    kill_at(start(SLEEPERS, "map"), 0.1)
    for seed in range(200):
        program = Program([tmp_path / "program.py", "map"], cwd=tmp_path)
        kill_at(program, random.Random(seed).uniform(0.0, 0.5))
