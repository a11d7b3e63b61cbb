"""Merging: a whole sweep is the merge of its parts, in any order, and nothing is overwritten."""

import functools
import warnings

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import shoal
from shoal.sweeps import PointsFailed

pytestmark = pytest.mark.filterwarnings("ignore::shoal.sweeps.PointsFailed")

XS = [0.5, 1.0, 2.0, 4.0]
YS = [-1, 0, 3]


def sweep(f, axes, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PointsFailed)
        return shoal.sweep(f, axes, executor="serial", **options)


@functools.cache
def block(f, x, y):
    return sweep(f, {"x": [*x], "y": [*y]})


def number(x, y):
    return x * y


def whole(x, y):
    if x == 2.0 and y > 0:
        raise ValueError(f"not at {x}, {y}")
    return int(x * 10) + y


def flag(x, y):
    if x == y:
        raise ValueError
    return x > y


def amplitude(x, y):
    if y == 0:
        raise ZeroDivisionError(x)
    return complex(x, 1 / y)


def several(x, y):
    if x == 4.0:
        raise KeyError(y)
    return {"row": np.arange(3) * x, "text": f"{x} {y}", "day": np.datetime64("2020-01-01", "D")}


def mixed(x, y):
    return y if x < 2 else [frozenset({1}), 2**70, "a"][YS.index(y)]


def length(k):
    return len(k)


def truncated(x):
    return int(x)


def hopeless(x, y):
    raise ValueError(x)


FUNCTIONS = [number, whole, flag, amplitude, several, mixed, hopeless]


def assert_same(one, two):
    """Identical but for how they came to be, dtypes included; the same status and errors."""
    one = one.transpose(*two.dims)
    assert one.drop_attrs().identical(two.drop_attrs()), (one, two)
    for name in two.variables:
        assert one[name].dtype == two[name].dtype, name
        if two[name].dtype == object:
            assert [*map(type, one[name].values.flat)] == [*map(type, two[name].values.flat)]
    assert one.shoal.status.identical(two.shoal.status)
    left, right = one.shoal.errors, two.shoal.errors
    columns = [*left.columns[:2], "message"]
    assert left[columns].equals(right[columns])
    assert [*map(type, left.error)] == [*map(type, right.error)]


@st.composite
def cuts(draw):
    """A grid cut along x and then, each piece at its own places, along y; in any order."""
    parts = []
    at = sorted(draw(st.sets(st.integers(1, len(XS) - 1))))
    for x in np.split(XS, at):
        across = sorted(draw(st.sets(st.integers(1, len(YS) - 1))))
        parts += [(tuple(x.tolist()), tuple(y.tolist())) for y in np.split(YS, across)]
    return draw(st.permutations(parts))


def merged(datasets):
    first, *rest = datasets
    for each in rest:
        first = first.shoal.merge(each)
    return first


@given(f=st.sampled_from(FUNCTIONS), parts=cuts())
def test_a_whole_sweep_is_the_merge_of_its_parts_in_any_order(f, parts):
    made = merged([block(f, x, y) for x, y in parts])
    assert_same(made, block(f, tuple(XS), tuple(YS)))


@given(order=st.permutations(range(6)), split=st.integers(1, 5))
def test_points_in_two_lists_are_one_list(order, split):
    points = [{"x": float(at), "y": 7 - at} for at in order]
    made = sweep(whole, points[:split]).shoal.merge(sweep(whole, points[split:]))
    every = sweep(whole, points)
    assert_same(made.sortby("x"), every.sortby("x"))


@given(st.data())
def test_parts_may_overlap_and_leave_holes(data):
    blocks = st.tuples(
        st.lists(st.sampled_from(XS), min_size=1, unique=True),
        st.lists(st.sampled_from(YS), min_size=1, unique=True),
    )
    parts = [data.draw(blocks) for _ in range(3)]
    made = merged([block(whole, tuple(sorted(x)), tuple(sorted(y))) for x, y in parts])
    every = block(whole, tuple(XS), tuple(YS))
    status, known = made.shoal.status.values, every.shoal.status.sel(x=made.x, y=made.y).values
    values, right = made.whole.values, every.whole.sel(x=made.x, y=made.y).values
    for i, x in enumerate(made.x.values):
        for j, y in enumerate(made.y.values):
            there = any(x in xs and y in ys for xs, ys in parts)
            assert status[i, j] == (known[i, j] if there else "missing")
            assert values[i, j] == right[i, j] if status[i, j] == "done" else np.isnan(values[i, j])
    if (status == "done").any():
        assert made.whole.dtype == (np.int64 if (status == "done").all() else object)


def test_a_second_sweep_extends_an_axis_and_labels_stay_in_order():
    one = sweep(number, {"x": [1.0, 4.0], "y": YS})
    two = sweep(number, {"x": [0.5, 2.0], "y": YS})
    assert_same(one.shoal.merge(two), sweep(number, {"x": XS, "y": YS}))
    assert one.shoal.merge(two).shoal.provenance["points"] == 12


def test_descending_labels_stay_descending_and_others_in_the_order_they_appear():
    one, two = (sweep(number, {"x": x, "y": [1]}) for x in ([4.0, 1.0], [2.0]))
    assert one.shoal.merge(two).x.values.tolist() == [4.0, 2.0, 1.0]
    one, two = (sweep(length, {"k": k}) for k in (["b", "a", "c"], ["ccc", "b"]))
    made = one.shoal.merge(two)
    assert made.k.values.tolist() == ["b", "a", "c", "ccc"]


def test_a_value_fills_a_failed_point_and_a_failure_does_not_undo_a_value():
    def fragile(x):
        if x > 1:
            raise ValueError(x)
        return int(x)

    failing = sweep(fragile, {"x": XS})
    good = failing.copy(data={"fragile": [0, 1, 2, 4]}).drop_attrs()
    good.attrs = sweep(truncated, {"x": XS}).attrs
    for made in (failing.shoal.merge(good), good.shoal.merge(failing)):
        assert made.fragile.dtype == np.int64
        assert made.fragile.values.tolist() == [0, 1, 2, 4]
        assert made.shoal.errors.empty
        assert (made.shoal.status == "done").all()


def test_errors_of_both_can_be_run_again_with_their_own_random_numbers():
    def lucky(x, rng):
        value = rng.random()
        if x >= 2:
            raise ValueError(value)
        return value

    one, two = (sweep(lucky, {"x": x}, seed=seed) for x, seed in ((XS[:3], 1), (XS[2:], 2)))
    made = one.shoal.merge(two)
    errors = made.shoal.errors
    assert errors.x.tolist() == [2.0, 4.0]
    for _, row in errors.iterrows():
        with pytest.raises(ValueError, match=row.message):
            row.replay()
    again = made.shoal.merge(sweep(lucky, {"x": [8.0]}, seed=3)).shoal.errors
    assert again.message.tolist()[:2] == errors.message.tolist()
    with pytest.raises(ValueError, match=again.message[0]):
        again.replay[0]()


def test_a_part_that_was_selected_keeps_the_right_errors():
    every = sweep(whole, {"x": XS, "y": YS})
    one, two = every.isel(x=[3, 1]), every.isel(x=[2, 0], y=slice(None, None, -1))
    assert_same(two.shoal.merge(one).sortby(["x", "y"]), every)


def test_provenance_of_all_is_kept():
    parts = [sweep(number, {"x": [x], "y": YS}, seed=None) for x in XS]
    told = merged(parts).shoal.provenance
    assert told["function"] == f"{__name__}.number"
    assert [each["points"] for each in told["merged"]] == [3] * 4
    assert all("wall_seconds" in each for each in told["merged"])


def test_units_of_both_are_kept_and_so_are_coordinates_of_outputs():
    def spectrum(x):
        return xr.DataArray(np.arange(2.0) * x, {"f": [10, 20]}, ["f"])

    one, two = sweep(spectrum, {"x": [1.0]}), sweep(spectrum, {"x": [2.0]})
    one.x.attrs["units"], two.spectrum.attrs["units"] = "m", "V"
    made = one.shoal.merge(two)
    assert made.x.attrs == {"units": "m"}
    assert made.spectrum.attrs == {"units": "V"}
    assert made.f.values.tolist() == [10, 20]
    with pytest.raises(ValueError, match="coordinate 'f' differs"):
        one.shoal.merge(two.assign_coords(f=[10, 30]))


def test_a_sweep_over_a_dataset_keeps_its_coordinates_of_several_dimensions():
    grid = xr.Dataset(
        {"x": (("row", "column"), [[1.0, 2.0], [3.0, 4.0]])},
        {"row": [0, 1], "height": (("row", "column"), [[5.0, 6.0], [7.0, 8.0]])},
    )
    every = sweep(lambda x: x + 1, grid, outputs="up")
    made = every.isel(row=[1]).shoal.merge(every.isel(row=[0]))
    assert made.drop_attrs().identical(every.drop_attrs())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda ds: ds + 1, "x=0.5, y=-1: -0.5 and 0.5"),
        (lambda ds: ds.rename(number="other"), "outputs are"),
        (lambda ds: ds.assign(number=ds.number.expand_dims(z=2)), "further dimensions"),
        (lambda ds: ds.isel(x=0), "dimensions x, y and y"),
        (lambda ds: ds.isel(x=[0, 0]), "x=0.5 stands twice along 'x' in the other dataset"),
        (lambda ds: ds.assign_coords(z=("x", XS)), "coordinates along 'x'"),
    ],
)
def test_what_does_not_go_together_is_refused(change, message):
    every = sweep(number, {"x": XS, "y": YS})
    with xr.set_options(keep_attrs=True), pytest.raises(ValueError, match=message):
        every.shoal.merge(change(every))


def test_other_constants_are_refused():
    def scaled(x, gain):
        return x * gain

    one, two = (sweep(scaled, {"x": [1.0]}, constants={"gain": gain}) for gain in (2, 3))
    with pytest.raises(ValueError, match="constant 'gain' is 2 and 3"):
        one.shoal.merge(two)


def test_what_is_no_sweep_is_refused():
    every = sweep(number, {"x": XS, "y": YS})
    with pytest.raises(TypeError, match="expected the dataset"):
        every.shoal.merge(every.number)
    with pytest.raises(LookupError, match="the other dataset cannot be merged"):
        every.shoal.merge(every.drop_attrs())


def test_nan_that_both_return_is_the_same_and_zeros_of_other_sign_are_not():
    def odd(x):
        return [np.nan, 0.0][int(x)]

    one = sweep(odd, {"x": [0.0, 1.0]})
    assert np.isnan(one.shoal.merge(one).odd[0])
    with pytest.raises(ValueError, match=r"differ at 1 points .* x=1.0"):
        one.shoal.merge(one.copy(data={"odd": [np.nan, -0.0]}))


def test_ten_thousand_holes_and_failures_merge_quickly_into_little_text():
    def half(x, y):
        if y < 0:
            raise ValueError(f"{x} {y}")
        return x

    parts = [
        sweep(half, {"x": np.arange(50.0) + 50 * at, "y": np.arange(100) - 50 - 100 * at})
        for at in range(2)
    ]
    made = parts[0].shoal.merge(parts[1])
    assert made.shoal.provenance["missing"] == 10_000
    assert made.shoal.provenance["failed"] == 7_500
    assert len(made.shoal.errors) == 7_500
    assert len(made.attrs["shoal"]) < 400_000
