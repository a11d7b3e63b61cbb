"""Whether a vectorised function says what it should: against a reference, or against itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np

from shoal.errors import VerificationFailed
from shoal.sweeps.grid import Grid
from shoal.sweeps.results import Results
from shoal.sweeps.running import Running
from shoal.sweeps.vectorized import BlockTable, Span
from shoal.tasks import part, run_indexed, shorten

MOST_CORNERS = 256
MOST_SHOWN = 5


@dataclass(frozen=True)
class Check:
    """How a vectorised sweep is checked.

    Attributes:
        reference: The function of one point that says what is right; None: other blocks do.
        points: How many random points are looked at, besides the corners of the grid.
        rtol: Relative tolerance.
        atol: Absolute tolerance.
    """

    reference: Callable[..., Any] | None
    points: int
    rtol: float
    atol: float


def verify(check: Check, running: Running) -> list[tuple[Mapping[str, Any], str]]:
    """Compares the results at some points with what they should be; returns where they differ.

    With a reference: at every corner of the grid and at random points. Without: random points
    that blocks have computed for one another; where none have, as one block of their own.
    """
    grid, results = running.grid, running.results
    options = {**running.options, "progress": False, "on_error": "return", "batch_size": "auto"}
    if check.reference is None and running.repeated:
        found, points = _in_other_blocks(results, running.repeated)
        filled = results.filled()
        compared = [(position, index) for position, index in enumerate(points) if filled[index]]
        return _differences(check, grid, results, found, compared)
    chosen = _chosen(check, grid, results)
    if not chosen:
        return []
    if check.reference is None:
        found = _as_one_block(running, chosen, options)
    else:
        found = _by_reference(check.reference, grid, results, chosen, options)
    return _differences(check, grid, results, found, list(enumerate(chosen)))


def _differences(
    check: Check,
    grid: Grid,
    results: Results,
    found: Results,
    compared: Sequence[tuple[int, int]],
) -> list[tuple[Mapping[str, Any], str]]:
    """Where what was found, by position, differs from the results, by index."""
    differing: list[tuple[Mapping[str, Any], str]] = []
    for position, index in compared:
        error = found.errors.get(position)
        if error is not None:
            text = f"{_who(check)} raised {type(error).__name__}: {error}"
        else:
            text = _difference(check, found, position, results, index)
        if text:
            differing.append((grid.point(index), text))
    return differing


def _in_other_blocks(
    results: Results, repeated: Sequence[tuple[list[int], Mapping[str, Any]]]
) -> tuple[Results, list[int]]:
    """What blocks have computed for one another, and which points these are."""
    points = [index for indices, _ in repeated for index in indices]
    found, at = Results(results.outputs, len(points)), 0
    for indices, arrays in repeated:
        found.put_arrays([*range(at, at + len(indices))], arrays)
        at += len(indices)
    return found, points


def _chosen(check: Check, grid: Grid, results: Results) -> list[int]:
    """The points to look at, of those that have a value; the same at every call."""
    filled = results.filled()
    known = np.flatnonzero(filled)
    random = np.random.default_rng(0).choice(known, min(check.points, len(known)), replace=False)
    wanted = random.tolist()
    if check.reference is not None:
        wanted = [*corners(grid), *wanted]
    return [index for index in dict.fromkeys(wanted) if filled[index]]


def corners(grid: Grid) -> list[int]:
    """The points at which every dimension is at its first or its last place, at most 256."""
    found = np.zeros(1, np.int64)
    for size in grid.sizes.values():
        ends = np.unique([0, size - 1])
        found = (found[:, np.newaxis] * size + ends).ravel()
        if len(found) > MOST_CORNERS:
            found = found[np.linspace(0, len(found) - 1, MOST_CORNERS).astype(int)]
    return [int(index) for index in found]


def _by_reference(
    reference: Callable[..., Any],
    grid: Grid,
    results: Results,
    chosen: Sequence[int],
    options: Mapping[str, Any],
) -> Results:
    found = Results(results.outputs, len(chosen))
    with closing(run_indexed(reference, grid, [*chosen], **options)) as settling:
        for block in settling:
            found.fail(block.errors)
            for position, value in enumerate(block.values, block.start):
                if position not in block.errors:
                    found.put([position], [value])
    found.finish()
    return found


def _as_one_block(running: Running, chosen: Sequence[int], options: Mapping[str, Any]) -> Results:
    table = BlockTable(running.grid, np.asarray(chosen), [Span(0, len(chosen))])
    found = Results(running.results.outputs, len(chosen))
    with closing(run_indexed(running.on_blocks, table, range(1), **options)) as settling:
        [settled] = settling
    if settled.errors:
        found.fail(dict.fromkeys(range(len(chosen)), settled.errors[0]))
    else:
        found.put_arrays([*range(len(chosen))], settled.values[0].arrays)
    found.finish()
    return found


def _difference(check: Check, found: Results, position: int, results: Results, index: int) -> str:
    """How a point differs from what was found for it; empty where it does not."""
    if set(found.columns) != set(results.columns):
        return f"the outputs are {sorted(results.columns)}, expected {sorted(found.columns)}"
    for name, column in found.columns.items():
        given = results.columns[name].data
        if column.data is None or given is None or not column.filled[position]:
            continue
        if not _close(given[index], column.data[position], check):
            value, wanted = shorten(given[index]), shorten(column.data[position])
            return f"{name} = {value}, expected {wanted}"
    return ""


def _close(given: Any, wanted: Any, check: Check) -> bool:
    """Whether two values agree, by the criterion of `numpy.isclose`; two NaN do."""
    if np.shape(given) != np.shape(wanted):
        return False
    try:
        near = np.isclose(given, wanted, rtol=check.rtol, atol=check.atol, equal_nan=True)
    except TypeError:  # no numbers
        return _same(given, wanted)
    return bool(np.all(near))


def _same(given: Any, wanted: Any) -> bool:
    """Whether two values that are no numbers are equal; NaN, in whatever they hold, is."""
    if part("", _plain(given)).digest == part("", _plain(wanted)).digest:
        return True
    try:
        return bool(np.all(given == wanted))
    except (TypeError, ValueError):  # their == gives no truth value
        return False


def _plain(value: Any) -> Any:
    """Text and numbers of numpy as those of Python, so that they are equal when they mean it."""
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else value


def _who(check: Check) -> str:
    return "the reference" if check.reference is not None else "the function"


def failed(
    check: Check, differing: Sequence[tuple[Mapping[str, Any], str]], dataset: Any
) -> VerificationFailed:
    """The error for results that are not what they should be."""
    shown = "\n".join(
        f"  at {', '.join(f'{name}={shorten(value)}' for name, value in point.items())}: {text}"
        for point, text in differing[:MOST_SHOWN]
    )
    more = len(differing) - MOST_SHOWN
    against = "its reference" if check.reference is not None else "itself in a block of its own"
    error = VerificationFailed(
        f"the vectorised function differs from {against} at {len(differing)} of the points looked "
        f"at (rtol={check.rtol:g}, atol={check.atol:g}):\n{shown}"
        + (f"\n  and {more} more" if more > 0 else "")
        + "\nWhat was computed is in this error's .dataset"
    )
    error.dataset, error.disagreements = dataset, tuple(differing)
    return error
