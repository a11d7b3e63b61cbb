"""The parent's side of sending: the function once, big arrays once, inputs by the batch."""

from __future__ import annotations

import functools
import io
import os
import pickle
import sys
import sysconfig
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import cloudpickle

from shoal.tasks.adapters import Needs, Pickler, needs_behind
from shoal.tasks.envelope import MOST_BUFFERS, PROTOCOL
from shoal.tasks.inputs import ATOMS
from shoal.tasks.model import function_not_sent
from shoal.tasks.processes.channel import close_quietly
from shoal.tasks.processes.memory import SHARED_BYTES, region_with

APART_BYTES = 32 * 1024
MOST_REGIONS = 64
STACK_GLOBAL = b"\x93"
MEMOIZE, BINGET, LONG_BINGET = b"\x94hj"


@dataclass(slots=True)
class Packed:
    """A pickle with its large buffers apart.

    Attributes:
        data: The pickle.
        buffers: In the order in which unpickling asks for them: a buffer that travels with the
            message, or the number of a shared region.
        needs: Tells what the objects in it need.
    """

    data: bytes
    buffers: list[memoryview | int] = field(default_factory=list)
    needs: Callable[[], Needs] = Needs

    @property
    def regions(self) -> list[int]:
        """Numbers of the shared regions that a reader of this pickle needs."""
        return [buffer for buffer in self.buffers if isinstance(buffer, int)]

    @property
    def message_bytes(self) -> int:
        """Size of what travels in the message itself."""
        return len(self.data) + sum(
            buffer.nbytes for buffer in self.buffers if isinstance(buffer, memoryview)
        )

    def parts(self, regions: tuple[int, list[tuple[int, int]]]) -> list[Any]:
        """As parts of a message: the pickle, and where its buffers are, if it has any.

        Args:
            regions: Number of the call, and number and size of each region sent along.
        """
        if not self.buffers:
            return [self.data]
        layout = [buffer if isinstance(buffer, int) else None for buffer in self.buffers]
        inline = [buffer for buffer in self.buffers if isinstance(buffer, memoryview)]
        return [self.data, pickle.dumps((regions, layout), PROTOCOL), *inline]


class Regions:
    """The big arrays of one call: each in shared memory once, however many tasks use it.

    Attributes:
        descriptors: File descriptor and size of each region, by number.
        plain: Whether all inputs that were packed so far could be pickled the fast way.
    """

    def __init__(self) -> None:
        self.plain = True
        self.descriptors: dict[int, tuple[int, int]] = {}
        self._numbers: dict[tuple[int, int], int | None] = {}
        self._alive: dict[tuple[int, int], Any] = {}

    def add(self, buffer: memoryview) -> int:
        """Puts `buffer` in a region of its own; returns the region's number."""
        number = len(self.descriptors)
        self.descriptors[number] = (region_with(buffer, str(number)), buffer.nbytes)
        return number

    def when_repeated(self, buffer: memoryview) -> int | None:
        """The region of an array met before in this call; None for one met first.

        An array that one task alone uses is cheaper sent to it than shared. The array must keep
        its values while it lives; one that is gone by then was used by no other task.
        """
        key = (_address(buffer), buffer.nbytes)
        if key not in self._numbers:
            self._numbers[key] = None
            self._alive[key] = self._forgetting(_owner(buffer.obj), key)
            return None
        number = self._numbers[key]
        if number is None:
            number = self._numbers[key] = self.add(buffer)
        return number

    def _forgetting(self, owner: Any, key: tuple[int, int]) -> Any:
        """Keeps no array alive, but forgets its address with it; what else has memory is kept."""
        numbers, alive = self._numbers, self._alive

        def forget(_: object) -> None:
            numbers.pop(key, None)
            alive.pop(key, None)

        try:
            return weakref.ref(owner, forget)
        except TypeError:
            return owner

    def close(self) -> None:
        """Lets go of all regions; readers keep what they have mapped."""
        for descriptor, _ in self.descriptors.values():
            close_quietly(descriptor)
        self.descriptors = {}
        self._numbers.clear()
        self._alive.clear()


def _owner(array: Any) -> Any:
    """What holds the memory of an array: the array at the end of its chain of views."""
    import numpy as np

    while isinstance(array, np.ndarray) and array.base is not None:
        array = array.base
    return array


def _address(buffer: memoryview) -> int:
    """Where the buffer's bytes are: the same for an array and its views on all of them."""
    import numpy as np

    return int(np.frombuffer(buffer, "u1").__array_interface__["data"][0])


def pack(
    value: object, share: Callable[[memoryview], int | None], changed: Sequence[str] = ()
) -> Packed:
    """Pickles anything that cloudpickle takes, with large buffers apart.

    Args:
        share: Gives the region for a buffer of at least 1 MiB, or None to send it inline.
        changed: Modules whose functions and classes are sent by value.
    """
    buffers: list[memoryview | int] = []
    shared = 0

    def keep_apart(buffer: pickle.PickleBuffer) -> bool:
        nonlocal shared
        raw = buffer.raw()
        if len(buffers) >= MOST_BUFFERS or raw.nbytes < APART_BYTES:
            return True
        region = None
        if raw.nbytes >= SHARED_BYTES and shared < MOST_REGIONS:
            region = share(raw)
        shared += region is not None
        buffers.append(raw if region is None else region)
        return False

    with by_value(changed):
        stream = io.BytesIO()
        pickler = _Pickler(stream, PROTOCOL, buffer_callback=keep_apart)
        pickler.dump(value)
        return Packed(stream.getvalue(), buffers, pickler.needs)


class _Pickler(Pickler):
    """Also sends functions with a cache that no worker can import."""

    def reducer_override(self, obj: Any) -> Any:
        """As `pickle.Pickler.reducer_override`; such a function arrives with an empty cache."""
        if isinstance(obj, functools._lru_cache_wrapper) and not importable(obj):  # noqa: SLF001
            return _cached_again, (obj.__wrapped__, obj.cache_parameters())
        return super().reducer_override(obj)


def _cached_again(function: Callable[..., Any], parameters: dict[str, Any]) -> Any:
    return functools.lru_cache(**parameters)(function)


_registering = threading.Lock()
_registered: Counter[str] = Counter()


@contextmanager
def by_value(names: Sequence[str]) -> Iterator[None]:
    """Has cloudpickle send these modules by value, besides those that the user has registered."""
    mine = [_register(sys.modules[name]) for name in names if name in sys.modules]
    try:
        yield
    finally:
        for module in mine:
            _unregister(module)


def _register(module: ModuleType) -> ModuleType | None:
    with _registering:
        users = module.__name__ in cloudpickle.list_registry_pickle_by_value()
        if users and not _registered[module.__name__]:
            return None
        _registered[module.__name__] += 1
        if not users:
            cloudpickle.register_pickle_by_value(module)
        return module


def _unregister(module: ModuleType | None) -> None:
    if module is None:
        return
    with _registering:
        _registered[module.__name__] -= 1
        if not _registered[module.__name__]:
            cloudpickle.unregister_pickle_by_value(module)


def pack_batch(
    head: tuple[Any, ...],
    items: Sequence[Any],
    regions: Regions,
    *,
    lasting: bool,
    changed: Sequence[str] = (),
) -> Packed:
    """Pickles the inputs of a batch with what else it needs; plain inputs the fast way.

    Args:
        head: What the worker must know besides.
        lasting: Whether an array that is met again in this call still holds the same values.
    """
    if regions.plain:
        plain = _pickled_plain((head, items), items)
        if plain is not None:
            return Packed(plain)
        regions.plain = False  # nor will the next be: an input is not pickled twice to find out
    return pack((head, items), regions.when_repeated if lasting else _never, changed)


def _pickled_plain(value: object, items: Sequence[Any]) -> bytes | None:
    """The C pickler's bytes, where they name no class or function; else None.

    What is pickled by name must be known to the worker under that name, and classes of scripts
    and notebooks are not.
    """
    if type(items) not in (list, tuple, range):
        return None
    try:
        data = pickle.dumps(value, PROTOCOL, buffer_callback=_refuse)
    except Exception:  # cloudpickle may still know how
        return None
    if _may_load_names(data) and not ATOMS.issuperset(map(type, items)):
        return None
    return data


def _may_load_names(data: bytes) -> bool:
    """Whether a pickle may load something by name; False is certain, True is not.

    Names are loaded by one opcode, STACK_GLOBAL, right after the one that puts the second name on
    the stack: MEMOIZE of a new string, or BINGET or LONG_BINGET of one that was there before.
    Elsewhere the same bytes are parts of numbers and texts.
    """
    at = data.find(STACK_GLOBAL)
    while at >= 0:
        if data[at - 1] == MEMOIZE or data[at - 2] == BINGET or data[at - 5] == LONG_BINGET:
            return True
        at = data.find(STACK_GLOBAL, at + 1)
    return False


def _refuse(_buffer: pickle.PickleBuffer) -> None:
    """Ends pickling at the first array: those go by another way."""
    raise TypeError


def _never(_buffer: memoryview) -> None:
    return None


def pack_function(
    function: Callable[..., Any], regions: Regions, changed: Sequence[str]
) -> tuple[Packed, bool]:
    """Pickles the user's function.

    Returns:
        The pickle, and whether it is a reference by name: the same at every call.

    Raises:
        FunctionNotSent: If it cannot be pickled; the cause says why.
    """
    try:
        if importable(function) and function.__module__ not in changed:
            data = pickle.dumps(function, PROTOCOL)
            return Packed(data, needs=functools.partial(needs_behind, function)), True
        return pack(function, regions.add, changed), False
    except Exception as error:  # pickling runs the user's __reduce__, which may raise anything
        raise function_not_sent(function, error) from error


def importable(function: Callable[..., Any]) -> bool:
    """Whether a worker finds the very same function under its name."""
    module = sys.modules.get(getattr(function, "__module__", None) or "")
    name = getattr(function, "__qualname__", "")
    if module is None or module.__name__ == "__main__" or not hasattr(module, "__spec__"):
        return False
    return module.__spec__ is not None and getattr(module, name, None) is function


def _process_start() -> float:
    """When this process started, in seconds since the epoch; this import where unknown."""
    try:
        with open("/proc/self/stat", encoding="utf-8") as stat:
            ticks = int(stat.read().rpartition(")")[2].split()[19])
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError, ValueError):
        return time.time()
    return time.time() - age


_STARTED = _process_start()
_KINDS = ("stdlib", "platstdlib", "purelib", "platlib")
_LIBRARIES = tuple({sysconfig.get_path(kind) + os.sep for kind in _KINDS})
_REAL_LIBRARIES = tuple({os.path.realpath(path) + os.sep for path in _LIBRARIES})
_users: dict[str, str] = {}
_is_users: dict[str, bool] = {}
_seen: list[str] = []


def changed_modules() -> list[str]:
    """The user's modules whose file changed after this process started.

    Of these, what a worker would import and what this process runs may differ. Their functions
    are therefore sent by value: what runs is what the serial loop would have run.
    """
    global _seen
    loaded = list(sys.modules)
    if _seen != loaded:
        _seen = loaded
        _users.clear()
        for name in loaded:
            path = getattr(sys.modules.get(name), "__file__", None)
            if isinstance(path, str) and path.endswith(".py") and written_by_user(name):
                _users[name] = path
    changed = [name for name, path in _users.items() if _changed(path)]
    return _with_importers(changed) if changed else []


def _with_importers(changed: list[str]) -> list[str]:
    """The modules and those of the user's that have imported from them, however indirectly."""
    known = set(changed)
    while True:
        more = {name for name in set(_users) - known if _imports_from(name, known)}
        if not more:
            return sorted(known)
        known |= more


def _imports_from(name: str, known: set[str]) -> bool:
    values = list(vars(sys.modules[name]).values()) if name in sys.modules else []
    return any(
        (value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None))
        in known
        for value in values
    )


def written_by_user(name: str) -> bool:
    """Whether a module is neither a script nor a part of what was installed."""
    path = getattr(sys.modules.get(name), "__file__", None)
    ours = name == "__main__" or name.partition(".")[0] in ("shoal", "cloudpickle")
    if ours or not isinstance(path, str):
        return False
    if path not in _is_users:
        _is_users[path] = not path.startswith(_LIBRARIES) and not os.path.realpath(path).startswith(
            _REAL_LIBRARIES
        )
    return _is_users[path]


def _changed(path: str) -> bool:
    try:
        status = os.stat(path)
        return max(status.st_mtime, status.st_ctime) > _STARTED
    except OSError:
        return True
