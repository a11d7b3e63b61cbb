"""The bridge to python-adaptive: its runner and learners, on our executors."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import nullcontext
from numbers import Real
from typing import Any, Literal, TypeVar

from shoal.tasks import available_cores, check_options, require, shorten
from shoal.tasks import executor as by_name

L = TypeVar("L")

GOALS = {"points": "npoints", "loss": "loss", "seconds": "duration"}


def sample(
    learner: L,
    *,
    goal: Callable[[L], bool] | None = None,
    points: int | None = None,
    loss: float | None = None,
    seconds: float | None = None,
    executor: str | Executor | None = None,
    max_workers: int | None = None,
    retries: int = 0,
    on_error: Literal["raise", "skip"] = "raise",
) -> L:
    """Lets a learner of python-adaptive sample its function, in parallel, until a goal is met.

    This is ``adaptive.BlockingRunner`` on an executor of ours. Values are those of a call made
    here, bit for bit; *which* points are chosen depends, with more than one worker, on the order
    in which they finish. The first goal that is met ends the sampling; what runs then is finished
    and kept, so that up to ``max_workers - 1`` points more than asked for may be there.

    Args:
        learner: Any learner, such as ``adaptive.Learner1D(f, bounds=(-1, 1))``.
        goal: Called with the learner after results have come in; True ends the sampling.
        points: How many points the learner should have, with those it has already. Of a
            `BalancingLearner`: each of its learners.
        loss: The learner's own measure of what is unresolved, at or below which it ends.
        seconds: Time after which no further point begins; looked at when a result comes in.
        executor: A name (see `shoal.executor`) or any `concurrent.futures.Executor`, which is not
            shut down. None: the variable `SHOAL_EXECUTOR`, else supervised processes.
        max_workers: How many points are evaluated at once, from 1. None: the executor's own
            `max_workers` if it has that attribute, else the cores this process may use.
        retries: How often a point that failed is tried again, from 0.
        on_error: ``"raise"`` ends with the first error. ``"skip"`` leaves out points that failed,
            also ends when as many as `points` have, and tells of them in a `RuntimeWarning`.

    Returns:
        The same learner. It keeps its points, also after an error or Ctrl-C, and the same call
        goes on from there. Ctrl-C waits for what is running; pressed again it does not.

    Raises:
        TypeError: For arguments of the wrong kind, before any work.
        ValueError: For arguments out of range or if nothing would end it, before any work.
        MissingExtra: If adaptive is not installed.
        Exception: What the function raised, with its own type and a note that names the point.

    Example:
        >>> import adaptive
        >>> learner = adaptive.Learner1D(lambda x: x**2, bounds=(0, 2))
        >>> sample(learner, points=9, executor="serial").data[2]
        4.0
    """
    adaptive = require("adaptive", extra="adaptive", purpose="sampling with a learner")
    if not isinstance(learner, adaptive.BaseLearner):
        raise TypeError(f"learner={shorten(learner)}: expected a learner of adaptive")
    if goal is not None and not callable(goal):
        raise TypeError(f"goal={shorten(goal)}: expected a function of the learner, or None")
    if on_error not in ("raise", "skip"):
        raise ValueError(f"on_error={shorten(on_error)}: expected 'raise' or 'skip'")
    check_options(learner.function, executor=executor, max_workers=max_workers, retries=retries)
    numbers = {"points": points, "loss": loss, "seconds": seconds}
    endings = _endings(learner, [goal] if goal else [], numbers, on_error == "skip")
    made = None if isinstance(executor, Executor) else by_name(executor, max_workers=max_workers)
    failed = None
    with made or nullcontext(executor) as chosen:
        width = max_workers or getattr(chosen, "max_workers", None) or available_cores()
        if points and on_error == "skip":
            # Points that failed stay pending, with fewer than `width` that run.
            endings.append(lambda learner: len(learner.pending_points) >= points + width)
        try:
            runner = adaptive.BlockingRunner(
                learner,
                lambda learner: any(ending(learner) for ending in endings),
                executor=chosen,
                ntasks=width,
                retries=retries,
                raise_if_retries_exceeded=on_error == "raise",
            )
        except RuntimeError as error:
            failed = _unwrapped(error)
    if failed is not None:
        raise failed
    if runner.tracebacks:
        point, text = runner.tracebacks[0]
        message = f"points that failed: {len(runner.tracebacks)}; the first is {shorten(point)}"
        warnings.warn(f"{message}\n{text}", RuntimeWarning, stacklevel=2)
    return learner


def _endings(learner: Any, endings: list[Any], numbers: dict[str, Any], skip: bool) -> list[Any]:
    """What may end the sampling; adaptive's own goals take one number each."""
    from adaptive.runner import auto_goal

    for name, value in numbers.items():
        if value is None:
            continue
        if not isinstance(value, Real) or not 0 < float(value) < math.inf:
            kind = ValueError if isinstance(value, Real) else TypeError
            raise kind(f"{name}={shorten(value)}: expected a finite number above 0")
        endings.append(auto_goal(learner=learner, **{GOALS[name]: value}))
    try:
        endings.append(auto_goal(learner=learner, allow_running_forever=False))
    except ValueError:  # it has no end of its own
        if not endings:
            message = "never ends by itself: expected goal=, points=, loss= or seconds="
            raise ValueError(f"a {type(learner).__name__} {message}") from None
        return endings
    if skip:
        raise ValueError(f"on_error='skip': a {type(learner).__name__} needs all its points")
    return endings


def _unwrapped(error: RuntimeError) -> BaseException:
    """The function's own error out of the runner's, whose message alone tells the point."""
    found = re.search(r'"learner\.function\((.*?)\)"\. See', str(error), re.DOTALL)
    if found is None or error.__cause__ is None:
        raise error
    error.__cause__.add_note(f"shoal: the learner's function failed at point {found[1]}")
    return error.__cause__
