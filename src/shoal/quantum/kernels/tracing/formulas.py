"""Angles as formulas: numbers that remember how they came from the features of one sample."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Step = tuple[Any, ...]

FEATURE, NUMBER = "feature", "number"
FUNCTIONS: dict[str, Callable[..., Any]] = {
    name: getattr(np, name)
    for name in (
        "absolute",
        "add",
        "arccos",
        "arccosh",
        "arcsin",
        "arcsinh",
        "arctan",
        "arctanh",
        "cos",
        "cosh",
        "divide",
        "exp",
        "floor_divide",
        "log",
        "multiply",
        "negative",
        "power",
        "remainder",
        "sin",
        "sinh",
        "sqrt",
        "subtract",
        "tan",
        "tanh",
    )
}


@dataclass(frozen=True, slots=True)
class Formulas:
    """Several formulas of the same features, evaluated for many samples at once.

    Attributes:
        steps: Each ``("feature", column)``, ``("number", value)`` or ``(function, *places)``, the
            places of earlier steps that a function of numpy's takes.
        outputs: The places of the results.
    """

    steps: tuple[Step, ...] = ()
    outputs: tuple[int, ...] = ()

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """The results for each row of features, of shape (n_rows, n_outputs), float64."""
        values = self.values(rows)
        results = np.empty((len(rows), len(self.outputs)))
        for column, place in enumerate(self.outputs):
            results[:, column] = values[place]
        return results

    def values(self, rows: np.ndarray) -> list[Any]:
        """What every step comes to: a number for each row, or one for all."""
        values: list[Any] = []
        for name, *rest in self.steps:
            if name == FEATURE:
                values.append(rows[:, rest[0]])
            elif name == NUMBER:
                values.append(rest[0])
            else:
                values.append(FUNCTIONS[name](*[values[place] for place in rest]))
        return values

    @property
    def constant(self) -> np.ndarray:
        """Which results no feature enters, as booleans."""
        fixed: list[bool] = []
        for name, *rest in self.steps:
            if name in (FEATURE, NUMBER):
                fixed.append(name == NUMBER)
            else:
                fixed.append(all(fixed[place] for place in rest))
        return np.array([fixed[place] for place in self.outputs], bool)


@dataclass(slots=True)
class Recorder:
    """Takes down what is done to the features of one sample.

    Attributes:
        steps: As in `Formulas`; equal ones are there once.
        looked_at: Whether something else than arithmetic was done, such as a comparison: what
            follows may depend on the sample in ways that no formula tells.
    """

    steps: dict[Step, int] = field(default_factory=dict)
    looked_at: bool = False

    def features(self, sample: Sequence[float]) -> np.ndarray:
        """The features of a sample, as an array of numbers that are recorded."""
        recorded = np.empty(len(sample), object)
        for column, value in enumerate(sample):
            recorded[column] = Angle(self, self.place((FEATURE, column)), float(value))
        return recorded

    def place(self, step: Step) -> int:
        """Where a step is, added if it is not there."""
        return self.steps.setdefault(step, len(self.steps))

    def of(self, value: Any) -> int:
        """The place of a recorded number, or of an ordinary one."""
        if isinstance(value, Angle):
            return value.place
        return self.place((NUMBER, float(value)))

    def formulas(self, angles: Sequence[Any]) -> Formulas:
        """The formulas of these angles."""
        outputs = tuple(self.of(angle) for angle in angles)
        return Formulas(tuple(self.steps), outputs)


def _both(name: str, function: Callable[[Any, Any], Any], *, swapped: bool = False) -> Any:
    def method(self: Angle, other: Any) -> Any:
        if not isinstance(other, Angle):
            number = _number(other)
            if number is None:
                return NotImplemented
            other = number
        left, right = (other, self) if swapped else (self, other)
        return self.derived(name, function, left, right)

    return method


def _one(name: str) -> Any:
    def method(self: Angle) -> Angle:
        return self.derived(name, FUNCTIONS[name], self)

    return method


def _compared(function: Callable[[Any, Any], Any]) -> Any:
    def method(self: Angle, other: Any) -> Any:
        return function(float(self), other)

    return method


def _number(value: Any) -> float | None:
    """An ordinary real number as a float; None for anything else, such as an array or a complex."""
    if getattr(value, "ndim", 0) or isinstance(value, complex | np.complexfloating | str):
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


class Angle:
    """A number that knows its formula: computes as the number it is, and is recorded.

    numpy's functions take it, alone and in arrays of objects. Whatever else looks at its value is
    noted in the recorder.
    """

    __slots__ = ("place", "recorder", "value")
    ndim = 0
    shape: tuple[int, ...] = ()

    def __init__(self, recorder: Recorder, place: int, value: float) -> None:
        self.recorder = recorder
        self.place = place
        self.value = value

    def derived(self, name: str, function: Callable[..., Any], *arguments: Any) -> Angle:
        """What a function makes of recorded and ordinary numbers."""
        places = [self.recorder.of(each) for each in arguments]
        values = [each.value if isinstance(each, Angle) else float(each) for each in arguments]
        with np.errstate(all="ignore"):
            value = float(function(*values))
        return Angle(self.recorder, self.recorder.place((name, *places)), value)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        """As numpy does with arrays of objects: it calls the methods below."""
        return getattr(ufunc, method)(*map(_as_objects, inputs), **options)

    def __float__(self) -> float:
        self.recorder.looked_at = True
        return self.value

    def __int__(self) -> int:
        return int(float(self))

    def __bool__(self) -> bool:
        return bool(float(self))

    def __round__(self, digits: int | None = None) -> Any:
        return round(float(self), digits)

    def __hash__(self) -> int:
        return hash((id(self.recorder), self.place))

    def __repr__(self) -> str:
        return f"Angle({self.value!r})"

    def conjugate(self) -> Angle:
        """Itself: it is real."""
        return self

    def __pos__(self) -> Angle:
        return self

    __eq__ = _compared(operator.eq)
    __ne__ = _compared(operator.ne)
    __lt__ = _compared(operator.lt)
    __le__ = _compared(operator.le)
    __gt__ = _compared(operator.gt)
    __ge__ = _compared(operator.ge)
    __add__ = _both("add", operator.add)
    __radd__ = _both("add", operator.add, swapped=True)
    __sub__ = _both("subtract", operator.sub)
    __rsub__ = _both("subtract", operator.sub, swapped=True)
    __mul__ = _both("multiply", operator.mul)
    __rmul__ = _both("multiply", operator.mul, swapped=True)
    __truediv__ = _both("divide", np.divide)
    __rtruediv__ = _both("divide", np.divide, swapped=True)
    __floordiv__ = _both("floor_divide", np.floor_divide)
    __rfloordiv__ = _both("floor_divide", np.floor_divide, swapped=True)
    __mod__ = _both("remainder", np.remainder)
    __rmod__ = _both("remainder", np.remainder, swapped=True)
    __pow__ = _both("power", np.power)
    __rpow__ = _both("power", np.power, swapped=True)
    __neg__ = _one("negative")
    __abs__ = _one("absolute")
    arccos = _one("arccos")
    arccosh = _one("arccosh")
    arcsin = _one("arcsin")
    arcsinh = _one("arcsinh")
    arctan = _one("arctan")
    arctanh = _one("arctanh")
    cos = _one("cos")
    cosh = _one("cosh")
    exp = _one("exp")
    log = _one("log")
    sin = _one("sin")
    sinh = _one("sinh")
    sqrt = _one("sqrt")
    tan = _one("tan")
    tanh = _one("tanh")


def _as_objects(value: Any) -> Any:
    if not isinstance(value, Angle):
        return value
    wrapped = np.empty((), object)
    wrapped[()] = value
    return wrapped
