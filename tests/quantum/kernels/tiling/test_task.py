import pickle

import numpy as np

from shoal.quantum.kernels.tiling.layout import Layout
from shoal.quantum.kernels.tiling.task import Drawing, TileTask
from tests.quantum.kernels.tiling.plans import Products, rows

X, Y = rows(5), rows(3, seed=1)


def task(plan, x=X, y=None, drawing=Drawing(), edge=2):  # noqa: B008  (it is frozen)
    half = y is None and plan.symmetric
    layout = Layout(len(x), len(x if y is None else y), edge, half=half)
    return TileTask(plan, (x, y), layout, kept=4, drawing=drawing)


def test_a_tile_is_the_product_of_its_rows_and_columns():
    np.testing.assert_allclose(task(Products())(0, 1).values, X[:2] @ X[2:4].T)
    np.testing.assert_allclose(task(Products(), y=Y)(2, 1).values, X[4:] @ Y[2:].T)
    other = Products(symmetric=False)
    np.testing.assert_allclose(task(other)(1, 1).values, 2 * X[2:4] @ X[2:4].T)
    assert other.encoded == [("x", 2), ("y", 2)]


def test_a_tile_tells_what_it_cost_and_how_exact_it_is():
    found = task(Products(unit_diagonal=True))(0, 0)
    assert found.encoded == 2
    assert found.encode_seconds >= 0
    assert found.multiply_seconds >= 0
    assert found.lost_weight == X[:2].max() / 1000
    assert found.deviation == np.abs(np.sum(X[:2] ** 2, 1) - 1).max()
    assert task(Products(unit_diagonal=True))(0, 1).deviation is None
    assert task(Products())(0, 0).deviation is None
    assert task(Products(unit_diagonal=True), y=X)(0, 0).deviation is None


def test_shots_are_drawn_by_place_and_the_dtype_is_the_one_asked_for():
    drawing = Drawing(np.float32, 100, np.random.SeedSequence(3))
    whole = task(Products(), drawing=drawing, edge=8)(0, 0).values
    part = task(Products(), drawing=drawing)(0, 1).values
    assert whole.dtype == np.float32
    np.testing.assert_array_equal(part, whole[:2, 2:4])
    np.testing.assert_array_equal(whole, whole.T)
    np.testing.assert_allclose(whole * 100, np.round(whole * 100), rtol=1e-5)


def test_a_task_travels_without_its_blocks():
    one = task(Products())
    one(0, 0)
    again = pickle.loads(pickle.dumps(one))
    assert again(0, 0).encoded == 2
    np.testing.assert_array_equal(again(0, 1).values, one(0, 1).values)
