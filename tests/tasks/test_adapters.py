import pickle
import sys
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from types import ModuleType

import pytest

import shoal
from shoal.tasks import adapters, executors
from shoal.tasks.adapters import Adapter, adapter_of, dumps, needs_of


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


def test_there_are_no_more_workers_than_fit_into_memory(monkeypatch):
    monkeypatch.setattr(executors, "available_cores", lambda: 8)
    monkeypatch.setattr(executors, "free_memory_bytes", lambda: 1000)
    for size, workers in ((300, 3), (5000, 1), (1, 8)):
        needs = needs_of(using(Instrument(size)))
        assert executors._workers_within_memory(needs) == workers
