"""Parameters in: axes, zipped axes, points and datasets, as one grid; and whether they fit `f`."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from shoal.sweeps.grid import Grid, Parameter
from shoal.tasks import shorten

POINT = "point"


def grid_of(
    f: Callable[..., Any], axes: Any, constants: Mapping[str, Any] | None, over: Any = None
) -> Grid:
    """The grid that the arguments of a sweep of `f` describe; see `shoal.sweep`.

    Raises:
        TypeError: For axes of the wrong kind.
        ValueError: For an empty axis, unequal lengths, or a name that stands twice.
    """
    constants = _checked_names("constants", {} if constants is None else constants)
    if _is_from("xarray", "Dataset", axes):
        grid = _from_dataset(axes, over, names_taken(f))
    elif over is not None:
        raise ValueError(f"over={shorten(over)} is for sweeps over the dimensions of a Dataset")
    elif _is_from("pandas", "DataFrame", axes):
        grid = _from_frame(axes)
    elif isinstance(axes, Mapping):
        grid = _from_axes(axes)
    elif isinstance(axes, list | tuple):
        grid = _from_points(axes)
    else:
        raise TypeError(
            f"axes={shorten(axes)}: expected a dict of axes, a list of points (each a dict), "
            "a pandas.DataFrame or an xarray.Dataset"
        )
    twice = sorted(set(constants) & {each.name for each in grid.parameters})
    if twice:
        raise ValueError(f"{_quoted(twice)} stands both among the axes and among the constants")
    grid.constants |= constants
    return grid


def _is_from(package: str, kind: str, value: object) -> bool:
    """Whether `value` is of that class, without importing the package for it."""
    known = getattr(sys.modules.get(package), kind, None)  # None while it is being imported
    return known is not None and isinstance(value, known)


def _checked_names(what: str, given: Any) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        raise TypeError(f"{what}={shorten(given)}: expected a dict of names and values")
    for name in given:
        if not isinstance(name, str):
            raise TypeError(f"{what}: the name {shorten(name)} is not a string")
    return given


def _from_axes(axes: Mapping[str, Any]) -> Grid:
    _checked_names("axes", axes)
    if not axes:
        raise ValueError("axes={}: expected at least one axis")
    sizes: dict[str, int] = {}
    setters: dict[str, str] = {}
    common: dict[str, bool] = {}
    parameters = []
    for name, given in axes.items():
        zipped = _is_zipped(given)
        dim, values = (given[0], given[1]) if zipped else (name, given)
        values = axis_values(name, values)
        if dim in sizes and not (zipped and common[dim]):
            raise ValueError(
                f"the dimension {dim!r} stands twice: as an axis of its own and as the common "
                "dimension of zipped axes"
            )
        if sizes.setdefault(dim, len(values)) != len(values):
            raise ValueError(
                f"zipped axes of unequal length along {dim!r}: {setters[dim]!r} has "
                f"{sizes[dim]} values, {name!r} has {len(values)}"
            )
        setters.setdefault(dim, name)
        common[dim] = zipped
        parameters.append(Parameter(name, (dim,), values))
    for each in parameters:
        if each.name in sizes and each.dims != (each.name,):
            raise ValueError(
                f"{each.name!r} is an axis along {each.dims[0]!r} and also the dimension of "
                f"{setters[each.name]!r}: call the dimension otherwise"
            )
    return Grid(sizes, tuple(parameters))


def _is_zipped(given: object) -> bool:
    """Whether an axis is given as (dimension, values), as coordinates are in xarray."""
    return (
        isinstance(given, tuple)
        and len(given) == 2
        and isinstance(given[0], str)
        and not isinstance(given[1], str | bytes)
        and isinstance(given[1], Iterable)
    )


def axis_values(name: str, given: Any) -> Any:
    """The values of an axis: a list, or an array where one was given.

    Raises:
        TypeError: If they are no sequence, such as one number or a generator.
        ValueError: If there are none.
    """
    if _is_from("xarray", "DataArray", given) or _is_from("xarray", "Variable", given):
        given = given.values
    elif _is_from("pandas", "Index", given) or _is_from("pandas", "Series", given):
        given = given.tolist()
    if isinstance(given, np.ndarray):
        if given.ndim == 0:
            raise TypeError(f"the axis {name!r} is {given!r}: expected a list or an array")
        values: Any = given.copy()
    elif isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable):
        raise TypeError(f"the axis {name!r} is {shorten(given)}: expected a list or an array")
    elif not hasattr(given, "__len__"):
        raise TypeError(
            f"the axis {name!r} is {shorten(given)}, of unknown length; "
            f"expected a list or an array: list(…) makes one"
        )
    else:
        values = given if isinstance(given, range) else list(given)
    if len(values) == 0:
        raise ValueError(f"the axis {name!r} is empty: expected at least one value")
    return values


def _from_points(points: Sequence[Any]) -> Grid:
    if not points:
        raise ValueError("no points: expected at least one")
    for place, point in enumerate(points):
        _checked_names(f"point {place}", point)
        if set(point) != set(points[0]):
            raise ValueError(
                f"point {place} has the names {sorted(point)}, point 0 has {sorted(points[0])}"
            )
    columns = {name: [point[name] for point in points] for name in points[0]}
    return _along_points(columns, len(points))


def _from_frame(frame: Any) -> Grid:
    names = [*frame.columns]
    twice = sorted({str(name) for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{_quoted(twice)} stands twice among the columns")
    columns = _checked_names("the columns", {name: frame[name] for name in names})
    if len(frame) == 0:
        raise ValueError("no points: the DataFrame has no rows")
    return _along_points({name: each.tolist() for name, each in columns.items()}, len(frame))


def _along_points(columns: Mapping[str, list[Any]], count: int) -> Grid:
    if not columns:
        raise ValueError("the points have no parameters: expected at least one")
    if POINT in columns:
        raise ValueError(f"{POINT!r} is the dimension's name here; call the parameter otherwise")
    parameters = (Parameter(name, (POINT,), values) for name, values in columns.items())
    return Grid({POINT: count}, tuple(parameters))


def _from_dataset(dataset: Any, over: Any, taken: set[str] | None) -> Grid:
    """Every variable and coordinate that the function takes, at each place along `over`."""
    over = [over] if isinstance(over, str) else over
    if over is not None and not isinstance(over, list | tuple):
        raise TypeError(f"over={shorten(over)}: expected a dimension or a list of dimensions")
    dims = [*dataset.sizes] if over is None else [*over]
    unknown = [dim for dim in dims if dim not in [*dataset.sizes]]
    if unknown or any(dims.count(dim) > 1 for dim in dims):
        raise ValueError(f"over={shorten(over)}: expected dimensions among {[*dataset.sizes]}")
    empty = [dim for dim in dims if dataset.sizes[dim] == 0]
    if empty or not dims:
        raise ValueError(f"nothing to sweep over: the sizes are {dict(dataset.sizes)}")
    grid = Grid({dim: dataset.sizes[dim] for dim in dims}, ())
    parameters = []
    for name, variable in {**dataset.data_vars, **dataset.coords}.items():
        own = tuple(dim for dim in dims if dim in variable.dims)
        if name in dataset.coords and set(variable.dims) <= set(dims):
            grid.coords[name] = (variable.dims, variable.values)
        if taken is not None and name not in taken:
            continue
        values = variable.transpose(*own, ...).values
        if own:
            parameters.append(Parameter(str(name), own, values))
        else:
            grid.constants[str(name)] = values if values.ndim else values[()]
    grid.parameters = tuple(parameters)
    return grid


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in names)


BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
VARIADIC = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)


def names_taken(f: Callable[..., Any]) -> set[str] | None:
    """The names of the arguments of `f`; None where it takes any, or does not tell."""
    try:
        arguments = inspect.signature(f).parameters.values()
    except (TypeError, ValueError):
        return None  # some functions written in C do not tell
    if any(each.kind is inspect.Parameter.VAR_KEYWORD for each in arguments):
        return None
    return {each.name for each in arguments if each.kind in BY_NAME}


def check_takes(f: Callable[..., Any], grid: Grid, *, seeded: bool) -> None:
    """Raises for a grid that `f` cannot be called with.

    Raises:
        TypeError: If `f` does not take a parameter, or needs one that the grid has not.
    """
    given = {each.name for each in grid.parameters} | set(grid.constants)
    if seeded and "rng" in given:
        raise TypeError("'rng' is the generator's name when there is a seed; call it otherwise")
    given |= {"rng"} if seeded else set()
    try:
        signature = inspect.signature(f)
    except (TypeError, ValueError):
        return  # some functions written in C do not tell
    shown = f"{getattr(f, '__name__', type(f).__name__)}{signature}"
    taken = names_taken(f)
    strange = set() if taken is None else given - taken
    if strange:
        raise TypeError(f"{shown} takes no argument named {_quoted(sorted(strange))}")
    missing = [
        name
        for name, each in signature.parameters.items()
        if each.default is inspect.Parameter.empty
        and each.kind not in VARIADIC
        and name not in given
    ]
    if missing:
        raise TypeError(f"{shown} needs {_quoted(missing)}, among the axes or in constants=")
