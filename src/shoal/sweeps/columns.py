"""One output at all points, as one array that takes on the dtype of what comes in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

NUMERIC = "iufc"
TEXT = "SU"
TIMES = "Mm"
NO_NAN = "iubV"
FILLS = {"c": complex(np.nan, np.nan), "M": "NaT", "m": "NaT"}
OBJECT = np.dtype(object)
FEWEST_IN_GROUPS = 8
LARGEST = 2**63  # integers beyond it are never taken for floats
PLAIN = frozenset({float, int, complex, bool})
ARRAYS = (np.ndarray, np.memmap)  # what other subclasses have besides, masks or units, is kept


class Column:
    """One output at all points: an array that takes on the dtype of what comes in.

    Numbers of different kinds meet in the smallest dtype that holds each exactly; what has no
    such dtype, and everything that is no number, is kept as objects. What comes out in the end
    does not depend on the order in which it came.
    """

    def __init__(self, points: int) -> None:
        self._points = points
        self.data: np.ndarray | None = None
        self.filled = np.zeros(points, bool)
        self._shared: np.ndarray | None = None
        self._dtypes: list[np.dtype[Any]] = []
        self._came_as: np.ndarray | None = None  # number of its dtype, where there are several

    def put(self, indices: Any, values: Sequence[Any] | np.ndarray) -> list[int]:
        """Takes the values of some points; returns the positions of those of another shape.

        Args:
            indices: A slice without steps, or a list with as many numbers as there are values.
            values: A list, or an array with the points along its first axis.
        """
        array = _uniform(values)
        if array is not None and (self.data is None or array.shape[1:] == self.data.shape[1:]):
            self._put_array(indices, array)
            return []
        kinds = set(map(type, values))
        if len(kinds) > 1 and len(values) >= FEWEST_IN_GROUPS:
            return self._put_by_kind(indices, values, kinds)
        misfits = []
        for position, value in enumerate(values):
            own = array_of(value)
            if self.data is None or own.shape == self.data.shape[1:]:
                self._put_array([place(indices, position)], own[np.newaxis])
            else:
                misfits.append(position)
        return misfits

    def _put_by_kind(
        self, indices: Any, values: Sequence[Any] | np.ndarray, kinds: set[type]
    ) -> list[int]:
        """As `put`, one kind after the other, since many numbers of one kind go in at once."""
        misfits = []
        for kind in kinds:
            chosen = [position for position, value in enumerate(values) if type(value) is kind]
            places = [place(indices, position) for position in chosen]
            odd = self.put(places, [values[position] for position in chosen])
            misfits += [chosen[each] for each in odd]
        return misfits

    def adopt(self, shared: np.ndarray) -> None:
        """Goes on with an array that workers fill; what is known already goes into it."""
        if self.data is not None:
            shared[self.filled] = self.data[self.filled]
        self.data = self._shared = shared

    def written(self, indices: list[int]) -> None:
        """Takes the values that workers have written into the adopted array."""
        if self._shared is None:
            return
        if self.data is not self._shared:
            self._put_array(indices, self._shared[indices])
            return
        self._note(indices, self._shared.dtype)
        self.filled[indices] = True

    def _put_array(self, indices: Any, array: np.ndarray) -> None:
        if self.data is None:
            self.data = np.empty((self._points, *array.shape[1:]), array.dtype)
        if array.dtype != self.data.dtype:
            self._meet(array)
        self._note(indices, array.dtype)
        self.data[indices] = _objects(array) if self.data.dtype == OBJECT else array
        self.filled[indices] = True

    def _note(self, indices: Any, dtype: np.dtype[Any]) -> None:
        """Remembers in which dtype values came, once there is more than one."""
        if dtype not in self._dtypes:
            self._dtypes.append(dtype)
            if len(self._dtypes) == 2:
                self._came_as = np.zeros(self._points, np.uint16)
        if self._came_as is not None:
            self._came_as[indices] = self._dtypes.index(dtype)

    def _meet(self, array: np.ndarray) -> None:
        """Changes the dtype so that it holds what is there and what comes, each exactly."""
        if self.data is None or self.data.dtype == OBJECT:
            return
        target = _common([self.data.dtype, array.dtype])
        exact = _survives(array, target)
        if exact and target != self.data.dtype:
            exact = _survives(self.data[self.filled], target)
        self._become(target if exact else OBJECT)

    def _become(self, target: np.dtype[Any]) -> None:
        """Changes the dtype; objects are what came in, and not what it was changed to before."""
        old = self.data
        if old is None or old.dtype == target:
            return
        self.data = np.empty(old.shape, target)
        for dtype, came in self._by_dtype():
            values = _as_it_came(old[came], dtype)
            self.data[came] = _objects(values) if target == OBJECT else values

    def _by_dtype(self) -> Iterable[tuple[np.dtype[Any], np.ndarray]]:
        """The dtypes that came in, each with the points that came in it."""
        if self._came_as is None:
            return [(dtype, self.filled) for dtype in self._dtypes]
        return [
            (dtype, self.filled & (self._came_as == number))
            for number, dtype in enumerate(self._dtypes)
        ]

    def finished(self) -> np.ndarray:
        """The array, with NaN, or NaT, at the points that have no value.

        Integers and truth values become objects there, never floats.
        """
        if self.data is None:
            return np.full(self._points, np.nan)
        self._settle()
        if self.filled.all():
            return self.data
        if self.data.dtype.kind in NO_NAN:
            whole = np.full(self.data.shape, np.nan, object)
            whole[self.filled] = _objects(self.data[self.filled])
            return whole
        self.data[~self.filled] = FILLS.get(self.data.dtype.kind, np.nan)
        return self.data

    def _settle(self) -> None:
        """Chooses the dtype by all that is there: on the way, it depends on what came first."""
        groups = [(dtype, came) for dtype, came in self._by_dtype() if came.any()]
        if self.data is None or len(self._dtypes) < 2 or not groups:
            return
        target = _common([dtype for dtype, _ in groups])
        came_in = [_as_it_came(self.data[came], dtype) for dtype, came in groups]
        exact = all(_survives(values, target) for values in came_in)
        self._become(target if exact else OBJECT)


def place(indices: Any, position: int) -> int:
    """The index at a position of a slice without steps, or of a list."""
    return int(indices.start + position if isinstance(indices, slice) else indices[position])


def _uniform(values: Any) -> np.ndarray | None:
    """The values as one array, where all are of one kind and numpy keeps them as they are."""
    if isinstance(values, np.ndarray):
        return _objects(values) if values.dtype.kind in TEXT else values
    kinds = set(map(type, values))
    if len(kinds) != 1:
        return None
    kind = kinds.pop()
    numbers = issubclass(kind, np.number) and not issubclass(kind, np.timedelta64)
    if kind in (float, complex, bool, np.bool_) or numbers:
        return np.array(values)
    if kind is int:
        array = np.array(values)
        return array if array.dtype == np.int64 else None
    return None


def array_of(value: Any) -> np.ndarray:
    """One point's value as an array: of its own shape for arrays and tuples of numbers, else 0-d.

    Text and bytes stay objects, which keeps trailing zero characters. So do arrays that are more
    than arrays: with a mask, or a unit.
    """
    if type(value) in ARRAYS:
        return _objects(value) if value.dtype.kind in TEXT else np.asarray(value)
    if type(value) in PLAIN or isinstance(value, np.generic):
        array = np.asarray(value)
        if array.dtype.kind not in "SUO":
            return array
    if isinstance(value, list | tuple) and not hasattr(value, "_fields") and value:
        try:
            array = np.array(value)
        except (ValueError, TypeError, OverflowError):
            array = np.empty((), object)
        if array.dtype.kind in NUMERIC and _keeps(array.dtype, value):
            return array
    alone = np.empty(1, object)
    alone[0] = value
    return alone.reshape(())


def _keeps(dtype: np.dtype[Any], value: Any) -> bool:
    """Whether a sequence holds numbers only, no truth values, and each exactly in that dtype."""
    if isinstance(value, list | tuple):
        return all(_keeps(dtype, each) for each in value)
    if type(value) is int and dtype.kind in "fc":
        return abs(value) < LARGEST and int(float(value)) == value
    return not isinstance(value, bool | np.bool_)


def _objects(array: np.ndarray) -> np.ndarray:
    """The entries as Python numbers, or numpy's own where Python has none such."""
    if array.dtype.kind not in TIMES + "V":
        return array.astype(object)
    whole = np.empty(array.size, object)
    for position, value in enumerate(array.ravel()):  # times: astype makes integers of some
        whole[position] = value
    return whole.reshape(array.shape)


def _as_it_came(values: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    """Values that were changed to a wider dtype, in their own again."""
    real = values.dtype.kind == "c" and dtype.kind != "c"
    return (values.real if real else values).astype(dtype)


def _common(dtypes: Sequence[np.dtype[Any]]) -> np.dtype[Any]:
    """The dtype in which values of all these meet; objects where there is none."""
    kinds = {dtype.kind for dtype in dtypes}
    if len(set(dtypes)) == 1:
        return dtypes[0]
    if not (kinds <= set(NUMERIC) or kinds in ({"M"}, {"m"})):
        return OBJECT
    target = np.result_type(*sorted(dtypes, key=str))
    return OBJECT if kinds <= set("iu") and target.kind == "f" else target


def _survives(array: np.ndarray, target: np.dtype[Any]) -> bool:
    """Whether all values are the same in that dtype."""
    kind = array.dtype.kind
    if target in (array.dtype, OBJECT) or kind in "fc":
        return True
    with np.errstate(all="ignore"):
        there = array.astype(target)
        if kind in TIMES:
            return np.array_equal(there.astype(array.dtype), array, equal_nan=True)
        if target.kind in "fc" and np.any(np.abs(there) >= float(np.iinfo(array.dtype).max)):
            return False  # they may be out of range on the way back
        return np.array_equal(there.real.astype(array.dtype), array)
