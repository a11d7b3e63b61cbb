"""Two sweeps become one: the union of their labels, nothing overwritten and nothing lost."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from shoal.sweeps.columns import Column
from shoal.sweeps.labelled.provenance import ATTRIBUTE, record_in
from shoal.sweeps.labelled.sameness import plain, same_values
from shoal.sweeps.labelled.states import DONE, MISSING, label_values, numbers_in, states_in
from shoal.tasks import shorten

if TYPE_CHECKING:
    import xarray as xr

MOST_SHOWN = 3
WHICH = ("this dataset", "the other dataset")

Label = tuple[Any, ...]


@dataclass
class Part:
    """One of the sweeps that are merged.

    Attributes:
        dataset: Its dataset.
        record: What its attributes tell.
        dims: Its dimensions, as far as they are left.
        numbers: For each point, its number in the sweep it comes from, or -1.
        states: What became of each point.
        places: For each point, its number in the merged sweep.
    """

    dataset: xr.Dataset
    record: dict[str, Any]
    dims: list[str]
    numbers: np.ndarray
    states: np.ndarray
    places: np.ndarray

    @property
    def sizes(self) -> list[int]:
        """The sizes of the sweep's dimensions."""
        return [self.dataset.sizes[dim] for dim in self.dims]

    @property
    def done(self) -> np.ndarray:
        """Which points have a value."""
        return np.asarray(self.states == DONE)

    def flat(self, variable: xr.Variable) -> np.ndarray:
        """The values of a variable at each point, points along axis 0."""
        sizes: dict[Hashable, int] = {dim: self.dataset.sizes[dim] for dim in self.dims}
        sizes |= variable.sizes
        whole = variable.set_dims(sizes)  # type: ignore[no-untyped-call]
        values = whole.transpose(*self.dims, ...).values
        return np.asarray(values).reshape(self.states.size, *values.shape[len(self.dims) :])


def merged(one: xr.Dataset, two: Any) -> xr.Dataset:
    """Both sweeps over the union of their labels; see ``dataset.shoal.merge``."""
    import xarray as xr

    from shoal.sweeps.labelled.joined import joined_record

    if not isinstance(two, xr.Dataset):
        raise TypeError(f"merge with {shorten(two)}: expected the dataset of another sweep")
    first = _part(one, WHICH[0])
    parts = [first, _part(two, WHICH[1], first.dims)]
    _check_alike(*parts)
    labels: dict[Hashable, Any] = {}
    along: list[list[np.ndarray]] = [[], []]
    sizes: dict[str, int] = {}
    for dim in first.dims:
        columns, places = _union(dim, parts)
        labels |= columns
        sizes[dim] = 1 + max(int(each.max()) for each in places)
        for own, each in zip(along, places, strict=True):
            own.append(each)
    for part, own in zip(parts, along, strict=True):
        part.places = _numbers(own, [*sizes.values()])
    coords = labels | _other_coords(parts, labels, sizes)
    names = _names(parts)
    variables = {}
    for name in names:
        dims, data, attributes = _variable(name, parts, sizes, coords)
        # by the fast path, because xarray makes NaN of None, and dates of Python's datetimes
        variables[name] = xr.Variable(dims, data, attributes, fastpath=data.dtype == object)
    own_labels = {
        dim: {str(name): each[1] for name, each in labels.items() if each[0] == (dim,)}
        for dim in sizes
    }
    record = joined_record(parts, sizes, own_labels)
    return xr.Dataset(variables, coords, {**two.attrs, **one.attrs, ATTRIBUTE: record})


def _part(dataset: xr.Dataset, what: str, order: Sequence[str] | None = None) -> Part:
    record = record_in(dataset.attrs)
    try:
        dims, numbers = numbers_in(record, dataset)
    except LookupError as error:
        raise LookupError(f"{what} cannot be merged: {error}") from error
    order = dims if order is None else order
    if {*order} != {*dims}:
        raise ValueError(
            f"the sweeps have the dimensions {', '.join(order)} and {', '.join(dims)}: expected "
            "the same (expand_dims adds one)"
        )
    numbers = numbers.transpose([dims.index(dim) for dim in order]).reshape(-1)
    states = np.where(numbers < 0, MISSING, states_in(record)[numbers])
    return Part(dataset, record, [*order], numbers, states, numbers)


def _check_alike(first: Part, second: Part) -> None:
    """Raises ValueError where the sweeps are not of the same parameters and constants."""
    mine, other = (sorted(part.record["parameters"]) for part in (first, second))
    if mine != other:
        raise ValueError(f"the sweeps have the parameters {mine} and {other}: expected the same")
    constants = first.record["constants"], second.record["constants"]
    for name in sorted({*constants[0], *constants[1]}):
        one, two = (each.get(name, "not given") for each in constants)
        if one != two:
            raise ValueError(
                f"the constant {name!r} is {one} and {two}: expected the same; give it as an axis "
                "of one value to merge along it"
            )


def _numbers(along: Sequence[np.ndarray], sizes: Sequence[int]) -> np.ndarray:
    """The numbers of all points of a block, from their places along each dimension."""
    outer = lambda block, step: block[..., np.newaxis] * step[1] + step[0]  # noqa: E731 (a fold's step)
    start = np.zeros((), np.int64)
    return np.asarray(reduce(outer, zip(along, sizes, strict=True), start)).reshape(-1)


def _union(dim: str, parts: Sequence[Part]) -> tuple[dict[Hashable, Any], list[np.ndarray]]:
    """The coordinates along a dimension of the merged sweep, and where each part's places go."""
    names = [
        [name for name, each in part.dataset.coords.items() if each.dims == (dim,)]
        for part in parts
    ]
    if {*names[0]} != {*names[1]}:
        raise ValueError(
            f"the coordinates along {dim!r} are {names[0]} and {names[1]}: expected the same"
        )
    if not names[0]:
        sizes = [part.dataset.sizes[dim] for part in parts]
        if sizes[0] != sizes[1]:
            raise ValueError(
                f"the dimension {dim!r} has no labels, and {sizes[0]} and {sizes[1]} places: "
                "expected the same number, or labels"
            )
        return {}, [np.arange(sizes[0])] * 2
    keys = [_keys(dim, names[0], part, what) for part, what in zip(parts, WHICH, strict=True)]
    union = [*dict.fromkeys([*keys[0], *keys[1]])]
    if all(_ascending(each) for each in keys):
        union.sort()
    elif all(_ascending(each[::-1]) for each in keys):
        union.sort(reverse=True)
    number = {key: at for at, key in enumerate(union)}
    places = [np.array([number[key] for key in each], np.int64) for each in keys]
    coords = {}
    for name in names[0]:
        column = Column(len(union))
        for part, own in zip(parts, places, strict=True):
            column.put(own.tolist(), list(part.dataset.coords[name].values))
        coords[name] = ((dim,), column.finished(), _attributes(name, parts))
    return coords, places


def _keys(dim: str, names: Sequence[Hashable], part: Part, what: str) -> list[Label]:
    """The labels at each place along a dimension; each must stand once."""
    columns = [np.asarray(part.dataset.coords[name].values) for name in names]
    keys: list[Label] = [*zip(*(label_values(each) for each in columns), strict=True)]
    seen: set[Label] = set()
    for place, key in enumerate(keys):
        if key in seen:
            shown = ", ".join(
                f"{name}={shorten(each[place])}" for name, each in zip(names, columns, strict=True)
            )
            raise ValueError(
                f"{shown} stands twice along {dim!r} in {what}: expected each label once"
            )
        seen.add(key)
    return keys


def _ascending(keys: Sequence[Label]) -> bool:
    try:
        return all(one < two for one, two in pairwise(keys))
    except TypeError:  # labels that have no order, such as complex numbers
        return False


def _attributes(name: Hashable, parts: Sequence[Part]) -> dict[Hashable, Any]:
    """What both say of a variable, such as its units; the first one's word counts."""
    found: dict[Hashable, Any] = {}
    for part in reversed(parts):
        if name in part.dataset.variables:
            found |= part.dataset.variables[name].attrs
    return found


def _with_values(parts: Sequence[Part]) -> Sequence[Part]:
    """The parts that have values: where all points failed, outputs have no shape."""
    return [part for part in parts if part.done.any()] or parts[:1]


def _names(parts: Sequence[Part]) -> list[Hashable]:
    names = [[*part.dataset.data_vars] for part in _with_values(parts)]
    if {*names[0]} != {*names[-1]}:
        raise ValueError(f"the outputs are {names[0]} and {names[-1]}: expected the same")
    return names[0]


def _variable(
    name: Hashable, parts: Sequence[Part], sizes: Mapping[str, int], coords: Mapping[Hashable, Any]
) -> tuple[tuple[Hashable, ...], np.ndarray, dict[Hashable, Any]]:
    """An output of the merged sweep, as `xarray.Variable` takes it."""
    able = _with_values(parts)
    variables = [part.dataset[name].variable for part in able]
    own = [{dim: n for dim, n in each.sizes.items() if dim not in sizes} for each in variables]
    short = [dim for each in variables for dim in sizes if dim not in each.dims]
    if short:
        raise ValueError(f"{name!r} does not run along {short[0]!r}: expected outputs of the sweep")
    if [*own[0].items()] != [*own[-1].items()]:
        raise ValueError(
            f"the output {name!r} has the further dimensions {own[0]} and {own[-1]}: "
            "expected the same"
        )
    pieces = [part.flat(each)[part.done] for part, each in zip(able, variables, strict=True)]
    where = [part.places[part.done] for part in able]
    data = _laid(name, pieces, where, sizes, coords)
    if not any(piece.size for piece in pieces) and own[0]:
        data = np.full((prod(sizes.values()), *own[0].values()), np.nan)
    data = data.reshape(*sizes.values(), *data.shape[1:])
    return (*sizes, *own[0]), data, _attributes(name, parts)


def _laid(
    name: Hashable,
    pieces: Sequence[np.ndarray],
    where: Sequence[np.ndarray],
    sizes: Mapping[str, int],
    coords: Mapping[Hashable, Any],
) -> np.ndarray:
    """Values of some points each, as one array over all; the same where they meet."""
    total = prod(sizes.values())
    column = Column(total)
    likes = [piece.dtype for piece in pieces if piece.dtype != object]
    pieces = [plain(piece, likes[0] if likes else None) for piece in pieces]
    if len(pieces) == 2:
        _, mine, other = np.intersect1d(where[0], where[1], return_indices=True)
        same = same_values(pieces[0][mine], pieces[1][other])
        if not same.all():
            rows = [(where[0][mine[at]], mine[at], other[at]) for at in np.flatnonzero(~same)]
            told = [
                f"{_point(int(number), sizes, coords)}: {shorten(pieces[0][one])} and "
                f"{shorten(pieces[1][two])}"
                for number, one, two in rows[:MOST_SHOWN]
            ]
            raise ValueError(
                f"the values of {name!r} differ at {len(rows):,} points that both sweeps have: "
                f"{'; '.join(told)}{'; …' if len(rows) > MOST_SHOWN else ''}"
            )
    for piece, own in zip(pieces, where, strict=True):
        new = ~column.filled[own]
        if new.any():
            column.put(own[new].tolist(), piece[new])
    return column.finished()


def _point(number: int, sizes: Mapping[str, int], coords: Mapping[Hashable, Any]) -> str:
    """The labels of a point of the merged sweep."""
    places = dict(zip(sizes, np.unravel_index(number, [*sizes.values()]), strict=True))
    labels = [
        f"{name}={shorten(each[1][places[each[0][0]]])}"
        for name, each in coords.items()
        if len(each[0]) == 1 and each[0][0] in places
    ]
    return ", ".join(labels) or f"{ {dim: int(at) for dim, at in places.items()} }"


def _other_coords(
    parts: Sequence[Part], labels: Mapping[Hashable, Any], sizes: Mapping[str, int]
) -> dict[Hashable, Any]:
    """Coordinates that are no labels of one dimension: of outputs, of one point, of several."""
    found: dict[Hashable, Any] = {}
    for name in dict.fromkeys(name for part in parts for name in part.dataset.coords):
        if name in labels:
            continue
        having = [part for part in parts if name in part.dataset.coords]
        variables = [part.dataset.coords[name].variable for part in having]
        if not {*variables[0].dims} & {*sizes}:
            needed = [part for part in parts if part in having or part.done.any()]
            if len(needed) > len(having) or not all(map(variables[0].equals, variables)):
                raise ValueError(
                    f"the coordinate {name!r} differs between the sweeps: expected the same"
                )
            found[name] = (variables[0].dims, variables[0].values, _attributes(name, parts))
            continue
        own = [dim for dim in variables[0].dims if dim not in sizes]
        pieces = [part.flat(each) for part, each in zip(having, variables, strict=True)]
        data = _laid(name, pieces, [part.places for part in having], sizes, labels)
        found[name] = (
            (*sizes, *own),
            data.reshape(*sizes.values(), *data.shape[1:]),
            _attributes(name, parts),
        )
    return found
