"""Parallel work inside parallel work, and numerical threads inside workers."""

import os

import numpy as np
import pytest

import shoal

pytestmark = pytest.mark.timeout(20)  # E18: no hang in 20 s


def threads_here(x):
    """Threads of every numerical library in this process."""
    import scipy.linalg
    import threadpoolctl

    scipy.linalg.lu(np.eye(3))
    return [info["num_threads"] for info in threadpoolctl.threadpool_info()]


def test_a_map_inside_a_map_runs_inline():
    """E18: in the worker itself, with the right results."""

    def inner(x):
        return x, os.getpid()

    def outer(x):
        return os.getpid(), shoal.map(inner, range(x))

    for number, (pid, inside) in enumerate(shoal.map(outer, range(6), max_workers=2)):
        assert inside == [(x, pid) for x in range(number)]


@pytest.mark.parametrize("name", ["processes", "serial", "threads"])
def test_a_named_executor_inside_a_worker_works(name):
    """E18: processes in a worker are that worker."""

    def outer(x):
        with shoal.executor(name, max_workers=2) as executor:
            inside = executor.submit(os.getpid).result() == os.getpid()
            lazily = list(shoal.imap(abs, [-1, -2], executor=executor))
            return inside, list(executor.map(abs, [-x])), lazily

    assert shoal.map(outer, [1, 2], max_workers=2) == [
        (True, [1], [1, 2]),
        (True, [2], [1, 2]),
    ]


def test_errors_streams_and_timeouts_of_nested_maps_work():
    """E18: the inner error names the inner input, the outer the outer one."""

    def outer(x):
        drawn = shoal.map(lambda y, rng: rng.random(), range(3), seed=x)
        failed = shoal.map(lambda y: 1 // y, range(2), on_error="return", timeout_seconds=5)
        return drawn, type(failed[0]).__name__, failed[1]

    def loop(x):
        children = np.random.SeedSequence(x).spawn(3)
        drawn = [np.random.default_rng(child).random() for child in children]
        return drawn, "ZeroDivisionError", 1

    assert shoal.map(outer, range(4), max_workers=2) == [loop(x) for x in range(4)]


def test_an_error_of_an_inner_map_arrives_and_names_both_inputs():
    """E18: through two levels."""

    def inner(y):
        return 1 // y

    def outer(x):
        return shoal.map(inner, [3, 0])

    with pytest.raises(ZeroDivisionError) as caught:
        shoal.map(outer, ["outer input"], max_workers=2)
    notes = "\n".join(caught.value.__notes__)
    assert "task 1 failed on input 0" in notes
    assert "task 0 failed on input 'outer input'" in notes
    assert shoal.failure(caught.value).args == ("outer input",)


def test_a_task_may_use_multiprocessing_itself():
    """E18: workers are not daemonic."""

    def task(x):
        import multiprocessing

        with multiprocessing.get_context("fork").Pool(2) as inner:
            return inner.map(abs, [-x, -x - 1])

    assert shoal.map(task, [1, 2], max_workers=2) == [[1, 2], [2, 3]]


def test_a_task_may_use_subprocesses():
    """E18: and gets their output and their status."""

    def task(x):
        import subprocess
        import sys

        done = subprocess.run(
            [sys.executable, "-c", f"print({x}); raise SystemExit({x})"],
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout, done.returncode

    assert shoal.map(task, [1, 2], max_workers=2) == [("1\n", 1), ("2\n", 2)]


def test_a_task_may_use_threads():
    """E18: the inner pool is the task's own affair."""

    def task(x):
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(2) as inner:
            return list(inner.map(abs, [-x, -x]))

    assert shoal.map(task, [1, 2], max_workers=2) == [[1, 1], [2, 2]]


def test_workers_have_one_numerical_thread_after_the_parent_used_several():
    """E18: OpenBLAS in the parent, then the pool."""
    matrix = np.random.default_rng(1).random((300, 300))
    matrix @ matrix
    for counts in shoal.map(threads_here, range(4), max_workers=2, batch_size=1):
        assert counts
        assert set(counts) == {1}


def test_numerical_threads_are_as_many_as_asked_for():
    """E18: threads_per_task, for map and for executors."""
    counts = shoal.map(threads_here, [0], max_workers=1, threads_per_task=2)[0]
    assert set(counts) == {2}
    with shoal.executor("processes", max_workers=1, threads_per_task=2) as executor:
        assert set(executor.submit(threads_here, 0).result(20)) == {2}
        assert set(shoal.map(threads_here, [0], executor=executor)[0]) == {2}
    assert set(shoal.map(threads_here, [0], max_workers=1)[0]) == {1}


def test_matrix_products_equal_those_of_the_loop_at_one_thread():
    """E18: bit for bit."""
    import threadpoolctl

    matrices = [np.random.default_rng(x).random((200, 200)) for x in range(4)]
    with threadpoolctl.threadpool_limits(1):
        expected = [np.linalg.inv(matrix @ matrix.T).tobytes() for matrix in matrices]
    got = shoal.map(lambda m: np.linalg.inv(m @ m.T).tobytes(), matrices, max_workers=2)
    assert got == expected


OPENMP = """
    import ctypes, ctypes.util, sys
    import shoal

    name = ctypes.util.find_library("gomp")
    if name is None:
        print("no libgomp")
        sys.exit()

    def region(x):
        import ctypes
        openmp = ctypes.CDLL(name)
        seen = []
        body = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(
            lambda data: seen.append(openmp.omp_get_num_threads())
        )
        openmp.GOMP_parallel(body, None, 0, 0)
        return len(seen), max(seen)

    openmp = ctypes.CDLL(name)
    openmp.omp_set_num_threads(2)
    body = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda data: None)
    openmp.GOMP_parallel(body, None, 2, 0)
    print(shoal.map(region, range(3), max_workers=2, timeout_seconds=10))
"""


def test_openmp_in_the_parent_does_not_hang_the_workers(run):
    """E18: GNU's OpenMP hangs in a forked child; workers are none, and use one thread."""
    out = run(OPENMP).strip()
    if out == "no libgomp":
        pytest.skip("libgomp is not installed")
    assert out == "[(1, 1), (1, 1), (1, 1)]"
