"""Everything a sweep has so far: its outputs at all points, and the points that failed."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from shoal.errors import TaskRaised
from shoal.sweeps.columns import PLAIN, Column, array_of, place
from shoal.sweeps.outputs import Labels, OutputMismatch, Outputs, check_names, unlabelled
from shoal.tasks import NotWritten, part, shorten

Indices = slice | list[int]


class Results:
    """The outputs of a sweep as they come in, in any order; the same whatever the order.

    Attributes:
        outputs: Their names and dimensions, as far as they are given.
        columns: The values of each output.
        dims: Dimensions that outputs have of their own, where they or the results name them.
        coords: Coordinates along those, where results carry them; complete when finished.
        errors: Why points failed, by index.
    """

    def __init__(self, outputs: Outputs, points: int, taken: Sequence[str] = ()) -> None:
        """Nothing yet of `points` points; `taken` are the names of parameters."""
        self.outputs = outputs
        self.columns: dict[str, Column] = {}
        self.dims: dict[str, tuple[str, ...]] = dict(outputs.dims)
        self.coords: dict[str, Any] = {}
        self.errors: dict[int, Exception] = {}
        self._points = points
        self._taken = taken
        self._misfits: dict[int, Any] = {}
        self._orders: dict[frozenset[str], tuple[int, list[str]]] = {}
        self._labels: dict[str, Labels] = {}
        self._labelled: dict[int, str] = {}

    def put(self, indices: Indices, values: Sequence[Any]) -> None:
        """Takes what the function returned at some points.

        What does not go with the names or shapes of the others becomes an error of its point.

        Raises:
            ValueError: If an output has the name of an axis.
        """
        if not len(values):
            return
        parts = self._parts_at_once(values)
        if parts is None:
            self._put_singly(indices, values)
            return
        misfits: set[int] = set()
        for name, column in self._columns(parts).items():
            misfits.update(column.put(indices, parts[name]))
        for position in misfits:
            self._set_aside(place(indices, position), values[position])

    def put_arrays(self, indices: Indices, arrays: Mapping[str, Any]) -> None:
        """Takes what a vectorised function returned: an array for each output, points first."""
        count = len(next(iter(arrays.values())))
        try:
            self.outputs.check_shapes({name: each.shape[1:] for name, each in arrays.items()})
        except OutputMismatch as error:
            self.fail({place(indices, position): error for position in range(count)})
            return
        misfits: set[int] = set()
        if not self.columns or set(self.columns) == set(arrays):
            for name, column in self._columns(arrays).items():
                misfits.update(column.put(indices, arrays[name]))
        else:
            misfits.update(range(count))
        for position in misfits:
            whole = {name: array[position] for name, array in arrays.items()}
            lone = set(whole) == {self.outputs.default}
            self._set_aside(place(indices, position), whole.popitem()[1] if lone else whole)

    def fail(self, errors: Mapping[int, Exception]) -> None:
        """Takes why points failed; an error whose text raises is told by another in its place."""
        for index, error in errors.items():
            self.errors[index] = error
            try:
                str(error)
            except Exception as own:  # noqa: BLE001  (a user's __str__ may raise anything)
                told = f"{type(error).__name__}, whose text raises {type(own).__name__}"
                self.errors[index] = TaskRaised(told)
                self.errors[index].__cause__ = error

    def _parts_at_once(self, values: Sequence[Any]) -> dict[str, Sequence[Any]] | None:
        """The outputs of all values, where they can be told apart without looking at each."""
        names, kinds = self.outputs.names, set(map(type, values))
        if any(self.outputs.dims.values()):
            return None  # shapes are checked one by one
        if names is None or len(names) == 1:
            name = self.outputs.default if names is None else names[0]
            known = not self.columns or set(self.columns) == {name}
            return {name: values} if known and _plain(kinds) else None
        if kinds == {tuple} and set(map(len, values)) == {len(names)}:
            parts: dict[str, Any] = dict(zip(names, zip(*values, strict=True), strict=True))
            if all(_plain(set(map(type, each))) for each in parts.values()):
                return parts
        return None

    def _put_singly(self, indices: Indices, values: Sequence[Any]) -> None:
        for position, value in enumerate(values):
            index = place(indices, position)
            try:
                arrays, labels = self._arrays_of(value)
            except OutputMismatch as error:
                self.errors[index] = error
                continue
            if self.outputs.names is None and len(arrays) > 1:
                known = self._orders.setdefault(frozenset(arrays), (index, [*arrays]))
                if index < known[0]:
                    self._orders[frozenset(arrays)] = index, [*arrays]
            if labels.dims:
                self._labelled[index] = part("", labels.contents()).digest
                self._labels.setdefault(self._labelled[index], labels)
            fits = not self.columns or set(arrays) == set(self.columns)
            for name, column in self._columns(arrays).items() if fits else ():
                if column.put([index], arrays[name][np.newaxis]):
                    fits = False
            if not fits:
                self._set_aside(index, value)

    def _arrays_of(self, value: Any) -> tuple[dict[str, np.ndarray], Labels]:
        """The outputs of one point, and their labels.

        Raises:
            OutputMismatch: If they are not what is expected of every point.
            ValueError: If a label has the name of an axis.
        """
        bare, labels = unlabelled(self.outputs.split(value))
        arrays = {name: array_of(each) for name, each in bare.items()}
        self.outputs.check_shapes({name: each.shape for name, each in arrays.items()}, value)
        if labels.dims:
            check_names(arrays, labels.dims, self._taken)
            check_names(labels.coords, {}, self._taken)
        for name, dims in labels.dims.items():
            given = self.outputs.dims.get(name) or dims
            if dims != given:
                raise OutputMismatch(
                    f"returned {name!r} with dimensions {dims}: expected {given}", value
                )
        return arrays, labels

    def _columns(self, names: Iterable[str]) -> dict[str, Column]:
        """The columns, made for these outputs by the first that comes."""
        if not self.columns:
            names = list(names)
            check_names(names, self.outputs.dims, self._taken)
            self.columns = {name: Column(self._points) for name in names}
        return self.columns

    def _set_aside(self, index: int, value: Any) -> None:
        self._misfits[index] = value
        for column in self.columns.values():
            column.filled[index] = False

    @property
    def labelled(self) -> bool:
        """Whether results have dimensions or coordinates of their own."""
        return bool(self._labels)

    def adopt(self, shared: np.ndarray) -> None:
        """Goes on with an array that workers fill: of the one output, or with a field for each."""
        for name, column in self.columns.items():
            column.adopt(shared if shared.dtype.names is None else shared[name])

    def written(self, indices: Sequence[int], values: Sequence[Any]) -> None:
        """Takes values that workers have written into the adopted array, or could not."""
        pairs = list(zip(indices, values, strict=True))
        fits = [index for index, value in pairs if value is None]
        for column in self.columns.values():
            column.written(fits)
        for index, value in pairs:
            if type(value) is NotWritten:
                self.put([index], [value.value])

    def value_at(self, index: int) -> Any:
        """What the function returned at a point that has a value, as far as arrays keep it."""
        parts = {
            name: column.data[index]
            for name, column in self.columns.items()
            if column.data is not None
        }
        return parts.get(self.outputs.default, parts) if len(parts) == 1 else parts

    def forget_failed(self) -> None:
        """Forgets the points that failed or did not fit, which are to be run again."""
        self.errors.clear()
        self._misfits.clear()

    def finish(self) -> None:
        """Settles which names, shapes and labels are right: the first point's that has any."""
        misfits, self._misfits = self._misfits, {}
        first = self._points
        if misfits:
            filled = self.filled()
            first = int(filled.argmax()) if filled.any() else self._points
            if min(misfits) < first:
                misfits |= {int(at): self.value_at(int(at)) for at in np.flatnonzero(filled)}
                first = min(misfits)
                self.columns = {}
                self._put_singly([first], [misfits.pop(first)])
        _, order = self._orders.get(frozenset(self.columns), (0, [*self.columns]))
        self.columns = {name: self.columns[name] for name in order}
        for index in sorted(misfits):
            self._judge(index, misfits[index], first)
        self._finish_labels()

    def _judge(self, index: int, value: Any, first: int) -> None:
        """Takes a value set aside if it goes with the first one after all; else an error."""
        self._put_singly([index], [value])
        if index not in self._misfits:
            return
        del self._misfits[index]
        mine = {name: each.shape for name, each in self._arrays_of(value)[0].items()}
        others = {
            name: column.data.shape[1:]
            for name, column in self.columns.items()
            if column.data is not None
        }
        alone = set(mine) == set(others) and len(mine) == 1
        self.errors[index] = OutputMismatch(
            f"returned {_shown(mine, alone)}, where point {first} returned {_shown(others, alone)}",
            value,
        )

    def _finish_labels(self) -> None:
        filled = self.filled()
        labelled = {at: digest for at, digest in self._labelled.items() if filled[at]}
        if not labelled:
            return
        first = min(labelled)
        right = self._labels[labelled[first]]
        for index, digest in sorted(labelled.items()):
            if digest == labelled[first]:
                continue
            self.errors[index] = OutputMismatch(
                f"returned {_labels_shown(self._labels[digest])}, where point {first} returned "
                f"{_labels_shown(right)}: expected the same labels at all points",
                copy.deepcopy(self.value_at(index)),
            )
            for column in self.columns.values():
                column.filled[index] = False
        self.dims = {**self.dims, **right.dims}
        self.coords = dict(right.coords)

    def filled(self) -> np.ndarray:
        """Which points have a value."""
        filled = np.zeros(self._points, bool)
        for column in self.columns.values():
            filled |= column.filled
        return filled


def _plain(kinds: set[type]) -> bool:
    """Whether values of these types have neither parts nor labels."""
    return all(kind in PLAIN or issubclass(kind, np.generic | np.ndarray) for kind in kinds)


def _shown(shapes: Mapping[str, tuple[int, ...]], alone: bool) -> str:
    """The shapes of outputs, with their names where there are several."""
    if alone:
        return f"shape {next(iter(shapes.values()))}"
    return ", ".join(f"{name!r} of shape {shape}" for name, shape in sorted(shapes.items()))


def _labels_shown(labels: Labels) -> str:
    dims = ", ".join(
        f"{name!r} with dimensions {dims}" for name, dims in sorted(labels.dims.items())
    )
    coords = ", ".join(
        f"{name}={shorten(each.values)}" for name, each in sorted(labels.coords.items())
    )
    return f"{dims} and coordinates {coords}" if coords else dims
