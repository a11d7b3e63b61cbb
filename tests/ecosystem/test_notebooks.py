"""A person at a notebook: stops a cell, changes it, runs it again; the kernel lives on."""

import pytest

from tests.faults.watching import alive, lines, until

pytest.importorskip("ipykernel")
manager = pytest.importorskip("jupyter_client.manager")

pytestmark = pytest.mark.timeout(90)


class Notebook:
    """A real kernel, and the cells that are run in it."""

    def __init__(self, folder):
        self.kernel, self.client = manager.start_new_kernel(kernel_name="python3", cwd=str(folder))

    def begin(self, cell):
        """Has the kernel run a cell."""
        return self.client.execute(cell)

    def end(self, begun):
        """What a cell has shown as its value, or the name of the error that ended it."""
        shown = None
        while True:
            message = self.client.get_iopub_msg(timeout=60)
            if message["parent_header"].get("msg_id") != begun:
                continue
            content = message["content"]
            if message["msg_type"] == "execute_result":
                shown = content["data"]["text/plain"]
            elif message["msg_type"] == "error":
                shown = content["ename"]
            elif message["msg_type"] == "status" and content["execution_state"] == "idle":
                return shown

    def run(self, cell):
        return self.end(self.begin(cell))


@pytest.fixture(scope="module")
def notebook(tmp_path_factory):
    opened = Notebook(tmp_path_factory.mktemp("notebook"))
    opened.run("import asyncio, os, time, shoal")
    opened.run("from joblib import Parallel, delayed, parallel_config")
    opened.run("from shoal.tasks.joblib import register_joblib; register_joblib()")
    yield opened
    opened.client.stop_channels()
    opened.kernel.shutdown_kernel(now=True)


STAY = """
def stay(path):
    with open(path, "a") as file:
        file.write(f"{os.getpid()}\\n")
    time.sleep(60)
"""


@pytest.mark.parametrize(
    "call",
    [
        "shoal.map(stay, [path] * 4, max_workers=2)",
        "Parallel(n_jobs=2, backend='shoal')(delayed(stay)(path) for _ in range(4))",
        "[each.result() for each in [executor.submit(stay, path) for _ in range(2)]]",
    ],
)
def test_a_cell_that_is_interrupted_ends_and_the_next_one_works(notebook, tmp_path, call):
    path = tmp_path / "pids"
    notebook.run(STAY + f"path = {str(path)!r}; executor = shoal.executor(max_workers=2)")
    begun = notebook.begin(call)
    pids = until(lambda: len(lines(path)) == 2 and lines(path), what="two tasks that run")
    notebook.kernel.interrupt_kernel()
    assert notebook.end(begun) == "KeyboardInterrupt"
    assert notebook.run("shoal.map(lambda x: 2 * x, [1, 2, 3], max_workers=2)") == "[2, 4, 6]"
    if "executor.submit" in call:  # futures are the user's: they run until the executor is shut
        notebook.run("executor.supervisor.stop(kill=True)")
    until(lambda: not any(alive(int(pid)) for pid in pids), what="the end of what was interrupted")


def test_a_function_and_a_class_defined_again_are_the_new_ones_everywhere(notebook):
    for answer in ("first", "second"):
        notebook.run(
            f"class Word:\n    text = {answer!r}\ndef say(n):\n    return [Word.text] * n, Word()"
        )
        notebook.run("results = shoal.map(say, [1], max_workers=1)")
        notebook.run("results += Parallel(n_jobs=2, backend='shoal')([delayed(say)(1)] * 2)")
        notebook.run("executor = shoal.executor(max_workers=1)")
        notebook.run("results += [executor.submit(say, 1).result()]; executor.shutdown()")
        shown = notebook.run("{(*words, type(thing) is Word) for words, thing in results}")
        assert shown == f"{{({answer!r}, True)}}"


def test_a_cell_may_await_what_workers_do(notebook):
    notebook.run("executor = shoal.executor(max_workers=2)")
    cell = """
calls = [asyncio.get_running_loop().run_in_executor(executor, lambda x: x + 1, x) for x in (1, 2)]
await asyncio.gather(*calls)
"""
    assert notebook.run(cell) == "[2, 3]"


def test_lambdas_of_a_cell_go_through_joblib(notebook):
    cell = "Parallel(n_jobs=2, backend='shoal')(delayed(lambda x: x * factor)(x) for x in (1, 2))"
    notebook.run("factor = 5")
    assert notebook.run(cell) == "[5, 10]"
