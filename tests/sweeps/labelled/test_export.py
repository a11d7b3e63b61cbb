"""NetCDF and Zarr and back: every value, dtype and error as it was, bit for bit."""

import fractions
import sys
import warnings

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import shoal
import shoal.sweeps.labelled.accessor
from shoal.errors import MissingExtra
from shoal.sweeps import PointsFailed
from shoal.sweeps.labelled import export
from shoal.sweeps.labelled.export import read

pytest.importorskip("netCDF4")
pytest.importorskip("zarr")

KINDS = ["netcdf", "zarr"]
NAN_WITH_A_MESSAGE = np.array([0x7FF8_0000_DEAD_BEEF], np.uint64).view(float)[0]

ARRAYS = {
    "complex": [1 + 2j, complex(np.nan, np.inf), complex(-0.0, 0.0)],
    "single": np.array([1 + 2j, 3, 4], "c8"),
    "float": [NAN_WITH_A_MESSAGE, -0.0, np.inf],
    "half": np.array([0.1, np.nan, -np.inf], "f2"),
    "long": np.array([np.longdouble(1) / 3, 2, 3]),
    "unsigned": np.array([0, 1, 2**64 - 1], "u8"),
    "flag": [True, False, True],
    "time": np.array(["2020-01-01T00:00:00.123456789", "NaT", "1970-01-01"], "M8[ns]"),
    "day": np.array(["9999-12-31", "NaT", "0001-01-01"], "M8[s]"),
    "wait": np.array([1, -2, "NaT"], "m8[ns]"),
    "pause": np.array([1, 2**40, "NaT"], "m8[s]"),
    "fixed": np.array([b"a", b"b\0c", b""], "S4"),
    "record": np.array([(1, 0.5), (2, np.nan), (3, 1.0)], [("n", "i4"), ("v", "f8")]),
    "words": np.array(["a", "Blå", ""]),
    "zero_inside": np.array(["a\0b", "", "c"]),
}
OBJECTS = {
    "text": ["a", "", "naïve ∂"],
    "zeros": ["a\0", "b", "\0"],
    "failed_integers": [1, np.nan, 2**60 + 1],
    "failed_flags": [True, np.nan, False],
    "large": [2**200, -1, 0],
    "gaps": ["a", np.nan, None],
    "nothing": [None, None, "a"],
    "parts": [{"a": (1, 2.5)}, [None, b"\0"], {1: {2j}}],
    "arrays": [np.arange(3), np.float32(0.1), np.array(["x"])],
}


def objects(values):
    array = np.empty(len(values), object)
    array[:] = values
    return array


def dataset_of(arrays):
    data = {
        name: xr.Variable("x", np.asarray(each), {"units": "m"}, fastpath=type(each) is np.ndarray)
        for name, each in arrays.items()
    }
    return xr.Dataset(data, {"x": [1.0, 2.0, 4.0]}, {"long": "x" * 200_000})


def stored(dataset, path, kind, *, unpickle=False, **options):
    getattr(dataset.shoal, f"to_{kind}")(path / f"data.{kind}", **options)
    return read(path / f"data.{kind}", unpickle=unpickle)


def told(value):
    if isinstance(value, np.ndarray):
        return value.dtype, value.shape, value.tobytes()
    if isinstance(value, float | complex):
        return type(value), repr(value)
    if isinstance(value, list | tuple):
        return type(value), [*map(told, value)]
    if isinstance(value, dict):
        return type(value), [*map(told, value)], [*map(told, value.values())]
    return type(value), value


def assert_bits(one, two):
    assert [*one.variables] == [*two.variables]
    assert one.attrs == two.attrs
    for name in two.variables:
        left, right = one[name], two[name]
        assert (left.dims, left.attrs, left.dtype) == (right.dims, right.attrs, right.dtype), name
        if right.dtype == np.longdouble:
            assert [*map(repr, left.values)] == [*map(repr, right.values)]
        elif right.dtype == object:
            assert [*map(told, left.values.flat)] == [*map(told, right.values.flat)], name
        else:
            assert left.values.tobytes() == right.values.tobytes(), name


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_array_comes_back_bit_for_bit(kind, tmp_path):
    dataset = dataset_of(ARRAYS)
    assert_bits(stored(dataset, tmp_path, kind), dataset)


@pytest.mark.parametrize("kind", KINDS)
def test_objects_come_back_with_their_types(kind, tmp_path):
    dataset = dataset_of({name: objects(values) for name, values in OBJECTS.items()})
    assert_bits(stored(dataset, tmp_path, kind), dataset)


plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
plain |= st.complex_numbers()
nested = st.recursive(plain, lambda inner: st.lists(inner) | st.tuples(inner, inner))


@given(st.lists(nested, min_size=3, max_size=3))
def test_what_is_told_of_an_object_is_the_object(values):
    texts = [export._json("x", each, pickle_objects=False) for each in values]
    heard = [export._heard(export.json.loads(each), unpickle=False) for each in texts]
    assert [*map(told, heard)] == [*map(told, values)]


@pytest.mark.parametrize("kind", KINDS)
def test_labels_of_every_kind_come_back(kind, tmp_path):
    for number, labels in enumerate(
        (["a", "b"], [1j, 2j], [(1, 2), "b"], np.array(["2020", "2021"], "M8[D]"), [True, False])
    ):
        array = objects(labels) if isinstance(labels[0], tuple | str) else np.asarray(labels)
        dataset = xr.Dataset({"v": ("k", [1.0, 2.0])}, {"k": array})
        (tmp_path / str(number)).mkdir()
        assert_bits(stored(dataset, tmp_path / str(number), kind), dataset)


def fragile(x, y):
    if y > 2:
        raise ValueError(f"{x} and {y}")
    return {"count": int(y), "wave": complex(x, y), "word": f"{x:g}" * int(y)}


@pytest.mark.parametrize("kind", KINDS)
def test_a_sweep_is_identical_with_its_errors_and_status(kind, tmp_path):
    with pytest.warns(PointsFailed):
        dataset = shoal.sweep(fragile, {"x": [0.5, 2.0], "y": [1, 2, 3]}, executor="serial")
    back = stored(dataset, tmp_path, kind)
    assert back.identical(dataset)
    assert_bits(back, dataset)
    errors, known = back.shoal.errors, dataset.shoal.errors
    same = ["x", "y", "message", "traceback", "attempts", "worker"]
    assert errors[same].equals(known[same])
    assert errors.error.tolist() == ["ValueError"] * 2
    assert back.shoal.status.identical(dataset.shoal.status)
    assert back.isel(y=[2, 0]).shoal.status.values.tolist() == [["failed", "done"]] * 2


@pytest.mark.parametrize("kind", KINDS)
def test_objects_of_other_classes_are_refused_or_pickled_as_asked(kind, tmp_path):
    dataset = dataset_of({"part": objects([fractions.Fraction(1, 3), 1, 2])})
    with pytest.raises(TypeError, match="'part' holds Fraction.*pickle_objects=True"):
        stored(dataset, tmp_path, kind)
    assert [*tmp_path.iterdir()] == []
    with pytest.raises(ValueError, match="unpickle=True"):
        stored(dataset, tmp_path, kind, pickle_objects=True)
    assert_bits(stored(dataset, tmp_path, kind, pickle_objects=True, unpickle=True), dataset)


@pytest.mark.parametrize("kind", KINDS)
def test_writing_again_replaces_what_was_there(kind, tmp_path):
    stored(dataset_of({"a": [1, 2, 3]}), tmp_path, kind)
    again = dataset_of({"b": [1.0, 2.0, 3.0]})
    assert_bits(stored(again, tmp_path, kind), again)
    assert len([*tmp_path.iterdir()]) == 1


def test_writing_that_fails_leaves_the_old_file(tmp_path):
    old = dataset_of({"a": [1, 2, 3]})
    old.shoal.to_netcdf(tmp_path / "data.nc")
    with pytest.raises(TypeError):
        old.assign_attrs(wrong=object()).shoal.to_netcdf(tmp_path / "data.nc")
    assert_bits(read(tmp_path / "data.nc"), old)
    assert len([*tmp_path.iterdir()]) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_xarray_alone_reads_numbers_text_and_dates_as_such(kind, tmp_path):
    arrays = {name: ARRAYS[name] for name in ("float", "flag", "time", "words", "complex")}
    dataset = dataset_of(arrays).drop_attrs()
    getattr(dataset.shoal, f"to_{kind}")(tmp_path / "data")
    if kind == "netcdf":
        opened = xr.open_dataset(tmp_path / "data", engine="netcdf4", auto_complex=True)
    else:
        opened = xr.open_zarr(tmp_path / "data", consolidated=False, chunks=None)
    with opened as found:
        for name, values in arrays.items():
            np.testing.assert_array_equal(found[name].values, np.asarray(values))


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_warned_of(kind, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stored(dataset_of(ARRAYS), tmp_path, kind)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere.nc"):
        read(tmp_path / "nowhere.nc")


def test_a_missing_library_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "netCDF4", None)
    with pytest.raises(MissingExtra, match=r"pip install 'shoal\[files\]'"):
        dataset_of({"a": [1, 2, 3]}).shoal.to_netcdf(tmp_path / "data.nc")
