"""What runs in a worker is what the parent would run now, never an older or a newer version."""

import decimal
import os
import sys

import pytest

import shoal

pytestmark = pytest.mark.timeout(60)

LONG_AGO = 1_000_000_000


def write(path, source, *, when=None):
    path.write_text(source)
    if when is not None:
        os.utime(path, (when, when))


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working directory that is first on the search path."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith("written"):
            del sys.modules[name]


def test_a_module_rewritten_and_reloaded_is_never_stale(here):
    import importlib

    write(here / "written_a.py", "def f(x):\n    return ('first', x)\n")
    import written_a

    assert shoal.map(written_a.f, [1], max_workers=1) == [("first", 1)]
    for text in ("second", "third"):
        write(here / "written_a.py", f"def f(x):\n    return ('{text} version', x)\n")
        importlib.reload(written_a)
        assert shoal.map(written_a.f, [1], max_workers=1) == [(f"{text} version", 1)]


MODULE = """
    import os, sys
    sys.path.insert(0, os.getcwd())
    import shoal
    import written

    if "warm" in sys.argv:
        print(shoal.map(written.f, [1], max_workers=1))
    with open("written.py", "w") as file:
        file.write("def f(x):\\n    return ('new on disk', x)\\n")
    if "old" in sys.argv:
        os.utime("written.py", (1_100_000_000, 1_100_000_000))
    got = [written.f(1), *shoal.map(written.f, range(1, 2), max_workers=1)]
    with shoal.executor("processes", max_workers=1) as executor:
        got += [executor.submit(written.f, 1).result(), *executor.map(written.f, [1])]
    print(set(got))
"""


@pytest.mark.parametrize(
    ("warm", "times"),
    [("warm", ""), ("", "old")],
    ids=["warm-and-now", "cold-and-with-an-old-time-stamp"],
)
def test_a_module_rewritten_on_disk_and_not_reloaded_runs_as_loaded(run, tmp_path, warm, times):
    """The serial loop would run what was imported; rsync and tar keep old time stamps."""
    write(tmp_path / "written.py", "def f(x):\n    return ('as loaded', x)\n", when=LONG_AGO)
    out = run(MODULE, warm, times)
    assert out.splitlines()[-1] == "{('as loaded', 1)}"


def test_what_a_function_uses_of_a_rewritten_module_runs_as_loaded(run, tmp_path):
    """Also where the function's own module has not changed."""
    write(tmp_path / "written.py", "def g(x):\n    return ('as loaded', x)\n", when=LONG_AGO)
    write(
        tmp_path / "uses.py", "import written\ndef f(x):\n    return written.g(x)\n", when=LONG_AGO
    )
    out = run(
        """
        import os, sys
        import shoal
        import uses

        with open("written.py", "w") as file:
            file.write("def g(x):\\n    return ('new on disk', x)\\n")
        print(uses.f(1), *shoal.map(uses.f, [1], max_workers=1))
        """
    )
    assert out == "('as loaded', 1) ('as loaded', 1)\n"


def test_a_function_defined_again_runs_as_defined_last(run):
    out = run(
        """
        import shoal

        def f(x):
            return ("first", x)
        print(shoal.map(f, [1], max_workers=1))

        k = 5
        def f(x):
            return ("second", x + k)
        print(shoal.map(f, [1], max_workers=1))

        k = 6
        print(shoal.map(f, [1], max_workers=1))
        """
    )
    assert out == "[('first', 1)]\n[('second', 6)]\n[('second', 7)]\n"


def test_a_class_of_a_rewritten_module_is_still_that_class_in_the_parent(run, tmp_path):
    source = "class P:\n    def __init__(self, x):\n        self.x = x\n"
    write(tmp_path / "written.py", source, when=LONG_AGO)
    out = run(
        """
        import shoal
        import written

        with open("written.py", "a") as file:
            file.write("\\n# changed\\n")
        got = shoal.map(lambda p: written.P(p.x + 1), [written.P(1)], max_workers=1)
        print(isinstance(got[0], written.P), got[0].x)
        """
    )
    assert out == "True 2\n"


def test_the_working_directory_is_followed_between_calls(here):
    def look(x):
        return os.getcwd(), os.path.exists("mark")

    assert set(shoal.map(look, range(3), max_workers=2)) == {(str(here), False)}
    (here / "below").mkdir()
    (here / "below" / "mark").touch()
    os.chdir("below")
    assert set(shoal.map(look, range(3), max_workers=2)) == {(str(here / "below"), True)}
    os.chdir("..")
    assert set(shoal.map(look, range(3), max_workers=2)) == {(str(here), False)}


def test_the_search_path_is_followed_between_calls(here, monkeypatch):
    def load(x):
        import written_b

        return written_b.value

    def load_again(x):
        import written_c

        return written_c.value

    (here / "one").mkdir()
    (here / "two").mkdir()
    write(here / "one" / "written_b.py", "value = 1\n")
    write(here / "two" / "written_c.py", "value = 2\n")
    monkeypatch.syspath_prepend(str(here / "one"))
    assert shoal.map(load, [0], max_workers=1) == [1]
    monkeypatch.syspath_prepend(str(here / "two"))
    assert shoal.map(load_again, [0], max_workers=1) == [2]


def test_a_relative_search_path_is_followed_with_the_working_directory(here, monkeypatch):
    def load(x):
        import written_d

        return written_d.value

    (here / "there").mkdir()
    monkeypatch.setattr(sys, "path", ["", *sys.path[1:]])
    assert shoal.map(abs, [-1], max_workers=1) == [1]
    write(here / "there" / "written_d.py", "value = 4\n")
    os.chdir("there")
    assert shoal.map(load, [0], max_workers=1) == [4]


def test_a_module_written_after_the_workers_started_is_found(here):
    assert shoal.map(abs, [-1], max_workers=1) == [1]
    write(here / "written_e.py", "def f(x):\n    return x + 5\n")
    import written_e

    assert shoal.map(written_e.f, [0], max_workers=1) == [5]


def test_a_working_directory_that_is_gone_does_no_harm(here, recwarn):
    (here / "gone").mkdir()
    os.chdir("gone")
    (here / "gone").rmdir()
    try:
        assert shoal.map(abs, [-1, -2], max_workers=2) == [1, 2]
    finally:
        os.chdir(here)


def test_where_a_task_went_is_not_where_the_next_call_begins(here):
    """The worker may be the same; the parent has not moved."""
    shoal.map(lambda x: os.chdir("/"), range(2), max_workers=1)
    assert shoal.map(lambda x: os.getcwd(), range(2), max_workers=1) == [str(here)] * 2


def test_decimal_arithmetic_is_done_in_the_context_of_the_parent():
    """Its precision is part of the result."""

    def third(x):
        return decimal.Decimal(x) / 3

    for digits in (50, 10):
        with decimal.localcontext() as context:
            context.prec = digits
            assert shoal.map(third, [1], max_workers=1) == [third(1)]


def test_recursion_is_allowed_as_deep_as_in_the_parent():
    def deep(x):
        return 0 if x == 0 else 1 + deep(x - 1)

    before = sys.getrecursionlimit()
    sys.setrecursionlimit(before + 4000)
    try:
        assert shoal.map(deep, [before + 1000], max_workers=1) == [before + 1000]
    finally:
        sys.setrecursionlimit(before)
