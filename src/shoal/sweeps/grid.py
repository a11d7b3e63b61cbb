"""All points of a sweep, numbered, and what the function gets at each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np

from shoal.sweeps.values import as_array

MOST_LISTED = 1 << 17


@dataclass(frozen=True)
class Parameter:
    """One name that the function is called with, and its values.

    Attributes:
        name: The keyword argument's name.
        dims: The dimensions its values run along, in the grid's order; one, but for variables of
            a dataset.
        values: A list or an array; the leading axes are `dims`.
    """

    name: str
    dims: tuple[str, ...]
    values: Any


@dataclass
class Grid:
    """All points of a sweep, numbered in C order: the last dimension runs fastest.

    ``grid[index]`` gives the keyword arguments of a point, as a nested loop over the dimensions
    would have passed them.

    Attributes:
        sizes: Each dimension's size, in order.
        parameters: What varies from point to point.
        constants: What does not.
        coords: Further coordinates of the result: name to (dims, values).
    """

    sizes: dict[str, int]
    parameters: tuple[Parameter, ...]
    constants: dict[str, Any] = field(default_factory=dict)
    coords: dict[str, tuple[tuple[str, ...], Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Lays out how an index becomes a place along each dimension."""
        sizes = list(self.sizes.values())
        strides = [prod(sizes[place + 1 :]) for place in range(len(sizes))]
        self._strides = dict(zip(self.sizes, strides, strict=True))
        self._rows: list[tuple[str, Sequence[Any], int, int]] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Travels without the rows, which each process makes for itself."""
        return {**self.__dict__, "_rows": None}

    def __len__(self) -> int:
        return prod(self.sizes.values())

    def __getitem__(self, index: int) -> dict[str, Any]:
        """The keyword arguments of a point."""
        rows = self._rows
        if rows is None:
            rows = self._rows = [self._row(parameter) for parameter in self.parameters]
        keywords = {name: values[index // stride % size] for name, values, stride, size in rows}
        return {**self.constants, **keywords} if self.constants else keywords

    def point(self, index: int) -> dict[str, Any]:
        """The keyword arguments of a point, without the constants: what names it."""
        keywords = self[index]
        return {parameter.name: keywords[parameter.name] for parameter in self.parameters}

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes of the dimensions."""
        return tuple(self.sizes.values())

    def _row(self, parameter: Parameter) -> tuple[str, Any, int, int]:
        """What it takes to look a parameter up: name, values in order, stride and size."""
        places = [list(self.sizes).index(dim) for dim in parameter.dims]
        size = prod(self.sizes[dim] for dim in parameter.dims)
        values = _flat(parameter.values, len(parameter.dims), size)
        if all(after == before + 1 for before, after in pairwise(places)):
            return parameter.name, values, self._strides[parameter.dims[-1]], size
        own = np.cumprod([1, *(self.sizes[dim] for dim in parameter.dims[:0:-1])])[::-1].tolist()
        steps = [
            (self._strides[dim], self.sizes[dim], step)
            for dim, step in zip(parameter.dims, own, strict=True)
        ]
        return parameter.name, _Scattered(values, steps), 1, len(self)

    def arrays(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        """Each parameter's values at many points, as arrays with the points along axis 0."""
        places = dict(zip(self.sizes, np.unravel_index(indices, self.shape), strict=True))
        return {
            each.name: as_array(each.values)[tuple(places[dim] for dim in each.dims)]
            for each in self.parameters
        }


@dataclass(frozen=True)
class _Scattered:
    """Values along dimensions that do not follow each other, by the number of the point."""

    values: Any
    steps: list[tuple[int, int, int]]  # of each dimension: stride in the grid, size, stride here

    def __getitem__(self, index: int) -> Any:
        return self.values[sum(index // stride % size * own for stride, size, own in self.steps)]


def _flat(values: Any, dims: int, size: int) -> Any:
    """Values with their first `dims` axes made one, to be looked up as a loop would find them."""
    if not isinstance(values, np.ndarray):
        return values
    flat = values.reshape(size, *values.shape[dims:])
    return list(flat) if size <= MOST_LISTED else flat  # a list is faster, and larger
