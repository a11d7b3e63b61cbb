"""Arrays and tables as parts whose digests are equal when they are equal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

Walk = Callable[[Any], bytes]


def array_pieces(value: Any, walk: Walk) -> Iterator[bytes] | None:
    """Pieces of an array of numpy, or a table of pandas or xarray; None for everything else.

    A library that is not loaded cannot have made the value, and is not loaded for it.
    """
    for library, pieces_of in (
        ("numpy", _of_numpy),
        ("pandas", _of_pandas),
        ("xarray", _of_xarray),
    ):
        module = sys.modules.get(library)
        if module is not None and (pieces := pieces_of(module, value, walk)) is not None:
            return pieces
    return None


def _of_numpy(np: Any, value: Any, walk: Walk) -> Iterator[bytes] | None:
    if isinstance(value, np.ndarray | np.generic):
        return _numpy(np, value, walk)
    if isinstance(value, np.ufunc):
        return iter((b"ufunc", value.__name__.encode()))
    return iter((b"dtype", _dtype(value))) if isinstance(value, np.dtype) else None


def _of_pandas(pandas: Any, value: Any, walk: Walk) -> Iterator[bytes] | None:
    if isinstance(value, pandas.DataFrame):
        return _frame(value, walk)
    return _series(value, walk) if isinstance(value, pandas.Series | pandas.Index) else None


def _of_xarray(xarray: Any, value: Any, walk: Walk) -> Iterator[bytes] | None:
    if isinstance(value, xarray.Dataset):
        return _dataset(value, walk)
    known = isinstance(value, xarray.DataArray | xarray.Variable)
    return _data_array(value, walk) if known else None


def _numpy(np: Any, value: Any, walk: Walk) -> Iterator[bytes]:
    array = np.asarray(value)
    yield b"array" if isinstance(value, np.ndarray) else b"scalar"
    yield from (_dtype(array.dtype), repr(array.shape).encode())
    if type(value) is not np.ndarray and isinstance(value, np.ndarray):
        yield type(value).__qualname__.encode()
        if isinstance(value, np.ma.MaskedArray):
            yield from (walk(np.ma.getmaskarray(value)), walk(np.asarray(value.filled())))
            return
        yield walk(getattr(value, "__dict__", None))
    if array.dtype.fields:  # field by field: between them may lie anything
        for name in array.dtype.names:
            yield name.encode()
            yield walk(np.ascontiguousarray(array[name]))
    elif array.dtype.hasobject or array.dtype.kind == "T":
        yield from map(walk, array.reshape(-1).tolist())
    elif array.dtype.itemsize == 0 or array.size == 0:
        yield array.tobytes()
    else:
        yield memoryview(np.ascontiguousarray(array).reshape(-1).view(np.uint8))  # type: ignore[misc]


def _dtype(dtype: Any) -> bytes:
    return repr(dtype.descr if dtype.fields else dtype.str).encode() + repr(dtype).encode()


def _frame(frame: Any, walk: Walk) -> Iterator[bytes]:
    yield from (b"DataFrame", type(frame).__qualname__.encode())
    yield from (walk(frame.columns), walk(frame.index), walk(dict(frame.attrs)))
    for place in range(frame.shape[1]):
        yield from _column(frame.iloc[:, place], walk)


def _series(series: Any, walk: Walk) -> Iterator[bytes]:
    if hasattr(series, "index"):
        yield from (b"Series", walk(series.name), walk(series.index))
    else:
        yield from (b"Index", walk(list(series.names)))
    yield from _column(series, walk)


def _column(series: Any, walk: Walk) -> Iterator[bytes]:
    dtype: Any = getattr(series, "dtype", None)
    yield str(dtype).encode()
    if hasattr(dtype, "categories"):
        yield from (walk(dtype.ordered), walk(dtype.categories.to_numpy()))
    yield walk(series.to_numpy())


def _dataset(dataset: Any, walk: Walk) -> Iterator[bytes]:
    yield b"Dataset"
    yield walk(dict(dataset.attrs))
    yield walk(sorted(map(str, dataset.coords)))
    yield walk({name: dataset.variables[name] for name in dataset.variables})


def _data_array(array: Any, walk: Walk) -> Iterator[bytes]:
    yield from (b"DataArray", walk(tuple(array.dims)), walk(dict(array.attrs)))
    if hasattr(array, "coords"):
        yield from (
            walk(array.name),
            walk({name: array.coords[name].variable for name in array.coords}),
        )
    data = array.variable.data if hasattr(array, "variable") else array.data
    if hasattr(data, "dask"):  # not computed for this: its name says what it would be
        yield from (b"dask", str(data.name).encode())
    else:
        yield walk(data)
