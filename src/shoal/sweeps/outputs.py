"""What a function returns: the names of its outputs, and the dimensions each has of its own."""

from __future__ import annotations

import keyword
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from shoal.tasks import shorten


class OutputMismatch(ValueError):
    """What one point returned does not go with what the others returned.

    Attributes:
        value: What it returned; it is not in the dataset.
    """

    value: Any = None

    def __init__(self, message: str, value: Any = None) -> None:
        super().__init__(message)
        self.value = value

    def __reduce__(self) -> tuple[Any, ...]:
        return OutputMismatch, (str(self), self.value)


@dataclass(frozen=True)
class Outputs:
    """The names of what the function returns, and the dimensions of each, as far as they are given.

    Attributes:
        names: One for each output; None: they follow from the first result.
        dims: Names of the dimensions that an output has of its own.
        default: What a single output without a name is called.
        sizes: Sizes of such dimensions, where coordinates tell.
    """

    names: tuple[str, ...] | None
    dims: Mapping[str, tuple[str, ...]]
    default: str
    sizes: Mapping[str, int] = field(default_factory=dict)

    def split(self, value: Any) -> dict[str, Any]:
        """One value for each output.

        Raises:
            OutputMismatch: If there are more or fewer than expected, or other names.
        """
        if type(value) in (float, complex, int) and (self.names is None or len(self.names) == 1):
            return {(self.names or (self.default,))[0]: value}
        named = _named(value)
        if self.names is None:
            return {self.default: value} if named is None else named
        if named is not None and set(named) == set(self.names):
            return {name: named[name] for name in self.names}
        if len(self.names) == 1:
            return {self.names[0]: value}
        if isinstance(value, tuple | list) and len(value) == len(self.names):
            return dict(zip(self.names, value, strict=True))
        raise OutputMismatch(
            f"returned {shorten(value)}: expected {len(self.names)} outputs, "
            f"{', '.join(self.names)}",
            value,
        )

    def check_shapes(self, shapes: Mapping[str, tuple[int, ...]], value: Any = None) -> None:
        """Raises OutputMismatch for shapes that the given dimensions cannot have."""
        if not self.dims:
            return
        sizes = dict(self.sizes)
        for name, shape in shapes.items():
            own = self.dims.get(name, ())
            if own and len(own) != len(shape):
                raise OutputMismatch(
                    f"returned {name!r} of shape {shape}: expected {len(own)} dimensions, "
                    f"{', '.join(own)}",
                    value,
                )
            for dim, size in zip(own, shape, strict=False):
                if sizes.setdefault(dim, size) != size:
                    raise OutputMismatch(
                        f"returned {name!r} of shape {shape}, with {size} along {dim!r}: "
                        f"expected {sizes[dim]}, as in the other outputs and coords",
                        value,
                    )


@dataclass(frozen=True)
class Labels:
    """How one point's result is labelled, where it holds labelled arrays.

    Attributes:
        dims: The dimensions of each output that has labels.
        coords: Coordinates along those.
    """

    dims: dict[str, tuple[str, ...]] = field(default_factory=dict)
    coords: dict[str, Any] = field(default_factory=dict)

    def contents(self) -> Any:
        """What two results have in common if and only if they are labelled alike."""
        coords = {
            name: (coord.dims, coord.values, dict(coord.attrs))
            for name, coord in self.coords.items()
        }
        return self.dims, coords


def unlabelled(parts: Mapping[str, Any]) -> tuple[dict[str, Any], Labels]:
    """The arrays of labelled ones, and their labels; what has none as it is.

    Coordinates without dimensions, such as `xarray.DataArray.sel` leaves behind, are left out.

    Raises:
        OutputMismatch: If two outputs have different coordinates of the same name.
    """
    bare, labels = {}, Labels()
    for name, part in parts.items():
        if not (hasattr(part, "dims") and hasattr(part, "coords") and hasattr(part, "values")):
            bare[name] = part
            continue
        bare[name] = part.values
        labels.dims[name] = tuple(part.dims)
        for key, coord in part.coords.items():
            if coord.dims and not labels.coords.setdefault(key, coord).identical(coord):
                raise OutputMismatch(f"returned two different coordinates {key!r}", dict(parts))
    return bare, labels


def outputs_of(given: Any, f: Callable[..., Any], taken: Collection[str]) -> Outputs:
    """The outputs that the argument of a sweep names; see `shoal.sweep`.

    Raises:
        TypeError: For a specification of the wrong kind.
        ValueError: For a name that is used already.
    """
    names: tuple[str, ...] | None
    dims: dict[str, tuple[str, ...]] = {}
    if given is None:
        names = None
    elif isinstance(given, str):
        names = (given,)
    elif isinstance(given, Mapping):
        names = tuple(given)
        dims = {name: _own_dims(name, own) for name, own in given.items()}
    elif isinstance(given, Sequence):
        names = tuple(given)
    else:
        names = ()
    if names is not None and not (names and all(isinstance(each, str) for each in names)):
        raise TypeError(
            f"outputs={shorten(given)}: expected a name, a list of names, or a dict of names and "
            "their dimensions"
        )
    if names is not None and len(set(names)) != len(names):
        raise ValueError(f"outputs={shorten(given)}: expected each name once")
    check_names(names or (), dims, taken)
    return Outputs(names, dims, _default_name(f, taken))


def _own_dims(name: Any, given: Any) -> tuple[str, ...]:
    own = (given,) if isinstance(given, str) else given
    if not isinstance(own, list | tuple) or not all(isinstance(dim, str) for dim in own):
        raise TypeError(
            f"outputs: the dimensions of {name!r} are {shorten(given)}: expected a name or a list "
            "of names"
        )
    if len(set(own)) != len(own):
        raise ValueError(f"outputs: the dimensions of {name!r} are {own}: expected each once")
    return tuple(own)


def _default_name(f: Any, taken: Collection[str]) -> str:
    """The function's name, where it has one that can name a variable."""
    while isinstance(f, partial):
        f = f.func
    name = getattr(f, "__name__", type(f).__name__)
    if not name.isidentifier() or keyword.iskeyword(name) or name in taken:
        name = "result"
    while name in taken:
        name += "_"
    return str(name)


def check_names(
    names: Iterable[str], dims: Mapping[str, Iterable[str]], taken: Iterable[str]
) -> None:
    """Raises ValueError where an output, or a dimension of one, has a name that is used already."""
    taken, names = set(taken), list(names)
    for name in names:
        if name in taken:
            raise ValueError(
                f"the output {name!r} has the name of an axis or a coordinate: rename one of them, "
                "by outputs= for instance"
            )
        for dim in dims.get(name, ()):
            if dim in taken:
                raise ValueError(f"the dimension {dim!r} of output {name!r} is an axis already")
            if dim in names:
                raise ValueError(f"the dimension {dim!r} of output {name!r} is an output already")


def _named(value: Any) -> dict[str, Any] | None:
    """The parts of a result that names them: a dict, a named tuple, a Dataset; else None."""
    if isinstance(getattr(value, "data_vars", None), Mapping):
        value = {str(name): variable for name, variable in value.data_vars.items()}
    if isinstance(value, Mapping) and value and all(isinstance(each, str) for each in value):
        return dict(value)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return dict(zip(value._fields, value, strict=True))
    return None
