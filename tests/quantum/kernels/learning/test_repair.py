import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pennylane import kernels

from shoal.quantum.kernels.learning.repair import WAYS, repair_kernel

# Of Higham (2002), section 4, with its nearest correlation matrix to four digits.
TRIDIAGONAL = 2 * np.eye(4) - np.eye(4, k=1) - np.eye(4, k=-1)
NEAREST = [
    [1.0, -0.8084, 0.1916, 0.1068],
    [-0.8084, 1.0, -0.6562, 0.1916],
    [0.1916, -0.6562, 1.0, -0.8084],
    [0.1068, 0.1916, -0.8084, 1.0],
]


def noisy(seed, n=8, size=0.3):
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, size, (n, n))
    states = rng.normal(size=(n, 3))
    states /= np.linalg.norm(states, axis=1, keepdims=True)
    matrix = (states @ states.T) ** 2 + (noise + noise.T) / 2
    np.fill_diagonal(matrix, 1)
    return matrix


def smallest(matrix):
    return np.linalg.eigvalsh(matrix)[0]


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10_000), way=st.sampled_from(WAYS))
def test_a_repaired_matrix_is_symmetric_without_negative_eigenvalues(seed, way):
    repaired = repair_kernel(noisy(seed), way)
    assert np.array_equal(repaired, repaired.T)
    assert smallest(repaired) > -1e-9


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10_000))
def test_it_agrees_with_pennylane(seed):
    matrix = noisy(seed)
    assert np.allclose(repair_kernel(matrix, "clip"), kernels.threshold_matrix(matrix), atol=1e-12)
    assert np.allclose(repair_kernel(matrix, "flip"), kernels.flip_matrix(matrix), atol=1e-12)
    assert np.allclose(repair_kernel(matrix, "shift"), kernels.displace_matrix(matrix), atol=1e-12)


def test_the_nearest_matrix_with_unit_diagonal_is_that_of_higham():
    assert np.abs(repair_kernel(TRIDIAGONAL, "nearest") - NEAREST).max() < 6e-5


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10_000), other=st.integers(0, 10_000))
def test_no_other_matrix_with_unit_diagonal_is_nearer(seed, other):
    matrix = noisy(seed)
    nearest = repair_kernel(matrix, "nearest")
    assert (nearest.diagonal() == 1).all()
    candidate = repair_kernel(noisy(other), "nearest")
    # The set is convex: all of it lies behind the plane through the nearest point.
    assert np.sum((matrix - nearest) * (candidate - nearest)) < 1e-6


def test_degenerate_eigenvalues_are_clipped_to_the_nearest_matrix():
    # qiskit-machine-learning's eig-based repair of this matrix is 0.64 away from it.
    matrix = np.full((6, 6), -0.5) + 1.5 * np.eye(6)
    repaired = repair_kernel(matrix, "clip")
    assert np.allclose(repaired, 1.5 * np.eye(6) - 0.25, atol=1e-12)


@pytest.mark.parametrize("way", WAYS)
def test_a_matrix_that_lacks_nothing_is_returned_as_it_is(way):
    matrix = (np.eye(3) + 1) / 2
    repaired = repair_kernel(matrix, way)
    assert np.array_equal(repaired, matrix)
    assert repaired is not matrix


def test_single_precision_stays_single():
    assert repair_kernel(noisy(0).astype(np.float32)).dtype == np.float32
    assert repair_kernel([[1, 2], [2, 1]]).dtype == np.float64


@pytest.mark.parametrize(
    ("matrix", "error", "text"),
    [
        (np.ones((2, 3)), ValueError, r"shape \(2, 3\).*only the square matrix of training data"),
        (np.ones(3), ValueError, "shape"),
        (np.ones((0, 0)), ValueError, "at least one row"),
        (np.eye(2) * 1j, TypeError, "real numbers"),
        (np.array([["a"]]), TypeError, "real numbers"),
        (np.array([[1, np.nan], [0, 1]]), ValueError, r"matrix\[0, 1\]=nan"),
        (np.array([[1, 0.4], [0.2, 1]]), ValueError, r"matrix\[0, 1\]=0.4.*symmetric"),
    ],
)
def test_what_cannot_be_repaired_is_refused(matrix, error, text):
    with pytest.raises(error, match=text):
        repair_kernel(matrix)


def test_an_unknown_way_is_refused():
    with pytest.raises(ValueError, match="way='eig': expected one of 'clip'"):
        repair_kernel(np.eye(2), "eig")
