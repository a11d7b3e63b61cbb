"""What runs on the cluster: one batch, from its order to the bytes of its reply."""

from __future__ import annotations

import os
import pickle
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from shoal.tasks.envelope import NO_BUFFERS, Calling, Raised, capture, dump_reply, run_batch

MOST_FUNCTIONS = 4
FUNCTION = -1  # the number of the function among what is held on the cluster

# A pickle and its buffers: each travels along as an array of bytes, or is held under a number.
Parts = tuple[bytes, list[Any]]


@dataclass(frozen=True, slots=True)
class Order:
    """One batch: all that a worker needs besides what is held on the cluster.

    Attributes:
        key: What workers know the function by.
        function: The pickled function; None where it is held, under the number `FUNCTION`.
        items: The pickled inputs, as `packing.pack_batch` makes them.
        frozen: Whether each input is bytes, pickled when it was drawn.
        calling: How an input becomes a call.
        indices: Index of each input in the whole.
        held: Numbers of what is held, in the order in which it is handed to `run_there`.
        path: The caller's ``sys.path``.
    """

    key: str
    function: Parts | None
    items: Parts
    frozen: bool
    calling: Calling
    indices: range
    held: tuple[int, ...]
    path: tuple[str, ...]


_functions: OrderedDict[str, Callable[..., Any]] = OrderedDict()
_loading = threading.Lock()
_nesting = threading.local()


def inside_task() -> bool:
    """True in a task that runs on a cluster: parallel calls made here run inline.

    A task that waited for other tasks would hold the very place that they need.
    """
    return getattr(_nesting, "depth", 0) > 0


def run_there(order: Order, *held: Any) -> bytes | Raised:
    """Runs a batch where this is called; never raises what the user's code raises."""
    stock = dict(zip(order.held, held, strict=True))
    try:
        function = _loaded(order, stock)
    except BaseException as error:  # importing the user's modules may raise anything
        return capture(error, crossing=True, kind="function")
    try:
        _, items = _unpacked(order.items, stock)
        if order.frozen:
            items = [pickle.loads(item) for item in items]
    except BaseException as error:  # unpickling the user's objects may raise anything
        return capture(error, crossing=True, kind="input")
    _nesting.depth = getattr(_nesting, "depth", 0) + 1
    try:
        ended = run_batch(function, order.calling, list(items), order.indices)
    finally:
        _nesting.depth -= 1
    data, _ = dump_reply(ended, NO_BUFFERS)
    return data


def _loaded(order: Order, stock: dict[int, Any]) -> Callable[..., Any]:
    """The function, unpickled once for the calls that use it; the last few are kept."""
    with _loading:
        if order.key not in _functions:
            _look_where_the_caller_looks(order.path)
            parts = stock[FUNCTION] if order.function is None else order.function
            _functions[order.key] = _unpacked(parts, stock)
            while len(_functions) > MOST_FUNCTIONS:
                _functions.popitem(last=False)
        _functions.move_to_end(order.key)
        return _functions[order.key]


def _unpacked(parts: Parts, stock: dict[int, Any]) -> Any:
    """Unpickles; what is held is shared and read-only, what came along is the reader's own."""
    data, buffers = parts
    found = [
        memoryview(stock[buffer]).cast("B").toreadonly()
        if isinstance(buffer, int)
        else bytearray(buffer)
        for buffer in buffers
    ]
    return pickle.loads(data, buffers=found)


def _look_where_the_caller_looks(path: tuple[str, ...]) -> None:
    """Makes the caller's modules importable, where its folders exist here too."""
    known = set(sys.path)
    sys.path += [folder for folder in path if folder not in known and os.path.isdir(folder)]
