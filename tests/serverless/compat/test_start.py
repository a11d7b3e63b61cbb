"""A program that is started by us finds what it finds when Python starts it."""

import json
import os
import signal
import subprocess
import sys

import pytest

from shoal.serverless import compat

LOOKS = """
import json, sys
def looks(): return [
    sys.argv, __name__, __file__, __spec__ is None, sys.path[0], sys.flags.isolated,
    sys.modules["__main__"].looks is looks, __builtins__.__name__, __annotations__, __doc__,
    __package__, __cached__ if "__cached__" in globals() else None, __loader__.name,
    sorted(set(globals()) - {"__cached__"}),
]
print(json.dumps(looks()))
"""


def both(folder, *arguments, **options):
    """What is said by a program started by Python, and by us."""
    return [
        subprocess.run(
            [sys.executable, *command, *arguments],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            **options,
        )
        for command in ([], [compat.START])
    ]


@pytest.mark.parametrize("name", ["program.py", "in/a folder/program.py", "-c.py", "$(x).py"])
def test_a_program_finds_what_it_finds_when_python_starts_it(tmp_path, name):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(LOOKS)
    given = f"./{name}" if name.startswith("-") else name
    plain, ours = both(tmp_path, given, "a", "-b")
    assert json.loads(ours.stdout) == json.loads(plain.stdout)
    assert (ours.returncode, ours.stderr) == (0, "")


@pytest.mark.parametrize(
    "source",
    [
        "def f():\n    raise ValueError('x')\nf()",
        "raise ValueError from KeyError('cause')",
        "try:\n    1 / 0\nexcept ZeroDivisionError:\n    raise TypeError",
        "x = (",
        "import sys; sys.exit()",
        "import sys; sys.exit(3)",
        "import sys; sys.exit('a text')",
        "import sys; sys.excepthook = lambda *e: print('mine', e[0]); 1 / 0",
        "import atexit; atexit.register(print, 'at the end'); 1 / 0",
        "import threading; threading.Thread(target=print, args=('from a thread',)).start()",
        "raise ExceptionGroup('many', [ValueError(1), KeyError(2)])",
        "import os; os.abort()",
        "f = open('out.txt', 'w'); f.write('kept')",
        "class C:\n    def __del__(self): print('gone')\nc = C()",
        "# -*- coding: latin-1 -*-\nprint(len('\xe9'))",
    ],
)
def test_a_program_ends_as_it_does_when_python_starts_it(tmp_path, source):
    (tmp_path / "program.py").write_bytes(source.encode("latin-1"))
    plain, ours = both(tmp_path, "program.py")
    assert (ours.returncode, ours.stdout) == (plain.returncode, plain.stdout)
    assert ours.stderr == plain.stderr
    if "out.txt" in source:
        assert (tmp_path / "out.txt").read_text() == "kept"


def test_a_program_that_is_not_there_is_said(tmp_path):
    plain, ours = both(tmp_path, "none.py")
    assert ours.returncode == plain.returncode == 2
    assert "can't open file" in ours.stderr


def test_our_stand_ins_come_last(tmp_path):
    (tmp_path / "program.py").write_text(
        "import sys; print(sys.path[-1], sys.path.count(sys.path[-1]))"
    )
    _, ours = both(tmp_path, "program.py")
    assert ours.stdout == f"{compat.PATH} 1\n"


def test_the_folder_of_the_program_is_not_on_a_safe_path(tmp_path):
    (tmp_path / "program.py").write_text("import sys; print(sys.path[0])")
    plain, ours = both(tmp_path, "program.py", env={**os.environ, "PYTHONSAFEPATH": "1"})
    assert ours.stdout == plain.stdout


SPAWNS = """
import multiprocessing, sys
def work(x): return x + 1
class Thing: pass
if __name__ == "__main__":
    with multiprocessing.get_context(sys.argv[1]).Pool(1) as pool:
        print(pool.map(work, [1, 2]), type(pool.apply(Thing)).__name__)
"""


@pytest.mark.parametrize("method", ["spawn", "fork", "forkserver"])
def test_programs_may_use_pools_of_processes(tmp_path, method):
    (tmp_path / "program.py").write_text(SPAWNS)
    plain, ours = both(tmp_path, "program.py", method)
    assert ours.stdout == plain.stdout == "[2, 3] Thing\n"


def test_an_interrupted_program_ends_as_one(tmp_path):
    (tmp_path / "program.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGINT)")
    plain, ours = both(tmp_path, "program.py")
    assert ours.returncode == plain.returncode == -signal.SIGINT
    assert ours.stderr.splitlines()[-1] == "KeyboardInterrupt"
