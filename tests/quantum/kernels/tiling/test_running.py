from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import shoal
from shoal.quantum.kernels.tiling import Drawing, Options, compute
from shoal.quantum.kernels.tiling.layout import tile_bytes
from tests.quantum.kernels.tiling.plans import Products, rows

X, Y = rows(300), rows(150, seed=1)


def test_the_matrix_is_put_together_from_its_tiles():
    found = compute(Products(), X, None, Options(executor="serial"))
    np.testing.assert_allclose(found.matrix, X @ X.T)
    np.testing.assert_array_equal(found.matrix, found.matrix.T)
    assert (found.layout.edge, found.tiles, found.states) == (128, 6, 300)
    other = compute(Products(), X, Y, Options(executor="serial"))
    np.testing.assert_allclose(other.matrix, X @ Y.T)
    assert (other.tiles, other.states) == (6, 450)
    crossed = compute(Products(symmetric=False), X, None, Options(executor="serial"))
    np.testing.assert_allclose(crossed.matrix, 2 * X @ X.T)
    assert crossed.tiles == 9


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_the_bits_do_not_depend_on_the_workers(workers):
    alone = compute(Products(), X, None, Options(executor="serial")).matrix
    found = compute(Products(), X, None, Options(max_workers=workers))
    np.testing.assert_array_equal(found.matrix, alone)
    with ThreadPoolExecutor(workers) as pool:
        there = compute(Products(), X, None, Options(executor=pool, max_workers=workers))
    np.testing.assert_array_equal(there.matrix, alone)


def test_threads_encode_every_block_once():
    plan = Products()
    found = compute(plan, X, None, Options(executor="threads", max_workers=3))
    assert sorted(plan.encoded) == [("x", 44), ("x", 128), ("x", 128)]
    assert found.states == 300
    assert found.executor == "threads in this process"


def test_processes_give_the_same():
    found = compute(Products(), X, None, Options(executor="processes", max_workers=2))
    np.testing.assert_array_equal(found.matrix, compute(Products(), X, None, Options()).matrix)


def nested(executor):
    found = compute(Products(), X, None, Options(executor=executor))
    return found.matrix, found.executor, found.workers


def test_in_a_task_of_our_own_the_tiles_run_inline():
    alone = compute(Products(), X, None, Options()).matrix
    for executor, told in ((None, "serial in this process"), ("processes", "processes")):
        [(matrix, where, workers)] = shoal.map(nested, [executor], executor="processes")
        assert (where, workers) == (told, 1)
        np.testing.assert_array_equal(matrix, alone)


def test_the_variable_names_the_executor_where_none_is_given(monkeypatch):
    monkeypatch.setenv("SHOAL_EXECUTOR", "serial")
    assert compute(Products(), X, None, Options()).executor == "serial in this process"


def test_little_memory_means_small_tiles_few_workers_and_blocks_encoded_again():
    plan = Products(row_bytes=10_000)
    budget = tile_bytes(plan, 32)
    found = compute(plan, X, None, Options(max_workers=4, memory_bytes=budget))
    assert found.layout.edge == 32
    assert found.workers == 1
    assert found.states > 300
    np.testing.assert_allclose(found.matrix, X @ X.T)


def test_an_error_names_the_tile():
    x = X.copy()
    x[200, 0] = 7.0
    with pytest.raises(ArithmeticError) as raised:
        compute(Products(fails_at=7.0), x, None, Options(executor="serial"))
    assert any("row_block" in note for note in raised.value.__notes__)


def test_the_weight_that_was_lost_and_the_precision_are_the_worst_of_all_tiles():
    found = compute(Products(unit_diagonal=True), X, None, Options(executor="serial"))
    assert found.lost_weight == X.max() / 1000
    assert found.deviation == np.abs(np.sum(X**2, 1) - 1).max()


def test_the_matrix_has_the_dtype_that_is_asked_for():
    drawing = Drawing(np.float32)
    assert compute(Products(), X, None, Options(drawing=drawing)).matrix.dtype == np.float32
