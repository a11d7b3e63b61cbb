"""Cells of a notebook, run by a real kernel."""

import pytest

nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")
pytest.importorskip("ipykernel")

pytestmark = pytest.mark.timeout(90)


@pytest.fixture(scope="module")
def notebook(tmp_path_factory):
    """Runs cells; gives what each of them shows as text."""
    cells = """
import shoal, os
shoal.map(lambda x: 3 * x, [1, 2, 3], max_workers=2)
#
def f(x):
    return ("first", x)
shoal.map(f, [1, 2], max_workers=2)
#
def f(x):
    return ("second", x)
shoal.map(f, [1, 2], max_workers=2)
#
def loud(x):
    print("printed", x)
    return x
shoal.map(loud, [7], max_workers=2)
#
class Point:
    def __init__(self, x):
        self.x = x
got = shoal.map(lambda p: Point(p.x + 1), [Point(1)], max_workers=2)
isinstance(got[0], Point), got[0].x
#
def bad(x):
    return 1 / x
try:
    shoal.map(bad, [1, 0], max_workers=2)
except ZeroDivisionError as error:
    print(error.__notes__[0])
#
shoal.map(lambda x: os._exit(3) if x else x, [0, 1], max_workers=2, on_error="return")[1]
#
list(shoal.imap(f, range(2), max_workers=2))
#
shoal.map(abs, range(3), max_workers=2, progress=True)
#
import warnings
def warn(x):
    warnings.warn("careful", stacklevel=1)
shoal.map(warn, [1], max_workers=1)
#
import asyncio
asyncio.get_running_loop().is_running(), shoal.map(abs, [-1], max_workers=2)
""".strip().split("\n#\n")
    folder = tmp_path_factory.mktemp("notebook")
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    client = nbclient.NotebookClient(
        book, timeout=60, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    )
    client.execute()
    return [cell.outputs for cell in book.cells]


def shown(outputs):
    """The value of a cell, as text."""
    [text] = [
        each["data"]["text/plain"] for each in outputs if each.output_type == "execute_result"
    ]
    return text


def printed(outputs, name="stdout"):
    return "".join(
        each.text for each in outputs if each.output_type == "stream" and each.name == name
    )


def test_a_lambda_of_a_cell_works(notebook):
    assert shown(notebook[0]) == "[3, 6, 9]"


def test_a_function_defined_again_runs_fresh(notebook):
    assert shown(notebook[1]) == "[('first', 1), ('first', 2)]"
    assert shown(notebook[2]) == "[('second', 1), ('second', 2)]"


def test_prints_of_workers_are_visible(notebook):
    assert printed(notebook[3]) == "printed 7\n"


def test_a_class_of_a_cell_is_that_class_in_results(notebook):
    assert shown(notebook[4]) == "(True, 2)"


def test_an_error_names_its_input(notebook):
    assert "task 1 failed on input 0" in printed(notebook[5])


def test_an_input_that_kills_does_not_kill_the_kernel(notebook):
    assert "WorkerDied" in shown(notebook[6])
    assert shown(notebook[7]) == "[('second', 0), ('second', 1)]"


def test_a_progress_bar_reaches_its_end(notebook):
    assert shown(notebook[8]) == "[0, 1, 2]"
    text = printed(notebook[8], "stderr") + str(notebook[8])
    assert "3/3" in text


def test_warnings_of_workers_are_visible(notebook):
    assert "UserWarning: careful" in printed(notebook[9], "stderr")


def test_a_running_event_loop_is_no_obstacle(notebook):
    assert shown(notebook[10]) == "(True, [1])"
