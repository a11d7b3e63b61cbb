"""A sweep on the engine: points one by one or in blocks, and where what comes back goes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from shoal.errors import ResultNotReturned
from shoal.sweeps.grid import Grid
from shoal.sweeps.results import Results
from shoal.sweeps.stored import Stored
from shoal.sweeps.vectorized import BlockTable, OnBlocks, Sizing, Span, dealt, name_points
from shoal.tasks import NotWritten, Settled, run_indexed, shared_array, shorten

Todo = Sequence[int]
Failed = list[tuple[Span, Exception]]

IN_PLACE_BYTES = 64 * 1024
TRANSFER_BYTES_PER_SECOND = 1e9
WORTHWHILE = 0.05
SAMPLE = 8


@dataclass
class Running:
    """One sweep on its way.

    Attributes:
        function: The user's function.
        grid: The points.
        results: Takes the outputs.
        stored: The checkpoint.
        options: What the engine is to be told: the keyword arguments of `run_indexed`.
        workers: How many tasks run at once.
        worker_seconds: Time that all workers together have spent in the function.
        cpu_seconds: Processor time they have spent there.
        repeat: How many points blocks compute for one another, to be compared.
        repeated: Those points and what came of them there.
    """

    function: Callable[..., Any]
    grid: Grid
    results: Results
    stored: Stored
    options: Mapping[str, Any]
    workers: int
    worker_seconds: float = 0.0
    cpu_seconds: float = 0.0
    repeat: int = 0
    repeated: list[tuple[list[int], dict[str, np.ndarray]]] = field(default_factory=list)

    def details(self) -> dict[str, Any]:
        """What provenance tells of how the points were run."""
        seed = self.options["seed"]
        return {
            "worker_seconds": round(self.worker_seconds, 6),
            "cpu_seconds": round(self.cpu_seconds, 6),
            "executor": shorten(self.options["executor"]),
            "max_workers": self.workers,
            "threads_per_task": self.options["threads_per_task"],
            "seed": None if seed is None else shorten(seed),
            "points_from_checkpoint": self.stored.taken_over,
        }

    def run_points(self, todo: Todo) -> None:
        """Calls the function at each point; large arrays are then written in place."""
        begun, like = len(todo), None
        with closing(run_indexed(self.function, self.grid, todo, **self.options)) as settling:
            for block in settling:
                self._take(todo[block.start : block.stop], block)
                if like is None and len(block.errors) < len(block.values):
                    like = next((each for each in block.values if each is not None), None)
                    if self._better_in_place(block, len(todo) - block.stop):
                        begun = settling.begin_no_more()
        if begun < len(todo):
            self._run_in_place(todo[begun:], named=isinstance(like, Mapping))

    def _better_in_place(self, block: Settled, left: int) -> bool:
        """Whether moving the results costs enough to have the workers write them in place."""
        columns = self.results.columns.values()
        arrays = [column.data for column in columns if column.data is not None]
        if self.results.labelled or any(data.dtype.hasobject for data in arrays):
            return False
        point_bytes = sum(data[0].nbytes for data in arrays)
        if left < self.workers or point_bytes < IN_PLACE_BYTES:
            return False
        seconds = block.seconds / len(block.values)
        return bool(point_bytes / TRANSFER_BYTES_PER_SECOND > WORTHWHILE * seconds)

    def _run_in_place(self, todo: Todo, *, named: bool) -> None:
        """Has the workers write: into an array, or into the fields of one for several outputs."""
        columns = self.results.columns.items()
        fields = [
            (name, each.data.dtype, each.data.shape[1:])
            for name, each in columns
            if each.data is not None
        ]
        if len(fields) == 1 and not named:
            [(_, dtype, shape)] = fields
            out = shared_array((len(self.grid), *shape), dtype)
        else:
            out = shared_array(len(self.grid), np.dtype(fields, align=True))
        self.results.adopt(out)
        running = run_indexed(self.function, self.grid, todo, **self.options, out=out)
        with closing(running) as settling:
            for block in settling:
                self._take_written(todo[block.start : block.stop], block)

    def _take_written(self, indices: Todo, block: Settled) -> None:
        """Puts a block into the checkpoint: of what was written, and what did not fit there."""
        errors = {indices[at - block.start]: error for at, error in block.errors.items()}
        ended = [each for each in zip(indices, block.values, strict=True) if each[0] not in errors]
        written = [index for index, value in ended if type(value) is not NotWritten]
        self.results.written(written, [None] * len(written))
        self._keep(written, [self.results.value_at(index) for index in written], errors)
        for index, value in ended:
            if type(value) is NotWritten and not self._keep([index], [value.value], {}):
                self.results.put([index], [value.value])
        self._count(block)

    def _take(self, indices: Todo, block: Settled) -> None:
        """Puts a block of returned values into the checkpoint and the results."""
        values = block.values
        errors = {indices[at - block.start]: error for at, error in block.errors.items()}
        if errors:
            good = [at for at, index in enumerate(indices) if index not in errors]
            indices, values = [indices[at] for at in good], [values[at] for at in good]
        if lost := self._keep(indices, values, errors):
            good = [at for at, index in enumerate(indices) if index not in lost]
            indices, values = [indices[at] for at in good], [values[at] for at in good]
        self.results.put(_places(indices), values)
        self._count(block)

    def _keep(self, indices: Todo, values: Any, errors: Mapping[int, Exception]) -> set[int]:
        """Records what ended; returns the points whose value cannot be recorded, now failed.

        Values are a list, or an array for each output with the points along its first axis.
        """
        self.results.fail(errors)
        errors = {index: self.results.errors[index] for index in errors}
        try:
            self.stored.keep(indices, values, errors)
        except ResultNotReturned:
            pass
        else:
            return set()
        lost: dict[int, Exception] = {}
        for at, index in enumerate(indices):
            try:
                self.stored.keep([index], _chosen(values, [at]), {})
            except ResultNotReturned as error:
                lost[index] = error
        self.stored.keep([], [], {**errors, **lost})
        self.results.fail(lost)
        return set(lost)

    def _count(self, block: Settled) -> None:
        self.worker_seconds += block.seconds
        self.cpu_seconds += block.cpu_seconds

    def run_blocks(self, todo: Todo, sizing: Sizing) -> None:
        """Calls the function with blocks of points as arrays, sized by what the first ones need.

        A block that fails is halved until the points that make it fail are alone, unless no point
        of a sample goes well either: then all have failed.
        """
        left, failed, works = Span(0, len(todo)), Failed(), len(todo) <= SAMPLE
        while left:
            blocks = sizing.next_blocks(left)
            begun, more = self._run_spans(todo, blocks, sizing)
            left = Span(blocks[begun - 1].stop, left.stop)
            if self._raising:
                self._raise_first(todo, more)
                continue
            failed += more
            works = works or len(more) < begun or self._some_point_works(todo, sizing)
            if not works:
                last, error = failed.pop()
                self._fail(todo, [*failed, (Span(last.start, left.stop), error)])
                return
        while failed:
            self._fail(todo, [each for each in failed if len(each[0]) == 1])
            halves = [half for span, _ in failed for half in span.halves()]
            _, failed = self._run_spans(todo, halves)

    @property
    def _raising(self) -> bool:
        return bool(self.options["on_error"] == "raise")

    @property
    def on_blocks(self) -> OnBlocks:
        """The function as it is called with blocks."""
        names = tuple(each.name for each in self.grid.parameters)
        return OnBlocks(self.function, self.results.outputs, names)

    def _run_spans(
        self, todo: Todo, blocks: Sequence[Span], sizing: Sizing | None = None
    ) -> tuple[int, Failed]:
        """Runs blocks; returns how many were begun, from the first, and those that failed.

        With `sizing`, fewer than all are begun where it says that others would be better, or
        where one has failed whose error is to be raised.
        """
        begun, failed = len(blocks), Failed()
        guests = {} if sizing is None else dealt(blocks, self.repeat)
        table = BlockTable(self.grid, _compact(todo), blocks, guests)
        together = "auto" if sizing is None else 1
        options = {**self.options, "on_error": "return", "batch_size": together}
        running = run_indexed(self.on_blocks, table, range(len(blocks)), **options)
        with closing(running) as settling:
            for settled in settling:
                self._count(settled)
                enough = sizing is not None and self._raising and bool(settled.errors)
                for number, value in enumerate(settled.values, settled.start):
                    span = blocks[number]
                    if number in settled.errors:
                        failed.append((span, settled.errors[number]))
                        continue
                    arrays = value.arrays
                    if number in guests:
                        again = {name: array[len(span) :] for name, array in arrays.items()}
                        self.repeated.append(([todo[at] for at in guests[number]], again))
                        arrays = {name: array[: len(span)] for name, array in arrays.items()}
                    self._take_arrays(todo[span.start : span.stop], arrays)
                    if sizing is not None and sizing.measured(value.peak_bytes, len(span)):
                        enough = True
                if enough and begun == len(blocks):
                    begun = settling.begin_no_more()
        return begun, sorted(failed, key=lambda each: each[0].start)

    def _take_arrays(self, indices: Todo, arrays: dict[str, np.ndarray]) -> None:
        if lost := self._keep(indices, arrays, {}):
            good = [at for at, index in enumerate(indices) if index not in lost]
            indices, arrays = [indices[at] for at in good], _chosen(arrays, good)
        if indices:
            self.results.put_arrays(_places(indices), arrays)

    def _some_point_works(self, todo: Todo, sizing: Sizing) -> bool:
        """Whether any of a few points goes well, alone, where no block has."""
        count = min(SAMPLE, len(todo))
        places = np.random.default_rng(0).choice(len(todo), count, replace=False)
        alone = [Span(place, place + 1) for place in sorted(places.tolist())]
        begun, failed = self._run_spans(todo, alone, sizing)
        return len(failed) < begun

    def _raise_first(self, todo: Todo, failed: Failed) -> None:
        """Raises the error of the first point that fails alone, if one does."""
        while failed:
            (span, error), *later = failed
            if len(span) == 1:
                self._fail(todo, failed[:1])
                raise error
            _, more = self._run_spans(todo, span.halves())
            failed = [*more, *later]

    def _fail(self, todo: Todo, failed: Failed) -> None:
        """Records blocks that failed; the error of each is that of its points."""
        errors: dict[int, Exception] = {}
        for span, error in failed:
            indices = todo[span.start : span.stop]
            name_points(error, self.on_blocks, self.grid, indices)
            errors.update(dict.fromkeys(indices, error))
        if errors:
            self._keep([], [], errors)


def _chosen(values: Any, positions: list[int]) -> Any:
    """Some of the values: of a list, or of each of several arrays."""
    if isinstance(values, dict):
        return {name: array[positions] for name, array in values.items()}
    return [values[at] for at in positions]


def _places(indices: Todo) -> slice | list[int]:
    """The points as what an array is best indexed with."""
    if isinstance(indices, range) and indices.step == 1:
        return slice(indices.start, indices.stop)
    return [*indices]


def _compact(todo: Todo) -> range | np.ndarray:
    """The points to run, as something that travels well."""
    return todo if isinstance(todo, range) else np.asarray(todo)
