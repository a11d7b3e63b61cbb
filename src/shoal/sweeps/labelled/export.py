"""Datasets in NetCDF and Zarr files and back, bit for bit, with what xarray alone would change."""

from __future__ import annotations

import ast
import base64
import json
import math
import os
import pickle
import shutil
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from shoal.tasks import require, shorten

if TYPE_CHECKING:
    import xarray as xr

DTYPE, FORM = "shoal_dtype", "shoal_form"
JSON, TEXT, HEX, COUNT, TIME, CAST = "json", "text", "hex", "count", "time", "cast"
WRITTEN = "shoal_export"
OF_TIMES = frozenset({"units", "calendar", "dtype"})  # attributes that xarray needs for dates
NETCDF_KINDS = frozenset({"i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8", "c8", "c16"})
PICKLE = "pickle"


def to_netcdf(dataset: xr.Dataset, path: Any, *, pickle_objects: bool = False) -> None:
    """Writes a NetCDF 4 file; see ``dataset.shoal.to_netcdf``."""
    _require("netCDF4")
    encoded = _encoded(dataset, pickle_objects=pickle_objects)
    with _replacing(path) as new:
        encoded.to_netcdf(
            new,
            engine="netcdf4",
            encoding=_no_fill(encoded),
            auto_complex=any(each.dtype.kind == "c" for each in encoded.variables.values()),
        )


def to_zarr(dataset: xr.Dataset, path: Any, *, pickle_objects: bool = False) -> None:
    """Writes a Zarr store, a folder; see ``dataset.shoal.to_zarr``."""
    _require("zarr")
    encoded = _encoded(dataset, pickle_objects=pickle_objects)
    with _replacing(path) as new:
        encoded.to_zarr(new, mode="w", consolidated=False, encoding=_no_fill(encoded))


def read(path: str | os.PathLike[str], *, unpickle: bool = False) -> xr.Dataset:
    """The dataset that ``dataset.shoal.to_netcdf`` or ``to_zarr`` has written, in memory.

    Values, dtypes and attributes are those that were written, bit for bit, and
    ``dataset.shoal.errors`` is there, but for what needs the process that ran the sweep. Other
    files are read as xarray reads them.

    Args:
        path: The file, or the folder of a Zarr store.
        unpickle: Whether to load objects that were written with ``pickle_objects=True``. A pickle
            can run any code: only from a file of your own.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If the file holds pickles and `unpickle` is not given.
        shoal.errors.MissingExtra: If netCDF4, or zarr, is not installed.

    Example:
        >>> import pathlib, tempfile, shoal
        >>> from shoal.sweeps import read
        >>> def response(frequency):
        ...     return 1 / (1 + 1j * frequency)
        >>> dataset = shoal.sweep(response, {"frequency": [0.0, 1.0, 2.0]})
        >>> path = pathlib.Path(tempfile.mkdtemp(), "response.nc")
        >>> dataset.shoal.to_netcdf(path)
        >>> read(path).identical(dataset)
        True
    """
    import xarray as xr

    import_module("shoal.sweeps.labelled.accessor")  # what is read has its .shoal

    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"there is no file or folder {str(path)!r}")
    _require("zarr" if path.is_dir() else "netCDF4")
    options: dict[str, Any] = {"engine": "netcdf4", "auto_complex": True}
    if path.is_dir():
        options = {"engine": "zarr", "consolidated": False, "chunks": None}
    with xr.open_dataset(path, decode_cf=False, **options) as raw:
        ours = WRITTEN in raw.attrs
        times = {name: each.attrs.get(FORM) == TIME for name, each in raw.variables.items()}
    if ours:  # attributes such as units="seconds" are the user's, and no instructions to xarray
        options |= {"decode_times": times, "decode_timedelta": times, "mask_and_scale": times}
        options |= {"decode_coords": True}
    with xr.open_dataset(path, **options) as source:
        return _decoded(source.load(), unpickle=unpickle)


def _require(module: str) -> None:
    require(module, extra="files", purpose="this file")


@contextmanager
def _replacing(path: Any) -> Iterator[Path]:
    """A name to write to, which takes the place of `path` when all is written."""
    path = Path(os.fspath(path))
    new = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        yield new
        if path.is_dir():
            shutil.rmtree(path)
        new.replace(path)
    finally:
        if new.is_dir():
            shutil.rmtree(new)
        new.unlink(missing_ok=True)


def _no_fill(dataset: xr.Dataset) -> dict[Hashable, dict[str, Any]]:
    """Keeps xarray from marking NaN as missing, which would give all of them the same bits."""
    return {
        name: {"_FillValue": None}
        for name, each in dataset.variables.items()
        if each.dtype.kind in "fc"
    }


def _encoded(dataset: xr.Dataset, *, pickle_objects: bool) -> xr.Dataset:
    """The dataset in terms of what files hold; two attributes of a variable tell what it was."""
    import xarray as xr

    def changed(name: Hashable, variable: Any) -> Any:
        form, values = _form_of(name, variable.values, pickle_objects=pickle_objects)
        if form == TIME and OF_TIMES & {*variable.attrs}:
            form, values = COUNT, values.view(np.int64)
        if form is None:
            return (variable.dims, values, variable.attrs)
        attributes = {**variable.attrs, DTYPE: _dtype_name(variable.dtype), FORM: form}
        return (variable.dims, values, attributes)

    data = {name: changed(name, dataset.variables[name]) for name in dataset.data_vars}
    coords = {name: changed(name, dataset.variables[name]) for name in dataset.coords}
    return xr.Dataset(
        data, coords, {**dataset.attrs, WRITTEN: json.dumps([*map(str, dataset.variables)])}
    )


def _dtype_name(dtype: np.dtype[Any]) -> str:
    return "object" if dtype.kind == "O" else repr(np.lib.format.dtype_to_descr(dtype))


def _form_of(
    name: Hashable, values: np.ndarray, *, pickle_objects: bool
) -> tuple[str | None, np.ndarray]:
    """How values are written, and the array that is; no form where they are written as they are."""
    values = np.asarray(values)
    dtype = values.dtype
    if dtype.kind in "mM":
        nanoseconds = np.datetime_data(dtype)[0] == "ns"
        return (TIME, values) if nanoseconds else (COUNT, values.view(np.int64))
    if dtype.kind in "OUT":
        texts = values.astype(object)
        if all(type(each) is str for each in texts.flat) and not any(
            "\0" in each for each in texts.flat
        ):
            return TEXT, texts
        return JSON, _each(lambda value: _json(name, value, pickle_objects), texts)
    if dtype.str[1:] == "c8":
        return CAST, values.astype(complex)  # netCDF4 1.7.5 reads single precision wrongly
    if dtype.kind == "b" or dtype.str[1:] in NETCDF_KINDS:
        return None, values
    if dtype.hasobject:
        raise TypeError(f"{name!r} has the dtype {dtype}, which cannot be written")
    return HEX, _each(lambda value: np.array(value, dtype).tobytes().hex(), values)


def _each(change: Callable[[Any], str], values: np.ndarray) -> np.ndarray:
    texts = np.empty(values.shape, object)
    for place in np.ndindex(values.shape):
        texts[place] = change(values[place])
    return texts


def _json(name: Hashable, value: Any, pickle_objects: bool) -> str:
    try:
        return json.dumps(_told(value, pickle_objects=pickle_objects))
    except TypeError as error:
        raise TypeError(
            f"{name!r} holds {shorten(value)}: {error}; pickle_objects=True writes it as a pickle, "
            "and read(path, unpickle=True) reads that"
        ) from error


def _told(value: Any, *, pickle_objects: bool) -> Any:
    """A value as JSON can hold it: numbers and text as they are, anything else with its kind."""

    def inner(each: Any) -> Any:
        return _told(each, pickle_objects=pickle_objects)

    kind = type(value)
    if value is None or kind in (bool, int, str):
        return value
    if kind is float and not math.isnan(value):
        return value
    if kind is list:
        return [inner(each) for each in value]
    if kind is dict:
        return {"dict": [[inner(key), inner(each)] for key, each in value.items()]}
    if kind in (tuple, set, frozenset):
        return {kind.__name__: [inner(each) for each in value]}
    return _told_plainly(value, kind, pickle_objects=pickle_objects)


def _told_plainly(value: Any, kind: type, *, pickle_objects: bool) -> dict[str, Any]:
    """A value that has no parts, with its kind."""
    native = not getattr(value, "dtype", np.dtype(object)).hasobject
    if kind is float:
        told: Any = ("nan", value.hex())
    elif kind is complex:
        told = ("complex", [value.real.hex(), value.imag.hex()])
    elif kind is bytes:
        told = ("bytes", value.hex())
    elif native and kind in (np.ndarray, getattr(value, "dtype", np.dtype(object)).type):
        shape = list(value.shape) if kind is np.ndarray else None
        told = ("numpy", [value.dtype.str, shape, value.tobytes().hex()])
    elif pickle_objects:
        told = (PICKLE, base64.b85encode(pickle.dumps(value)).decode())
    else:
        raise TypeError(f"files hold numbers, text, lists, dicts, arrays, no {kind.__qualname__}")
    return dict([told])


def _decoded(dataset: xr.Dataset, *, unpickle: bool) -> xr.Dataset:
    import xarray as xr

    def changed(name: Hashable, variable: Any) -> Any:
        attributes = dict(variable.attrs)
        form, dtype = attributes.pop(FORM, None), attributes.pop(DTYPE, None)
        if form is None:
            return (variable.dims, variable.values, attributes)
        values = _values_of(name, variable.values, str(form), str(dtype), unpickle=unpickle)
        # by the fast path, because xarray makes NaN of None, and dates of Python's datetimes
        return xr.Variable(variable.dims, values, attributes, fastpath=values.dtype == object)

    told = json.loads(dataset.attrs.get(WRITTEN, "[]"))
    order = {name: number for number, name in enumerate(told)}  # Zarr keeps none
    names = sorted(dataset.variables, key=lambda name: order.get(str(name), 0))
    changes = {name: changed(name, dataset.variables[name]) for name in names}
    data = {name: each for name, each in changes.items() if name in dataset.data_vars}
    coords = {name: each for name, each in changes.items() if name in dataset.coords}
    attributes = {name: value for name, value in dataset.attrs.items() if name != WRITTEN}
    return xr.Dataset(data, coords, attributes)


def _values_of(
    name: Hashable, values: np.ndarray, form: str, dtype: str, *, unpickle: bool
) -> np.ndarray:
    """The values that were written in that form."""
    kind = np.dtype(object)
    if dtype != "object":
        kind = np.lib.format.descr_to_dtype(ast.literal_eval(dtype))
    if form in (TIME, CAST):
        return values.astype(kind)
    if form == COUNT:
        return np.ascontiguousarray(values, np.int64).view(kind)
    if form == TEXT:
        return _objects(str, values).astype(kind)
    if form == JSON:
        try:
            heard = _objects(lambda text: _heard(json.loads(text), unpickle=unpickle), values)
            return heard.astype(kind)
        except PermissionError as error:
            raise ValueError(f"{name!r} {error}") from None
    if form == HEX:
        content = bytes.fromhex("".join(map(str, values.flat)))
        return np.frombuffer(content, kind).reshape(values.shape).copy()
    raise ValueError(f"{name!r} is written in the form {form!r}, unknown to this version of shoal")


def _objects(change: Callable[[Any], Any], values: np.ndarray) -> np.ndarray:
    array = np.empty(values.shape, object)
    for place in np.ndindex(values.shape):
        array[place] = change(str(values[place]))
    return array


def _heard(told: Any, *, unpickle: bool) -> Any:
    """The value that `_told` has told."""

    def inner(each: Any) -> Any:
        return _heard(each, unpickle=unpickle)

    if isinstance(told, list):
        return [inner(each) for each in told]
    if not isinstance(told, dict):
        return told
    [(kind, value)] = told.items()
    if kind == PICKLE and not unpickle:
        raise PermissionError("holds pickles, which can run any code: unpickle=True loads them")
    known: dict[str, Callable[[], Any]] = {
        "nan": lambda: float(value),
        "complex": lambda: complex(*map(float.fromhex, value)),
        "bytes": lambda: bytes.fromhex(value),
        "tuple": lambda: tuple(inner(value)),
        "set": lambda: set(inner(value)),
        "frozenset": lambda: frozenset(inner(value)),
        "dict": lambda: {inner(key): inner(each) for key, each in value},
        "numpy": lambda: _array(*value),
        PICKLE: lambda: pickle.loads(base64.b85decode(value)),
    }
    return known[kind]()


def _array(dtype: str, shape: list[int] | None, content: str) -> Any:
    array = np.frombuffer(bytes.fromhex(content), dtype)
    return array[0] if shape is None else array.reshape(shape).copy()
