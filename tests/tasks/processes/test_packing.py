"""What is sent: the function once, big arrays once and read-only, changed modules by value."""

import functools
import importlib
import os
import pickle
import subprocess
import sys
import threading
import time
from fractions import Fraction

import cloudpickle
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import shoal
from shoal import errors
from shoal.tasks.processes import packing
from shoal.tasks.processes.memory import SHARED_BYTES, map_read_only
from shoal.tasks.processes.packing import (
    APART_BYTES,
    MOST_REGIONS,
    Packed,
    Regions,
    changed_modules,
    importable,
    pack,
    pack_batch,
    pack_function,
)
from tests.searching import examples

BIG = 2 * SHARED_BYTES // 8  # items of 8 bytes that are twice what is worth sharing
LONG_AGO = 1_000_000_000


def open_descriptors():
    return len(os.listdir("/proc/self/fd"))


def loaded(packed, regions):
    """What a worker makes of a packed value."""
    shared = {
        number: map_read_only(os.dup(descriptor), size)
        for number, (descriptor, size) in regions.descriptors.items()
    }
    buffers = [shared[each] if isinstance(each, int) else each for each in packed.buffers]
    return pickle.loads(packed.data, buffers=buffers)


@pytest.fixture
def regions():
    made = Regions()
    yield made
    made.close()


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Makes a module of the user's; its file is as old as asked."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(packing, "_seen", [])
    made = []

    def make(name, text, *, changed):
        path = tmp_path / f"{name}.py"
        path.write_text(text)
        os.utime(path, None if changed else (LONG_AGO, LONG_AGO))
        importlib.invalidate_caches()
        made.append(name)
        return importlib.import_module(name), path

    yield make
    for name in made:
        sys.modules.pop(name, None)


class Slice:
    """A part of a buffer that is pickled apart, as array libraries do."""

    def __init__(self, buffer, start, stop):
        self.data = memoryview(buffer)[start:stop]

    def __reduce_ex__(self, protocol):
        return bytes, (pickle.PickleBuffer(self.data),)


# Big arrays.


def test_a_big_array_of_the_function_is_shared_and_read_only_in_the_worker(regions):
    array = np.arange(BIG)
    packed, by_reference = pack_function(lambda: array, regions, [])
    assert not by_reference
    assert packed.regions == [0]
    assert packed.message_bytes < SHARED_BYTES
    got = loaded(packed, regions)()
    assert np.array_equal(got, array)
    assert not got.flags.writeable


def test_an_array_met_again_in_a_call_lands_in_one_region(regions):
    array = np.arange(BIG, dtype=float)
    packed = [pack_batch((0,), [(array, at)], regions, lasting=True) for at in range(5)]
    assert len(regions.descriptors) == 1
    assert [each.regions for each in packed] == [[], [0], [0], [0], [0]]
    for at, each in enumerate(packed):
        _, [(got, place)] = loaded(each, regions)
        assert place == at
        assert np.array_equal(got, array)


@pytest.mark.parametrize("order", ["C", "F"])
def test_an_array_is_shared_in_whichever_order_its_memory_is(regions, order):
    array = np.asarray(np.arange(BIG, dtype=float).reshape(1024, -1), order=order)
    packed = [pack_batch((0,), [array], regions, lasting=True) for _ in range(4)]
    assert len(regions.descriptors) == 1
    assert [bool(each.regions) for each in packed] == [False, True, True, True]
    for each in packed:
        _, [got] = loaded(each, regions)
        assert np.array_equal(got, array)
        assert got.flags[f"{order}_CONTIGUOUS"]


def test_an_array_that_one_task_alone_uses_is_not_shared(regions):
    arrays = [np.full(BIG, at) for at in range(4)]
    for array in arrays:
        packed = pack_batch((0,), [array], regions, lasting=True)
        assert packed.regions == []
        assert packed.message_bytes > array.nbytes
    assert regions.descriptors == {}


def test_an_array_of_a_generator_is_never_taken_for_the_one_before(regions):
    array = np.zeros(BIG)
    for _ in range(3):
        pack_batch((0,), [array], regions, lasting=False)
        array += 1
    assert regions.descriptors == {}


def test_an_array_freed_during_the_call_is_not_taken_for_the_next_at_its_address(regions):
    for at in range(6):
        _, [got] = loaded(pack_batch((0,), [np.full(BIG, at)], regions, lasting=True), regions)
        assert got[0] == got[-1] == at


def test_two_parts_of_one_buffer_are_two_arrays(regions):
    buffer = bytearray(b"a" * SHARED_BYTES + b"b" * SHARED_BYTES)
    halves = [Slice(buffer, 0, SHARED_BYTES), Slice(buffer, SHARED_BYTES, 2 * SHARED_BYTES)]
    for _ in range(3):
        for half, letter in zip(halves, b"ab", strict=True):
            _, [got] = loaded(pack_batch((0,), [half], regions, lasting=True), regions)
            assert set(got) == {letter}


def test_more_big_arrays_than_regions_are_sent_along_with_the_message(regions):
    arrays = [np.full(SHARED_BYTES, at, "u1") for at in range(MOST_REGIONS + 3)]
    packed = pack(arrays, regions.add)
    assert len(packed.regions) == MOST_REGIONS
    assert [got[0] for got in loaded(packed, regions)] == list(range(MOST_REGIONS + 3))


def test_small_arrays_stay_in_the_pickle_and_middling_ones_travel_beside_it(regions):
    small, middling = np.zeros(APART_BYTES - 1, "u1"), np.zeros(APART_BYTES, "u1")
    packed = pack([small, middling], regions.add)
    assert [buffer.nbytes for buffer in packed.buffers] == [APART_BYTES]
    assert regions.descriptors == {}


def test_closing_regions_closes_their_descriptors():
    before, made = open_descriptors(), Regions()
    made.add(memoryview(bytes(SHARED_BYTES)))
    assert open_descriptors() == before + 1
    made.close()
    made.close()
    assert open_descriptors() == before


@examples(40)
@given(
    sizes=st.lists(st.sampled_from([0, 1, 100, APART_BYTES, SHARED_BYTES, BIG * 8]), max_size=5),
    picks=st.lists(st.integers(0, 4), max_size=8),
    lasting=st.booleans(),
)
def test_whatever_is_shared_every_input_arrives_with_its_own_contents(sizes, picks, lasting):
    arrays = [np.full(size, at, "u1") for at, size in enumerate(sizes)]
    regions = Regions()
    try:
        for pick in picks:
            if pick < len(arrays):
                items = [(arrays[pick], pick), arrays[pick]]
                packed = pack_batch((7,), items, regions, lasting=lasting)
                head, [(one, number), other] = loaded(packed, regions)
                assert (head, number) == ((7,), pick)
                assert one.tolist() == other.tolist() == arrays[pick].tolist()
    finally:
        regions.close()


def test_in_a_whole_call_a_repeated_array_is_equal_everywhere():
    array = np.random.default_rng(1).random(BIG)
    sums = shoal.map(lambda a, k: float(a.sum()) + k, [array] * 20, range(20), batch_size=1)
    assert sums == [float(array.sum()) + k for k in range(20)]


def test_an_array_changed_between_two_calls_is_sent_anew():
    array = np.zeros(BIG)

    def ends(_):
        return array[0], array[-1]

    for expected in (0.0, 1.0, 2.0):
        array[:] = expected
        assert shoal.map(ends, range(4)) == [(expected, expected)] * 4
        assert shoal.map(np.max, [array] * 4, batch_size=1) == [expected] * 4


# Inputs.


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(st.text(), inner),
)


@given(items=st.lists(plain) | st.lists(plain).map(tuple) | st.builds(range, st.integers(0, 99)))
def test_plain_inputs_arrive_as_they_were(items):
    regions = Regions()
    packed = pack_batch((1, "head"), items, regions, lasting=True)
    assert packed.buffers == []
    head, got = loaded(packed, regions)
    assert head == (1, "head")
    assert list(got) == list(items)


def test_inputs_of_local_classes_and_lambdas_arrive_by_value(regions):
    class Local:
        x = 5

    packed = pack_batch((), [Local(), lambda: 6, Local], regions, lasting=True)
    program = (
        "import pickle, sys; _, got = pickle.load(sys.stdin.buffer); print(got[0].x, got[1]())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], input=packed.data, capture_output=True, check=True
    )
    assert done.stdout == b"5 6\n"


def test_inputs_of_classes_are_pickled_once_as_soon_as_a_call_is_known_to_have_them(regions):
    class Counted:
        pickled = 0

        def __reduce__(self):
            Counted.pickled += 1
            return Fraction, (1, 2)

    for _ in range(3):
        assert loaded(pack_batch((), [Counted()], regions, lasting=True), regions)[1] == [0.5]
    assert Counted.pickled == 4


@pytest.mark.parametrize("what", [sys.stdout, threading.Lock(), (each for each in "a")])
def test_an_input_that_cannot_be_pickled_raises_what_pickling_raises(regions, what):
    with pytest.raises((TypeError, pickle.PicklingError)):
        pack_batch((), [1, what], regions, lasting=True)


# The function.


def test_a_function_of_a_module_is_a_reference_by_name(regions):
    for function in (os.getpid, np.linalg.norm, pow, len):
        packed, by_reference = pack_function(function, regions, [])
        assert by_reference
        assert pickle.loads(packed.data) is function
        assert importable(function)


def nothing():
    """A function of this module."""


def test_only_what_a_worker_finds_under_the_same_name_is_importable():
    assert importable(nothing)
    assert not importable(lambda: 0)
    assert not importable(threading.Thread.join)
    assert not importable([].append)
    assert not importable(functools.partial(nothing))


def test_a_function_replaced_under_its_name_is_sent_by_value(regions, monkeypatch):
    original = nothing
    monkeypatch.setattr(sys.modules[__name__], "nothing", abs)
    assert not importable(original)
    _, by_reference = pack_function(original, regions, [])
    assert not by_reference


def test_a_function_that_cannot_be_pickled_is_function_not_sent(regions):
    lock = threading.Lock()

    def holds_a_lock():
        return lock

    with pytest.raises(errors.FunctionNotSent, match="holds_a_lock") as caught:
        pack_function(holds_a_lock, regions, [])
    assert "lock" in str(caught.value)
    assert isinstance(caught.value.__cause__, TypeError)


def test_a_function_whose_pickling_raises_anything_is_function_not_sent(regions):
    class Odd:
        def __call__(self):
            pass

        def __reduce__(self):
            raise ZeroDivisionError("odd")

    with pytest.raises(errors.FunctionNotSent, match="ZeroDivisionError: odd"):
        pack_function(Odd(), regions, [])


# Modules that changed.


def test_a_module_older_than_the_process_is_not_changed(tmp_path, monkeypatch):
    (tmp_path / "settled_module.py").write_text("def f(x): return x + 1")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(packing, "_STARTED", time.time() + 60)
    made = importlib.import_module("settled_module")
    assert "settled_module" not in changed_modules()
    _, by_reference = pack_function(made.f, Regions(), changed_modules())
    assert by_reference


def test_a_module_changed_after_the_process_started_travels_by_value(module):
    made, path = module("edited_module", "one = 1\ndef f(x): return x + one", changed=True)
    assert "edited_module" in changed_modules()
    packed, by_reference = pack_function(made.f, Regions(), changed_modules())
    assert not by_reference
    path.unlink()
    program = "import pickle, sys; print(pickle.load(sys.stdin.buffer)(1))"
    done = subprocess.run(
        [sys.executable, "-c", program], input=packed.data, capture_output=True, check=True
    )
    assert done.stdout == b"2\n"


def test_what_this_process_holds_is_run_whatever_became_of_the_file(module):
    made, path = module("living_module", "def f(x): return x + 1", changed=False)
    assert shoal.map(made.f, range(4), max_workers=2) == [1, 2, 3, 4]
    path.write_text("def f(x): return x + 100")
    assert shoal.map(made.f, range(4), max_workers=2) == [1, 2, 3, 4]
    importlib.reload(made)
    assert shoal.map(made.f, range(4), max_workers=2) == [100, 101, 102, 103]
    path.write_text("this is no program")
    assert shoal.map(made.f, range(4), max_workers=2) == [100, 101, 102, 103]


def test_classes_of_a_changed_module_come_back_as_instances_of_the_same_class(module):
    made, path = module(
        "module_with_class",
        "class Point:\n    def __init__(self, x): self.x = x\ndef f(x): return Point(x)",
        changed=True,
    )
    path.write_text("class Point: pass")
    results = shoal.map(made.f, range(3))
    assert [result.x for result in results] == [0, 1, 2]
    assert {type(result) for result in results} == {made.Point}


def test_a_module_that_takes_the_place_of_another_is_looked_at(module):
    module("module_before", "", changed=False)
    changed_modules()
    count = len(sys.modules)
    del sys.modules["module_before"]
    module("module_after", "", changed=True)
    assert len(sys.modules) == count
    assert "module_after" in changed_modules()


def test_libraries_are_not_the_users(monkeypatch):
    monkeypatch.setattr(packing, "_STARTED", 0.0)
    changed = changed_modules()
    assert not [
        name for name in changed if name.partition(".")[0] in ("numpy", "json", "shoal", "pytest")
    ]
    assert __name__ in changed


def test_a_module_that_the_user_sends_by_value_stays_so(module):
    made, _ = module("registered_module", "def f(x): return x", changed=True)
    cloudpickle.register_pickle_by_value(made)
    shoal.map(made.f, range(3))
    assert made.__name__ in cloudpickle.list_registry_pickle_by_value()
    cloudpickle.unregister_pickle_by_value(made)


def test_many_threads_may_send_functions_of_one_changed_module_at_once(module):
    made, _ = module("twice_used_module", "def f(x): return x", changed=True)
    start, raised = threading.Barrier(4), []

    def send():
        start.wait(20)
        try:
            for _ in range(200):
                packed = pack(made.f, Regions().add, [made.__name__])
                assert b"twice_used_module" in packed.data
        except Exception as error:  # noqa: BLE001
            raised.append(error)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.setswitchinterval(before)
    assert raised == []
    assert made.__name__ not in cloudpickle.list_registry_pickle_by_value()


def test_a_packed_value_knows_what_of_it_travels():
    packed = Packed(b"12345", [memoryview(bytes(100)), 3, 3, memoryview(bytes(10))])
    assert packed.regions == [3, 3]
    assert packed.message_bytes == 115
