"""A worker's surroundings: the parent's directory, path and filters in; its prints and logs out."""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import os
import pickle
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cloudpickle

from shoal.tasks.processes import channel
from shoal.tasks.processes.limits import THREAD_VARIABLES
from shoal.tasks.processes.packing import by_value

Send = Callable[[int, int, list[Any]], None]
STDOUT, STDERR = 1, 2


@dataclass(frozen=True)
class Surroundings:
    """What a function may see of its process besides its arguments.

    Attributes:
        directory: The working directory.
        path: ``sys.path``.
        environment: Environment variables, except those that set numbers of threads.
        filters: ``warnings.filters``: a warning that is an error in the loop is one in a worker.
        levels: Name and level of each logger that has a level of its own; the root is ``""``.
        disabled: The level up to which all logging is disabled.
        numpy_errors: ``numpy.geterr()`` as items, empty where numpy is not loaded.
        decimal: The context of `decimal`, None where that is not loaded.
        recursion_limit: ``sys.getrecursionlimit()``.
    """

    directory: str
    path: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]
    filters: tuple[Any, ...]
    levels: tuple[tuple[str, int], ...]
    disabled: int
    numpy_errors: tuple[tuple[str, str], ...]
    decimal: Any
    recursion_limit: int


def current() -> Surroundings:
    """The surroundings of this process, now."""
    directory, path, _, *others = _glance()
    return Surroundings(directory, path, tuple(os.environ.items()), *others)


def _glance() -> tuple[Any, ...]:
    """All that `Surroundings` holds, read fast: this is done at every call."""
    # A module that another thread is importing just now has none of its names yet.
    numpy_state = getattr(sys.modules.get("numpy"), "geterr", None)
    decimal_state = getattr(sys.modules.get("decimal"), "getcontext", None)
    levels = [
        (name, logger.level)
        for name, logger in list(logging.root.manager.loggerDict.items())
        if isinstance(logger, logging.Logger) and logger.level
    ]
    raw = vars(os.environ).get("_data")  # its items need decoding, one by one, in Python
    return (
        _directory(),
        tuple(filter(_is_text, sys.path)),
        dict(os.environ if raw is None else raw),
        tuple(warnings.filters),
        (("", logging.root.level), *levels),
        logging.root.manager.disable,
        () if numpy_state is None else tuple(numpy_state().items()),
        None if decimal_state is None else _DecimalContext(decimal_state()),
        sys.getrecursionlimit(),
    )


def _is_text(entry: object) -> bool:
    return isinstance(entry, str)


def _directory() -> str:
    try:
        return os.getcwd()
    except OSError:  # the directory was removed under us; workers stay where they are
        return ""


class _DecimalContext:
    """A copy of a decimal context that can be compared."""

    def __init__(self, context: Any) -> None:
        self.context = context.copy()
        self.context.clear_flags()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _DecimalContext) and repr(self.context) == repr(other.context)

    __hash__ = None  # type: ignore[assignment]


_last: tuple[Any, tuple[bytes, ...]] = ((), ())


def packed_current(changed: Sequence[str] = ()) -> tuple[bytes, ...]:
    """The surroundings of this process as parts for a worker; the same object while unchanged.

    The filters have a part of their own: what they name may be found on the path of the others.

    Args:
        changed: Modules whose classes are sent by value, as with the function.
    """
    global _last
    glance = (*_glance(), changed)
    if glance != _last[0]:
        now = current()
        with by_value(changed):
            filters = _pickled(now.filters) or _pickled(())
        _last = (glance, (_pickled(replace(now, filters=())), filters))
    return _last[1]


def _pickled(value: Any) -> bytes:
    try:
        data: bytes = cloudpickle.dumps(value, protocol=5)
    except Exception:  # a filter may name a warning class that cannot be pickled
        return b""
    return data


def apply(parts: list[Any]) -> Surroundings:
    """Makes them this process's own; what is impossible here, such as a lost directory, is left."""
    surroundings: Surroundings = pickle.loads(parts[0])
    return_to(surroundings.directory)
    if tuple(sys.path) != surroundings.path:
        sys.path[:] = surroundings.path
        importlib.invalidate_caches()
    _apply_environment(dict(surroundings.environment))
    with contextlib.suppress(Exception):  # what a filter names may not exist here
        filters = pickle.loads(parts[1])
        warnings.resetwarnings()
        warnings.filters[:] = filters  # type: ignore[index]
    _apply_levels(dict(surroundings.levels))
    logging.disable(surroundings.disabled)
    if surroundings.numpy_errors:
        import numpy as np

        np.seterr(**dict(surroundings.numpy_errors))  # type: ignore[arg-type]
    if surroundings.decimal is not None:
        import decimal

        decimal.setcontext(surroundings.decimal.context)
    sys.setrecursionlimit(surroundings.recursion_limit)
    return surroundings


def return_to(directory: str) -> None:
    """Enters the directory, if it is known and another one than this; where it is lost, stays."""
    if directory and _directory() != directory:
        try:
            os.chdir(directory)
        except OSError as error:
            warnings.warn(f"a worker cannot enter the working directory: {error}", stacklevel=1)


def _apply_levels(levels: dict[str, int]) -> None:
    for name, logger in list(logging.root.manager.loggerDict.items()):
        if isinstance(logger, logging.Logger) and logger.level and name not in levels:
            logger.setLevel(logging.NOTSET)
    for name, level in levels.items():
        logging.getLogger(name or None).setLevel(level)


def _apply_environment(environment: dict[str, str]) -> None:
    for name in THREAD_VARIABLES:
        environment.pop(name, None)
    for name in set(os.environ) - set(environment) - set(THREAD_VARIABLES):
        del os.environ[name]
    for name, value in environment.items():
        if os.environ.get(name) != value:
            os.environ[name] = value


class _Stream(io.TextIOBase):
    """A text stream whose lines go to the supervisor."""

    def __init__(self, send: Send, number: int, original: Any) -> None:
        self._send = send
        self._number = number
        self._original = original
        self._pending = ""
        self._lock = threading.RLock()

    @property
    def buffer(self) -> Any:
        """The process's own byte stream, for those who write bytes."""
        return self._original.buffer

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """Always UTF-8."""
        return "utf-8"

    def fileno(self) -> int:
        """The descriptor of the process's own stream."""
        return int(self._original.fileno())

    def writable(self) -> bool:
        """Always True."""
        return True

    def write(self, text: str) -> int:
        """Takes text; sends it when a line is complete."""
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        with self._lock:
            self._pending += text
            if "\n" in text or len(self._pending) > 8192:
                self.flush()
        return len(text)

    def flush(self) -> None:
        """Sends what there is; drops it where the supervisor is gone, and nobody listens."""
        with self._lock:
            text, self._pending = self._pending, ""
        if text:
            data = text.encode("utf-8", "surrogatepass")
            with contextlib.suppress(BrokenPipeError):
                self._send(channel.PRINTED, self._number, [data])


class _ShippedRecords(logging.Handler):
    """Sends log records to the parent, whose handlers decide what becomes of them."""

    def __init__(self, send: Send) -> None:
        super().__init__()
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        """Sends one record with its message and traceback already text."""
        try:
            fields = dict(record.__dict__)
            fields["msg"], fields["args"] = record.getMessage(), None
            if record.exc_info:
                fields["exc_text"] = logging.Formatter().formatException(record.exc_info)
                fields["exc_info"] = None
            self._send(channel.LOGGED, 0, [_dumped(fields)])
        except Exception:  # logging must never fail a task
            self.handleError(record)


def _dumped(fields: dict[str, Any]) -> bytes:
    try:
        return pickle.dumps(fields, 5)
    except Exception:  # an extra field that cannot travel is sent as text
        return pickle.dumps({name: _plain(value) for name, value in fields.items()}, 5)


def _plain(value: Any) -> Any:
    return value if isinstance(value, int | float | str | type(None)) else repr(value)


@dataclass(frozen=True)
class Streams:
    """The captured streams of a worker."""

    out: _Stream
    err: _Stream

    def flush(self) -> None:
        """Sends unfinished lines."""
        self.out.flush()
        self.err.flush()


def capture_streams(send: Send) -> Streams:
    """Sends this process's prints, log records and warnings through `send` from now on."""
    streams = Streams(_Stream(send, STDOUT, sys.__stdout__), _Stream(send, STDERR, sys.__stderr__))
    sys.stdout, sys.stderr = streams.out, streams.err
    logging.root.handlers[:] = [_ShippedRecords(send)]

    def show(message: Any, category: Any, filename: str, lineno: int, *_: Any) -> None:
        try:
            data = cloudpickle.dumps((message, category, filename, lineno), protocol=5)
        except Exception:  # a warning class of the user's may not be picklable
            sys.stderr.write(warnings.formatwarning(message, category, filename, lineno))
            return
        send(channel.WARNED, 0, [data])

    warnings.showwarning = show  # type: ignore[assignment]
    return streams


_warned: dict[str, dict[Any, Any]] = {}


def show_message(kind: int, tag: int, data: bytes | bytearray | memoryview) -> None:
    """In the parent: prints, logs or warns what a worker has sent."""
    if kind == channel.PRINTED:
        _print(
            bytes(data).decode("utf-8", "surrogatepass"),
            sys.stdout if tag == STDOUT else sys.stderr,
        )
    elif kind == channel.LOGGED:
        record = logging.makeLogRecord(pickle.loads(data))
        logging.getLogger(record.name).handle(record)
    elif kind == channel.WARNED:
        message, category, filename, lineno = pickle.loads(data)
        registry = _warned.setdefault(filename, {})
        warnings.warn_explicit(message, category, filename, lineno, registry=registry)


def _print(text: str, stream: Any) -> None:
    if stream is None:
        return
    bars = sys.modules.get("tqdm")
    if bars is not None and getattr(bars.tqdm, "_instances", None):
        bars.tqdm.write(text, file=stream, end="")
    else:
        stream.write(text)
        stream.flush()
