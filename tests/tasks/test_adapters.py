import importlib
import pickle
import sys
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from functools import partial
from types import ModuleType

import pytest

import shoal
from shoal.tasks import adapters
from shoal.tasks.adapters import Adapter, adapter_of, dumps, needs_of
from shoal.tasks.processes.packing import Regions, pack_function


class Instrument:
    """Stands for an object of an SDK: holds what cannot be pickled."""

    def __init__(self, size):
        self.size = size
        self.handle = (each for each in ())


class Derived(Instrument):
    pass


def rebuilt(kind, size):
    return kind(size)


INSTRUMENT = Adapter(
    lambda each: (rebuilt, (type(each), each.size)),
    lambda each: each.size,
    "instruments are for one thread",
)


@pytest.fixture(autouse=True)
def an_sdk_with_an_adapter(monkeypatch):
    module = ModuleType("an_sdk_of_the_tests")
    module.INSTRUMENT = INSTRUMENT
    monkeypatch.setitem(sys.modules, module.__name__, module)
    table = {f"{__name__}.Instrument": f"{module.__name__}:INSTRUMENT"}
    monkeypatch.setattr(adapters, "TABLE", table)
    monkeypatch.setattr(adapters, "SDKS", frozenset([module.__name__]))
    adapter_of.cache_clear()
    yield
    adapter_of.cache_clear()


def using(instrument):
    return lambda x: (x, instrument.size)


def test_an_object_travels_as_its_adapter_says_and_so_do_those_of_derived_classes():
    for kind in (Instrument, Derived):
        with pytest.raises(TypeError, match="generator"):
            pickle.dumps(kind(3))
        arrived = pickle.loads(dumps([kind(3)]))[0]
        assert type(arrived) is kind
        assert arrived.size == 3


def test_what_has_no_adapter_travels_as_ever():
    assert adapter_of(int) is None
    assert pickle.loads(dumps(lambda x: x + 1))(2) == 3


class Foreign(Executor):
    """An executor that the engine does not know: it gets bytes."""

    def submit(self, fn, /, *args, **kwargs):
        future = Future()
        future.set_result(fn(*args, **kwargs))
        return future


def test_a_mapped_function_may_hold_such_an_object_on_any_executor():
    for executor in (None, Foreign()):
        got = shoal.map(using(Instrument(4)), range(3), executor=executor)
        assert got == [(0, 4), (1, 4), (2, 4)]


def test_the_needs_of_a_function_are_those_of_the_largest_object_it_holds():
    small, large = Instrument(4), Derived(9)
    needs = needs_of(lambda: (small, large))
    assert needs.memory_bytes == 9
    assert needs.no_threads == "instruments are for one thread"
    assert needs_of(len).memory_bytes == 0


def test_a_function_that_cannot_be_pickled_is_looked_through_as_far_as_that_goes():
    held, stuck = Instrument(5), (each for each in ())
    assert needs_of(lambda: (held, stuck)).memory_bytes == 5


def test_threads_are_refused_with_the_reason():
    with ThreadPoolExecutor(1) as pool:
        for executor in ("threads", pool):
            with pytest.raises(ValueError, match="instruments are for one thread"):
                shoal.map(using(Instrument(1)), [1], executor=executor)


def test_what_a_function_needs_is_met_while_it_is_packed():
    packed, _ = pack_function(using(Instrument(7)), Regions(), ())
    assert packed.needs().memory_bytes == 7
    packed, _ = pack_function(len, Regions(), ())
    assert packed.needs().memory_bytes == 0


@pytest.fixture
def imported(tmp_path, monkeypatch):
    """A user's module with a function that uses an instrument of its module."""
    text = "instrument = None\ndef read(x): return x, instrument\nclass Reader:\n"
    text += "    def __call__(self, x): return read(x)\n"
    (tmp_path / "the_users_module.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("the_users_module")
    sys.modules.pop("the_users_module")


def test_what_is_behind_a_function_or_a_class_that_is_imported_is_found_too(imported):
    imported.instrument = Instrument(6)
    for function in (imported.read, imported.Reader(), partial(imported.read, 1)):
        packed, _ = pack_function(function, Regions(), ())
        assert packed.needs().memory_bytes == 6
        assert needs_of(function).no_threads == "instruments are for one thread"


def test_behind_what_workers_import_is_looked_once_and_what_they_are_sent_every_time(imported):
    imported.instrument = Instrument(6)
    held = Instrument(1)
    function = partial(imported.read, held)
    assert needs_of(function).memory_bytes == 6
    imported.instrument.size = 60  # in this process alone
    held.size = 50
    assert needs_of(function).memory_bytes == 50
