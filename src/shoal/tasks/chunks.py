"""`Executor.map` for executors of our own: inputs in chunks, and an exception after its values."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from time import monotonic
from traceback import format_exc
from typing import Any

from shoal.tasks.model import describe_input

CHUNKS_PER_WORKER = 16


class ChunkedExecutor(Executor):
    """An executor whose `map` sends many calls in a message."""

    @property
    def width(self) -> int:
        """How many calls run at once."""
        raise NotImplementedError

    def map(
        self,
        fn: Callable[..., Any],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int | None = None,
    ) -> Iterator[Any]:
        """Calls `fn` on each of the zipped inputs, as `concurrent.futures.Executor.map`.

        All inputs are read, and all calls begin, at once. `shoal.map` and `shoal.imap` with
        ``executor=`` this one batch by measured cost and read lazily.

        Args:
            timeout: Seconds after which the iteration raises `TimeoutError`; None: none.
            chunksize: Calls per message; None cuts the inputs in 16 chunks a worker.
        """
        return map_in_chunks(
            self.submit,
            fn,
            iterables,
            timeout=timeout,
            chunksize=chunksize,
            workers=self.width,
        )


def map_in_chunks(
    submit: Callable[..., Future[Any]],
    fn: Callable[..., Any],
    iterables: tuple[Iterable[Any], ...],
    *,
    timeout: float | None,
    chunksize: int | None,
    workers: int,
) -> Iterator[Any]:
    """Begins all calls at once and gives their results in order, as `Executor.map` does.

    Args:
        submit: Begins one call of a chunk.
        timeout: Seconds after which the iteration raises `TimeoutError`; None: none.
        chunksize: Calls per chunk; None cuts the inputs in 16 chunks a worker.
        workers: How many calls run at once.

    Raises:
        ValueError: If chunksize is below 1.
    """
    if chunksize is not None and chunksize < 1:
        raise ValueError(f"chunksize={chunksize}: expected an integer of at least 1")
    inputs = list(zip(*iterables, strict=False))
    size = chunksize or max(math.ceil(len(inputs) / (CHUNKS_PER_WORKER * workers)), 1)
    end = None if timeout is None else monotonic() + timeout
    chunks = [submit(_call_chunk, fn, inputs[at : at + size]) for at in range(0, len(inputs), size)]
    return _results(chunks, end)


def _call_chunk(
    fn: Callable[..., Any], chunk: list[tuple[Any, ...]]
) -> tuple[list[Any], Exception | None]:
    """Values up to the first exception, and that; the reader raises it after those values."""
    values: list[Any] = []
    for arguments in chunk:
        try:
            values.append(fn(*arguments))
        except Exception as error:  # the function may raise anything
            error.add_note(f"shoal: on input {describe_input(arguments, {})}\n{format_exc()}")
            return values, error
    return values, None


def _results(chunks: list[Future[Any]], end: float | None) -> Iterator[Any]:
    try:
        for chunk in chunks:
            values, error = chunk.result(None if end is None else max(end - monotonic(), 0))
            yield from values
            if error is not None:
                raise error
    finally:
        for chunk in chunks:
            chunk.cancel()
