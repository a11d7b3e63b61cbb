"""What travels between a call, the supervisor and a worker: Call, Parcel, Lost."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from shoal.tasks.processes.packing import Packed, Regions

numbers = itertools.count(1)


@dataclass(slots=True, eq=False)
class Call:
    """What all batches of one call share.

    Attributes:
        function: The packed function.
        function_number: What workers know it by.
        limit: How many batches of the call may run at once.
        context: The packed surroundings that its tasks expect.
        timeout_seconds: Longest time one item may run, or None.
        regions: Its shared arrays.
        out: Shared array that takes the results, and its descriptor; None: they are sent back.
        number: What workers know the call by.
        running: How many of its batches are in workers now.
    """

    function: Packed
    function_number: int
    limit: int
    context: tuple[bytes, ...]
    timeout_seconds: float | None = None
    regions: Regions = field(default_factory=Regions)
    out: tuple[Any, int] | None = None
    number: int = 0
    running: int = 0


@dataclass(slots=True)
class Lost:
    """A worker that went down with a batch.

    Attributes:
        position: Which item of the batch it was running; negative when it was loading or returning.
        signal: The signal that ended it, or None.
        exit_code: Its exit status, or None.
        timed_out: Whether we ended it because the item ran too long.
        out_of_memory: Whether the kernel ran out of memory at that time.
        trace: The stack that a fatal signal left behind, as text.
        pid: Its process id.
    """

    position: int
    signal: int | None
    exit_code: int | None
    timed_out: bool
    out_of_memory: bool
    trace: str
    pid: int


@dataclass(frozen=True, slots=True)
class Trimmed:
    """A worker has given back all but the first `kept` items of its batch, and works on."""

    kept: int


Delivery = list[Any] | Lost | Trimmed | Exception


@dataclass(slots=True, eq=False)
class Parcel:
    """One batch on its way to a worker and back.

    Attributes:
        call: The call it belongs to.
        packed: The inputs, with what else the worker must know of them.
        deliver: Gets the parts of the reply, a `Lost`, or the error that ended the supervisor,
            and before that perhaps a `Trimmed`; None when nobody wants it any more.
        claim: Asked before the parcel is sent for the first time; False drops it.
        cancel: Called when the parcel is dropped before that; `deliver` is then not called.
        tag: Its number.
    """

    call: Call
    packed: Packed
    deliver: Callable[[Delivery], None] | None
    claim: Callable[[], bool] | None = None
    cancel: Callable[[], None] | None = None
    tag: int = field(default_factory=lambda: next(numbers))
