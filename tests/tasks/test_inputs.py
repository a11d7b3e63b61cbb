"""Inputs drawn in any portions are exactly the zipped iterables, and never drawn ahead."""

import itertools
import pickle
import threading
from time import monotonic

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.tasks.inputs import DRAW_SECONDS, Frozen, Inputs, thawed

values = st.lists(st.integers(-5, 5) | st.text(max_size=3) | st.floats(allow_nan=False))
portions = st.lists(st.integers(1, 40), min_size=1)


class OddList(list):
    """A list whose iteration is not its contents."""

    def __iter__(self):
        return iter(["odd"] * 3)


kinds = {
    "list": list,
    "tuple": tuple,
    "generator": lambda each: (value for value in each),
    "iterator": iter,
    "dict": dict.fromkeys,
    "values": lambda each: dict(enumerate(each)).values(),
    "range": lambda each: range(len(each)),
    "array": lambda each: np.arange(len(each)) * 0.5,
    "rows": lambda each: np.arange(2 * len(each)).reshape(-1, 2),
    "text": lambda each: "".join(map(str, each)),
    "repeat": lambda each: itertools.repeat("same", len(each)),
    "endless repeat": lambda each: itertools.repeat(len(each)),
    "count": lambda _: itertools.count(),
    "odd list": OddList,
}
endless = {"endless repeat", "count"}


def plain(item):
    """As something that compares whole: arrays become lists."""
    if isinstance(item, tuple):
        return tuple(plain(each) for each in item)
    return item.tolist() if isinstance(item, np.ndarray | np.generic) else item


def drawn_in(inputs, portions, most=200):
    """All inputs, drawn in portions of these sizes over and over; at most `most` of them."""
    items = []
    for count in itertools.cycle(portions):
        portion = inputs.draw(count)
        assert len(portion) <= count
        if not len(portion) or len(items) >= most:
            return items
        items += list(portion)
        assert inputs.drawn == len(items)
    return items


iterables = st.lists(st.tuples(st.sampled_from(sorted(kinds)), values), min_size=1, max_size=3)


@given(iterables=iterables, portions=portions, freeze=st.booleans())
def test_drawing_in_any_portions_gives_what_zip_gives(iterables, portions, freeze):
    made = [[kinds[kind](each) for kind, each in iterables] for _ in range(2)]
    expected = made[0][0] if len(iterables) == 1 else zip(*made[0], strict=False)
    inputs = Inputs(made[1])
    if freeze:
        inputs.freeze()
    items = [plain(item) for item in thawed(drawn_in(inputs, portions))]
    wanted = [plain(item) for item in itertools.islice(expected, len(items) + 1)]
    if all(kind in endless for kind, _ in iterables):
        wanted = wanted[: len(items)]
    assert items == wanted


@given(iterables=iterables, portions=portions)
def test_remaining_counts_down_to_zero_or_is_unknown(iterables, portions):
    inputs = Inputs([kinds[kind](each) for kind, each in iterables])
    total = inputs.remaining
    items = drawn_in(inputs, portions)
    if total is None:
        assert inputs.remaining is None
    elif not any(kind == "odd list" for kind, _ in iterables) and len(items) < 200:
        assert len(items) == total
        assert inputs.remaining == 0


@pytest.mark.parametrize("kind", sorted(set(kinds) - endless))
def test_an_input_that_has_ended_stays_ended(kind):
    inputs = Inputs([kinds[kind](["a", "b"])])
    drawn_in(inputs, [10])
    assert [len(inputs.draw(3)) for _ in range(3)] == [0, 0, 0]


@pytest.mark.parametrize("kind", ["list", "tuple", "array", "rows", "range", "endless repeat"])
def test_inputs_that_exist_for_the_whole_call_are_lasting(kind):
    assert Inputs([kinds[kind]([1, 2])]).lasting
    assert Inputs([[1, 2], kinds[kind]([1, 2])]).lasting


@pytest.mark.parametrize("kind", ["generator", "iterator", "dict", "text", "count", "odd list"])
def test_inputs_that_may_change_as_they_are_read_are_not_lasting(kind):
    assert not Inputs([kinds[kind]([1, 2])]).lasting
    assert not Inputs([[1, 2], kinds[kind]([1, 2])]).lasting


def test_a_generator_is_not_touched_before_something_is_drawn_and_no_further_than_that():
    taken = []

    def source():
        for number in itertools.count():
            taken.append(number)
            yield number

    inputs = Inputs([source()])
    assert inputs.remaining is None
    assert taken == []
    items = inputs.draw(3)
    assert 1 <= len(items) <= 3
    assert items == taken


def test_the_longer_of_two_generators_is_read_as_far_as_zip_reads_it():
    read = []

    def counted(name, items):
        for item in items:
            read.append(name)
            yield item

    def zipped():
        return counted("long", range(9)), counted("short", range(2))

    list(zip(*zipped(), strict=False))
    by_zip, read = read, []
    inputs = Inputs(zipped())
    assert drawn_in(inputs, [5]) == [(0, 0), (1, 1)]
    assert read[: len(by_zip)] == by_zip
    assert set(read[len(by_zip) :]) <= {"long"}


def test_a_slow_generator_gives_what_there_is():
    def slow():
        for number in range(4):
            stop = monotonic() + 2 * DRAW_SECONDS
            while monotonic() < stop:
                pass
            yield number

    inputs = Inputs([slow()])
    assert inputs.draw(100) == [0]
    assert inputs.draw(100) == [1]


def test_what_a_generator_gave_before_it_failed_is_drawn_first():
    def failing():
        yield from range(5)
        raise OSError("no more")

    inputs, items = Inputs([failing()]), []

    def draw_all():
        while True:
            items.extend(inputs.draw(10))

    with pytest.raises(OSError, match="no more"):
        draw_all()
    assert items == list(range(5))


def test_a_buffer_yielded_again_and_again_is_frozen_with_each_of_its_contents():
    def reusing():
        buffer = np.zeros(3)
        for number in range(5):
            buffer[:] = number
            yield buffer

    inputs = Inputs([reusing()])
    inputs.freeze()
    items = drawn_in(inputs, [10])
    assert all(type(item) is Frozen for item in items)
    assert [item.tolist() for item in thawed(items)] == [[number] * 3 for number in range(5)]


def test_plain_values_need_no_freezing():
    inputs = Inputs([iter([1, "two", 3.0, None, (4, b"five")])])
    inputs.freeze()
    assert drawn_in(inputs, [9]) == [1, "two", 3.0, None, (4, b"five")]


def test_lists_are_not_frozen_since_their_items_stay():
    item = [1]
    inputs = Inputs([[item]])
    inputs.freeze()
    assert inputs.draw(1)[0] is item


def test_an_input_that_cannot_be_frozen_stays_itself():
    lock = threading.Lock()
    inputs = Inputs([iter([lock])])
    inputs.freeze()
    assert inputs.draw(1) == [lock]


def test_without_freezing_a_generator_gives_its_own_objects():
    item = [1]
    assert Inputs([iter([item])]).draw(1)[0] is item


def test_thawing_makes_a_new_object_each_time():
    frozen = Frozen(pickle.dumps([1]))
    [first], [second] = thawed([frozen]), thawed([frozen])
    first.append(2)
    assert second == [1]


@pytest.mark.parametrize("wrong", [5, None, 2.5, abs, object(), np.float64(1), np.array(3)])
def test_what_is_not_iterable_is_named_with_its_place_and_value(wrong):
    with pytest.raises(TypeError, match="iterable 2 is not iterable") as caught:
        Inputs([[1], wrong])
    assert type(wrong).__name__ in str(caught.value)


def test_a_length_that_lies_does_not_lose_or_invent_inputs():
    class Liar:
        def __init__(self, claimed):
            self.claimed = claimed

        def __len__(self):
            return self.claimed

        def __iter__(self):
            return iter("abc")

    for claimed in (0, 1, 3, 100):
        assert drawn_in(Inputs([Liar(claimed)]), [2]) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("inputs", "least", "most"),
    [
        ([1, 2], 1, 30),
        (range(5), 1, 30),
        ([10**3000], 1200, 1400),
        (["x" * 100], 100, 120),
        ([b"x" * 100], 100, 120),
        ([None, 1], 1, 30),
        ([2.5], 1, 30),
        ([np.zeros(1000)], 8000, 8100),
        (np.zeros((3, 1000)), 8000, 8100),
        ([np.float64(1)], 8, 30),
        ([(1, [np.zeros(10), "x" * 50])], 130, 200),
    ],
)
def test_the_size_of_a_plain_first_input_is_known_before_it_is_drawn(inputs, least, most):
    given = Inputs([inputs])
    assert least <= given.first_bytes() <= most
    assert given.drawn == 0


def test_the_size_of_any_other_first_input_is_not_guessed():
    class Text(str):  # noqa: SLOT000  (as users write it)
        pass

    deep = [[[[[1]]]]]
    odd = [{"a": 1}, object(), Text("x"), np.array([object()]), (1, object()), [0] * 100, deep]
    for item in odd:
        assert Inputs([[item]]).first_bytes() is None
    for none in ([], (), np.zeros((0, 3)), iter([1]), (x for x in [1])):
        assert Inputs([none]).first_bytes() is None


def test_the_size_of_zipped_inputs_is_that_of_all_arguments():
    assert Inputs([["x" * 100], [b"y" * 200]]).first_bytes() == 300
    assert Inputs([["x" * 100], []]).first_bytes() is None
