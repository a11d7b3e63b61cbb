"""Every way to say what varies gives the points of the nested loop, or is refused by name."""

import itertools
import math
from functools import partial

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from shoal.sweeps.axes import check_takes, grid_of, names_taken
from shoal.sweeps.values import as_array

TODAY = np.datetime64("2026-01-01")


def anything(**parameters):
    return parameters


def points_of(grid):
    return [grid[index] for index in range(len(grid))]


def loop(axes):
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def same(one, two):
    return type(one) is type(two) and (one is two or np.array_equal(one, two))


values = st.lists(st.integers() | st.floats(allow_nan=False) | st.text() | st.none(), min_size=1)


@given(
    st.dictionaries(
        st.text("abcd", min_size=1), values.filter(lambda v: len(v) < 5), min_size=1, max_size=4
    )
)
def test_axes_give_the_points_of_the_nested_loop(axes):
    grid = grid_of(anything, axes, None)
    assert points_of(grid) == loop(axes)
    assert grid.shape == tuple(map(len, axes.values()))


@pytest.mark.parametrize(
    "axis",
    [
        range(3),
        (1, 2, 3),
        [np.float64(1), 2.0],
        np.arange(3.0),
        np.array([TODAY, TODAY + 1]),
        pd.Index([1.0, 2.0]),
        pd.Series([1, 2], index=[7, 8]),
        pd.date_range("2026", periods=2),
        xr.DataArray([1.0, 2.0], dims="whatever"),
        xr.Variable("q", [1, 2]),
        [math.nan, 1.0, math.nan],
        [1, 1, 1],
        [math.sin, math.cos],
        [{"k": 1}, {"k": 2}],
        [np.zeros(2), np.ones(3)],
        np.zeros((2, 3)),
        [None, "text", b"a\0"],
        {"a": 1}.keys(),
        {3},
    ],
    ids=repr,
)
def test_every_kind_of_values_may_be_an_axis(axis):
    grid = grid_of(anything, {"a": axis, "b": [0, 1]}, None)
    assert len(grid) == 2 * len(axis)
    expected = axis.values if isinstance(axis, xr.DataArray | xr.Variable) else axis
    assert len(as_array(grid.parameters[0].values)) == len(axis)
    for index, value in enumerate(expected):
        assert same(grid[2 * index + 1]["a"], value)


def test_the_axis_is_what_it_was_when_the_sweep_was_called():
    axis = np.arange(3.0)
    grid = grid_of(anything, {"a": axis}, None)
    axis[:] = 7
    assert points_of(grid) == [{"a": 0.0}, {"a": 1.0}, {"a": 2.0}]


def test_zipped_axes_run_together():
    grid = grid_of(anything, {"x": ("t", [1, 2]), "b": [5, 6], "y": ("t", [3, 4])}, None)
    assert grid.sizes == {"t": 2, "b": 2}
    assert points_of(grid) == [
        {"x": x, "b": b, "y": y} for x, y in [(1, 3), (2, 4)] for b in [5, 6]
    ]


@pytest.mark.parametrize("order", [("t", "x"), ("x", "t")])
def test_a_zipped_axis_may_give_its_dimension_the_name(order):
    axes = {"t": ("t", [1, 2]), "x": ("t", [3, 4])}
    grid = grid_of(anything, {name: axes[name] for name in order}, None)
    assert points_of(grid) == [{"t": 1, "x": 3}, {"t": 2, "x": 4}]


@pytest.mark.parametrize("pair", [("a", "b"), ("a", b"b"), (1, [2]), ("a", 3)], ids=repr)
def test_other_pairs_are_two_values(pair):
    assert [point["x"] for point in points_of(grid_of(anything, {"x": pair}, None))] == [*pair]


def test_points_come_as_a_list_or_a_frame():
    points = [{"a": 1, "b": "x"}, {"b": "y", "a": 2.5}, {"a": 1, "b": "x"}]
    assert points_of(grid_of(anything, points, None)) == points
    assert points_of(grid_of(anything, tuple(points), None)) == points
    frame = pd.DataFrame(points, index=[9, 9, 3])
    grid = grid_of(anything, frame, {"c": 0})
    assert points_of(grid) == [{"c": 0, **point} for point in points]
    assert grid.sizes == {"point": 3}
    assert type(grid[1]["a"]) is float


def cube():
    return xr.Dataset(
        {
            "u": (("x", "y"), np.arange(6.0).reshape(2, 3)),
            "v": ("y", [7, 8, 9]),
            "w": (("x", "z"), np.arange(8).reshape(2, 4)),
            "unused": ("x", ["p", "q"]),
        },
        {"x": [10, 20], "scale": 2.5},
    )


def test_a_dataset_gives_its_variables_at_each_place():
    def f(u, v, x, scale, w): ...

    dataset = cube()
    grid = grid_of(f, dataset, None)
    assert grid.sizes == {"x": 2, "y": 3, "z": 4}
    for index, (i, j, k) in enumerate(itertools.product(range(2), range(3), range(4))):
        place = dataset.isel(x=i, y=j, z=k)
        assert grid[index] == {name: place[name].item() for name in ("u", "v", "x", "scale", "w")}
    chosen = np.array([23, 0, 5, 7])
    for position, index in enumerate(chosen):
        arrays = {name: array[position] for name, array in grid.arrays(chosen).items()}
        assert {"scale": 2.5, **arrays} == grid[index]


@pytest.mark.parametrize(("over", "size"), [("x", 2), (["x"], 2), (("y", "x"), 6)])
def test_over_some_dimensions_the_others_are_passed_whole(over, size):
    def f(u, w): ...

    dataset = cube()
    grid = grid_of(f, dataset, None, over)
    assert len(grid) == size
    assert list(grid.sizes) == [over] if isinstance(over, str) else [*over]
    last = dataset.isel(dict.fromkeys(grid.sizes, -1))
    assert np.array_equal(grid[size - 1]["w"], last.w.values)
    assert np.array_equal(grid[size - 1]["u"], last.u.values)


def f(a, b=0): ...


@pytest.mark.parametrize(
    ("axes", "constants", "kind", "words"),
    [
        ({}, None, ValueError, "at least one axis"),
        ({"a": []}, None, ValueError, "'a' is empty"),
        ({"a": np.empty((0, 2))}, None, ValueError, "'a' is empty"),
        ({"a": 5}, None, TypeError, "'a' is 5: expected a list"),
        ({"a": "text"}, None, TypeError, "'a' is 'text': expected a list"),
        ({"a": {"k": 1}}, None, TypeError, "expected a list"),
        ({"a": np.array(1.0)}, None, TypeError, "'a' is array"),
        ({"a": (x for x in [1])}, None, TypeError, "'a' is .*unknown length; expected .*list"),
        ({"a": iter([1])}, None, TypeError, "unknown length"),
        ({1: [1]}, None, TypeError, "name 1 is not a string"),
        (
            {"a": ("t", [1, 2]), "b": ("t", [1, 2, 3])},
            None,
            ValueError,
            "unequal length along 't': 'a' has 2 values, 'b' has 3",
        ),
        ({"t": [1, 2], "b": ("t", [1, 2])}, None, ValueError, "'t' stands twice"),
        ({"b": ("t", [1, 2]), "t": [1, 2]}, None, ValueError, "'t' stands twice"),
        ({"a": ("b", [1]), "b": ("c", [1])}, None, ValueError, "'b' is an axis along 'c'"),
        ({"a": [1]}, {"a": 2}, ValueError, "'a' stands both"),
        ({"a": [1]}, [("b", 2)], TypeError, "constants="),
        ({"a": [1]}, {2: 2}, TypeError, "constants: the name 2"),
        ([], None, ValueError, "no points"),
        ([{}], None, ValueError, "no parameters"),
        ([{"a": 1}, {"b": 1}], None, ValueError, r"point 1 has the names \['b'\]"),
        ([{"a": 1}, 5], None, TypeError, "point 1=5"),
        ([{"point": 1}], None, ValueError, "'point' is the dimension's name"),
        (pd.DataFrame({"a": []}), None, ValueError, "no rows"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), None, ValueError, "'a' stands twice"),
        (pd.DataFrame([[1, 2]]), None, TypeError, "the name 0 is not a string"),
        (xr.Dataset(), None, ValueError, "nothing to sweep over"),
        (xr.Dataset({"a": ("x", [])}), None, ValueError, "nothing to sweep over"),
        (5, None, TypeError, "axes=5: expected a dict of axes"),
        (({"a": 1} for _ in "x"), None, TypeError, "axes=.*expected a dict of axes"),
        (np.zeros(3), None, TypeError, "expected a dict of axes"),
        (None, None, TypeError, "axes=None"),
    ],
)
def test_what_makes_no_grid_is_refused_with_its_name_and_value(axes, constants, kind, words):
    with pytest.raises(kind, match=words):
        grid_of(f, axes, constants)


@pytest.mark.parametrize(
    ("over", "kind"),
    [(["q"], ValueError), (["x", "x"], ValueError), (5, TypeError), ([["x"]], ValueError)],
)
def test_dimensions_that_a_dataset_has_not_are_refused(over, kind):
    with pytest.raises(kind, match="over="):
        grid_of(f, cube(), None, over)
    with pytest.raises(ValueError, match="over=.* is for sweeps over .* a Dataset"):
        grid_of(f, {"a": [1]}, None, over)


@pytest.mark.parametrize(
    ("function", "names", "seeded", "words"),
    [
        (f, ["c", "a"], False, r"f\(a, b=0\) takes no argument named 'c'"),
        (f, ["b"], False, r"f\(a, b=0\) needs 'a'"),
        (f, ["a"], True, "takes no argument named 'rng'"),
        (lambda a, rng: a, ["a", "rng"], True, "'rng' is the generator's name"),
        (lambda a, rng: a, ["a"], False, "needs 'rng'"),
        (lambda a, /: a, ["a"], False, "takes no argument named 'a'"),
        (lambda *a: a, ["a"], False, "takes no argument named 'a'"),
        (partial(f, 1), ["a"], False, "takes no argument named 'a'"),
        ("abc".split, ["word"], False, "takes no argument named 'word'"),
    ],
)
def test_what_the_function_cannot_be_called_with_is_refused(function, names, seeded, words):
    with pytest.raises(TypeError, match=words):
        check_takes(function, grid_of(function, {key: [1] for key in names}, None), seeded=seeded)


def test_functions_that_do_not_tell_their_arguments_are_taken_at_their_word():
    assert names_taken(max) is None
    assert names_taken(lambda **each: each) is None
    assert names_taken(f) == {"a", "b"}
    check_takes(max, grid_of(max, {"whatever": [1]}, None), seeded=True)
