"""One envelope per batch: the loop a worker runs, and how results and exceptions travel back.

This file is all that a worker of any executor needs. It runs user code, so nothing in it may let a
task's exception, of whatever kind, end more than that task.
"""

from __future__ import annotations

import os
import pickle
import socket
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from time import monotonic_ns, process_time, thread_time
from typing import Any

import cloudpickle

from shoal.tasks.model import cut

TEXT_CHARACTERS = 64 * 1024
PROTOCOL = 5

# Words of the cell a worker shares with its supervisor.
CELL_BATCH, CELL_POSITION, CELL_STARTED = 0, 1, 2
CELL_WORDS = 3
Cell = list[int] | memoryview

MOST_BUFFERS = 500
WHOLE_BATCH = -1  # the position of what concerns all items, such as a function that fails to load
NO_BUFFERS = 1 << 62
FEWEST_IN_ARRAY = 8


@dataclass(frozen=True, slots=True)
class Calling:
    """How the items of a call become calls of the function.

    Attributes:
        style: ``"one"`` calls f(item), ``"star"`` f(*item), ``"task"`` f(*item[0], **item[1]);
            ``"indexed"`` takes an `Indexed` and items that are indices.
        seed: Root of the random streams; None passes no `rng`.
        timed: Whether each item is timed: needed for outcomes and for timeouts.
    """

    style: str = "one"
    seed: Any = None
    timed: bool = False

    def places(self, items: Sequence[Any], indices: Iterable[int]) -> Iterable[int]:
        """What seeds and places of results go by: the items themselves where they are indices."""
        return list(items) if self.style == "indexed" else indices


@dataclass(slots=True)
class Raised:
    """An exception on its way home.

    Attributes:
        type_name: Qualified name of its type.
        text: ``str(exception)``, cut to 64 KiB.
        traceback: The worker's traceback as text, cut to 64 KiB.
        pickled: The exception itself, where it survives pickling and is safe to raise again.
        exception: The object, where no process boundary was crossed.
        kind: ``"raised"`` by the function, or ``"input"`` or ``"result"`` for what cannot travel.
    """

    type_name: str
    text: str
    traceback: str
    pickled: bytes | None = None
    exception: BaseException | None = None
    kind: str = "raised"


@dataclass(slots=True)
class Ended:
    """What became of the first ``len(values)`` items of a batch.

    Attributes:
        values: One entry an item, in order; None where the item failed.
        raised: Position in the batch, or `WHOLE_BATCH`, to what was raised there.
        seconds: Time for all of them together.
        cpu_seconds: Processor time for all of them together: the process's, or the thread's where
            the caller shares the process.
        item_seconds: Time for each, when the call is timed.
        worker: ``"host:pid"``.
    """

    values: list[Any] = field(default_factory=list)
    raised: dict[int, Raised] = field(default_factory=dict)
    seconds: float = 0.0
    item_seconds: list[float] | None = None
    worker: str = ""
    cpu_seconds: float = 0.0


def worker_name() -> str:
    """This process, as ``"host:pid"``."""
    return _name_of(os.getpid())


@lru_cache(maxsize=8)
def _name_of(pid: int) -> str:
    return f"{socket.gethostname()}:{pid}"


def bind(function: Callable[..., Any], calling: Calling, out: Any = None) -> Callable[[Any], Any]:
    """The one-argument function that turns an item into a call.

    With a seed or with `out` it takes the item with its index: ``(index, item)``.
    """
    styled = _styled(function, calling.style)
    if calling.seed is None and out is None:
        return styled
    seed = calling.seed
    if seed is None:
        numbered = lambda pair: styled(pair[1])  # noqa: E731  (one of two, told apart here)
    else:
        from shoal.tasks.seeds import generator

        numbered = lambda pair: styled(pair[1], rng=generator(seed, pair[0]))  # noqa: E731
    if out is None:
        return numbered
    from shoal.tasks.inplace import writing

    return writing(out, numbered, strict=calling.style != "indexed")


def _styled(function: Callable[..., Any], style: str) -> Callable[..., Any]:
    if style == "one":
        return function
    if style == "star":
        return lambda item, **kwargs: function(*item, **kwargs)
    if style == "indexed":
        f, arguments = function.function, function.arguments  # type: ignore[attr-defined]
        return lambda item, **kwargs: f(**arguments[item], **kwargs)
    return lambda item, **kwargs: function(*item[0], **item[1], **kwargs)


def run_batch(
    function: Callable[..., Any],
    calling: Calling,
    items: list[Any],
    indices: Iterable[int],
    *,
    out: Any = None,
    cell: Cell | None = None,
    crossing: bool = True,
    interruptible: bool = False,
) -> Ended:
    """Calls the function on each item; every exception costs its own item only.

    Args:
        function: The user's function.
        calling: How an item becomes a call.
        items: The inputs. Another thread may cut the list short while it runs: the items that are
            gone are then not in the answer.
        indices: Index of each item in the whole input: for its random stream, and its place.
        out: Array that takes the results, instead of the answer.
        cell: Where the position of the running item, and its start in monotonic nanoseconds when
            timed, are written before it runs.
        crossing: Whether exceptions must be pickled, because the caller is another process.
        interruptible: Let `KeyboardInterrupt` through, because the caller's terminal sent it.

    Returns:
        Values and failures of the items that were run, in order.
    """
    call = bind(function, calling, out)
    if calling.seed is not None or out is not None:
        items[:] = list(zip(calling.places(items, indices), items, strict=False))
    shared: Cell = [0] * CELL_WORDS if cell is None else cell
    values: list[Any] = []
    raised: dict[int, Raised] = {}
    item_seconds: list[float] | None = [] if calling.timed else None
    cpu_time = process_time if crossing else thread_time
    begun, cpu_begun = monotonic_ns(), cpu_time()
    steps = (
        _steps(call, items, values, shared)
        if item_seconds is None
        else _timed_steps(call, items, values, shared, item_seconds)
    )
    for error in steps:
        if interruptible and isinstance(error, KeyboardInterrupt):
            raise error
        raised[len(values)] = capture(error, crossing=crossing)
        values.append(None)
    return Ended(
        values,
        raised,
        (monotonic_ns() - begun) * 1e-9,
        item_seconds,
        worker_name(),
        cpu_time() - cpu_begun,
    )


def _steps(
    call: Callable[[Any], Any], items: list[Any], values: list[Any], cell: Cell
) -> Iterable[BaseException]:
    """Appends each value; yields what each failing item raised. The hot loop of shoal."""
    keep = values.append
    todo = enumerate(items)
    while True:
        try:
            for cell[CELL_POSITION], item in todo:
                keep(call(item))
            return
        except BaseException as error:  # any kind of exception is this item's alone
            failed = error
        yield failed


def _timed_steps(
    call: Callable[[Any], Any],
    items: list[Any],
    values: list[Any],
    cell: Cell,
    item_seconds: list[float],
) -> Iterable[BaseException]:
    """As `_steps`, with the start of each item in the cell and its duration in a list."""
    keep = values.append
    todo = enumerate(items)
    started = monotonic_ns()
    while True:
        try:
            for position, item in todo:
                started = monotonic_ns()
                cell[CELL_STARTED] = started
                cell[CELL_POSITION] = position
                keep(call(item))
                item_seconds.append((monotonic_ns() - started) * 1e-9)
            return
        except BaseException as error:  # any kind of exception is this item's alone
            failed = error
            item_seconds.append((monotonic_ns() - started) * 1e-9)
        yield failed


def capture(error: BaseException, *, crossing: bool, kind: str = "raised") -> Raised:
    """Packs an exception so that it arrives whatever it is; never raises itself."""
    text = text_of(error)
    caught = Raised(
        type_name=_type_name(type(error)),
        text=cut(text, TEXT_CHARACTERS),
        traceback=cut(_traceback_of(error), TEXT_CHARACTERS),
        kind=kind,
    )
    if not isinstance(error, Exception) or isinstance(error, StopIteration | StopAsyncIteration):
        return caught
    if not crossing:
        caught.exception = error
    elif len(text) <= TEXT_CHARACTERS:
        caught.pickled = _pickled_exception(error)
    return caught


def _pickled_exception(error: Exception) -> bytes | None:
    """The exception as bytes that are known to load, or None; its traceback goes as text."""
    BaseException.with_traceback(error, None)  # or tblib, which Dask brings, sends every frame
    try:
        data: bytes = cloudpickle.dumps(error, protocol=PROTOCOL)
        if len(data) > 16 * TEXT_CHARACTERS:
            return None
        pickle.loads(data)
    except BaseException:  # its own __reduce__, __init__ or attributes may raise anything
        return None
    return data


def _type_name(kind: type[BaseException]) -> str:
    module = kind.__module__
    return (
        kind.__qualname__ if module in ("builtins", "__main__") else f"{module}.{kind.__qualname__}"
    )


def text_of(error: BaseException) -> str:
    """``str(error)``, or what is to be said where that fails."""
    try:
        return str(error)
    except Exception:  # a user's __str__ may raise anything
        return f"<{type(error).__name__} whose str() fails>"


def _traceback_of(error: BaseException) -> str:
    """The traceback as text, without shoal's own frames at its top."""
    tb = error.__traceback__
    while tb is not None and tb.tb_frame.f_code.co_filename == __file__:
        tb = tb.tb_next
    try:
        return "".join(traceback.format_exception(type(error), error, tb))
    except Exception:  # formatting calls the user's __str__ and __repr__
        return f"{_type_name(type(error))}: {text_of(error)}\n"


def revive(raised: Raised) -> Exception | None:
    """The original exception, or None where it cannot be raised again as itself."""
    if raised.exception is not None:
        return raised.exception if isinstance(raised.exception, Exception) else None
    if raised.pickled is None:
        return None
    try:
        error = pickle.loads(raised.pickled)
    except KeyboardInterrupt:
        raise
    except BaseException:  # what loaded in the worker may still not load here
        return None
    if not isinstance(error, Exception):
        return None
    return error.with_traceback(None)  # which tblib, that Dask brings, would have sent along


def dump_reply(ended: Ended, buffer_bytes: int) -> tuple[bytes, list[pickle.PickleBuffer]]:
    """Pickles what became of a batch; a value that cannot be pickled becomes its item's failure.

    Returns:
        The pickle, and the buffers of at least `buffer_bytes` bytes kept out of it, in the order
        in which unpickling asks for them.
    """
    try:
        return dump(_fields(ended), buffer_bytes)
    except Exception:  # user objects may raise anything while being pickled
        _fail_unpicklable_values(ended)
        return dump(_fields(ended), buffer_bytes)


def _fields(ended: Ended) -> tuple[Any, ...]:
    return (
        _as_array(ended.values),
        ended.raised,
        ended.seconds,
        ended.item_seconds,
        ended.worker,
        ended.cpu_seconds,
    )


def load_reply(data: bytes | bytearray, buffers: Iterable[Any]) -> Ended:
    """What `dump_reply` pickled; raises whatever unpickling the user's results raises."""
    values, *others = pickle.loads(data, buffers=buffers)
    return Ended(values if type(values) is list else list(values), *others)


def _as_array(values: list[Any]) -> Any:
    """Many numpy numbers of one type as one array, which is pickled ten times as fast."""
    numpy = sys.modules.get("numpy")
    if numpy is None or len(values) < FEWEST_IN_ARRAY or type(values[0]) not in _numbers(numpy):
        return values
    return numpy.array(values) if len(set(map(type, values))) == 1 else values


@lru_cache(maxsize=1)
def _numbers(numpy: Any) -> frozenset[type]:
    return frozenset(numpy.dtype(code).type for code in numpy.typecodes["AllInteger"] + "fdFD?")


def dump(value: object, buffer_bytes: int) -> tuple[bytes, list[pickle.PickleBuffer]]:
    """Pickles a result: by the C pickler where it can, by cloudpickle where it must.

    Safe in workers only: there, whatever is importable by name is importable in the parent too.
    """
    try:
        return _dump_by(pickle.dumps, value, buffer_bytes)
    except Exception:  # lambdas, notebook classes: cloudpickle sends them by value
        return _dump_by(cloudpickle.dumps, value, buffer_bytes)


def _dump_by(
    dumps: Callable[..., bytes], value: object, buffer_bytes: int
) -> tuple[bytes, list[pickle.PickleBuffer]]:
    apart: list[pickle.PickleBuffer] = []

    def keep_apart(buffer: pickle.PickleBuffer) -> bool:
        if len(apart) >= MOST_BUFFERS or buffer.raw().nbytes < buffer_bytes:
            return True
        apart.append(buffer)
        return False

    return dumps(value, PROTOCOL, buffer_callback=keep_apart), apart


def _fail_unpicklable_values(ended: Ended) -> None:
    for position, value in enumerate(ended.values):
        try:
            dump(value, NO_BUFFERS)
        except Exception as error:  # as above
            ended.values[position] = None
            ended.raised[position] = capture(error, crossing=True, kind="result")
