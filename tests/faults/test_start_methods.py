"""Programs of every kind start workers: threads, forks, no guard, no file, odd surroundings."""

import os
import subprocess
import sys
import threading

import pytest

import shoal
from tests.faults.watching import MARK, Program

pytestmark = pytest.mark.timeout(60)

lock = threading.Lock()


def test_a_lock_held_by_a_thread_while_the_pool_starts_is_not_held_in_workers(fresh_pool):
    """E17: workers are no fork of the user's process."""
    entered, leave = threading.Event(), threading.Event()

    def hold():
        with lock:
            entered.set()
            leave.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    entered.wait(30)

    def task(x):
        from tests.faults.test_start_methods import lock

        return lock.acquire(timeout=5)

    try:
        assert shoal.map(task, range(2), executor=fresh_pool, batch_size=1, timeout_seconds=20) == [
            True,
            True,
        ]
    finally:
        leave.set()
        thread.join()


def test_locks_of_logging_held_by_a_thread_do_no_harm(run):
    """E17: locks that a forked child would wait for, for ever."""
    out = run(
        """
        import io, logging, threading
        from shoal import map

        handler = logging.StreamHandler(io.StringIO())
        logging.getLogger().addHandler(handler)
        entered, leave = threading.Event(), threading.Event()

        def hold():
            with handler.lock, logging._lock:
                entered.set()
                leave.wait()

        threading.Thread(target=hold, daemon=True).start()
        entered.wait()

        def task(x):
            import logging
            logging.getLogger("quiet").debug("x")
            return x

        print(map(task, range(4), max_workers=2))
        leave.set()
        """
    )
    assert out == "[0, 1, 2, 3]\n"


BODY = """
import shoal

class Point:
    def __init__(self, x):
        self.x = x
    def double(self):
        return Point(2 * self.x)

k = 3
def f(x):
    return k * x

got = shoal.map(Point.double, [Point(1), Point(2)], max_workers=2)
print(shoal.map(f, [1, 2, 3], max_workers=2), shoal.map(lambda x: x - k, [5], max_workers=2),
      [type(p) is Point and isinstance(p, Point) for p in got], [p.x for p in got])
"""
EXPECTED = "[3, 6, 9] [2] [True, True] [2, 4]\n"


def test_a_script_without_a_guard_works_and_runs_once(run, tmp_path):
    """E17: workers never import the user's __main__."""
    assert run(BODY + "print('once')\n") == EXPECTED + "once\n"


def test_a_script_with_a_guard_works(run):
    """E17: as scripts for other pools are written."""
    guarded = "if __name__ == '__main__':\n" + "".join(
        f"    {line}\n" for line in BODY.splitlines()
    )
    assert run(guarded) == EXPECTED


def finished(*arguments, text=None, **options):
    program = Program(arguments, stdin=subprocess.PIPE, **options)
    try:
        status, out, err = program.finish(30, text)
        assert status == 0, err
        return out
    finally:
        program.end()


def test_a_program_from_standard_input_works(tmp_path):
    """E17: no file to import."""
    assert finished("-", text=BODY, cwd=tmp_path) == EXPECTED


def test_a_program_on_the_command_line_works(tmp_path):
    """E17: python -c."""
    assert finished("-c", BODY, cwd=tmp_path) == EXPECTED


def test_a_module_run_by_name_works(tmp_path):
    """E17: python -m package."""
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("")
    (tmp_path / "package" / "__main__.py").write_text(BODY)
    assert finished("-m", "package", cwd=tmp_path) == EXPECTED


def test_an_interactive_session_works(tmp_path):
    """E17: python -i, line by line."""
    text = "import shoal\ndef f(x):\n    return 3 * x\n\nprint(shoal.map(f, [1, 2, 3]))\n"
    assert finished("-i", "-q", text=text, cwd=tmp_path) == "[3, 6, 9]\n"


def test_workers_read_nothing_of_the_program_s_standard_input(tmp_path):
    """E17: what is piped into the program is the program's."""
    path = tmp_path / "program.py"
    path.write_text(
        "import shoal, sys\n"
        "print(shoal.map(lambda x: sys.stdin.read(), range(2), max_workers=2))\n"
        "print(sys.stdin.read())\n"
    )
    assert finished(path, text="mine", cwd=tmp_path) == "['', '']\nmine\n"


def test_functions_and_classes_of_the_script_arrive_with_what_they_use(run):
    """E17: globals, imports, decorators, recursion, subclasses, class attributes."""
    out = run(
        """
        import functools, math
        import shoal

        table = {"a": 1}

        def deeper(x):
            return 0 if x == 0 else 1 + deeper(x - 1)

        def twice(f):
            @functools.wraps(f)
            def both(x):
                return f(x) * 2
            return both

        @twice
        def wrapped(x):
            return math.floor(x) + table["a"] + deeper(3)

        class Base:
            count = 7
            def __init__(self, x): self.x = x
            def __eq__(self, other): return type(self) is type(other) and self.x == other.x
            def __repr__(self): return f"{type(self).__name__}({self.x})"

        class Child(Base):
            def up(self):
                made = super().__new__(Child)
                Base.__init__(made, self.x + self.count)
                return made

        class Failed(Exception):
            pass

        def fail(x):
            raise Failed(x)

        print(shoal.map(wrapped, [1.5, 2.5], max_workers=2))
        got = shoal.map(Child.up, [Child(1), Child(2)], max_workers=2)
        print(got, got == [Child(8), Child(9)], isinstance(got[0], Base))
        try:
            shoal.map(fail, [1], max_workers=2)
        except Failed as error:
            print("caught", error.args)
        """
    )
    assert out == "[10, 12]\n[Child(8), Child(9)] True True\ncaught (1,)\n"


def test_a_memoised_function_of_the_script_works(run):
    """E17: a notebook's favourite decorator."""
    out = run(
        """
        import functools
        import shoal

        @functools.cache
        def memoised(x):
            return x * x

        @functools.lru_cache(maxsize=5)
        def bounded(x):
            return memoised(x) + 1

        print(shoal.map(memoised, [1, 2], max_workers=2), shoal.map(bounded, [1, 2], max_workers=2))
        print(shoal.map(lambda x: bounded(x), [3], max_workers=2))
        """
    )
    assert out == "[1, 4] [2, 5]\n[10]\n"


def test_a_forked_child_of_the_user_does_not_break_the_pool(run):
    """E17: it inherits every pipe, lives on, and is not waited for at the end."""
    out = run(
        """
        import os, signal, time
        import shoal

        print(shoal.map(abs, [-1, -2], max_workers=2), flush=True)
        child = os.fork()
        if child == 0:
            time.sleep(60)
            os._exit(0)
        print(shoal.map(abs, [-3, -4], max_workers=2), flush=True)
        got = shoal.map(lambda x: os._exit(1) if x else x, range(2), on_error="return")
        print(type(got[1]).__name__, flush=True)
        executor = shoal.executor("processes", max_workers=1)
        executor.submit(abs, -1).result()
        begun = time.monotonic()
        executor.shutdown()
        print("prompt" if time.monotonic() - begun < 20 else "slow", flush=True)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        """
    )
    assert out == "[1, 2]\n[3, 4]\nWorkerDied\nprompt\n"


def test_a_forked_child_may_map_too(run):
    """E17: with workers of its own; the parent's are left alone, at its exit too."""
    out = run(
        """
        import os, sys
        import shoal

        pids = shoal.map(lambda x: os.getpid(), range(2), max_workers=2, batch_size=1)
        sys.stdout.flush()
        child = os.fork()
        got = shoal.map(lambda x: x * x, range(5), max_workers=2)
        assert got == [0, 1, 4, 9, 16]
        theirs = shoal.map(lambda x: os.getpid(), range(9), max_workers=2, batch_size=1)
        if child == 0:
            assert not set(theirs) & set(pids)
            sys.exit(7)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), shoal.map(abs, [-1], max_workers=2))
        """
    )
    assert out == "7 [1]\n"


def test_a_child_of_multiprocessing_may_map(run):
    """E17: whatever way it was started."""
    out = run(
        """
        import multiprocessing
        import shoal

        def work(queue):
            queue.put(shoal.map(abs, [-1, -2], max_workers=2))

        if __name__ == "__main__":
            print(shoal.map(abs, [-5], max_workers=2), flush=True)
            for method in ("fork", "spawn", "forkserver"):
                context = multiprocessing.get_context(method)
                queue = context.Queue()
                process = context.Process(target=work, args=(queue,))
                process.start()
                got = queue.get(timeout=20)
                process.join(20)
                print(method, got, process.exitcode, flush=True)
        """
    )
    assert out == "[5]\nfork [1, 2] 0\nspawn [1, 2] 0\nforkserver [1, 2] 0\n"


def test_a_path_object_on_the_search_path_does_no_harm(run):
    """E17: many programs have one there."""
    assert (
        run(
            """
            import pathlib, sys
            sys.path.insert(0, pathlib.Path("somewhere"))
            sys.argv.append(pathlib.Path("else"))
            import shoal
            print(shoal.map(abs, [-1], max_workers=2))
            """
        )
        == "[1]\n"
    )


def test_a_very_long_command_line_does_no_harm(run):
    """E17: five thousand files on it, as a shell's * gives."""
    files = [f"data/measurement-{number:05d}.csv" for number in range(5000)]
    source = """
        import sys
        import shoal
        print(len(sys.argv), shoal.map(lambda x: len(sys.argv), [1], max_workers=2))
    """
    assert run(source, *files) == "5001 [5001]\n"


def test_files_in_the_working_directory_are_not_taken_for_libraries(start, tmp_path):
    """E17: the script is elsewhere; a data directory may hold files of any name."""
    data = tmp_path / "data"
    data.mkdir()
    for name in ("json", "socket", "numpy", "worker", "shoal"):
        (data / f"{name}.py").write_text(f"raise ImportError('{name} is data')\n")
    program = start(
        "import shoal\nprint(shoal.map(abs, [-1], max_workers=2))\n", name="ok.py", cwd=data
    )
    assert program.finish(120) == (0, "[1]\n", "")


def test_workers_run_under_the_flags_of_the_program(tmp_path):
    """E17: -O, -X and -W reach the workers."""
    path = tmp_path / "program.py"
    path.write_text(
        "import shoal, sys\n"
        "def flags(x):\n"
        "    return sys.flags.optimize, sys.flags.utf8_mode, 'dev' in sys._xoptions\n"
        "print(shoal.map(flags, [0], max_workers=1)[0])\n"
    )
    assert finished("-O", "-X", "utf8", "-X", "dev", path) == "(1, 1, True)\n"


def test_workers_inherit_the_environment_as_it_is_now(monkeypatch):
    """E17: also what was set or removed after they started."""

    def look(x):
        return os.environ.get("SHOAL_TEST_VALUE")

    monkeypatch.setenv("SHOAL_TEST_VALUE", "one")
    assert set(shoal.map(look, range(4), max_workers=2)) == {"one"}
    monkeypatch.setenv("SHOAL_TEST_VALUE", "two")
    assert set(shoal.map(look, range(4), max_workers=2)) == {"two"}
    monkeypatch.delenv("SHOAL_TEST_VALUE")
    assert set(shoal.map(look, range(4), max_workers=2)) == {None}
    assert MARK not in os.environ


def test_closed_standard_streams_do_no_harm(run, tmp_path):
    """E17: a daemon has none."""
    run(
        """
        import os, sys
        for number in (0, 1, 2):
            os.close(number)
        sys.stdout = sys.stderr = sys.stdin = None
        import shoal

        def task(x):
            print("lost")
            return -x

        got = shoal.map(task, [1, 2, 3], max_workers=2)
        open("result", "w").write(str(got))
        """
    )
    assert (tmp_path / "result").read_text() == "[-1, -2, -3]"


def test_the_program_ends_promptly_after_parallel_work(run):
    """E17: warm workers do not hold the exit up."""
    out = run(
        """
        import atexit, time
        begun = None
        atexit.register(lambda: print(time.monotonic() - begun))
        import shoal
        shoal.map(abs, range(10), max_workers=2)
        executor = shoal.executor("processes", max_workers=1)
        executor.submit(abs, 1).result()
        list(shoal.imap(abs, range(10), max_workers=2))
        begun = time.monotonic()
        """
    )
    assert float(out) < 5


def test_work_that_was_submitted_is_finished_at_exit(run, tmp_path):
    """E17: as the standard library's executors do."""
    run(
        """
        import time
        import shoal

        def late(x):
            time.sleep(0.2)
            open(f"late-{x}", "w").close()

        executor = shoal.executor("processes", max_workers=2)
        for x in range(4):
            executor.submit(late, x)
        """
    )
    assert sorted(path.name for path in tmp_path.glob("late-*")) == [f"late-{x}" for x in range(4)]


def test_python_is_the_same_in_workers():
    """E17: the same interpreter, environment and library."""

    def look(x):
        import shoal

        return sys.executable, sys.prefix, sys.version, shoal.__file__

    expected = (sys.executable, sys.prefix, sys.version, shoal.__file__)
    assert shoal.map(look, [1], max_workers=1) == [expected]
