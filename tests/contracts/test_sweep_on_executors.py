"""A sweep is the nested loop, bit for bit, on every executor, ours and foreign ones."""

import itertools
from collections import namedtuple
from contextlib import nullcontext

import numpy as np
import pytest
import xarray as xr

import shoal
from shoal.sweeps import PointsFailed
from tests.contracts.conftest import FOREIGN, OURS

pytestmark = pytest.mark.timeout(60)
BIG = 17_000  # numbers of an array that is better written in place than sent
Pair = namedtuple("Pair", "second first")  # noqa: PYI024  (users have these)


@pytest.fixture(params=[*OURS, *FOREIGN])
def executor(request, warm):
    return warm(request.param) if request.param in ("loky", *FOREIGN) else request.param


def number(a, b):
    return a**2 / b


def kinds(a, b):
    return [a, b, 2**60 + 1, complex(a, b), "text", None, b"x\0", np.float32(a)][int(a + b) % 8]


def three(a, b):
    return {"whole": int(a), "wave": np.exp(1j * b), "row": np.array([a, b, a * b])}


def labelled(a, b):
    return xr.DataArray([a, b], {"t": ["first", "second"], "scalar": a}, "t")


def big(a, b):
    return np.arange(BIG) * a + b


def several(a, b):
    return a + b, np.full(BIG, a), np.full((2, BIG), b * 1j)


def swapped(a, b):
    return Pair(np.full(BIG, b), np.full(BIG, a))


def turning(a, b):
    """In place at first; then of another kind, which has to travel."""
    if a == 5.0:
        return [np.full(BIG, 0.1), np.full(BIG, 7), "text", np.zeros(3)][int(b) % 4]
    return np.full(BIG, a, np.float32)


A, B = np.linspace(0, 8, 9), [1.0, 2.5, -3.0, 6.0]
OUTPUTS = {several: ["sum", "one", "two"], swapped: ["first", "second"]}


def bits(value):
    """What is compared: type and bits of a number, entries of an array."""
    if isinstance(value, np.ndarray) and value.dtype == object:
        return [bits(each) for each in value.ravel()]
    if isinstance(value, np.ndarray | np.generic):
        return value.dtype.str, value.shape, value.tobytes()
    return type(value), repr(value)


def assert_identical(one, two):
    assert one.drop_attrs().equals(two.drop_attrs())
    assert list(one.variables) == list(two.variables)
    for name in one.variables:
        assert one[name].dims == two[name].dims
        assert bits(one[name].values) == bits(two[name].values)


def by_the_loop(f):
    with pytest.warns(PointsFailed) if f is turning else nullcontext():
        return shoal.sweep(f, {"a": A, "b": B}, outputs=OUTPUTS.get(f), executor="serial")


@pytest.mark.parametrize(("max_workers", "batch_size"), [(2, 1), (3, 5)])
def test_numbers_are_those_of_the_nested_loop(executor, max_workers, batch_size):
    dataset = shoal.sweep(
        number, {"a": A, "b": B}, executor=executor, max_workers=max_workers, batch_size=batch_size
    )
    expected = np.array([[number(a=a, b=b) for b in B] for a in A])
    assert dataset.number.dims == ("a", "b")
    assert dataset.number.values.tobytes() == expected.tobytes()
    assert dataset.a.values.tobytes() == A.tobytes()


@pytest.mark.parametrize(
    "f", [kinds, three, labelled, big, several, swapped, turning], ids=lambda f: f.__name__
)
def test_results_of_every_kind_are_those_of_the_serial_sweep(executor, f):
    if f is labelled and executor not in ("serial", "threads", "processes"):
        pytest.skip("each worker would import xarray, to no other end")
    with pytest.warns(PointsFailed) if f is turning else nullcontext():
        got = shoal.sweep(
            f, {"a": A, "b": B}, outputs=OUTPUTS.get(f), executor=executor, max_workers=2
        )
    assert_identical(got, by_the_loop(f))


@pytest.mark.parametrize("f", [big, several, swapped], ids=lambda f: f.__name__)
def test_large_results_of_the_serial_sweep_are_those_of_the_nested_loop(f):
    dataset = shoal.sweep(f, {"a": A, "b": B}, outputs=OUTPUTS.get(f), executor="serial")
    for (i, a), (j, b) in itertools.product(enumerate(A), enumerate(B)):
        value = f(a=a, b=b)
        parts = value._asdict() if f is swapped else value
        parts = {"big": value} if f is big else parts
        parts = dict(zip(OUTPUTS[f], value, strict=True)) if f is several else parts
        for name, part in parts.items():
            assert bits(np.asarray(dataset[name].values[i, j])) == bits(np.asarray(part))


def test_a_seed_gives_the_streams_of_the_points(executor):
    children = np.random.SeedSequence(5).spawn(12)
    expected = [x + np.random.default_rng(each).random() for x, each in enumerate(children)]
    dataset = shoal.sweep(
        lambda x, rng: x + rng.random(),
        {"x": range(12)},
        seed=5,
        executor=executor,
        max_workers=2,
        batch_size=5,
    )
    assert dataset.result.values.tolist() == expected


def test_points_that_failed_are_nan_and_the_others_what_they_were(executor):
    def fails(a, b):
        if b == 2.5:
            raise ValueError(f"not at {a}")
        return int(a + b)

    with pytest.warns(PointsFailed, match="9 of 36 points failed, the first at a=0.0, b=2.5"):
        dataset = shoal.sweep(fails, {"a": A, "b": B}, executor=executor, max_workers=2)
    values = dataset.fails.values
    assert values.dtype == object
    assert all(type(value) is int for value in values[:, [0, 2, 3]].ravel())
    assert np.isnan(values[:, 1].astype(float)).all()
    errors = dataset.shoal.errors
    assert errors.a.tolist() == A.tolist()
    assert set(errors.b) == {2.5}
    assert set(map(type, errors.error)) == {ValueError}
    with pytest.raises(ValueError, match=r"not at 3\.0"):
        errors.replay[3]()


def test_the_first_error_in_the_order_of_the_grid_is_raised_when_asked(executor):
    def fails(x):
        if x == 30:
            return np.zeros(3)
        if x > 32:
            raise LookupError(x)
        return np.zeros(2)

    with pytest.raises(ValueError, match=r"shape \(3,\)") as caught:
        shoal.sweep(fails, {"x": range(60)}, on_error="raise", executor=executor, max_workers=2)
    assert caught.value.__notes__ == ["shoal: at the point x=30"]


def test_retries_count_for_each_point(executor, tmp_path):
    def fails_once(x):
        mark = tmp_path / str(x)
        if x % 3 == 0 and not mark.exists():
            mark.touch()
            raise OSError(x)
        return float(x)

    dataset = shoal.sweep(fails_once, {"x": range(9)}, retries=1, executor=executor, max_workers=2)
    assert dataset.fails_once.values.tolist() == list(map(float, range(9)))


def test_vectorised_blocks_give_what_the_points_give(executor):
    dataset = shoal.sweep(
        number, {"a": A, "b": B}, vectorized=True, batch_size=5, executor=executor, max_workers=2
    )
    expected = np.array([[a**2 / b for b in B] for a in A])
    assert dataset.number.values.tobytes() == expected.tobytes()
