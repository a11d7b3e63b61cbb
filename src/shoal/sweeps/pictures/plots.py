"""Pictures of a sweep: what to draw of a dataset, over which axes; drawn with matplotlib."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from shoal.sweeps.labelled.provenance import record_in, types_in
from shoal.sweeps.labelled.states import DONE, FAILED, numbers_in, states_in, states_of
from shoal.tasks import require, shorten

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

    from shoal.sweeps.pictures.drawing import Quantity, Scale

MOST_LINES = 8
FEW_PLACES = 5
MOST_KINDS = 10
KINDS = (None, "lines", "map")


def plot(
    dataset: xr.Dataset,
    name: str | None = None,
    *,
    x: str | None = None,
    kind: str | None = None,
    figsize: tuple[float, float] | None = None,
    cmap: Any = None,
) -> Figure:
    """One output over one or two dimensions; see ``dataset.shoal.plot``."""
    if kind not in KINDS:
        raise ValueError(f"kind={kind!r}: expected 'lines', 'map' or None")
    output = _chosen(dataset, name)
    values = _numbers(output)
    drawing = _drawing()
    states = _states(dataset, output)
    output = output.copy(data=values)
    dims = [str(dim) for dim in output.dims]
    quantities = _quantities(output)
    figure, panels = drawing.panels(len(quantities), figsize)
    if len(dims) == 1 and x is None and len(_parameters(output, dims[0])) == 2:
        scales = [_scale(each) for each in _parameters(output, dims[0])]
        for axes, quantity in zip(panels, quantities, strict=True):
            drawing.dots(axes, scales, quantity, states, cmap)
    elif kind == "lines" or (kind is None and _better_as_lines(output)):
        _draw_lines(panels, output, quantities, states, x)
    else:
        across, up = _two_dims(output, x)
        scales = [_scale(_along(output, dim, x)) for dim in (across, up)]
        for axes, quantity in zip(panels, quantities, strict=True):
            order = [dims.index(up), dims.index(across)]
            turned = drawing.Quantity(
                quantity.label, quantity.values.transpose(order), quantity.phase
            )
            drawing.colour_map(axes, tuple(scales), turned, states.transpose(order), cmap)
    _title(figure, output)
    return figure  # type: ignore[no-any-return]


def plot_errors(
    dataset: xr.Dataset, *, x: str | None = None, figsize: tuple[float, float] | None = None
) -> Figure:
    """Where points failed, and of what; see ``dataset.shoal.plot_errors``."""
    record = record_in(dataset.attrs)
    dims, numbers = numbers_in(record, dataset)
    kinds, names = _kinds(record, numbers)
    drawing = _drawing()
    if not dims or len(dims) > 2:
        raise ValueError(_too_many(dataset, dims, "the errors"))
    row_inches = 1.3 + 0.35 * len(names) if len(dims) == 1 else 3.6
    figure, [axes] = drawing.panels(1, figsize or (4.8, row_inches))
    frame = dataset.drop_vars(list(dataset.data_vars)).assign(_=(dims, kinds))["_"]
    along = _parameters(frame, dims[0])
    if len(dims) == 1 and x is None and len(along) == 2:
        figure.set_size_inches(figsize or drawing.PANEL_INCHES)
    if len(dims) == 2:
        across, up = _two_dims(frame, x)
        scales = tuple(_scale(_along(frame, dim, x)) for dim in (across, up))
        drawing.kinds_map(axes, scales, frame.transpose(up, across).values, names)
    elif x is None and len(along) == 2:
        scales = (_scale(along[0]), _scale(along[1]))
        drawing.kinds_dots(axes, scales, kinds, names)
    else:
        rows = drawing.Scale("", kinds + 1, ("done", *names.values()))
        drawing.kinds_dots(axes, (_scale(_along(frame, dims[0], x)), rows), kinds, names)
    counts = {kind: int((kinds == kind).sum()) for kind in names}
    handles = [
        drawing.Patch(color=drawing.kind_colour(kind), label=f"{name} ({counts[kind]:,})")
        for kind, name in names.items()
    ]
    handles.append(
        drawing.Patch(color=drawing.PALE, label=f"no error ({int((kinds < 0).sum()):,})")
    )
    drawing.above(axes, handles)
    return figure  # type: ignore[no-any-return]


def _drawing() -> Any:
    require("matplotlib", extra="plots", purpose="drawing a picture")
    from shoal.sweeps.pictures import drawing

    return drawing


def _chosen(dataset: xr.Dataset, name: str | None) -> xr.DataArray:
    """The output to draw, without dimensions of one place."""
    outputs = [str(each) for each in dataset.data_vars]
    if name is None and len(outputs) != 1:
        raise ValueError(f"name=None with the outputs {outputs}: expected one of them to draw")
    name = outputs[0] if name is None else name
    if name not in dataset.data_vars:
        raise ValueError(f"name={shorten(name)}: expected one of the outputs {outputs}")
    output = dataset[name]
    single = [dim for dim, size in output.sizes.items() if size == 1]
    return output.squeeze(single if len(single) < output.ndim else single[1:])


def _numbers(output: xr.DataArray) -> np.ndarray:
    """The values as floats or complex numbers, where they are numbers at all."""
    values = np.asarray(output.values)
    if values.dtype.kind in "biuf":
        return values.astype(float)
    if values.dtype.kind == "c":
        return values
    kinds = {type(each) for each in values.flat} if values.dtype == object else {values.dtype.type}
    if values.dtype == object and all(
        issubclass(kind, int | float | complex | np.number | np.bool_) for kind in kinds
    ):
        whole = any(issubclass(kind, complex | np.complexfloating) for kind in kinds)
        return values.astype(complex if whole else float)
    shown = ", ".join(sorted(kind.__name__ for kind in kinds))
    raise TypeError(f"{output.name!r} holds {shown}: expected numbers to draw")


def _states(dataset: xr.Dataset, output: xr.DataArray) -> np.ndarray:
    """The state of the point that each value belongs to; done where that cannot be told."""
    try:
        dims, states = states_of(record_in(dataset.attrs), dataset)
    except LookupError:
        return np.full(output.shape, DONE)
    import xarray as xr

    known = xr.DataArray(states, dims=dims)
    gone = [dim for dim in dims if dim not in output.dims]
    if any(known.sizes[dim] > 1 for dim in gone):
        return np.full(output.shape, DONE)
    known = known.squeeze(gone)
    whole = known.broadcast_like(output.drop_vars(list(output.coords)))
    return np.asarray(whole.transpose(*output.dims).values)


def _quantities(output: xr.DataArray) -> list[Quantity]:
    """What each panel shows: the values; of complex ones their modulus and their phase."""
    drawing = _drawing()
    label, values = _label(output), output.values
    if values.dtype.kind != "c":
        return [drawing.Quantity(label, values)]
    name, units = _name(output), _units(output)
    with np.errstate(all="ignore"):
        phase = np.where(np.isnan(values), np.nan, np.angle(values))
    return [
        drawing.Quantity(f"|{name}|{units}", np.abs(values)),
        drawing.Quantity(f"arg {name}", phase, phase=True),
    ]


def _name(variable: Any) -> str:
    return str(variable.attrs.get("long_name", variable.name))


def _units(variable: Any) -> str:
    units = variable.attrs.get("units")
    return f" ({units})" if units else ""


def _label(variable: Any) -> str:
    return _name(variable) + _units(variable)


def _parameters(output: xr.DataArray, dim: str) -> list[xr.DataArray]:
    """The coordinates along a dimension without one of its own name: explicit or zipped points."""
    if dim in output.coords:
        return []
    return [each for each in output.coords.values() if each.dims == (dim,)]


def _along(output: xr.DataArray, dim: str, wanted: str | None) -> Any:
    """The coordinate to draw along a dimension."""
    if wanted is not None and wanted in output.coords and output.coords[wanted].dims == (dim,):
        return output.coords[wanted]
    if dim in output.coords:
        return output.coords[dim]
    several = _parameters(output, dim)
    if len(several) > 1:
        names = [str(each.name) for each in several]
        raise ValueError(
            f"along {dim!r} run {', '.join(names)}: choose one to draw over, "
            f".shoal.plot(x={names[0]!r})"
        )
    return several[0] if several else output[dim]


def _scale(coordinate: Any) -> Scale:
    """An axis of numbers or dates; anything else stands at even distances, with its text."""
    drawing = _drawing()
    values = np.asarray(coordinate.values)
    if values.dtype.kind in "iufM":
        return drawing.Scale(_label(coordinate), values)  # type: ignore[no-any-return]
    ticks = tuple(str(each) for each in values)
    return drawing.Scale(_label(coordinate), np.arange(len(values)), ticks)  # type: ignore[no-any-return]


def _better_as_lines(output: xr.DataArray) -> bool:
    """Whether all dimensions but one are so small that a line for each of their places is clear."""
    sizes = sorted(output.sizes.values())
    few = prod(sizes[:-1])
    return len(sizes) == 1 or (few <= (FEW_PLACES if len(sizes) == 2 else MOST_LINES))


def _two_dims(output: xr.DataArray, x: str | None) -> tuple[str, str]:
    """The dimensions across and up: the first one is across, but where `x` says otherwise."""
    dims = [str(dim) for dim in output.dims]
    if len(dims) != 2:
        raise ValueError(_too_many(output, dims, repr(output.name)))
    if x is None:
        return dims[0], dims[1]
    across = _dim_of(output, x)
    return across, next(dim for dim in dims if dim != across)


def _dim_of(output: xr.DataArray, x: str) -> str:
    if x in output.dims:
        return x
    if x in output.coords and output.coords[x].ndim == 1:
        return str(output.coords[x].dims[0])
    along = sorted({*map(str, output.dims)} | {str(k) for k, v in output.coords.items() if v.ndim})
    raise ValueError(f"x={x!r}: expected one of {along}")


def _too_many(data: Any, dims: Sequence[str], what: str) -> str:
    sizes: Mapping[Hashable, int] = data.sizes
    if not dims:
        return f"{what} has no dimension left: expected one or two to draw over"
    largest = sorted(dims, key=lambda dim: -sizes[dim])[:2]
    rest = ", ".join(f"{dim}=0" for dim in dims if dim not in largest)
    shown = ", ".join(f"{dim}: {sizes[dim]}" for dim in dims)
    return (
        f"{what} has {len(dims)} dimensions ({shown}): expected one or two to draw; "
        f"select places along the others first, dataset.isel({rest or dims[0] + '=0'}).shoal.plot()"
    )


def _draw_lines(
    panels: Sequence[Any],
    output: xr.DataArray,
    quantities: Sequence[Quantity],
    states: np.ndarray,
    x: str | None,
) -> None:
    drawing = _drawing()
    dims = [str(dim) for dim in output.dims]
    if not dims:
        raise ValueError(_too_many(output, dims, repr(output.name)))
    dim = max(dims, key=lambda each: output.sizes[each]) if x is None else _dim_of(output, x)
    rest = [each for each in dims if each != dim]
    count = prod(output.sizes[each] for each in rest)
    if count > 4 * MOST_LINES:
        raise ValueError(f"{count} lines: expected at most {4 * MOST_LINES}; select some first")
    scale = _scale(_along(output, dim, x))
    names = _line_names(output, rest)
    title = ", ".join(_label(_along(output, each, None)) for each in rest)
    order = [*(dims.index(each) for each in rest), dims.index(dim)]

    def rows(array: np.ndarray) -> np.ndarray:
        return array.transpose(order).reshape(count, -1)

    for axes, quantity in zip(panels, quantities, strict=True):
        turned = drawing.Quantity(quantity.label, rows(quantity.values), quantity.phase)
        drawing.lines(axes, scale, turned, rows(states), names, title=title)


def _line_names(output: xr.DataArray, dims: Sequence[str]) -> list[str | None]:
    """What each line is called: the labels at its place along the other dimensions."""
    if not dims:
        return [None]
    labels = [_along(output, dim, None) for dim in dims]
    names = []
    for place in np.ndindex(*(output.sizes[dim] for dim in dims)):
        parts = [_shown(each.values[at]) for each, at in zip(labels, place, strict=True)]
        names.append(", ".join(parts))
    return [*names]


def _valued(coordinate: Any, value: Any) -> str:
    units = coordinate.attrs.get("units")
    return f"{_name(coordinate)} = {_shown(value)}{f' {units}' if units else ''}"


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float | np.floating) else str(value)


def _title(figure: Figure, output: xr.DataArray) -> None:
    """The values of what was selected, so that the picture says what it is of."""
    parts = [_valued(each, each.values[()]) for each in output.coords.values() if not each.dims]
    if parts:
        figure.suptitle(", ".join(parts), fontsize="medium")


def _kinds(record: Mapping[str, Any], numbers: np.ndarray) -> tuple[np.ndarray, dict[int, str]]:
    """For each point the number of its type of error, -1 for none; and the names of the types."""
    every = np.full(prod(record["dims"].values()), -1)
    failed = np.flatnonzero(states_in(record) == FAILED)
    types = np.array(types_in(record), object)
    found, counts = np.unique(types.astype(str), return_counts=True)
    ordered = [str(found[at]) for at in np.argsort(-counts, kind="stable")]
    if len(ordered) > MOST_KINDS:
        ordered = [*ordered[: MOST_KINDS - 1], "others"]
    place = {name: number for number, name in enumerate(ordered)}
    every[failed] = [place.get(name, len(ordered) - 1) for name in types]
    kinds = np.where(numbers < 0, -1, every[numbers])
    left = np.unique(kinds[kinds >= 0]).tolist()
    again = {old: new for new, old in enumerate(left)}
    kinds = np.array([again.get(kind, -1) for kind in kinds.ravel().tolist()]).reshape(kinds.shape)
    return kinds, {new: ordered[old] for old, new in again.items()}
