"""A worker, driven by hand: functions once, batches in order, regions mapped, a cell kept."""

import os
import pickle
import select
from time import monotonic

import numpy as np
import pytest

import shoal
from shoal.tasks.dispatch import Batch
from shoal.tasks.envelope import CELL_BATCH, CELL_POSITION, CELL_WORDS, Calling, load_reply
from shoal.tasks.processes import channel, inside_worker
from shoal.tasks.processes.dispatcher import Packer
from shoal.tasks.processes.handle import WorkerHandle
from shoal.tasks.processes.launching import Launching
from shoal.tasks.processes.memory import SHARED_BYTES
from shoal.tasks.processes.supervisor import Supervisor
from shoal.tasks.processes.worker import BUDGET_SECONDS, RETURNING, Trimmer
from tests.faults.watching import until


class Driven:
    """One worker without a supervisor: parcels in, messages out."""

    def __init__(self):
        self.launching = Launching(1)
        self.handle = WorkerHandle(1, self.launching)
        self.supervisor = Supervisor(1)  # only numbers functions

    def packer(self, function, calling=None, **options):
        return Packer(self.supervisor, function, calling or Calling(), limit=1, **options)

    def give(self, packer, items, start=0):
        """Sends a batch; gives the answer and what came before it."""
        parcel = packer.parcel(Batch(start, items), None)
        self.handle.give(parcel)
        messages = self.messages_until(parcel.tag)
        self.handle.release()
        reply = messages.pop()
        return load_reply(reply.parts[0], reply.parts[1:]), messages

    def run(self, packer, items, start=0):
        return self.give(packer, items, start)[0]

    def messages_until(self, tag):
        messages, end = [], monotonic() + 30
        while not messages or (messages[-1].kind, messages[-1].tag) != (channel.REPLY, tag):
            writers = [self.handle.end] if self.handle.outbox else []
            assert select.select([self.handle.end], writers, [], end - monotonic())[:2] != ([], [])
            self.handle.outbox.flush(self.handle.end)
            messages += self.handle.inbox.read(self.handle.end)
            assert not self.handle.inbox.closed
        return messages

    def close(self):
        self.handle.close()
        self.launching.close()
        self.supervisor.stop()


@pytest.fixture(scope="module")
def driven():
    made = Driven()
    yield made
    made.close()


def double(x):
    return 2 * x


def test_a_batch_comes_back_with_its_values_from_another_process(driven):
    ended = driven.run(driven.packer(double), [1, 2, 3])
    assert ended.values == [2, 4, 6]
    assert ended.raised == {}
    assert int(ended.worker.rpartition(":")[2]) != os.getpid()


def test_one_worker_serves_many_functions_and_batches(driven):
    packers = [driven.packer(lambda x, k=k: k * x) for k in range(5)]
    for start in range(10):
        for k, packer in enumerate(packers):
            assert driven.run(packer, [start], start).values == [k * start]


@pytest.mark.parametrize(
    ("calling", "items", "values"),
    [
        (Calling("one"), [(1, 2)], [((((1, 2),), {}))]),
        (Calling("star"), [(1, 2)], [((1, 2), {})]),
        (Calling("task"), [((1,), {"a": 2})], [((1,), {"a": 2})]),
    ],
)
def test_items_are_called_in_their_style(driven, calling, items, values):
    packer = driven.packer(lambda *args, **kwargs: (args, kwargs), calling)
    assert driven.run(packer, items).values == values


def test_items_have_the_indices_of_the_whole_input(driven):
    seed = np.random.SeedSequence(2)
    packer = driven.packer(lambda x, rng: rng.random(), Calling(seed=seed))
    expected = [np.random.default_rng(child).random() for child in seed.spawn(12)]
    assert driven.run(packer, [0] * 5, start=7).values == expected[7:]


def test_an_array_as_a_batch_is_called_by_rows(driven):
    rows = np.arange(6.0).reshape(3, 2)
    assert driven.run(driven.packer(lambda row: row.sum()), rows).values == [1.0, 5.0, 9.0]


def test_shared_arrays_are_read_only_and_those_of_one_task_are_its_own(driven):
    shared, own = np.zeros(SHARED_BYTES), np.zeros(SHARED_BYTES // 8)

    def writable(x):
        return shared.flags.writeable, x.flags.writeable

    assert driven.run(driven.packer(writable, lasting=True), [own]).values == [(False, True)]


def test_a_shared_array_is_mapped_once_for_all_batches_of_a_call(driven):
    array = np.arange(SHARED_BYTES)
    packer = driven.packer(lambda a: (a.ctypes.data, int(a[-1])), lasting=True)
    answers = [driven.run(packer, [array]).values[0] for _ in range(4)]
    assert {last for _, last in answers} == {SHARED_BYTES - 1}
    assert len({address for address, _ in answers[1:]}) == 1


def test_a_function_that_cannot_be_loaded_is_told_with_each_batch(driven):
    class Refuses:
        def __call__(self, x):
            return x

        def __reduce__(self):
            return (__import__, ("no_such_module_anywhere",))

    packer = driven.packer(Refuses())
    for _ in range(2):
        [raised] = driven.run(packer, [1]).raised.values()
        assert raised.kind == "function"
        assert "no_such_module_anywhere" in raised.text
    assert driven.run(driven.packer(double), [1]).values == [2]


def test_an_input_that_cannot_be_loaded_spoils_its_batch_and_not_the_worker(driven):
    class Refuses:
        def __reduce__(self):
            return (__import__, ("no_such_module_anywhere",))

    packer = driven.packer(double)
    ended = driven.run(packer, [1, Refuses()])
    assert list(ended.raised) == [-1]
    assert ended.raised[-1].kind == "input"
    assert driven.run(packer, [1]).values == [2]


@pytest.mark.parametrize("error", [SystemExit(2), KeyboardInterrupt(), GeneratorExit()])
def test_nothing_that_a_task_raises_ends_the_worker(driven, error):
    def fails(x):
        raise error

    packer = driven.packer(fails)
    ended = driven.run(packer, [1])
    assert ended.raised[0].type_name == type(error).__name__
    assert driven.run(driven.packer(os.getpid, Calling("task")), [((), {})]).worker == ended.worker


def test_prints_come_before_the_answer(driven):
    ended, before = driven.give(driven.packer(print), ["a", "b"])
    assert ended.values == [None, None]
    printed = b"".join(bytes(each.parts[0]) for each in before if each.kind == channel.PRINTED)
    assert printed == b"a\nb\n"


def test_after_a_batch_the_cell_names_it_and_no_item(driven):
    packer = driven.packer(double)
    parcel = packer.parcel(Batch(0, [1, 2]), None)
    driven.handle.give(parcel)
    driven.messages_until(parcel.tag)
    driven.handle.release()
    assert driven.handle._cell[CELL_BATCH] == parcel.tag
    assert driven.handle._cell[CELL_POSITION] == RETURNING


def test_a_forgotten_call_frees_its_arrays_in_the_worker(driven):
    def mapped(_):
        with open("/proc/self/maps") as maps:
            return sum("memfd:shoal-0" in line for line in maps)

    array = np.zeros(SHARED_BYTES)
    packer, look = driven.packer(lambda x: float(array[0])), driven.packer(mapped)
    [before] = driven.run(look, [1]).values
    driven.run(packer, [1])
    assert driven.run(look, [1]).values == [before + 1]
    assert driven.handle.forget(packer.call)
    packer.call.regions.close()
    assert driven.run(look, [1]).values == [before]


def test_a_large_answer_comes_whole(driven):
    [value] = driven.run(driven.packer(np.arange), [2_000_000]).values
    assert np.array_equal(value, np.arange(2_000_000))


def test_inside_a_worker_it_is_known(driven):
    assert driven.run(driven.packer(lambda _: inside_worker()), [1]).values == [True]
    assert not inside_worker()


def test_numerical_libraries_use_one_thread(driven):
    def threads(_):
        import threadpoolctl

        np.ones((50, 50)) @ np.ones((50, 50))
        return [info["num_threads"] for info in threadpoolctl.threadpool_info()]

    [found] = driven.run(driven.packer(threads), [1]).values
    assert found
    assert set(found) == {1}


def test_values_of_a_batch_are_not_kept_by_the_worker(driven):
    """What a batch returned is let go of before the next one arrives."""

    def resident(_):
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    look = driven.packer(resident)
    [before] = driven.run(look, [1]).values
    driven.run(driven.packer(np.ones), [10_000_000])
    [after] = driven.run(look, [1]).values
    assert after - before < 40_000_000


def test_the_rest_of_a_slow_batch_is_given_back_untouched():
    def slow_at_first(x):
        if x == 0:
            end = monotonic() + 3 * BUDGET_SECONDS
            while monotonic() < end:
                pass
        return x

    driven = Driven()
    try:
        ended = driven.run(driven.packer(slow_at_first), list(range(50)))
    finally:
        driven.close()
    assert ended.values == [0]


def test_a_batch_that_takes_long_is_trimmed_behind_the_running_item():
    cell = memoryview(bytearray(CELL_WORDS * 8)).cast("q")
    cell[CELL_POSITION] = 3
    trimmer, items = Trimmer(cell, lambda *_: None), list(range(100))
    trimmer.watch(items, 0)
    until(lambda: len(items) < 100)
    trimmer.rest()
    assert items == [0, 1, 2, 3]


def test_a_batch_that_is_still_loading_keeps_its_first_item():
    cell = memoryview(bytearray(CELL_WORDS * 8)).cast("q")
    cell[CELL_POSITION] = -1
    trimmer, items = Trimmer(cell, lambda *_: None), list(range(100))
    trimmer.watch(items, 0)
    until(lambda: len(items) < 100)
    trimmer.rest()
    assert items == [0]


def test_a_batch_that_has_ended_is_not_trimmed():
    cell = memoryview(bytearray(CELL_WORDS * 8)).cast("q")
    trimmer, ended, watched = Trimmer(cell, lambda *_: None), list(range(9)), list(range(9))
    trimmer.watch(ended, 0)
    trimmer.rest()
    trimmer.watch(watched, 0)
    until(lambda: len(watched) < 9)
    trimmer.rest()
    assert len(ended) == 9


def test_a_slow_input_leaves_the_others_to_other_workers():
    def slow_at_first(x):
        if x == 0:
            end = monotonic() + 4 * BUDGET_SECONDS
            while monotonic() < end:
                pass
        return x, os.getpid()

    results = shoal.map(slow_at_first, range(20), batch_size=1, max_workers=2)
    assert [x for x, _ in results] == list(range(20))
    assert any(pid != results[0][1] for _, pid in results[1:])


def test_inputs_behind_one_that_waits_for_them_are_run_by_others(tmp_path):
    gate = tmp_path / "gate"

    def first_waits_for_last(x):
        if x == 0:
            until(gate.exists)
        if x == 19:
            gate.touch()
        return x

    results = shoal.map(first_waits_for_last, range(20), batch_size=20, max_workers=2)
    assert results == list(range(20))


def test_what_is_given_back_is_told_with_the_tag_of_its_batch():
    cell = memoryview(bytearray(CELL_WORDS * 8)).cast("q")
    cell[CELL_BATCH] = 7
    told, items = [], list(range(100))
    trimmer = Trimmer(cell, lambda *message: told.append(message))
    trimmer.watch(items, 7)
    until(lambda: told)
    trimmer.rest()
    assert told == [(channel.TRIMMED, 7, [b"2"])]
    assert items == [0]


def test_a_calling_travels_as_its_fields():
    calling = Calling("star", np.random.SeedSequence(1), timed=True)
    fields = (calling.style, calling.seed, calling.timed)
    style, seed, timed = pickle.loads(pickle.dumps(fields))
    assert (style, timed) == ("star", True)
    assert seed.entropy == 1
