"""The methods by name, and which one is taken."""

from __future__ import annotations

from typing import Any

from shoal.quantum.kernels.densities import Densities
from shoal.quantum.kernels.method import Asked, Method
from shoal.quantum.kernels.mps import MPS
from shoal.quantum.kernels.products import Products
from shoal.quantum.kernels.projected import Projected
from shoal.quantum.kernels.statevectors import StateVectors
from shoal.tasks import shorten

# In the order of how well their times are known: BLAS is the same everywhere.
OF_PURE_STATES: tuple[Method, ...] = (StateVectors(), Products(), MPS())
WITH_NOISE: tuple[Method, ...] = (Densities(),)
NAMED: dict[str, Method] = {each.name: each for each in (*OF_PURE_STATES, *WITH_NOISE, Projected())}
NAMES = ("auto", *NAMED)
NEARLY_A_TIE = 3.0
NO_PROBABILITIES = ("projected",)


def checked_method(method: Any) -> Method | None:
    """The method that is meant; None for ``"auto"``.

    Raises:
        TypeError: If it is neither a name nor a method.
        ValueError: If it is a name of none.
    """
    if isinstance(method, str):
        if method not in NAMES:
            raise ValueError(f"method={method!r}: expected one of {', '.join(map(repr, NAMES))}")
        return NAMED.get(method)
    if isinstance(method, type) or not all(
        hasattr(method, name) for name in ("why_not", "seconds", "plan")
    ):
        raise TypeError(f"method={shorten(method)}: expected a name, or a method such as MPS()")
    found: Method = method
    return found


def check_shots(method: Method | None, shots: int | None) -> None:
    """Raises ValueError for shots of a kernel whose entries are no probabilities."""
    if shots is not None and method is not None and method.name in NO_PROBABILITIES:
        raise ValueError(
            f"shots={shots} with method={method.name!r}: its entries are no probabilities that "
            "shots would estimate"
        )


def choose(method: Method | None, asked: Asked) -> tuple[Method, str]:
    """The method that was asked for, else the fastest that can do it; and why, in words.

    Estimates are rough: of methods within a factor of `NEARLY_A_TIE` of the fastest, the one comes
    first whose time is known best.

    Raises:
        ValueError: If it cannot do what is asked, or none can.
    """
    if method is not None:
        why_not = method.why_not(asked)
        if why_not is not None:
            raise ValueError(f"method={method.name!r} does not apply, because {why_not}")
        return method, "it was asked for"
    methods = OF_PURE_STATES if asked.noise is None else WITH_NOISE
    refusals = {each: each.why_not(asked) for each in methods}
    able = [each for each, why_not in refusals.items() if why_not is None]
    if not able:
        reasons = "; ".join(f"{each.name}: {why_not}" for each, why_not in refusals.items())
        raise ValueError(f"feature_map: no method can compute this kernel: {reasons}")
    seconds = {each.name: each.seconds(asked) for each in able}
    limit = NEARLY_A_TIE * min(seconds.values())
    best = next(each for each in able if seconds[each.name] <= limit)
    others = [f"{name} {value:.2g} s" for name, value in seconds.items() if name != best.name]
    why = f"estimated at {seconds[best.name]:.2g} s on one core"
    return best, f"{why}; {', '.join(others)}" if others else why
