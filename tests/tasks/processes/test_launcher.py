"""The launcher is a fresh interpreter that imports nothing of the user's and seeds each worker."""

import os
import subprocess
import sys

import psutil

import shoal
from shoal.tasks.processes.launcher import kill_group


def run_program(text, **options):
    return subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, check=False, **options
    )


def test_workers_share_no_open_files_or_locks_with_the_program(tmp_path):
    opened = (tmp_path / "opened").open("w")
    os.set_inheritable(opened.fileno(), True)

    def look(_):
        names = []
        for each in os.listdir("/proc/self/fd"):
            try:
                names.append(os.readlink(f"/proc/self/fd/{each}"))
            except OSError:
                continue
        return names

    with opened, shoal.executor("processes", max_workers=1) as executor:
        assert str(tmp_path / "opened") not in executor.submit(look, None).result()


def count_threads():
    return psutil.Process().num_threads()


def read_input():
    return sys.stdin.read()


def test_workers_have_one_thread_when_they_begin():
    with shoal.executor("processes", max_workers=1) as executor:
        assert executor.submit(count_threads).result(30) == 1


def test_standard_input_of_a_worker_is_empty():
    with shoal.executor("processes", max_workers=1) as executor:
        assert executor.submit(read_input).result(30) == ""


def test_the_users_main_module_is_never_imported(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import shoal\n"
        "print('main runs')\n"
        "class Point:\n"
        "    def __init__(self, x): self.x = x\n"
        "print([p.x for p in shoal.map(lambda x: Point(x + 1), range(3))])\n"
    )
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.stdout == "main runs\n[1, 2, 3]\n", done.stderr


def test_a_module_that_cannot_be_preloaded_ends_nothing(tmp_path):
    (tmp_path / "numpy.py").write_text("raise RuntimeError('not in the launcher')\n")
    done = run_program(
        "import sys, types; sys.modules['numpy'] = types.ModuleType('numpy')\n"
        "import shoal; sys.modules['numpy'].geterr = dict\n"
        "print(shoal.map(abs, [-1]))",
        cwd=tmp_path,
    )
    assert done.stdout == "[1]\n", done.stderr


def test_numpy_is_not_loaded_for_a_program_that_does_without():
    done = run_program(
        "import sys, shoal\n"
        "print(shoal.map(lambda _: 'numpy' in __import__('sys').modules, [1]))\n"
        "print('numpy' in sys.modules)"
    )
    assert done.stdout == "[False]\nFalse\n", done.stderr


def test_killing_a_group_that_is_gone_is_no_error():
    with subprocess.Popen([sys.executable, "-c", ""], start_new_session=True) as process:
        process.wait()
    kill_group(process.pid)
