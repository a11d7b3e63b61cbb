"""Between the loop and an executor: batches out, answers in, whatever runs them."""

from __future__ import annotations

import pickle
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from queue import SimpleQueue
from typing import Any, Protocol

from shoal.errors import ExecutorBroken, ExecutorClosed
from shoal.tasks import adapters
from shoal.tasks.batching import BATCH_SECONDS
from shoal.tasks.envelope import (
    NO_BUFFERS,
    WHOLE_BATCH,
    Calling,
    Ended,
    Raised,
    capture,
    dump_reply,
    load_reply,
    run_batch,
)
from shoal.tasks.inputs import thawed
from shoal.tasks.model import function_not_sent, shorten

FOREIGN_WINDOW = 32


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive inputs that travel together.

    Attributes:
        start: Index of the first, from 0.
        items: The inputs, in order.
    """

    start: int
    items: Sequence[Any]

    @property
    def indices(self) -> range:
        """Indices of its inputs."""
        return range(self.start, self.start + len(self.items))

    def part(self, begin: int, end: int | None = None) -> Batch:
        """The inputs at positions `begin` up to `end`, as a batch of their own."""
        return Batch(self.start + begin, self.items[begin:end])


@dataclass(slots=True)
class Death:
    """The end of the worker that ran a batch.

    Attributes:
        position: The item it was running, or None when that is not known.
        cause: One sentence: what ended it.
        signal: Number of the signal, or None.
        exit_code: Exit status, or None.
        timed_out: Whether it was ended because the item ran too long.
        at_function: Whether it died while it was loading the function.
        trace: The stack it left, as text; may be empty.
        worker: ``"host:pid"``.
    """

    position: int | None
    cause: str
    signal: int | None = None
    exit_code: int | None = None
    timed_out: bool = False
    at_function: bool = False
    trace: str = ""
    worker: str = ""


@dataclass(slots=True)
class Answer:
    """What came back for a batch: exactly one of the following.

    Attributes:
        batch: The batch.
        ended: Values and exceptions of its first items; the others were not run.
        unreadable: Some item, or some result, could not be pickled or unpickled.
        death: Its worker died.
        error: Nothing more can be run at all.
        kept: Another answer follows, for the first so many items; the others are given back.
        message_bytes: Size of what travelled, both ways.
    """

    batch: Batch
    ended: Ended | None = None
    unreadable: Raised | None = None
    death: Death | None = None
    error: Exception | None = None
    kept: int | None = None
    message_bytes: int = 0


class Dispatcher(Protocol):
    """Runs the batches of one call on one executor.

    Attributes:
        workers: How many tasks run at once, as far as is known.
        window: How many batches to hand over before waiting for an answer.
        in_step: Whether it runs in the caller's thread, where each input must be drawn when the
            one before has been run: exactly the serial loop.
        batch_seconds: How long a batch should take, from 0: longer where sending one costs more.
    """

    workers: int
    window: int
    in_step: bool
    batch_seconds: float

    def send(self, batch: Batch) -> int:
        """Hands over a batch; an `Answer` will be received for it.

        Returns:
            Size of its inputs in bytes; 0 where they are not pickled, or cannot be.
        """

    def receive(self) -> Answer | None:
        """The next answer, in the order of completion; waits for it. None after `wake`."""

    def wake(self) -> None:
        """Has the `receive` that waits, or the next one, give None; called from any thread."""

    def withdraw(self, *, at_once: bool) -> None:
        """Drops what is still on its way; with `at_once`, what runs is killed if it can be."""

    def finish(self) -> None:
        """Frees what the call holds, when all answers are in."""


class SerialDispatcher:
    """Runs each batch here and now, an input at a time: the serial loop itself."""

    workers = 1
    window = 1
    in_step = True
    batch_seconds = BATCH_SECONDS

    def __init__(self, function: Callable[..., Any], calling: Calling, out: Any = None) -> None:
        self._function = function
        self._calling = calling
        self._out = out
        self._batch: Batch | None = None

    def send(self, batch: Batch) -> int:
        """Keeps the batch until its answer is asked for."""
        self._batch = batch
        return 0

    def receive(self) -> Answer:
        """Runs the batch. `KeyboardInterrupt` passes through."""
        batch, self._batch = self._batch, None
        if batch is None:
            raise LookupError("no batch was sent")
        ended = run_batch(
            self._function,
            self._calling,
            list(batch.items),
            batch.indices,
            out=self._out,
            crossing=False,
            interruptible=True,
        )
        return Answer(batch, ended)

    def wake(self) -> None:
        """Nobody waits here."""

    def withdraw(self, *, at_once: bool) -> None:
        """Nothing is on its way."""

    def finish(self) -> None:
        """Nothing is held."""


class FutureDispatcher:
    """Runs batches on any `concurrent.futures.Executor`.

    Thread pools of the standard library get the objects themselves; everything else gets bytes,
    so that an executor which pickles badly, or elsewhere, cannot spoil a task.
    """

    in_step = False
    batch_seconds = BATCH_SECONDS

    def __init__(
        self,
        executor: Executor,
        function: Callable[..., Any],
        calling: Calling,
        *,
        workers: int,
        window: int,
        owned: bool = False,
        out: Any = None,
    ) -> None:
        self.workers = workers
        self.window = window
        self._executor = executor
        self._owned = owned
        self._out = out
        self._calling = calling
        self._futures: dict[Future[Any], Batch] = {}
        self._sent_bytes: dict[Future[Any], int] = {}
        self._done: SimpleQueue[Future[Any] | None] = SimpleQueue()
        self._submit = (
            self._thread_submitter(function)
            if isinstance(executor, ThreadPoolExecutor)
            else self._bytes_submitter(function)
        )

    def _thread_submitter(self, function: Callable[..., Any]) -> Callable[[Batch], Future[Any]]:
        def submit(batch: Batch) -> Future[Any]:
            items = thawed(batch.items)
            return self._executor.submit(
                run_batch,
                function,
                self._calling,
                items,
                batch.indices,
                out=self._out,
                crossing=False,
            )

        return submit

    def _bytes_submitter(self, function: Callable[..., Any]) -> Callable[[Batch], Future[Any]]:
        key = uuid.uuid4().hex
        try:
            packed = adapters.dumps(function)
        except Exception as error:  # pickling runs the user's __reduce__, which may raise anything
            raise function_not_sent(function, error) from error

        def submit(batch: Batch) -> Future[Any]:
            items = adapters.dumps(thawed(batch.items))
            future = self._executor.submit(
                run_pickled, key, packed, self._calling, items, batch.indices
            )
            self._sent_bytes[future] = len(items)
            return future

        return submit

    def send(self, batch: Batch) -> int:
        """Submits the batch; what cannot be pickled is answered as unreadable."""
        try:
            future = self._submit(batch)
        except RuntimeError as error:
            future = Future()
            future.set_exception(ExecutorClosed(f"the executor takes no more work: {error}"))
        except Exception as error:  # pickling the user's inputs may raise anything
            future = Future()
            future.set_result(capture(error, crossing=False, kind="input"))
        self._futures[future] = batch
        sent_bytes = self._sent_bytes.get(future, 0)
        future.add_done_callback(self._done.put)
        return sent_bytes

    def receive(self) -> Answer | None:
        """The next answer; None after `wake`."""
        future = self._done.get()
        return None if future is None else self._answer(future)

    def _answer(self, future: Future[Any]) -> Answer:
        batch = self._futures.pop(future)
        try:
            result = future.result()
        except CancelledError as error:
            return Answer(batch, error=ExecutorClosed(f"the executor cancelled a batch: {error}"))
        except ExecutorClosed as error:
            return Answer(batch, error=error)
        except Exception as error:  # whatever a foreign executor raises for its own reasons
            return Answer(batch, error=_broken(self._executor, batch, error))
        if isinstance(result, Raised):
            return Answer(batch, unreadable=result)
        if isinstance(result, Ended):
            return Answer(batch, result)
        size = self._sent_bytes.pop(future, 0) + len(result)
        return write_here(read_reply(batch, result, (), size), self._calling, self._out)

    def wake(self) -> None:
        """Has `receive` give None."""
        self._done.put(None)

    def withdraw(self, *, at_once: bool) -> None:  # noqa: ARG002  (nothing here can be killed)
        """Cancels what has not begun; what runs on a foreign executor runs to its end."""
        for future in list(self._futures):
            with suppress(NotImplementedError):  # futures of some executors cannot be cancelled
                future.cancel()
        self._shut(wait=False)

    def finish(self) -> None:
        """Shuts a pool of our own down."""
        self._shut(wait=True)

    def _shut(self, *, wait: bool) -> None:
        if self._owned:
            self._executor.shutdown(wait=wait)


def _broken(executor: Executor, batch: Batch, error: Exception) -> ExecutorBroken:
    broken = ExecutorBroken(
        f"{type(executor).__name__} failed with {type(error).__name__}: {error}; "
        f"it was running inputs {batch.start} to {batch.indices[-1]}, from "
        f"{shorten(batch.items[0])} to {shorten(batch.items[-1])}. On executor='processes' only "
        "the input that ends its worker is lost, and named"
    )
    broken.__cause__ = error
    return broken


def run_pickled(
    key: str, function: bytes, calling: Calling, items: bytes, indices: range
) -> bytes | Raised:
    """What a worker of a foreign executor runs: bytes in, bytes out."""
    try:
        loaded = _loaded_function(key, function)
    except Exception as error:  # importing the user's modules may raise anything
        return capture(error, crossing=True, kind="function")
    try:
        arguments = pickle.loads(items)
    except Exception as error:  # unpickling the user's objects may raise anything
        return capture(error, crossing=True, kind="input")
    data, _ = dump_reply(run_batch(loaded, calling, list(arguments), indices), NO_BUFFERS)
    return data


@lru_cache(maxsize=8)
def _loaded_function(key: str, function: bytes) -> Callable[..., Any]:  # noqa: ARG001  (one load a call)
    loaded: Callable[..., Any] = pickle.loads(function)
    return loaded


def read_reply(
    batch: Batch, data: bytes | bytearray, buffers: Sequence[Any], message_bytes: int
) -> Answer:
    """The answer in a worker's reply, as `dump_reply` made it."""
    try:
        ended = load_reply(data, buffers)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # unpickling the user's results may raise anything
        return Answer(batch, unreadable=capture(error, crossing=False, kind="result"))
    if WHOLE_BATCH in ended.raised:
        return Answer(batch, unreadable=ended.raised[WHOLE_BATCH])
    return Answer(batch, ended, message_bytes=message_bytes)


def write_here(answer: Answer, calling: Calling, out: Any) -> Answer:
    """Writes the values of an answer into `out`, for workers that cannot; `out` may be None."""
    if out is None or answer.ended is None:
        return answer
    from shoal.tasks.inplace import write, written_or_kept

    ended = answer.ended
    places = list(calling.places(answer.batch.items, answer.batch.indices))
    for position, value in enumerate(ended.values):
        if position in ended.raised:
            continue
        if calling.style == "indexed":
            ended.values[position] = written_or_kept(out, places[position], value)
            continue
        try:
            write(out, places[position], value)
        except (TypeError, ValueError, OverflowError, IndexError) as error:
            ended.raised[position] = capture(error, crossing=False)
        ended.values[position] = None
    return answer
