"""Kernels of the user's own, k(x1, x2): one call for each pair, on the engine."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from time import monotonic
from typing import Any

import numpy as np

from shoal.quantum.conducting import default_is_ours
from shoal.quantum.kernels.functions.pairs import Pairs, recalled, stored
from shoal.tasks import Checkpoint, run_indexed, shorten

SWAPPED_TOLERANCE = 1e-6
WORTH_WORKERS_SECONDS = 5.0
PLAIN = (float, np.float64, np.float32, int)


@dataclass(frozen=True, slots=True)
class Computed:
    """A kernel matrix that was computed pair by pair.

    Attributes:
        matrix: float64, of shape (n_x, n_y).
        pairs: How many pairs were computed now.
        from_checkpoint: How many were known already.
        worker_seconds: Time that all workers together spent on them.
        ran_here: Whether they ran in this process, because there was little to do.
    """

    matrix: np.ndarray
    pairs: int
    from_checkpoint: int
    worker_seconds: float
    ran_here: bool


class Entry:
    """One entry of the matrix, from its row and column; travels to each worker once."""

    def __init__(self, kernel: Callable[..., Any], x: np.ndarray, y: np.ndarray | None) -> None:
        self.kernel = kernel
        self.x = x
        self.y = y
        # What the engine goes by when it looks for devices the kernel uses, and for its name.
        self.__module__ = getattr(kernel, "__module__", None) or "builtins"
        self.__name__ = getattr(kernel, "__name__", type(kernel).__name__)

    def __repr__(self) -> str:
        return repr(self.kernel)

    def __call__(self, i: int, j: int) -> float:
        """The kernel of row i of x and row j of y, or of x where there is no y.

        Raises:
            ValueError: If it is no real, finite number; names the pair.
            Exception: Whatever the kernel raises, with a note that names the pair.
        """
        value = self.value(i, j)
        if type(value) in PLAIN and math.isfinite(value):
            return float(value)
        return self.number(value, i, j)

    def value(self, i: int, j: int) -> Any:
        """What the kernel returns, whatever it is."""
        y = self.x if self.y is None else self.y
        try:
            return self.kernel(self.x[i], y[j])
        except Exception as error:
            error.add_note(
                f"shoal: in {self.pair(i, j)}, of {shorten(self.x[i])} and {shorten(y[j])}"
            )
            raise

    def pair(self, i: int, j: int) -> str:
        """The call in words."""
        return f"kernel(x[{i}], {'x' if self.y is None else 'y'}[{j}])"

    def number(self, value: Any, i: int, j: int) -> float:
        """The value of any kind of number, such as a tensor without axes."""
        shape = getattr(value, "shape", ())
        if isinstance(value, list | tuple | dict) or tuple(shape) != ():
            of = f"an array of shape {tuple(shape)}" if shape else f"{shorten(value)}"
            raise ValueError(
                f"{self.pair(i, j)} is {of}: expected a number. A QNode that returns probabilities "
                "is a kernel by its first one: lambda x1, x2: qnode(x1, x2)[0]"
            )
        if isinstance(value, complex) or "complex" in str(getattr(value, "dtype", "")):
            raise ValueError(f"{self.pair(i, j)} is complex, {value}: expected a real number")
        try:
            number = math.nan if isinstance(value, str | bytes) else float(value)
        except (TypeError, ValueError):
            raise ValueError(f"{self.pair(i, j)} is {shorten(value)}: expected a number") from None
        if not math.isfinite(number):
            raise ValueError(f"{self.pair(i, j)} is {shorten(value)}: expected a finite number")
        return number


class Chosen:
    """The pairs of a list as keyword arguments, by index."""

    def __init__(self, pairs: Sequence[tuple[int, int]]) -> None:
        self._pairs = pairs

    def __getitem__(self, index: int, /) -> Mapping[str, int]:
        i, j = self._pairs[index]
        return {"i": i, "j": j}


def compute(
    kernel: Callable[..., Any],
    x: np.ndarray,
    y: np.ndarray | None = None,
    *,
    executor: Any = None,
    max_workers: int | None = None,
    checkpoint: Any = None,
    progress: bool | None = None,
    verify: int = 3,
    may_run_here: bool = False,
) -> Computed:
    """The matrix of a kernel function, equal to a double loop over it.

    Without `y` every pair i ≤ j of rows of `x` is computed, the diagonal too, and mirrored.

    Args:
        kernel: Called as ``kernel(x[i], y[j])``; returns a real number.
        x: Rows of features, of shape (n_x, n_features).
        y: Further rows; None: those of `x`.
        executor: As for `shoal.map`, like `max_workers` and `progress`.
        checkpoint: File that keeps computed pairs; the same call goes on from there, also with
            rows added to x or y.
        verify: How many pairs are first computed both ways round, where there is no `y`.
        may_run_here: Whether the kernel may run in this process where that is sooner.

    Raises:
        ValueError: If an entry is no real, finite number, or the kernel without `y` not symmetric.
        Exception: What the kernel raises for the first pair that fails; notes name the pair.
        shoal.errors.CheckpointError: If the checkpoint belongs to another kernel.
    """
    pairs = Pairs.of(x, y)
    entry = Entry(kernel, x, y)
    there = {"executor": executor, "max_workers": max_workers}
    ready = executor is None and may_run_here and default_is_ours()
    first = {"executor": "serial"} if ready else there
    values = np.full(len(pairs), np.nan)
    with stored(checkpoint, kernel, pairs) as file:
        todo = recalled(file, pairs, values)
        if y is None and todo:
            _check_both_ways(entry, verify, first)
        here = ready and _seconds_of_one(entry, pairs, todo) * len(todo) < WORTH_WORKERS_SECONDS
        options = {**(first if here else there), "progress": progress}
        worker_seconds = _compute_missing(entry, pairs, todo, values, file=file, options=options)
    known = len(pairs) - len(todo)
    return Computed(pairs.matrix(values), len(todo), known, worker_seconds, here)


def _compute_missing(
    entry: Entry,
    pairs: Pairs,
    todo: Sequence[int],
    values: np.ndarray,
    *,
    file: Checkpoint | None,
    options: Mapping[str, Any],
) -> float:
    """Computes some pairs into `values` and the file; returns the seconds workers took."""
    worker_seconds = 0.0
    with closing(run_indexed(entry, pairs, todo, on_error="raise", **options)) as settling:
        for block in settling:
            indices = np.asarray(todo[block.start : block.stop])
            good = np.array([at not in block.errors for at in range(block.start, block.stop)])
            found = np.array(block.values, np.float64)[good]
            values[indices[good]] = found
            if file is not None and len(found):
                file.append(indices[good].tolist(), found)
            worker_seconds += block.seconds
    return worker_seconds


def _seconds_of_one(entry: Entry, pairs: Pairs, todo: Sequence[int]) -> float:
    """About what a pair takes here: the shorter of two calls, as the first may compile."""
    seconds = []
    for index in todo[:2]:
        begun = monotonic()
        entry(**pairs[index])
        seconds.append(monotonic() - begun)
    return min(seconds, default=0.0)


def _check_both_ways(entry: Entry, count: int, options: Mapping[str, Any]) -> None:
    """Refuses a kernel that is not symmetric, as far as a few random pairs tell.

    A kernel that draws shots gives something else at every call. That is found by asking for one
    pair twice, and is no asymmetry.
    """
    n = len(entry.x)
    if n < 2 or count < 1:
        return
    rng = np.random.default_rng(0)
    chosen = [tuple(rng.choice(n, 2, replace=False).tolist()) for _ in range(count)]
    calls = [pair for i, j in chosen for pair in ((i, j), (j, i), (i, j))]
    settling = run_indexed(
        entry, Chosen(calls), range(len(calls)), **options, on_error="raise", progress=False
    )
    found = np.empty(len(calls))
    with closing(settling):
        for block in settling:
            if not block.errors:
                found[block.start : block.stop] = block.values
    for (i, j), (forward, backward, again) in zip(chosen, found.reshape(-1, 3), strict=True):
        allowed = SWAPPED_TOLERANCE * max(1.0, abs(forward))
        if abs(forward - backward) > allowed >= abs(forward - again):
            raise ValueError(
                f"{entry.pair(i, j)} is {forward}, but {entry.pair(j, i)} is {backward}: the "
                "kernel is not symmetric; y=x computes every pair on its own"
            )
