"""The pairs of rows that a kernel function is called with: numbered, kept in a file, put in place.

Without y, pair k is (i, j) with i ≤ j and k = j (j + 1) / 2 + i, so that rows added to x add pairs
at the end. With y, k = i n_y + j.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from math import isqrt
from typing import Any

import numpy as np

from shoal.errors import CheckpointUnreadable
from shoal.tasks import Checkpoint, function_parts, part, version_parts

ROW_DIGEST_BYTES = 16


@dataclass(frozen=True)
class Pairs:
    """All pairs of one matrix, by number; travels to each worker once.

    Attributes:
        rows: A digest of each row of x.
        columns: The same of y; None where the matrix is that of x with itself.
    """

    rows: tuple[bytes, ...]
    columns: tuple[bytes, ...] | None

    @classmethod
    def of(cls, x: np.ndarray, y: np.ndarray | None) -> Pairs:
        """The pairs of the rows of x and y, or of x and x."""
        return cls(_digests(x), None if y is None else _digests(y))

    def __len__(self) -> int:
        n = len(self.rows)
        return n * (n + 1) // 2 if self.columns is None else n * len(self.columns)

    def __getitem__(self, index: int, /) -> Mapping[str, int]:
        if self.columns is not None:
            i, j = divmod(index, len(self.columns))
        else:
            j = (isqrt(8 * index + 1) - 1) // 2
            i = index - j * (j + 1) // 2
        return {"i": i, "j": j}

    def __reduce__(self) -> Any:
        """Workers need only how many rows there are."""
        columns = None if self.columns is None else (b"",) * len(self.columns)
        return Pairs, ((b"",) * len(self.rows), columns)

    def matrix(self, values: np.ndarray) -> np.ndarray:
        """The values of all pairs as a matrix, mirrored where they are those of x with itself."""
        n = len(self.rows)
        if self.columns is not None:
            return values.reshape(n, len(self.columns))
        matrix = np.empty((n, n))
        for j in range(n):
            start = j * (j + 1) // 2
            matrix[: j + 1, j] = matrix[j, : j + 1] = values[start : start + j + 1]
        return matrix

    def places(self, indices: np.ndarray, old: Pairs) -> np.ndarray:
        """The numbers here of pairs of `old`, of the same rows; -1 where there are none."""
        if (self.columns is None) != (old.columns is None):
            return np.full(len(indices), -1)
        rows = _places(self.rows, old.rows)
        if self.columns is None or old.columns is None:
            last = ((np.sqrt(8.0 * indices + 1) - 1) / 2).astype(np.int64)
            last -= last * (last + 1) // 2 > indices  # the root of a large number may be rounded up
            last += (last + 1) * (last + 2) // 2 <= indices
            one, other = rows[indices - last * (last + 1) // 2], rows[last]
            low, high = np.minimum(one, other), np.maximum(one, other)
            return np.where(low < 0, -1, high * (high + 1) // 2 + low)
        columns = _places(self.columns, old.columns)
        i, j = np.divmod(indices, len(old.columns))
        known = (rows[i] >= 0) & (columns[j] >= 0)
        return np.where(known, rows[i] * len(self.columns) + columns[j], -1)


def _digests(rows: np.ndarray) -> tuple[bytes, ...]:
    kind = f"{rows.dtype.str}{rows.shape[1:]}".encode()
    return tuple(
        blake2b(kind + row.tobytes(), digest_size=ROW_DIGEST_BYTES).digest() for row in rows
    )


def _places(now: Sequence[bytes], before: Sequence[bytes]) -> np.ndarray:
    """For each row before, its place now: the same one, else the first that equals it, else -1."""
    first: dict[bytes, int] = {}
    for place, row in enumerate(now):
        first.setdefault(row, place)
    same = min(len(now), len(before))
    return np.array(
        [
            place if place < same and now[place] == row else first.get(row, -1)
            for place, row in enumerate(before)
        ],
        np.int64,
    )


@contextmanager
def stored(path: Any, kernel: Callable[..., Any], pairs: Pairs) -> Iterator[Checkpoint | None]:
    """The file of computed pairs, locked while the body runs; None without a path.

    Raises:
        shoal.errors.CheckpointError: If it belongs to another kernel, or is in use.
    """
    if path is None:
        yield None
        return
    parts = [*function_parts(kernel), part("entries", "one for each pair"), *version_parts()]
    layout = pickle.dumps((pairs.rows, pairs.columns))
    with Checkpoint(path, parts, layout=layout, total=len(pairs)) as file:
        yield file


def recalled(file: Checkpoint | None, pairs: Pairs, values: np.ndarray) -> Sequence[int]:
    """Fills in the values that the file holds; returns the pairs that are yet to be computed."""
    for section in [] if file is None else file.sections:
        old = Pairs(*pickle.loads(section.layout))
        for record in section.records:
            try:
                found = record.load()
            except CheckpointUnreadable:  # it has warned; these pairs are computed again
                continue
            places = pairs.places(record.indices, old)
            values[places[places >= 0]] = found[places >= 0]
    missing = np.flatnonzero(np.isnan(values))
    return range(len(pairs)) if len(missing) == len(pairs) else missing.tolist()
