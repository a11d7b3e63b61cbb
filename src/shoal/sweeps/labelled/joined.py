"""The record of merged sweeps: both provenances, and the errors of points that still have none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from shoal.sweeps.labelled.provenance import (
    DETAILS,
    MOST_ERRORS,
    Joined,
    Live,
    Record,
    live_in,
    told_types,
    types_in,
    versions,
    written,
)
from shoal.sweeps.labelled.states import DONE, FAILED, MISSING, states_in, told_states

if TYPE_CHECKING:
    from shoal.sweeps.labelled.merging import Part


class Failures:
    """The failed points of one sweep, by their number in it."""

    def __init__(self, part: Part) -> None:
        record = part.record
        failed = np.flatnonzero(states_in(record) == FAILED).tolist()
        self.types = dict(zip(failed, types_in(record), strict=True))
        self.told = {each["index"]: each for each in record["errors"]}
        self.heads = record["tracebacks"]
        self._live = live_in(part.dataset.attrs)
        self._lively = self._live.errors if self._live is not None else {}

    def origin(self, number: int) -> tuple[Live, int] | None:
        """The sweep in this process that knows the exception; None where none does."""
        if self._live is None or number not in self._lively:
            return None
        return self._live.origin(number)


def joined_record(
    parts: Sequence[Part], sizes: Mapping[str, int], labels: Mapping[str, Mapping[str, Any]]
) -> Record:
    """The record of merged sweeps; where both failed at a point, the second one's error.

    Args:
        parts: The sweeps, with the places of their points in the merged one.
        sizes: The dimensions of the merged sweep.
        labels: The coordinates along each of them alone.
    """
    states = np.full(prod(sizes.values()), MISSING, np.uint8)
    source, numbers = np.zeros(states.size, np.int8), np.zeros(states.size, np.int64)
    for wanted in (FAILED, DONE):
        for which, part in enumerate(parts):
            chosen = part.states == wanted
            places = part.places[chosen]
            states[places], source[places] = wanted, which
            numbers[places] = part.numbers[chosen]
    failed = np.flatnonzero(states == FAILED).tolist()
    failures = [Failures(part) for part in parts]
    told: list[dict[str, Any]] = []
    heads, types, origins = {"": 0}, [], {}
    for index in failed:
        known, number = failures[source[index]], int(numbers[index])
        types.append(known.types[number])
        origin = known.origin(number)
        if origin is not None:
            origins[index] = origin
        if number in known.told and len(told) < MOST_ERRORS:
            entry = known.told[number]
            head = heads.setdefault(known.heads[entry["traceback"]], len(heads))
            told.append({**entry, "index": index, "traceback": head})
    first = parts[0].record
    contents = {
        "function": _functions(parts),
        "merged": [each for part in parts for each in _sweeps(part.record)],
        "versions": versions(),
        "points": states.size,
        "failed": len(failed),
        "missing": int((states == MISSING).sum()),
        "dims": dict(sizes),
        "parameters": first["parameters"],
        "constants": first["constants"],
        "errors": told,
        "tracebacks": [*heads],
        "states": told_states(states, labels) if states.any() else None,
        "types": told_types(types),
    }
    return written(contents, Joined(origins) if origins else None)


def _functions(parts: Sequence[Part]) -> str:
    return ", ".join(dict.fromkeys(part.record["function"] for part in parts))


def _sweeps(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The provenance of each sweep that a record is of."""
    whole = {key: value for key, value in record.items() if key not in DETAILS}
    return list(whole.get("merged") or [whole])
