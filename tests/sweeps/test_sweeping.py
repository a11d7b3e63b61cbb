"""What goes into a sweep is checked before any work; what comes out is the nested loop's."""

import os
import signal
import warnings
from functools import partial

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import shoal
from shoal.errors import TaskTimeout, WorkerDied
from shoal.sweeps import OutputMismatch, PointsFailed
from tests.searching import examples

BIG = 17_000  # numbers of an array that is better written in place than sent


def never(a, b=0):
    raise AssertionError("this must not run")


def bits(value):
    array = np.asarray(value)
    if array.dtype == object:
        return [repr(each) for each in array.ravel()]
    return array.dtype.str, array.shape, array.tobytes()


@examples(40)
@given(
    sizes=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    executor=st.sampled_from(["serial", "threads", "processes"]),
    max_workers=st.sampled_from([1, 2, 5]),
    batch_size=st.just("auto") | st.integers(1, 9),
    seed=st.none() | st.integers(0, 99),
)
def test_a_sweep_is_the_nested_loop(sizes, executor, max_workers, batch_size, seed):
    def f(a, b, scale, rng=None):
        return scale * a / b + (0 if rng is None else rng.random())

    axes = {"a": np.linspace(0, 1, sizes[0]), "b": [1.5 * x + 1 for x in range(sizes[1])]}
    expected = []
    children = np.random.SeedSequence(seed).spawn(sizes[0] * sizes[1])
    for a in axes["a"]:
        for b in axes["b"]:
            rng = None if seed is None else np.random.default_rng(children[len(expected)])
            expected.append(f(a=a, b=b, scale=3.0, rng=rng))
    dataset = shoal.sweep(
        f,
        axes,
        constants={"scale": 3.0},
        seed=seed,
        executor=executor,
        max_workers=max_workers,
        batch_size=batch_size,
    )
    assert dataset.f.values.tobytes() == np.array(expected).tobytes()


@pytest.mark.parametrize(
    "axes",
    [
        {"a": [0, 1, 2], "b": [5, 6]},
        {"a": ("t", [0, 1, 2]), "b": ("t", [5, 6, 7])},
        [{"a": 0, "b": 5}, {"b": 2.5, "a": 1}],
        pd.DataFrame({"a": [0, 1], "b": [5.0, 6.0], "c": [0, 0]})[["a", "b"]],
        xr.Dataset({"a": ("x", [1, 2]), "b": ("y", [3, 4]), "unused": ("x", [0, 0])}),
        {"a": range(1), "b": [1]},
    ],
    ids=lambda axes: type(axes).__name__,
)
def test_all_ways_in_give_each_point_its_value(axes):
    def f(a, b):
        return a + 10.0 * b

    dataset = shoal.sweep(f, axes, executor="serial")
    a, b = dataset.a, dataset.b
    assert (dataset.f == a + 10.0 * b).all()
    assert dataset.f.size == (a + b).size


def test_a_large_constant_reaches_every_point():
    table = np.arange(300_000.0)
    dataset = shoal.sweep(
        lambda at, table: table[at], {"at": range(0, 300_000, 9999)}, constants={"table": table}
    )
    assert np.array_equal(dataset.result.values, table[::9999])


class Line:
    def __init__(self, slope):
        self.slope = slope

    def at(self, x):
        return self.slope * x

    __call__ = at


@pytest.mark.parametrize(
    ("f", "name"),
    [
        (lambda x: 2 * x, "result"),
        (partial(pow, exp=2), "pow"),
        (Line(2), "Line"),
        (Line(2).at, "at"),
        (lambda *, x, **more: (x, more)[0], "result"),
    ],
    ids=["lambda", "partial", "object", "method", "any keywords"],
)
def test_any_callable_may_be_swept(f, name):
    axis = "base" if name == "pow" else "x"
    dataset = shoal.sweep(f, {axis: [1, 2]}, max_workers=2)
    assert list(dataset.data_vars) == [name]


def test_a_function_may_return_what_it_was_given():
    values = [np.sin, {"k": [1]}, None, "text", b"a\0"]
    dataset = shoal.sweep(lambda x: x, {"x": values}, outputs="y")
    assert dataset.y.values[0] is np.sin
    assert dataset.y.values.tolist() == values


def test_a_function_may_return_nothing():
    dataset = shoal.sweep(lambda x: None, {"x": range(5)}, max_workers=2)
    assert dataset.result.values.tolist() == [None] * 5


def test_values_that_stand_twice_and_nan_are_points_like_others():
    dataset = shoal.sweep(lambda x, y: y, {"x": [1.0, 1.0, np.nan], "y": [np.nan, 2]})
    assert bits(dataset.result.values) == bits([[np.nan, 2.0]] * 3)


def test_a_masked_array_keeps_its_mask():
    value = np.ma.array([1.0, 2.0], mask=[False, True])
    dataset = shoal.sweep(lambda x: value, {"x": [1, 2]}, executor="serial")
    assert [each.mask.tolist() for each in dataset.result.values] == [[False, True]] * 2


def narrow(x):
    return np.full(BIG, x, np.float32) if x < 30 else np.full(BIG, x + 1e-12)


def whole(x):
    return np.full(BIG, int(x)) if x < 30 else np.full(BIG, 0.5)


def turned(x):
    row = np.zeros(BIG)
    return {"a": row, "b": x} if x < 30 else {"b": row, "a": x}


def masked(x):
    row = np.full(BIG, x)
    return row if x < 30 else np.ma.array(row, mask=row > 0)


@pytest.mark.parametrize("f", [narrow, whole, turned, masked], ids=lambda f: f.__name__)
def test_what_changes_kind_half_way_is_the_same_in_place_and_by_message(f):
    axes = {"x": [float(x) for x in [*range(28), 30.0, 31.0]]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PointsFailed)
        got = shoal.sweep(f, axes, max_workers=2)
        expected = shoal.sweep(f, axes, executor="serial", batch_size=1)
        by_message = shoal.sweep(f, {"x": axes["x"][-3:]}, executor="serial", batch_size=1)
    assert list(got.data_vars) == list(expected.data_vars)
    for name in got.data_vars:
        assert got[name].dtype == expected[name].dtype
        assert got[name].equals(expected[name])
    assert got.attrs["shoal"] != expected.attrs["shoal"]
    assert len(got.shoal.errors) == len(expected.shoal.errors) == len(by_message.shoal.errors)


@pytest.mark.parametrize("f", [narrow, whole])
def test_a_wider_number_is_never_narrowed_in_place(f):
    dataset = shoal.sweep(f, {"x": [float(x) for x in range(28)] + [30.0]}, max_workers=1)
    values = dataset[f.__name__]
    assert values.dtype == np.float64
    assert values[-1, 0] == f(30.0)[0]
    assert values[3, 0] == 3.0


def test_a_point_that_hangs_or_kills_its_worker_costs_itself_only():
    def f(x):
        if x == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        while x == 5:
            pass
        return x

    with pytest.warns(PointsFailed, match="2 of 8"):
        dataset = shoal.sweep(
            f, {"x": range(8)}, timeout_seconds=0.5, worker_death_retries=0, max_workers=2
        )
    assert [x for x in dataset.f.values if x == x] == [0, 1, 2, 4, 6, 7]  # noqa: PLR0124 (no NaN)
    assert [type(error) for error in dataset.shoal.errors.error] == [WorkerDied, TaskTimeout]
    assert dataset.shoal.errors.x.tolist() == [3, 5]


def test_when_all_points_fail_there_is_a_dataset_of_nan():
    with pytest.warns(PointsFailed, match="6 of 6 points failed, the first at a=1, b='x': Zero"):
        dataset = shoal.sweep(lambda a, b: 1 / 0, {"a": [1, 2, 3], "b": ["x", "y"]})
    assert dataset.result.isnull().all()
    assert dataset.result.shape == (3, 2)
    assert len(dataset.shoal.errors) == 6


def test_the_warning_points_at_the_call():
    with pytest.warns(PointsFailed) as caught:
        shoal.sweep(lambda a: 1 / 0, {"a": [1]}, executor="serial")
    assert caught[0].filename == __file__


def test_an_error_that_cannot_be_printed_breaks_nothing():
    class Silent(Exception):
        def __str__(self):
            raise RuntimeError("no")

    def f(a):
        if a:
            raise Silent
        return 1.0

    for executor in ("serial", "processes"):
        with pytest.warns(PointsFailed, match="Silent, whose text raises RuntimeError"):
            dataset = shoal.sweep(f, {"a": [0, 1]}, executor=executor)
        assert dataset.f.values[0] == 1.0


@pytest.mark.parametrize("executor", ["serial", "processes"])
def test_the_first_error_is_raised_when_asked(executor):
    def f(x):
        if x == 4:
            return np.zeros(2)
        if x > 6:
            raise LookupError(x)
        return 1.0

    options = {"executor": executor, "on_error": "raise", "batch_size": 1, "max_workers": 2}
    with pytest.raises(LookupError, match="7") as raised:
        shoal.sweep(f, {"x": [0, 5, 7, 8]}, **options)
    assert shoal.failure(raised.value).kwargs == {"x": 7}
    with pytest.raises(OutputMismatch, match=r"shape \(2,\)") as mismatch:
        shoal.sweep(f, {"x": range(12)}, **options)
    assert mismatch.value.__notes__ == ["shoal: at the point x=4"]
    with pytest.raises(OutputMismatch, match=r"shape \(2,\)"):
        shoal.sweep(f, {"x": range(6)}, **options)
    assert shoal.sweep(f, {"x": range(4)}, **options).f.values.tolist() == [1.0] * 4


def test_shapes_that_differ_are_told_at_their_points_and_lose_nothing():
    with pytest.warns(PointsFailed, match=r"1 of 3 .* x=1: OutputMismatch: returned shape \(3,\)"):
        dataset = shoal.sweep(lambda x: np.ones(3 if x == 1 else 2), {"x": range(3)})
    [row] = dataset.shoal.errors.itertuples()
    assert row.x == 1
    assert row.error.value.tolist() == [1.0] * 3
    assert row.replay().tolist() == [1.0] * 3
    assert dataset.result.values[[0, 2]].tolist() == [[1.0] * 2] * 2


@pytest.mark.parametrize(
    ("axes", "options", "kind", "words"),
    [
        ({"a": []}, {}, ValueError, "'a' is empty"),
        ({"a": ("t", [1]), "b": ("t", [1, 2])}, {}, ValueError, "unequal length along 't'"),
        pytest.param({"a": (x for x in [1])}, {}, TypeError, "unknown length", id="generator"),
        ({"c": [1], "a": [1]}, {}, TypeError, "takes no argument named 'c'"),
        ({"b": [1]}, {}, TypeError, "needs 'a'"),
        ({"a": [1]}, {"constants": {"a": 1}}, ValueError, "'a' stands both"),
        ({"a": [1]}, {"constants": 5}, TypeError, "constants=5"),
        ({"a": [1]}, {"seed": 1}, TypeError, "no argument named 'rng'"),
        ({"a": [1]}, {"seed": -1}, ValueError, "seed=-1"),
        ({"a": [1]}, {"seed": "x"}, TypeError, "seed='x'"),
        ({"a": [1]}, {"outputs": "a"}, ValueError, "output 'a' has the name of an axis"),
        ({"a": ("t", [1])}, {"outputs": {"y": "t"}}, ValueError, "dimension 't' of output 'y'"),
        ({"a": [1]}, {"outputs": 5}, TypeError, "outputs=5"),
        ({"a": [1]}, {"coords": 5}, TypeError, "coords=5"),
        ({"a": [1]}, {"over": "a"}, ValueError, "over='a'"),
        ({"a": [1]}, {"executor": "cluster"}, ValueError, "executor='cluster'"),
        ({"a": [1]}, {"executor": 5}, TypeError, "executor=5"),
        ({"a": [1]}, {"max_workers": 0}, ValueError, "max_workers=0"),
        ({"a": [1]}, {"batch_size": 0}, ValueError, "batch_size=0"),
        ({"a": [1]}, {"batch_size": "large"}, TypeError, "batch_size='large'"),
        ({"a": [1]}, {"timeout_seconds": 0}, ValueError, "timeout_seconds=0"),
        (
            {"a": [1]},
            {"timeout_seconds": 1, "executor": "threads"},
            ValueError,
            "timeout_seconds=1",
        ),
        ({"a": [1]}, {"retries": -1}, ValueError, "retries=-1"),
        ({"a": [1]}, {"worker_death_retries": 1.5}, TypeError, "worker_death_retries=1.5"),
        ({"a": [1]}, {"threads_per_task": 0}, ValueError, "threads_per_task=0"),
        ({"a": [1]}, {"on_error": "skip"}, ValueError, "on_error='skip'"),
        ({"a": [1]}, {"progress": "yes"}, TypeError, "progress='yes'"),
        ({"a": [1]}, {"vectorized": 1}, TypeError, "vectorized=1"),
        pytest.param({"a": [1]}, {"reference": never}, ValueError, "reference=", id="reference"),
        ({"a": [1]}, {"vectorized": True, "reference": 5}, TypeError, "reference=5"),
        ({"a": [1]}, {"vectorized": True, "verify_points": -1}, ValueError, "verify_points=-1"),
        ({"a": [1]}, {"vectorized": True, "rtol": np.nan}, ValueError, "rtol="),
        ({"a": [1]}, {"memory_bytes": 0}, ValueError, "memory_bytes=0"),
        ({"a": [1]}, {"memory_bytes": 0.5}, TypeError, "memory_bytes=0.5"),
    ],
    ids=str,
)
def test_bad_input_is_refused_before_any_work(axes, options, kind, words):
    calls = []

    def f(a, b=0):
        calls.append(a)

    options = {"executor": "serial", **options}
    with pytest.raises(kind, match=words):
        shoal.sweep(f, axes, **options)
    assert calls == []


def test_what_is_no_function_is_refused():
    with pytest.raises(TypeError, match="f=5 is not callable"):
        shoal.sweep(5, {"a": [1]})
    with pytest.raises(ValueError, match="vectorized=True"):
        shoal.sweep(lambda a, rng: a, {"a": [1]}, seed=1, vectorized=True)


def test_provenance_tells_how_the_dataset_came_to_be():
    dataset = shoal.sweep(lambda x: x + 1, {"x": [-1, 2]}, executor="serial", max_workers=2)
    told = dataset.shoal.provenance
    assert (told["points"], told["failed"], told["executor"]) == (2, 0, "'serial'")
    assert told["seed"] is None
    assert told["wall_seconds"] > 0
