"""A batch always comes back whole: each item its own value or its own error, whatever it is."""

import pickle
import socket
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.tasks.envelope import (
    CELL_POSITION,
    CELL_STARTED,
    CELL_WORDS,
    MOST_BUFFERS,
    TEXT_CHARACTERS,
    Calling,
    Ended,
    bind,
    capture,
    dump_reply,
    load_reply,
    revive,
    run_batch,
    worker_name,
)
from shoal.tasks.indexed import Indexed, NotWritten
from shoal.tasks.seeds import check_seed, generator

KINDS = [ValueError, KeyError, StopIteration, StopAsyncIteration, SystemExit, KeyboardInterrupt]
KINDS += [GeneratorExit, MemoryError, RecursionError, BaseException]


class DoesNotLoad(Exception):
    def __init__(self, first, second):
        super().__init__(f"{first}{second}")


class DoesNotPickle(Exception):
    def __reduce__(self):
        raise TypeError("not me")


class HoldsALock(Exception):
    def __init__(self):
        super().__init__("locked")
        self.lock = threading.Lock()


class NoText(Exception):
    def __str__(self):
        raise ValueError("no text")

    __repr__ = __str__


def negative_raises(item):
    """Minus n raises the n-th kind; everything else is doubled."""
    if item < 0:
        raise KINDS[-item - 1](f"at {item}")
    return 2 * item


def caught(error):
    try:
        raise error
    except BaseException as raised:  # noqa: BLE001
        return raised


items = st.lists(st.integers(-len(KINDS), 20), max_size=30)


@given(items=items, timed=st.booleans(), crossing=st.booleans())
def test_every_exception_of_whatever_kind_costs_its_own_item_only(items, timed, crossing):
    ended = run_batch(
        negative_raises, Calling(timed=timed), list(items), range(len(items)), crossing=crossing
    )
    assert ended.values == [2 * item if item >= 0 else None for item in items]
    assert list(ended.raised) == [at for at, item in enumerate(items) if item < 0]
    for at, raised in ended.raised.items():
        assert raised.type_name == KINDS[-items[at] - 1].__name__
        assert str(items[at]) in raised.text
        assert raised.kind == "raised"
    assert ended.worker == worker_name()
    if timed:
        assert len(ended.item_seconds) == len(items)
        assert 0 <= sum(ended.item_seconds) <= ended.seconds + 1e-6
    else:
        assert ended.item_seconds is None


def test_a_call_may_be_interrupted_where_the_terminal_is_the_callers():
    with pytest.raises(KeyboardInterrupt):
        run_batch(negative_raises, Calling(), [1, -6, 2], range(3), interruptible=True)


@pytest.mark.parametrize("timed", [False, True])
def test_the_cell_tells_which_item_is_running_and_since_when(timed):
    cell = memoryview(bytearray(CELL_WORDS * 8)).cast("q")
    seen = []

    def look(_):
        seen.append((cell[CELL_POSITION], cell[CELL_STARTED]))

    run_batch(look, Calling(timed=timed), list("abcd"), range(4), cell=cell)
    assert [position for position, _ in seen] == [0, 1, 2, 3]
    starts = [started for _, started in seen]
    if timed:
        assert starts == sorted(starts)
        assert starts[0] > 0
    else:
        assert set(starts) == {0}


@given(cut=st.integers(1, 10), timed=st.booleans(), raising=st.booleans())
def test_items_cut_off_while_the_batch_runs_are_not_in_the_answer(cut, timed, raising):
    items = list(range(10))

    def cutting(item):
        if item == 0:
            del items[cut:]
        if raising and item % 2:
            raise ValueError(item)
        return item

    ended = run_batch(cutting, Calling(timed=timed), items, range(10))
    assert len(ended.values) == cut
    assert [value for value in ended.values if value is not None] == [
        item for item in range(cut) if not (raising and item % 2)
    ]
    assert set(ended.raised) == {item for item in range(cut) if raising and item % 2}


def test_each_style_makes_its_own_call():
    def f(*args, **kwargs):
        return args, kwargs

    assert bind(f, Calling("one"))((1, 2)) == (((1, 2),), {})
    assert bind(f, Calling("star"))((1, 2)) == ((1, 2), {})
    assert bind(f, Calling("task"))(((1,), {"a": 2})) == ((1,), {"a": 2})


@pytest.mark.parametrize(
    ("style", "item", "args"),
    [("one", 7, (7,)), ("star", (7, 8), (7, 8)), ("task", ((7,), {}), (7,))],
)
def test_a_seeded_call_gets_the_generator_of_its_index(style, item, args):
    def f(*args, rng):
        return args, rng.random()

    seed = check_seed(5)
    ended = run_batch(f, Calling(style, seed), [item] * 3, range(40, 43))
    assert ended.values == [(args, generator(seed, index).random()) for index in range(40, 43)]


@pytest.mark.parametrize("kind", KINDS)
def test_only_ordinary_exceptions_come_back_as_themselves(kind):
    revived = revive(capture(caught(kind("text")), crossing=True))
    if issubclass(kind, Exception) and kind not in (StopIteration, StopAsyncIteration):
        assert type(revived) is kind
        assert revived.args == ("text",)
    else:
        assert revived is None


@pytest.mark.parametrize("crossing", [False, True])
@pytest.mark.parametrize("kind", [StopIteration, StopAsyncIteration, SystemExit, GeneratorExit])
def test_what_would_confuse_the_caller_is_not_revived_on_either_side_of_a_boundary(kind, crossing):
    assert revive(capture(caught(kind()), crossing=crossing)) is None


@pytest.mark.parametrize(
    "error",
    [DoesNotLoad(1, 2), DoesNotPickle("x"), HoldsALock(), NoText(), ValueError("y" * 10**6)],
)
def test_an_exception_that_cannot_travel_comes_back_as_text(error):
    raised = capture(caught(error), crossing=True)
    revived = revive(raised)  # tblib, which dask brings along, lets some of these travel
    assert revived is None or type(revived) is type(error)
    assert raised.type_name.endswith(type(error).__name__)
    assert type(error).__name__ in raised.traceback
    assert len(raised.text) <= TEXT_CHARACTERS
    assert len(raised.traceback) <= TEXT_CHARACTERS
    pickle.loads(pickle.dumps(raised))


def test_an_exception_that_stays_here_is_the_object_itself():
    error = caught(HoldsALock())
    assert revive(capture(error, crossing=False)) is error


def test_attributes_and_notes_of_an_exception_travel():
    error = OSError(2, "gone", "file.txt")
    error.add_note("a note")
    error.extra = [1, 2]
    revived = revive(capture(caught(error), crossing=True))
    assert (revived.errno, revived.filename, revived.extra) == (2, "file.txt", [1, 2])
    assert revived.__notes__ == ["a note"]


def test_an_exception_group_travels():
    group = ExceptionGroup("many", [ValueError(1), KeyError(2)])
    revived = revive(capture(caught(group), crossing=True))
    assert [type(each) for each in revived.exceptions] == [ValueError, KeyError]


def test_a_local_exception_class_travels_by_value():
    class Local(Exception):
        pass

    assert type(revive(capture(caught(Local("x")), crossing=True))).__name__ == "Local"


def test_the_traceback_starts_at_the_users_function_and_keeps_what_it_was_raised_from():
    def fails(_):
        try:
            {}["inner"]
        except KeyError as error:
            raise ValueError("outer") from error

    [raised] = run_batch(fails, Calling(), [1], range(1)).raised.values()
    assert "in fails" in raised.traceback
    assert "in _steps" not in raised.traceback
    assert raised.traceback.index("KeyError") < raised.traceback.index("ValueError: outer")
    assert "direct cause" in raised.traceback


def there_and_back(values, least=1 << 20):
    data, apart = dump_reply(Ended(values=list(values)), least)
    return load_reply(data, apart)


def test_all_that_became_of_a_batch_comes_back():
    ended = run_batch(negative_raises, Calling(timed=True), [1, -1, 2], range(3))
    data, apart = dump_reply(ended, 1 << 20)
    assert load_reply(data, apart) == ended


@given(bad=st.sets(st.integers(0, 9)))
def test_a_result_that_cannot_be_pickled_is_the_failure_of_its_own_item(bad):
    values = [threading.Lock() if at in bad else [at] for at in range(10)]
    ended = there_and_back(values)
    assert ended.values == [None if at in bad else [at] for at in range(10)]
    assert set(ended.raised) == bad
    assert all(raised.kind == "result" for raised in ended.raised.values())


def test_lambdas_and_local_classes_are_results():
    class Local:
        field = 4

    function, instance = there_and_back([lambda x: x + 1, Local()]).values
    assert function(1) == 2
    assert instance.field == 4


@given(sizes=st.lists(st.integers(0, 3000), max_size=12), least=st.integers(1, 20000))
def test_large_buffers_are_kept_out_of_the_pickle_in_the_order_they_are_asked_for(sizes, least):
    arrays = [np.full(size, at, dtype=float) for at, size in enumerate(sizes)]
    data, apart = dump_reply(Ended(values=list(arrays)), least)
    assert [buffer.raw().nbytes for buffer in apart] == [
        array.nbytes for array in arrays if array.nbytes >= least
    ]
    loaded = load_reply(data, apart).values
    assert all(np.array_equal(a, b) for a, b in zip(loaded, arrays, strict=True))


def test_more_buffers_than_a_message_may_have_stay_in_the_pickle():
    arrays = [np.full(3, at) for at in range(MOST_BUFFERS + 20)]
    data, apart = dump_reply(Ended(values=list(arrays)), 1)
    assert len(apart) == MOST_BUFFERS
    loaded = load_reply(data, apart).values
    assert [array[0] for array in loaded] == list(range(MOST_BUFFERS + 20))


@given(
    kinds=st.lists(st.sampled_from(["array", "lambda", "local", "lock", "number"]), max_size=8),
    least=st.sampled_from([1, 100, 1 << 20]),
)
def test_every_array_comes_back_at_its_own_place_whatever_is_among_them(kinds, least):
    class Local:
        pass

    made = {
        "array": lambda at: np.full(30, at),
        "lambda": lambda at: lambda: at,
        "local": lambda _: Local(),
        "lock": lambda _: threading.Lock(),
        "number": lambda at: at,
    }
    loaded = there_and_back([made[kind](at) for at, kind in enumerate(kinds)], least).values
    for at, (kind, value) in enumerate(zip(kinds, loaded, strict=True)):
        if kind == "array":
            assert value.tolist() == [at] * 30
        elif kind == "lambda":
            assert value() == at
        elif kind == "number":
            assert value == at
        else:
            assert (value is None) == (kind == "lock")


def test_a_failed_pickling_leaves_no_buffers_behind():
    loaded = there_and_back([np.zeros(1000), threading.Lock(), np.ones(1000)], 1).values
    assert loaded[1] is None
    assert loaded[0].sum() == 0
    assert loaded[2].sum() == 1000


def test_a_worker_is_named_by_host_and_process():
    host, _, pid = worker_name().rpartition(":")
    assert host == socket.gethostname()
    assert int(pid) > 0


def called(x, y=0):
    return x + 10 * y


@pytest.mark.parametrize("seeded", [False, True])
def test_indexed_items_are_calls_streams_and_places_by_their_index(seeded):
    table = {4: {"x": 1.0}, 7: {"x": 2.0, "y": 3}}
    seed = check_seed(5) if seeded else None

    def f(x, y=0, rng=None):
        return called(x, y) + (0 if rng is None else rng.random())

    calling, out = Calling("indexed", seed), np.zeros(8)
    assert list(calling.places([7, 4], [0, 1])) == [7, 4]
    assert list(Calling("one").places([7, 4], [0, 1])) == [0, 1]
    expected = [f(**table[at], **({"rng": generator(seed, at)} if seeded else {})) for at in (7, 4)]
    assert run_batch(Indexed(f, table), calling, [7, 4], range(2)).values == expected
    ended = run_batch(Indexed(f, table), calling, [7, 4], range(2), out=out)
    assert ended.values == [None, None]
    assert out[[7, 4]].tolist() == expected


def test_an_indexed_result_that_does_not_fit_comes_back_as_it_is():
    out = np.zeros(2)
    ended = run_batch(
        Indexed(lambda x: x, [{"x": 1.5}, {"x": "text"}]),
        Calling("indexed"),
        [1, 0],
        range(2),
        out=out,
    )
    assert ended.values == [NotWritten("text"), None]
    assert out.tolist() == [1.5, 0.0]


def test_processor_time_is_told_with_the_batch():
    ended = run_batch(lambda x: sum(range(x)), Calling(), [200_000] * 3, range(3))
    assert 0 < ended.cpu_seconds < 10
    assert load_reply(dump_reply(ended, 1 << 20)[0], ()).cpu_seconds == ended.cpu_seconds


@given(
    dtype=st.sampled_from(
        [*np.typecodes["AllInteger"], "e", "f", "d", "g", "F", "D", "?", "M8[s]"]
    ),
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(0, 20),
    odd=st.none() | st.tuples(st.integers(0, 19), st.sampled_from([None, 1, 1.5, "x", np.int8(1)])),
)
def test_many_numbers_of_numpy_travel_bit_for_bit_with_their_types(dtype, seed, count, odd):
    kind = np.dtype(dtype)
    numbers = np.random.default_rng(seed).integers(0, 256, kind.itemsize * count, np.uint8)
    numbers = (numbers % 2 if kind.kind == "b" else numbers).view(kind)
    values = [*numbers]
    if odd is not None and values:
        values[odd[0] % len(values)] = odd[1]
    loaded = load_reply(dump_reply(Ended(list(values)), 1 << 20)[0], ()).values
    assert type(loaded) is list
    for one, two in zip(loaded, values, strict=True):
        if isinstance(two, np.generic):
            assert (isinstance(one, np.generic), one.dtype) == (True, two.dtype)
            assert one.tobytes() == two.tobytes()
        else:
            assert type(one) is type(two)
            assert one == two
