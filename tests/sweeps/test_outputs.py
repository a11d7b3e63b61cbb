"""Names of outputs are known or follow from the result; what contradicts them is told."""

import pickle
from collections import namedtuple
from functools import partial

import numpy as np
import pytest
import xarray as xr

from shoal.sweeps.outputs import OutputMismatch, outputs_of, unlabelled

Pair = namedtuple("Pair", "value error")  # noqa: PYI024  (users have these)


def area(): ...


class Model:
    def __call__(self): ...


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (area, "area"),
        (lambda: 0, "result"),
        (partial(partial(area, 1), 2), "area"),
        (Model(), "Model"),
        (Model, "Model"),
        ("abc".split, "split"),
        (np.sin, "sin"),
        (max, "max"),
    ],
)
def test_one_output_is_named_after_the_function(function, name):
    assert outputs_of(None, function, []).default == name


def test_the_default_name_is_never_that_of_an_axis():
    assert outputs_of(None, area, ["area"]).default == "result"
    assert outputs_of(None, area, ["area", "result"]).default == "result_"


@pytest.mark.parametrize(
    ("given", "value", "parts"),
    [
        (None, 1.5, {"area": 1.5}),
        (None, (1, 2), {"area": (1, 2)}),
        (None, {"a": 1, "b": 2}, {"a": 1, "b": 2}),
        (None, {}, {"area": {}}),
        (None, {1: 2}, {"area": {1: 2}}),
        (None, Pair(1, 2), {"value": 1, "error": 2}),
        ("y", 1, {"y": 1}),
        ("y", {"a": 1}, {"y": {"a": 1}}),
        ("y", {"y": 1}, {"y": 1}),
        (["a", "b"], (1, 2), {"a": 1, "b": 2}),
        (["a", "b"], [1, 2], {"a": 1, "b": 2}),
        (["a", "b"], {"b": 2, "a": 1}, {"a": 1, "b": 2}),
        (["error", "value"], Pair(1, 2), {"error": 2, "value": 1}),
        (["a", "b"], Pair(1, 2), {"a": 1, "b": 2}),
        ({"a": "t", "b": ()}, (1, 2), {"a": 1, "b": 2}),
    ],
    ids=repr,
)
def test_a_result_is_split_into_its_outputs(given, value, parts):
    assert outputs_of(given, area, []).split(value) == parts


@pytest.mark.parametrize("value", [1.5, (1, 2, 3), {"a": 1}, {"a": 1, "c": 2}, "ab", None])
def test_a_result_with_other_outputs_is_told_with_its_value(value):
    with pytest.raises(OutputMismatch, match="expected 2 outputs, a, b") as caught:
        outputs_of(["a", "b"], area, []).split(value)
    assert caught.value.value == value
    copied = pickle.loads(pickle.dumps(caught.value))
    assert (str(copied), copied.value) == (str(caught.value), value)


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (5, TypeError),
        ([], TypeError),
        ({}, TypeError),
        ([1], TypeError),
        ({1: ()}, TypeError),
        ({"y": 5}, TypeError),
        ({"y": None}, TypeError),
        ({"y": [1]}, TypeError),
        (b"y", TypeError),
        pytest.param((name for name in "ab"), TypeError, id="generator"),
        (["a", "a"], ValueError),
        ({"y": ("t", "t")}, ValueError),
        ({"y": "t", "t": ()}, ValueError),
        ({"y": "y"}, ValueError),
        ("x", ValueError),
        ({"y": "x"}, ValueError),
    ],
    ids=repr,
)
def test_what_names_no_outputs_is_refused(given, kind):
    with pytest.raises(kind, match=r"output|dimension"):
        outputs_of(given, area, ["x"])


def test_labels_are_taken_off_and_scalar_ones_left_behind():
    array = xr.DataArray([1.0, 2.0], {"t": [5, 6], "at": 3}, "t")
    bare, labels = unlabelled({"y": array, "z": 1})
    assert type(bare["y"]) is np.ndarray
    assert bare["z"] == 1
    assert labels.dims == {"y": ("t",)}
    assert set(labels.coords) == {"t"}


def test_two_outputs_cannot_label_one_dimension_differently():
    one, two = xr.DataArray([1.0], {"t": [5]}, "t"), xr.DataArray([1.0], {"t": [6]}, "t")
    with pytest.raises(OutputMismatch, match="two different coordinates 't'"):
        unlabelled({"y": one, "z": two})


@pytest.mark.parametrize(
    "shapes", [{"y": ()}, {"y": (3, 3)}, {"y": (3,), "z": (4,)}, {"u": (2,)}], ids=repr
)
def test_shapes_that_the_given_dimensions_cannot_have_are_told(shapes):
    from dataclasses import replace

    outputs = outputs_of({"y": "t", "z": "t", "u": "s"}, area, [])
    outputs = replace(outputs, sizes={"s": 5})
    with pytest.raises(OutputMismatch, match="expected"):
        outputs.check_shapes(shapes)
    outputs.check_shapes({"y": (3,), "z": (3,), "u": (5,)})
