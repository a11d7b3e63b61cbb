"""Whether a kernel function is the fidelity of states, and which circuit prepares them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from shoal.quantum.kernels.functions.blackbox import Entry

NO_QNODE = "it calls no QNode of PennyLane"
SINGLE = 1e-4
SIMULATORS = ("default.qubit", "lightning.", "reference.qubit")


class KernelFallback(UserWarning):
    """A feature map found inside a kernel function gives other values than the function itself.

    The matrix is then computed by calling the function for every pair, which is right and slow.
    """


class NotOne(Exception):
    """A kernel function, or its circuit, is no inversion test; says why, after "because"."""


@dataclass(frozen=True, slots=True)
class Found:
    """What was found out about a kernel function.

    Attributes:
        kernel: k(x1, x2) for one pair, a number: the function itself, or the first entry of what a
            QNode returns that returns all probabilities.
        feature_map: Applies U(x) as operations of PennyLane, where the kernel is the inversion
            test U(x2)†U(x1); else None.
        why: What it is, or why no feature map was found, in words.
        simulator: Whether it is a QNode on a simulator in this process, which may be called here.
    """

    kernel: Callable[..., Any]
    feature_map: Callable[[Any], None] | None
    why: str
    simulator: bool = False


class FirstEntry:
    """A QNode that returns all probabilities, as the kernel that is the first of them."""

    def __init__(self, qnode: Callable[..., Any]) -> None:
        self.qnode = qnode
        self.__module__ = getattr(qnode, "__module__", None) or "builtins"
        self.__name__ = getattr(qnode, "__name__", type(qnode).__name__)

    def __call__(self, x1: Any, x2: Any) -> Any:
        """The probability of all qubits being found 0."""
        return self.qnode(x1, x2)[0]

    def __repr__(self) -> str:
        return f"{self.qnode!r}[0]"


def find_feature_map(kernel: Callable[..., Any], n_features: int) -> Found:
    """Looks for an inversion test in a kernel function, by the tapes that it makes.

    A QNode is asked for its tapes; of another callable a copy is called in which QNodes only
    record theirs. No circuit is simulated. Whatever goes wrong means that nothing is found.

    Args:
        kernel: The user's QNode, or a function that calls one.
        n_features: Length of the rows it takes.
    """
    if "pennylane" not in sys.modules:
        return Found(kernel, None, NO_QNODE)
    from shoal.quantum.kernels.functions.inversion import check
    from shoal.quantum.kernels.functions.spying import InnerMap, Taping

    taping = Taping(kernel)
    if taping.qnode is None:
        return Found(kernel, None, NO_QNODE)
    name = taping.device_name()
    local = name.startswith(SIMULATORS)
    rows = np.random.default_rng(0).uniform(0.2, 1.2, (3, n_features))
    try:
        if not local:
            raise NotOne(f"its device, {name}, is no simulator of pure states")
        measured = check(taping.tape, rows)
        if taping.direct and measured == "state":
            raise NotOne("it returns a state")
        taping.check_value(rows[0], rows[1])
    except NotOne as why:
        return Found(kernel, None, str(why), local)
    except Exception as error:  # the user's function may raise anything  # noqa: BLE001
        text = f"its circuits could not be looked at ({type(error).__name__}: {error})"
        return Found(kernel, None, text, local)
    number = FirstEntry(kernel) if taping.direct and measured == "probs" else kernel
    return Found(number, InnerMap(kernel), "it is the inversion test U(x2)†U(x1)", local)


def differing(
    kernel: Callable[..., Any],
    x: np.ndarray,
    y: np.ndarray | None,
    matrix: np.ndarray,
    *,
    pairs: int,
    tolerance: float = 1e-6,
) -> list[str]:
    """Compares a matrix with the user's own function at random pairs, here; tells what differs.

    Args:
        pairs: How many; the same ones at every call.
        tolerance: Largest absolute difference that is none; 1e-4 where the function computes in
            single precision, as JAX does.

    Returns:
        A line for each pair that differs; none if all agree.
    """
    entry = Entry(kernel, x, y)
    rng = np.random.default_rng(1)
    lines = []
    for _ in range(pairs):
        i, j = (int(rng.integers(size)) for size in matrix.shape)
        value = entry.value(i, j)
        number, expected = entry.number(value, i, j), matrix[i, j]
        single = str(getattr(value, "dtype", "")).endswith("float32")
        if not abs(number - expected) <= (max(tolerance, SINGLE) if single else tolerance):
            lines.append(f"{entry.pair(i, j)} is {number}, by its feature map {expected}")
    return lines


def fallback_warning(lines: list[str]) -> KernelFallback:
    """The warning for what `differing` has found."""
    return KernelFallback(
        f"the kernel looks like an inversion test, but {'; '.join(lines)}. Every pair is computed "
        "by the kernel itself"
    )
