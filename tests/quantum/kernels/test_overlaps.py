import threading

import numpy as np
import pytest

from shoal.quantum.kernels.blas_threads import one_thread
from shoal.quantum.kernels.overlaps import overlaps


def block(count, dimension, dtype, seed=0):
    rng = np.random.default_rng(seed)
    states = rng.normal(size=(count, dimension))
    if np.dtype(dtype).kind == "c":
        states = states + 1j * rng.normal(size=(count, dimension))
    states /= np.linalg.norm(states, axis=1, keepdims=True)
    return states.astype(dtype)


@pytest.mark.parametrize("dtype", ["complex128", "complex64", "float64", "float32"])
@pytest.mark.parametrize(("rows", "columns", "dimension"), [(1, 1, 1), (5, 3, 2), (37, 70, 64)])
def test_overlaps_are_squared_inner_products(dtype, rows, columns, dimension):
    left, right = block(rows, dimension, dtype), block(columns, dimension, dtype, seed=1)
    expected = np.abs(left.astype(complex).conj() @ right.astype(complex).T) ** 2
    single = left.real.dtype == np.float32
    found = overlaps(left, right)
    assert found.dtype == left.real.dtype
    np.testing.assert_allclose(found, expected, atol=1e-6 if single else 1e-14)


@pytest.mark.parametrize("dtype", ["complex128", "complex64", "float64", "float32"])
def test_a_block_with_itself_is_exactly_symmetric(dtype):
    states = block(33, 16, dtype)
    found = overlaps(states, states)
    np.testing.assert_array_equal(found, found.T)
    np.testing.assert_allclose(found, overlaps(states, states.copy()), atol=1e-6)
    np.testing.assert_allclose(np.diagonal(found), 1, atol=1e-6)


def test_threads_multiply_at_the_same_time_what_each_multiplies_alone():
    states = block(64, 256, "complex128")
    results = []
    with one_thread():
        alone = overlaps(states, states)
        threads = [
            threading.Thread(target=lambda: results.append(overlaps(states, states)))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert len(results) == 4
    for found in results:
        np.testing.assert_array_equal(found, alone)
