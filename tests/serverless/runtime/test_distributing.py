"""Distributed tasks: references at once, values as in a plain call, wherever they run."""

import os
import random
import subprocess
import sys
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from shoal.errors import MissingExtra
from shoal.serverless.runtime import (
    Target,
    distribute_task,
    distributing,
    get,
    get_refs_by_status,
    put,
)
from tests.faults.watching import until

# Where another test has loaded JAX.
pytestmark = pytest.mark.filterwarnings(r"ignore:os\.fork\(\) was called:RuntimeWarning")


@distribute_task()
def double(x):
    return 2 * x


@distribute_task()
def total(*parts, more=None):
    return sum(parts) + sum((more or {}).values())


@distribute_task()
def flat(nested):
    return nested


@distribute_task()
def nested(n):
    return sum(get([double(each) for each in range(n)]))


@distribute_task()
def fails(x, *, because="no reason"):
    raise KeyError(because)


@distribute_task()
def waits_for(path):
    while not Path(path).exists():
        os.stat("/")
    return "waited"


@distribute_task()
def where():
    return os.getpid(), threading.get_ident()


def test_results_come_in_the_order_of_the_references(executor):
    assert get([double(x) for x in range(20)]) == [2 * x for x in range(20)]
    assert get(double(21)) == 42
    assert get(double(x) for x in range(3)) == [0, 2, 4]
    assert get(()) == get([]) == []


def test_references_are_arguments_of_other_tasks_at_any_depth(executor):
    a, b = double(1), double(2)
    assert get(total(a, b, 3, more={"c": double(b), "d": 1})) == 2 + 4 + 3 + 8 + 1
    found = get(flat([a, (b, {a: 1} and {"k": [b]}), {3}]))
    assert found == [2, (4, {"k": [4]}), {3}]


def test_what_holds_no_references_arrives_as_it_is(executor):
    array = np.arange(6.0).reshape(2, 3)
    found = get(flat({"rows": array, 3: [None, "é", {1, 2}]}))
    np.testing.assert_array_equal(found["rows"], array)
    assert found[3] == [None, "é", {1, 2}]


def test_a_chain_of_tasks_runs_in_its_order(executor):
    reference = put(1)
    for _ in range(15):
        reference = double(reference)
    assert get(reference) == 2**15


def test_a_task_may_start_tasks(executor):
    assert get([nested(4), nested(total(1, 2))]) == [12, 6]


def test_a_task_uses_references_that_it_finds_in_scope(executor):
    data = put([5, 6, 7])

    @distribute_task()
    def pick(index):
        return get(data)[index]

    assert get([pick(index) for index in range(3)]) == [5, 6, 7]


def test_an_error_keeps_its_type_and_names_the_arguments(executor):
    with pytest.raises(KeyError, match="rain") as caught:
        get(fails(double(7), because="rain"))
    text = "".join(traceback.format_exception(caught.value))
    assert "14" in text
    assert "because='rain'" in text
    assert "raise KeyError(because)" in text


def test_a_task_whose_input_failed_fails_with_the_same_error(executor):
    broken = fails(1, because="at the source")
    for reference in (double(broken), flat([broken]), double(double(broken))):
        with pytest.raises(KeyError, match="at the source"):
            get(reference)
    assert get(double(2)) == 4


def test_one_that_fails_costs_no_other(executor):
    references = [double(1), fails(2), double(3)]
    with pytest.raises(KeyError):
        get(references)
    assert get([references[0], references[2]]) == [2, 6]


def test_waiting_has_an_end(executor, tmp_path):
    if executor == "serial":
        pytest.skip("a serial task has ended when there is a reference")
    path = tmp_path / "go"
    reference = waits_for(str(path))
    assert "under way" in repr(reference)
    with pytest.raises(TimeoutError, match="waits_for"):
        get([reference], timeout=0.05)
    path.touch()
    assert get(reference, timeout=60) == "waited"
    assert "done" in repr(reference)


def test_ended_and_open_references_are_told_apart(executor, tmp_path):
    if executor == "serial":
        pytest.skip("as above")
    path = tmp_path / "go"
    slow, quick = waits_for(str(path)), double(1)
    assert get_refs_by_status([slow, quick]) == ([quick], [slow])
    assert get_refs_by_status([slow, quick], num_returns=2, timeout=0.05) == ([quick], [slow])
    path.touch()
    ready, left = get_refs_by_status([slow, quick], num_returns=2)
    assert (ready, left) == ([slow, quick], [])
    assert get_refs_by_status([slow, quick], num_returns=1) == ([slow], [quick])
    assert get_refs_by_status([1, quick], num_returns=1) == ([1], [quick])


@pytest.mark.parametrize(("count", "number"), [(2, 0), (2, 3), (0, 1)])
def test_no_more_references_than_there_are_can_be_asked_for(count, number):
    with pytest.raises(ValueError, match=f"num_returns={number}: expected 1 to {count}"):
        get_refs_by_status([put(each) for each in range(count)], num_returns=number)


def test_a_reference_is_asked_for_once():
    one = put(1)
    with pytest.raises(ValueError, match="once"):
        get_refs_by_status([one, one])


def test_random_streams_do_not_repeat(executor):
    if executor in ("threads", "serial"):
        pytest.skip("one process has one stream")

    @distribute_task()
    def draws():
        return random.random(), np.random.rand()  # noqa: NPY002

    assert len(set(get([draws() for _ in range(6)]))) == 6


def test_variables_are_there_for_the_time_of_the_task(executor, monkeypatch):
    monkeypatch.setenv("REPLACED", "before")

    @distribute_task(target=Target(env_vars={"MINE": 3, "REPLACED": "x"}))
    def reads():
        return os.environ["MINE"], os.environ["REPLACED"]

    @distribute_task()
    def reads_after():
        return os.environ.get("MINE"), os.environ["REPLACED"]

    assert get(reads()) == ("3", "x")
    assert get(reads_after()) == (None, "before")


def test_a_decorated_function_keeps_its_name_and_may_be_decorated_without_brackets(executor):
    @distribute_task
    def named(x):
        """Says so."""
        return x

    assert (named.__name__, named.__doc__) == ("named", "Says so.")
    assert get(named(1)) == 1


@pytest.mark.parametrize(
    "target", [Target(cpu=2, mem=1), {"cpu": 1, "gpu": 1}, {"cpu": 0.5}, {"mem": 10**18}, None]
)
def test_whatever_a_task_needs_it_runs(engine, target):
    assert get(distribute_task(target=target)(abs)(-3)) == 3


def test_what_a_task_needs_bounds_how_many_run():
    most = distributing._most_at_once
    assert most(Target(), 8, 10**9) == 8
    assert most(Target(cpu=3), 8, 10**9) == 2
    assert most(Target(cpu=16), 8, 10**9) == 1
    assert most(Target(cpu=0), 8, 10**9) == 8
    assert most(Target(mem=4 * 10**8), 8, 10**9) == 2
    assert most(Target(gpu=1), 8, 10**9) == 1


def test_cores_of_a_task_are_threads_of_its_libraries(engine):
    @distribute_task(target={"cpu": 2})
    def threads():
        return os.environ["OMP_NUM_THREADS"]

    assert get(threads()) == str(min(2, len(os.sched_getaffinity(0))))


@pytest.mark.parametrize(
    ("target", "error", "message"),
    [
        ({"cpu": -1}, ValueError, "cpu=-1: expected 0 or more"),
        ({"cores": 1}, TypeError, "cores"),
        (3, TypeError, "target=3: expected a Target or a dictionary"),
    ],
)
def test_a_target_that_is_none_is_refused_at_once(target, error, message):
    with pytest.raises(error, match=message):
        distribute_task(target=target)


def test_only_functions_can_be_distributed():
    with pytest.raises(TypeError, match="expected a function"):
        distribute_task()(3)


def test_packages_that_are_asked_for_are_not_installed_but_said(caplog):
    distribute_task(target={"pip": ["numpy"]})
    assert "nothing is installed" in caplog.text


def test_an_executor_that_needs_the_engine_says_so(forked, monkeypatch):
    monkeypatch.setenv("SHOAL_EXECUTOR", "ray")
    with pytest.raises(MissingExtra, match="SHOAL_EXECUTOR='ray' needs shoal"):
        get(double(1))


def test_threads_that_start_tasks_do_not_disturb_each_other(engine):
    def work(base):
        return get([double(base + each) for each in range(10)])

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(work, range(0, 400, 100)))
    assert found == [[2 * (base + each) for each in range(10)] for base in range(0, 400, 100)]


def test_tasks_run_at_the_same_time_and_elsewhere(executor, tmp_path):
    if executor == "serial":
        pytest.skip("one after the other")

    @distribute_task()
    def meets(mine, other):
        (tmp_path / mine).touch()
        until((tmp_path / other).exists, what="the other one")
        return os.getpid(), threading.get_ident()

    one, two = get([meets("a", "b"), meets("b", "a")])
    assert len({one, two, (os.getpid(), threading.get_ident())}) == 3


PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
from shoal.serverless.runtime import distribute_task, distributing
if sys.argv[3] == "forks":
    distributing._engine = lambda: None
@distribute_task()
def touches(name):
    with open(sys.argv[2] + name, "w"):
        pass
for each in range(40):
    touches(str(each))
if sys.argv[4] == "fails":
    1 / 0
"""


@pytest.mark.parametrize("where", ["processes", "forks"])
@pytest.mark.parametrize("how", ["ends", "fails"])
def test_a_program_ends_when_its_tasks_have_and_soon_if_it_fails(tmp_path, where, how):
    """Tasks that nobody waits for are finished, unless the program failed."""
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "t").mkdir()
    root = str(Path(__file__).parents[3])
    ran = subprocess.run(
        [sys.executable, tmp_path / "program.py", root, f"{tmp_path}/t/", where, how],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    if how == "ends":
        assert (ran.returncode, ran.stderr) == (0, "")
        assert len(list((tmp_path / "t").iterdir())) == 40
    else:
        assert ran.returncode == 1
        assert ran.stderr.endswith("ZeroDivisionError: division by zero\n")
