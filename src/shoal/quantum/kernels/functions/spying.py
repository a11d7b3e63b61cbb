"""The tapes of a kernel function: of a QNode, or of the one QNode that a function calls.

A function is not run as it is, but as a copy in which QNodes are replaced by spies. A spy makes the
tape, keeps it, and answers with made-up results, by which it is also seen what the function makes
of them. Nothing of the user's is changed.
"""

from __future__ import annotations

import copy
import functools
import sysconfig
import types
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pennylane as qml

from shoal.quantum.kernels.functions.detection import NotOne
from shoal.quantum.kernels.functions.inversion import halves, kind_of, undone

DEEPEST = 6
CLOSE = 1e-9
MADE_UP = (0.3, 0.2)
LIBRARIES = tuple({sysconfig.get_path(kind) for kind in ("stdlib", "purelib", "platlib")})


class Taping:
    """Where the tapes of a kernel come from; None of it pickles but the kernel.

    Attributes:
        qnode: The QNode, the one that it calls; None where it calls none, as far as can be seen.
        direct: Whether the kernel is that QNode itself.
    """

    def __init__(self, kernel: Callable[..., Any]) -> None:
        self._kernel = kernel
        self.direct = isinstance(kernel, qml.QNode)
        copying = _Copying()
        self._copy = copying.of(kernel)
        self._spies = copying.spies
        self.qnode = self._spies[0].qnode if self._spies else None

    def device_name(self) -> str:
        """The name of the QNode's device, or of what runs its circuits."""
        device = getattr(self.qnode, "device", None)
        device = getattr(device, "base", device)
        return str(getattr(device, "name", None) or type(device).__name__)

    def tape(self, x1: Any, x2: Any, made_up: float = MADE_UP[0]) -> Any:
        """The tape of a pair of rows.

        Raises:
            NotOne: If other than one circuit is run.
        """
        return self._taped(x1, x2, made_up)[0]

    def check_value(self, x1: Any, x2: Any) -> None:
        """Raises NotOne unless the function is the probability itself that its circuit measures."""
        for made_up in () if self.direct else MADE_UP:
            _, value = self._taped(x1, x2, made_up)
            if np.shape(value) or abs(complex(value) - made_up) > CLOSE:
                raise NotOne("it computes something else from what its circuit measures")

    def _taped(self, x1: Any, x2: Any, made_up: float) -> tuple[Any, Any]:
        for spy in self._spies:
            spy.tapes.clear()
            spy.made_up = made_up
        value = self._copy(x1, x2)
        tapes = [tape for spy in self._spies for tape in spy.tapes]
        if len(tapes) != 1:
            raise NotOne(f"it runs {len(tapes)} circuits for one pair, not one")
        return tapes[0], value


class InnerMap:
    """U(x) of an inversion test, applied as operations of PennyLane: the first half for (x, x).

    Applied to plain numbers it raises `NotOne` where the second half is not its inverse, as in a
    circuit whose gates depend on the values of the features.
    """

    def __init__(self, kernel: Callable[..., Any]) -> None:
        self.kernel = kernel
        self.__name__ = f"the feature map in {getattr(kernel, '__name__', 'the kernel')}"
        self._taping = Taping(kernel)

    def __call__(self, x: Any) -> None:
        """Applies it to a row of features."""
        with qml.QueuingManager.stop_recording():
            tape = self._taping.tape(x, x)
            gates = undone(tape) if _is_plain(x) else halves(tape)[0]
        for gate in gates:
            qml.apply(gate)

    def __reduce__(self) -> Any:
        return InnerMap, (self.kernel,)


def _is_plain(x: Any) -> bool:
    """Whether it is one row of ordinary numbers."""
    return isinstance(x, np.ndarray) and x.ndim == 1 and x.dtype.kind == "f"


class _Spy:
    """Stands in for a QNode: keeps its tapes, and answers with a made-up probability."""

    def __init__(self, qnode: Any) -> None:
        self.qnode = qnode
        self.tapes: list[Any] = []
        self.made_up = MADE_UP[0]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        tape = _tape(self.qnode, args, kwargs)
        self.tapes.append(tape)
        if len(tape.measurements) != 1:
            raise NotOne(f"it measures {len(tape.measurements)} things, not one")
        return self._answer(tape)

    def _answer(self, tape: Any) -> Any:
        """All zeros with the made-up probability, one other outcome with the rest."""
        [measurement] = tape.measurements
        kind = kind_of(measurement)
        if kind == "expval":
            return np.float64(self.made_up)
        wires = measurement.wires or self.qnode.device.wires or tape.wires
        found = np.zeros(2 ** len(wires), complex if kind == "state" else float)
        found[:2] = self.made_up, 1 - self.made_up
        return np.sqrt(found) * np.exp(0.7j) if kind == "state" else found


def _tape(qnode: Any, args: Any, kwargs: Any) -> Any:
    """The tape of a QNode, with the user's transforms if it has any."""
    if len(qnode.compile_pipeline) or "shots" in kwargs:
        return qml.workflow.construct_tape(qnode)(*args, **kwargs)
    return qml.tape.make_qscript(qnode.func, shots=qnode.shots)(*args, **kwargs)


class _Copying:
    """Copies of callables in which every QNode is replaced by a spy.

    Attributes:
        spies: Those that were put in.
    """

    def __init__(self) -> None:
        self.spies: list[_Spy] = []
        self._known: dict[int, Any] = {}

    def of(self, value: Any, depth: int = 0) -> Any:
        """The copy; the value itself where there is no QNode in it."""
        if id(value) in self._known or depth > DEEPEST:
            return self._known.get(id(value), value)
        self._known[id(value)] = value  # what refers to itself is met again on the way
        copied = self._known[id(value)] = self._copied(value, depth + 1)
        return copied

    def _copied(self, value: Any, depth: int) -> Any:
        if isinstance(value, qml.QNode):
            self.spies.append(_Spy(value))
            return self.spies[-1]
        if isinstance(value, types.FunctionType):
            return value if _is_of_a_library(value) else self._function(value, depth)
        if isinstance(value, functools.partial):
            inner = self.of(value.func, depth)
            changed = inner is not value.func
            return functools.partial(inner, *value.args, **value.keywords) if changed else value
        if isinstance(value, types.MethodType):
            owner, function = self._object(value.__self__, depth), self.of(value.__func__, depth)
            changed = owner is not value.__self__ or function is not value.__func__
            return types.MethodType(function, owner) if changed else value
        if type(value).__module__.startswith("jax") and hasattr(value, "__wrapped__"):
            return self.of(value.__wrapped__, depth)
        return self._object(value, depth) if _has_own_call(value) else value

    def _function(self, value: types.FunctionType, depth: int) -> Any:
        read = _names(value.__code__)
        names = {name: value.__globals__[name] for name in read if name in value.__globals__}
        closure = value.__closure__ or ()
        filled = [cell for cell in closure if _is_filled(cell)]
        new_names = self._changed(names, depth)
        new_cells = self._changed({id(cell): cell.cell_contents for cell in filled}, depth)
        new_defaults = self._changed(dict(enumerate(value.__defaults__ or ())), depth)
        if not (new_names or new_cells or new_defaults):
            return value
        twin = types.FunctionType(
            value.__code__,
            {**value.__globals__, **new_names},
            value.__name__,
            tuple(
                new_defaults.get(place, each) for place, each in enumerate(value.__defaults__ or ())
            ),
            tuple(
                types.CellType(new_cells[id(cell)]) if id(cell) in new_cells else cell
                for cell in closure
            ),
        )
        twin.__kwdefaults__ = value.__kwdefaults__
        return twin

    def _object(self, value: Any, depth: int) -> Any:
        """A copy of an object with methods, where it holds a QNode."""
        new = (
            {} if isinstance(value, type) else self._changed(getattr(value, "__dict__", {}), depth)
        )
        if not new:
            return value
        twin = copy.copy(value)
        twin.__dict__.update(new)
        return twin

    def _changed(self, values: Mapping[Any, Any], depth: int) -> dict[Any, Any]:
        """The copies, by their keys, of those values that have one."""
        copies = {key: self.of(each, depth) for key, each in values.items()}
        return {key: each for key, each in copies.items() if each is not values[key]}


def _names(code: types.CodeType) -> set[str]:
    """Names that code reads, that of inner functions included."""
    inner = (each for each in code.co_consts if isinstance(each, types.CodeType))
    return {*code.co_names}.union(*map(_names, inner))


def _has_own_call(value: Any) -> bool:
    call = getattr(type(value), "__call__", None)  # noqa: B004  (which, not whether)
    return isinstance(call, types.FunctionType) and not _is_of_a_library(call)


def _is_of_a_library(function: types.FunctionType) -> bool:
    return function.__code__.co_filename.startswith(LIBRARIES)


def _is_filled(cell: types.CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018  (empty cells raise)
    except ValueError:
        return False
    return True
