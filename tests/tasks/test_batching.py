"""Batches are worth about 50 ms and at most 1 MB, are never empty, and shrink towards the end."""

import math

from hypothesis import given
from hypothesis import strategies as st

from shoal.tasks.batching import BATCH_SECONDS, MESSAGE_BYTES, SHORTEST_SECONDS, BatchSizer
from shoal.tasks.costs import Cost

workers = st.integers(1, 64)
most_items = st.integers(1, 1 << 18)
remaining = st.none() | st.integers(0, 10**9)
finished = st.tuples(
    st.integers(1, 10**6),  # items
    st.floats(0, 1e6, allow_nan=False),  # seconds for all of them
    st.integers(0, 10**12),  # bytes of all of them
)


@given(workers=workers, remaining=remaining)
def test_inputs_go_out_singly_until_the_first_batch_has_been_measured(workers, remaining):
    sizer = BatchSizer(workers, most_items=1000)
    assert sizer.probing
    assert sizer.next(remaining) == 1
    sizer.record(1, 0.0, 0)
    assert not sizer.probing


@given(fixed=st.integers(1, 10**6), history=st.lists(finished, max_size=4), remaining=remaining)
def test_a_fixed_size_is_what_every_batch_gets_whatever_was_measured(fixed, history, remaining):
    sizer = BatchSizer(2, fixed=fixed, most_items=10)
    assert not sizer.probing
    for each in history:
        sizer.record(*each)
    assert sizer.next(remaining) == fixed


@given(workers, most_items, st.lists(finished, min_size=1, max_size=20), remaining)
def test_a_batch_is_never_empty_and_never_above_the_most_items(workers, most, history, remaining):
    sizer = BatchSizer(workers, most_items=most)
    for each in history:
        sizer.record(*each)
    size = sizer.next(remaining)
    assert isinstance(size, int)
    assert 1 <= size <= most


@given(
    seconds=st.floats(1e-8, 1e4),
    sizes=st.integers(0, 10**8),
    repeats=st.integers(1, 10),
    remaining=remaining,
)
def test_a_batch_of_more_than_one_respects_time_and_bytes(seconds, sizes, repeats, remaining):
    sizer = BatchSizer(2, most_items=1 << 30)
    for items in range(1, repeats + 1):
        sizer.record(items, items * seconds, items * sizes)
    size = sizer.next(remaining)
    assert size == 1 or size * seconds <= BATCH_SECONDS * (1 + 1e-9)
    assert size == 1 or size * sizes <= MESSAGE_BYTES * (1 + 1e-9)


def test_batches_of_an_endless_input_are_worth_their_full_time():
    sizer = BatchSizer(4, most_items=1 << 18)
    sizer.record(1, 0.001, 10)
    assert sizer.next(None) == round(BATCH_SECONDS / 0.001)


def test_items_that_take_no_measurable_time_fill_the_largest_batch():
    sizer = BatchSizer(1, most_items=5000)
    sizer.record(1, 0.0, 0)
    assert sizer.next(None) == 5000


def test_large_items_go_fewer_to_a_message_than_their_time_would_allow():
    sizer = BatchSizer(1, most_items=1 << 18)
    sizer.record(1, 1e-6, MESSAGE_BYTES // 4)
    assert sizer.next(None) == 4


@given(before=finished)
def test_the_cost_of_late_inputs_outweighs_the_cost_of_early_ones(before):
    sizer = BatchSizer(1, most_items=1 << 18)
    items, seconds, _ = before
    sizer.record(items, seconds, 0)
    for _ in range(120):  # 2**-120 of what any of the early ones can have cost
        sizer.record(50, 50 * 0.001, 0)
    assert abs(sizer.next(None) - 50) <= 1


@given(
    total=st.integers(0, 10**5),
    workers=workers,
    seconds=st.floats(1e-7, 1.0),
    sizes=st.integers(0, 10**6),
)
def test_batches_drawn_to_the_end_of_an_input_add_up_to_it(total, workers, seconds, sizes):
    sizer = BatchSizer(workers, most_items=1 << 18)
    left, drawn = total, []
    while left and len(drawn) < 10**4:
        size = min(sizer.next(left), left)
        drawn.append(size)
        sizer.record(size, size * seconds, size * sizes)
        left -= size
    assert sum(drawn) + left == total
    assert min(drawn, default=1) >= 1


@given(
    total=st.integers(1, 10**6), workers=st.integers(1, 16), seconds=st.floats(1e-6, BATCH_SECONDS)
)
def test_no_batch_is_more_than_two_thirds_of_a_fair_share_until_it_is_worth_a_millisecond(
    total, workers, seconds
):
    sizer = BatchSizer(workers, most_items=1 << 18)
    sizer.record(1, seconds, 0)
    size = sizer.next(total)
    assert size <= max(math.ceil(2 / 3 * total / workers), SHORTEST_SECONDS / seconds) * (1 + 1e-9)


costs = st.builds(Cost, st.floats(0, 1e6), st.floats(0, 1e12))


@given(known=costs, workers=workers, remaining=remaining, sent=st.integers(0, 10**12))
def test_inputs_of_unknown_size_show_it_by_the_first_that_goes_alone(
    known, workers, remaining, sent
):
    sizer = BatchSizer(workers, most_items=1000, known=known)
    assert not sizer.probing
    assert sizer.next(remaining) == 1
    sizer.sent(1, sent)
    size = sizer.next(remaining)
    assert size == 1 or size * sent <= MESSAGE_BYTES
    assert size == 1 or size * known.seconds <= BATCH_SECONDS * (1 + 1e-9)


@given(known=costs, total=st.integers(1, 10**6), workers=workers)
def test_an_old_cost_never_stakes_more_than_two_thirds_of_a_fair_share_or_a_millisecond(
    known, total, workers
):
    sizer = BatchSizer(workers, most_items=1 << 18, known=known)
    sizer.sent(1, 0)
    most = max(math.ceil(2 / 3 * total / workers), SHORTEST_SECONDS / max(known.seconds, 1e-9))
    assert sizer.next(total) <= most


@given(known=costs, batch=finished, remaining=remaining)
def test_the_first_measurement_replaces_what_was_known(known, batch, remaining):
    old, new = (BatchSizer(2, most_items=1 << 18, known=each) for each in (known, None))
    for sizer in (old, new):
        sizer.sent(1, 10)
        sizer.record(*batch)
    assert old.next(remaining) == new.next(remaining)
    assert old.cost == new.cost


def test_a_fixed_size_ignores_what_is_known():
    assert BatchSizer(2, fixed=7, most_items=10, known=Cost(1.0, 1.0)).next(100) == 7


def test_a_short_call_of_known_cost_is_shared_out_in_equal_rounds():
    sizer = BatchSizer(2, most_items=1 << 18, known=Cost(0.002, 10.0))
    sizer.sent(1, 10)
    left, sizes = 20, []
    while left:
        sizes.append(min(sizer.next(left), left))
        left -= sizes[-1]
    assert sizes == [7, 7, 2, 2, 1, 1]
