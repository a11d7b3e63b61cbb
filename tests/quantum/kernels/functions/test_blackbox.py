import os
import subprocess
import sys
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest

import shoal
from shoal.errors import CheckpointChanged
from shoal.quantum.kernels.functions.blackbox import compute

x = np.random.default_rng(0).normal(size=(13, 3))
y = np.random.default_rng(1).normal(size=(5, 3))


def gauss(a, b):
    return np.exp(-np.sum((a - b) ** 2))


def loop(kernel, rows, columns):
    return np.array([[kernel(a, b) for b in columns] for a in rows])


@pytest.mark.parametrize("executor", ["serial", "threads", "processes"])
@pytest.mark.parametrize("workers", [1, 3])
def test_a_matrix_equals_the_double_loop_bit_for_bit(executor, workers):
    options = {"executor": executor, "max_workers": workers}
    square, block = compute(gauss, x, **options), compute(gauss, x, y, **options)
    assert np.array_equal(square.matrix, loop(gauss, x, x))
    assert np.array_equal(block.matrix, loop(gauss, x, y))
    assert (square.pairs, block.pairs) == (13 * 14 // 2, 13 * 5)


def test_each_pair_is_called_once_in_order_and_the_diagonal_too():
    calls = []

    def noted(a, b):
        calls.append((a[0], b[0]))
        return gauss(a, b)

    compute(noted, x, executor="serial", verify=0)
    values = x[:, 0].tolist()
    wanted = [(values[i], values[j]) for i in range(13) for j in range(i, 13)]
    assert Counter(calls) == Counter(wanted)


def test_one_row_is_a_matrix_too():
    assert compute(gauss, x[:1], executor="serial").matrix.tolist() == [[1.0]]


class Scalar:
    shape = ()
    dtype = "float32"

    def __float__(self):
        return 0.25


@pytest.mark.parametrize(
    "value", [0.25, np.float32(0.25), np.array(0.25), Scalar(), Fraction(1, 4), np.float64(0.25)]
)
def test_any_real_number_is_taken(value):
    found = compute(lambda a, b: value, x[:2], executor="serial").matrix
    assert found.dtype == np.float64
    assert (found == 0.25).all()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1j, r"kernel\(x\[\d\], y\[\d\]\) is complex"),
        (np.complex64(1), r"is complex"),
        (np.array([0.5]), r"kernel\(x\[\d\], y\[\d\]\) is an array of shape \(1,\)"),
        (np.ones((2, 2)), r"shape \(2, 2\).*lambda x1, x2: qnode\(x1, x2\)\[0\]"),
        ([0.5], "expected a number"),
        ("0.5", "expected a finite number"),
        (None, "is None: expected a number"),
        (float("nan"), "is nan: expected a finite number"),
        (np.inf, "expected a finite number"),
    ],
)
def test_what_is_no_real_number_is_refused_and_the_pair_named(value, text):
    with pytest.raises(ValueError, match=text):
        compute(lambda a, b: value, x, y, executor="serial")


def test_an_error_of_the_kernel_keeps_its_type_and_names_the_pair():
    def fails(a, b):
        return 1 / 0 if a[0] == x[2, 0] and b[0] == y[3, 0] else 0.5

    with pytest.raises(ZeroDivisionError) as caught:
        compute(fails, x, y)
    notes = "\n".join(caught.value.__notes__)
    assert "kernel(x[2], y[3])" in notes
    assert shoal.failure(caught.value).kwargs == {"i": 2, "j": 3}
    with pytest.raises(ZeroDivisionError):
        shoal.failure(caught.value).replay()


def test_a_kernel_that_is_not_symmetric_is_refused_without_y_and_computed_with_it():
    def skew(a, b):
        return a[0] - b[0]

    with pytest.raises(ValueError, match="not symmetric; y=x computes every pair"):
        compute(skew, x, executor="serial")
    assert np.array_equal(compute(skew, x, x, executor="serial").matrix, loop(skew, x, x))


def test_a_kernel_that_draws_shots_is_not_taken_for_an_asymmetric_one():
    rng = np.random.default_rng(0)
    matrix = compute(lambda a, b: rng.random(), x, executor="serial").matrix
    assert np.array_equal(matrix, matrix.T)


def test_a_checkpoint_computes_only_what_is_missing(tmp_path):
    file = tmp_path / "kernel.checkpoint"
    first = compute(gauss, x[:9], checkpoint=file, executor="serial")
    more = compute(gauss, x, checkpoint=file, executor="serial")
    again = compute(gauss, x, checkpoint=file, executor="serial")
    assert (first.pairs, first.from_checkpoint) == (45, 0)
    assert (more.pairs, more.from_checkpoint) == (91 - 45, 45)
    assert (again.pairs, again.from_checkpoint) == (0, 91)
    for each in (more, again):
        assert np.array_equal(each.matrix, loop(gauss, x, x))


def test_a_checkpoint_knows_rows_by_what_they_hold(tmp_path):
    file = tmp_path / "kernel.checkpoint"
    compute(gauss, x, y, checkpoint=file, executor="serial")
    order = np.random.default_rng(2).permutation(13)
    found = compute(gauss, x[order], y[::-1], checkpoint=file, executor="serial")
    assert found.pairs == 0
    assert np.array_equal(found.matrix, loop(gauss, x[order], y[::-1]))


def test_a_checkpoint_of_another_kernel_is_refused(tmp_path):
    compute(gauss, x[:3], checkpoint=tmp_path / "file", executor="serial")
    with pytest.raises(CheckpointChanged):
        compute(lambda a, b: 0.5, x[:3], checkpoint=tmp_path / "file", executor="serial")


def test_what_was_computed_before_a_pair_failed_is_kept(tmp_path):
    broken = tmp_path / "broken"
    broken.touch()

    def fails(a, b, path=str(broken)):
        if os.path.exists(path) and b[0] == x[5, 0]:
            raise OSError("not now")
        return gauss(a, b)

    options = {"checkpoint": tmp_path / "file", "executor": "serial", "verify": 0}
    with pytest.raises(OSError, match="not now"):
        compute(fails, x, **options)
    broken.unlink()
    found = compute(fails, x, **options)
    assert found.from_checkpoint >= 15
    assert np.array_equal(found.matrix, loop(gauss, x, x))


PROGRAM = """
import os, sys
import numpy as np
from shoal.quantum.kernels.functions.blackbox import compute

x = np.random.default_rng(0).normal(size=(40, 3))
ends_at = int(sys.argv[2])
calls = 0

def gauss(a, b):
    return float(np.exp(-np.sum((a - b) ** 2)))

def ending(a, b):
    global calls
    calls += 1
    if calls == ends_at:
        os.kill(os.getpid(), 9)
    return gauss(a, b)

from shoal.quantum.kernels.functions import pairs
pairs.function_parts = lambda f: []
found = compute(ending, x, checkpoint=sys.argv[1], executor="serial", verify=0)
print(found.from_checkpoint, np.array_equal(found.matrix, [[gauss(a, b) for b in x] for a in x]))
"""


def test_a_program_that_is_killed_goes_on_where_it_was(tmp_path):
    def run(ends_at):
        command = [sys.executable, "-c", PROGRAM, tmp_path / "file", str(ends_at)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    killed = run(700)
    assert killed.returncode == -9, killed.stderr
    done = run(0)
    known, same = done.stdout.split()
    assert same == "True"
    assert 0 < int(known) < 700


def test_a_small_matrix_runs_here_where_that_is_allowed():
    here = []

    def noted(a, b):
        here.append(os.getpid())
        return gauss(a, b)

    found = compute(noted, x[:4], may_run_here=True)
    assert found.ran_here
    assert set(here) == {os.getpid()}
    assert not compute(gauss, x[:4], executor="threads", may_run_here=True).ran_here
