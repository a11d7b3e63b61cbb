"""SciPy's `workers=`: a map-like of ours gives what SciPy gives alone, to the last bit."""

from functools import partial

import numpy as np
import pytest

import shoal

pytest.importorskip("scipy")

from scipy import integrate, optimize

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(params=["map", "partial of map", "imap", "executor.map"])
def maplike(request, workers):
    """Every way in which a map of ours may be handed over."""
    return {
        "map": shoal.map,
        "partial of map": partial(shoal.map, executor=workers, progress=False),
        "imap": partial(shoal.imap, executor=workers),
        "executor.map": workers.map,
    }[request.param]


def same(found, expected):
    return np.array_equal(found.x, expected.x) and found.fun == expected.fun


def test_differential_evolution(maplike):
    def evolve(workers):
        return optimize.differential_evolution(
            lambda x, shift: float(np.sum((x - shift) ** 2) + np.cos(9 * x[0])),
            [(-2, 2), (-1, 3)],
            args=(0.4,),
            rng=np.random.default_rng(6),
            updating="deferred",
            workers=workers,
            maxiter=8,
            polish=False,
        )

    found, expected = evolve(maplike), evolve(1)
    assert same(found, expected)
    assert found.nfev == expected.nfev


@pytest.fixture
def shared(workers):
    """One of them."""
    return partial(shoal.map, executor=workers)


def test_brute(shared):
    def search(workers):
        ranges = (slice(-1, 1, 0.25), slice(0, 1, 0.25))
        return optimize.brute(
            lambda x: float((x[0] - 0.2) ** 2 + abs(x[1] - 0.6)),
            ranges,
            full_output=True,
            finish=None,
            workers=workers,
        )

    for found, expected in zip(search(shared), search(1), strict=True):
        assert np.array_equal(found, expected)


def test_gradients_of_minimize(shared):
    def descend(workers):
        options = {"maxiter": 5, **({} if workers is None else {"workers": workers})}
        return optimize.minimize(
            optimize.rosen, np.full(6, 0.7), method="L-BFGS-B", options=options
        )

    assert same(descend(shared), descend(None))


def test_least_squares(shared):
    times = np.linspace(0, 1, 20)

    def fit(workers):
        return optimize.least_squares(
            lambda p: p[0] * np.exp(-p[1] * times) - 2 * np.exp(-3 * times),
            [1.0, 1.0],
            workers=workers,
            max_nfev=6,
        )

    assert np.array_equal(fit(shared).x, fit(None).x)


def test_quad_vec(shared):
    frequencies = np.arange(1.0, 5.0)

    def integral(workers):
        return integrate.quad_vec(
            lambda x: np.sin(frequencies * x) / (1 + x), 0, 3, workers=workers, epsabs=1e-6
        )

    (found, error), (expected, bound) = integral(shared), integral(1)
    assert np.array_equal(found, expected)
    assert error == bound


def test_cubature(shared):
    def integral(workers):
        return integrate.cubature(
            lambda x: np.exp(-np.sum(x**2, axis=-1)), [0, 0], [1, 2], workers=workers, rtol=1e-6
        )

    assert integral(shared).estimate == integral(1).estimate


def test_an_error_of_the_objective_keeps_its_type_and_names_the_point():
    def objective(x):
        if x[0] > 0.5:
            raise ArithmeticError("too far out")
        return float(x[0])

    with pytest.raises(ArithmeticError, match="too far out") as caught:
        optimize.brute(objective, (slice(0, 1, 0.25),), finish=None, workers=shoal.map)
    assert shoal.failure(caught.value).args == (0.75,)
