"""The dataset has the axes as dimensions, their labels, and each output's own dimensions."""

from datetime import datetime

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import shoal
from shoal.sweeps import OutputMismatch, PointsFailed
from shoal.sweeps.axes import grid_of
from shoal.sweeps.labelled.dataset import checked_coords


def sweep(f, axes, **options):
    return shoal.sweep(f, axes, executor="serial", **options)


def nothing(**parameters):
    return 0.0


def test_dimensions_are_the_axes_in_their_order_then_the_outputs_own():
    dataset = sweep(lambda b, a: np.zeros((2, 5)), {"b": [1, 2, 3], "a": ["x", "y"]})
    assert dataset.result.dims == ("b", "a", "result_0", "result_1")
    assert dataset.result.shape == (3, 2, 2, 5)
    assert dataset.b.values.tolist() == [1, 2, 3]
    assert dataset.sel(b=2, a="y").result.shape == (2, 5)


@pytest.mark.parametrize(
    ("axis", "dtype"),
    [
        ([1, 2], "i8"),
        ([0.5, 1], "f8"),
        ([0.5, np.float64(1)], "f8"),
        ([1j, 2], "c16"),
        ([True, False], "?"),
        (["a", "b"], "O"),
        (np.array(["a", "b"]), "U1"),
        (np.arange(2, dtype="f4"), "f4"),
        (range(2), "i8"),
        ([np.nan, 1.0], "f8"),
        ([1, 1], "i8"),
        ([np.sin, np.cos], "O"),
        ([(1, 2), (3, 4)], "O"),
        ([2**70, 1], "O"),
        (pd.to_datetime(["2026-01-01", "2026-01-02"]), "M"),
        ([datetime.fromordinal(739_000), datetime.fromordinal(739_001)], "M"),
    ],
    ids=repr,
)
def test_labels_are_the_values_of_the_axis(axis, dtype):
    dataset = sweep(nothing, {"a": axis})
    kind = dataset.a.dtype
    assert kind.kind == "M" if dtype == "M" else kind == dtype
    if dtype != "M":
        both = zip(dataset.a.values.tolist(), axis, strict=True)
        assert all(one == two or (one != one and two != two) for one, two in both)  # noqa: PLR0124


@pytest.mark.parametrize(
    "axis", [[[1], [2]], [{"k": 1}, {}], np.zeros((2, 3)), [np.zeros(2), np.zeros(3)]], ids=repr
)
def test_values_that_cannot_be_looked_up_label_nothing(axis):
    dataset = sweep(nothing, {"a": axis})
    assert dataset.sizes == {"a": 2}
    assert "a" not in dataset.coords


def test_zipped_axes_label_their_dimension_together():
    dataset = sweep(nothing, {"x": ("t", [1, 2]), "y": ("t", ["p", "q"])})
    assert dataset.nothing.dims == ("t",)
    assert dataset.x.dims == dataset.y.dims == ("t",)
    assert "t" not in dataset.coords


def test_explicit_points_run_along_one_dimension():
    dataset = sweep(nothing, [{"a": 1, "b": 5}, {"a": 1, "b": 5}])
    assert dataset.sizes == {"point": 2}
    assert dataset.a.dims == dataset.b.dims == ("point",)


def test_a_dataset_keeps_its_coordinates():
    given = xr.Dataset(
        {"u": (("x", "y"), np.arange(6.0).reshape(2, 3))},
        {"x": [10, 20], "name": ("y", ["p", "q", "r"]), "area": (("x", "y"), np.ones((2, 3)))},
    )
    dataset = sweep(lambda u: 2 * u, given)
    assert dataset.result.drop_vars("u").equals((2 * given.u).rename("result"))
    assert set(dataset.coords) == {"x", "name", "area", "u"}
    named = sweep(lambda u, name: f"{name}{u}", given, outputs="text")
    assert named.text.sel(x=20).values.tolist() == ["p3.0", "q4.0", "r5.0"]


def test_dimensions_named_after_an_output_never_meet_an_axis():
    dataset = sweep(lambda result_0: np.zeros(3), {"result_0": [1, 2]})
    assert dataset.result.shape == (2, 3)
    assert len(set(dataset.result.dims)) == 2
    both = sweep(lambda a: {"y": np.zeros(3), "y_0": 1}, {"a": [1, 2]})
    assert both.y.shape == (2, 3)
    assert both.y_0.dims == ("a",)


def test_given_dimensions_are_shared_and_labelled():
    dataset = sweep(
        lambda a: (np.zeros(3), np.ones((3, 2)), a),
        {"a": [1, 2]},
        outputs={"y": "t", "z": ["t", "s"], "same": ()},
        coords={"t": [0.1, 0.2, 0.3], "unit": ("s", ["m", "kg"]), "of_a": ("a", ["p", "q"])},
    )
    assert dataset.y.dims == ("a", "t")
    assert dataset.z.dims == ("a", "t", "s")
    assert dataset.same.dims == ("a",)
    assert dataset.z.sel(t=0.2).unit.values.tolist() == ["m", "kg"]
    assert dataset.of_a.dims == ("a",)


def test_labelled_results_keep_dimensions_and_coordinates():
    def f(a):
        array = xr.DataArray(np.arange(3) * a, {"t": [5, 6, 7], "a": a, "q": 2}, "t")
        return xr.Dataset({"y": array, "z": array.sum()})

    dataset = sweep(f, {"a": [1, 2]})
    assert dataset.y.dims == ("a", "t")
    assert dataset.y.sel(a=2, t=7).item() == 4
    assert dataset.z.values.tolist() == [3, 6]
    assert dataset.a.values.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("coords", "kind", "words"),
    [
        (5, TypeError, "coords=5: expected a dict"),
        ({1: [1]}, TypeError, "coords="),
        ({"a": [1, 2]}, ValueError, "'a' is an axis"),
        ({"q": ("a", [1, 2, 3])}, ValueError, "3 along 'a', which has 2"),
        ({"q": ("t", [[1], [2]])}, ValueError, "coords="),
        ({"t": [1, 2], "u": ("t", [1, 2, 3])}, ValueError, "coords="),
        ({"y": ("t", [1, 2])}, ValueError, "the output 'y' has the name"),
    ],
)
def test_coordinates_that_do_not_fit_are_refused_before_any_work(coords, kind, words):
    def never(a):
        raise AssertionError

    with pytest.raises(kind, match=words):
        sweep(never, {"a": [1, 2]}, outputs={"y": "t"}, coords=coords)


def test_coordinates_tell_how_large_their_dimensions_are():
    grid = grid_of(nothing, {"a": [1, 2]}, None)
    labels, sizes = checked_coords({"t": [5, 6, 7], "q": ("a", [1, 2])}, grid)
    assert (set(labels), sizes) == ({"t", "q"}, {"t": 3})
    assert checked_coords(None, grid) == ({}, {})


def test_a_result_that_its_coordinates_do_not_fit_is_an_error_of_its_point():
    with pytest.warns(PointsFailed, match="2 of 2") as caught:
        dataset = sweep(
            lambda a: np.ones(3), {"a": [1, 2]}, outputs={"y": "t"}, coords={"t": [1, 2]}
        )
    assert "'y' of shape (3,), with 3 along 't': expected 2" in str(caught[0].message)
    assert [error.value.tolist() for error in dataset.shoal.errors.error] == [[1.0] * 3] * 2


def test_labels_that_contradict_each_other_cost_no_result():
    def f(a):
        return {"y": xr.DataArray([1.0, 2.0], {"z": ("t", [1, 2])}, "t"), "z": a}

    with pytest.raises(OutputMismatch, match="make no dataset") as caught:
        sweep(f, {"a": [1, 2]})
    assert caught.value.value["y"].tolist() == [[1.0, 2.0]] * 2
    assert caught.value.value["z"].tolist() == [1, 2]
