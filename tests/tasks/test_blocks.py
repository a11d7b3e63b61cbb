"""Blocks fit into the memory they may use, and what one needs is measured where it runs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.tasks import block_size, measured_peak, memory_budget
from shoal.tasks.processes import free_memory_bytes

MIB = 1 << 20


@given(
    count=st.integers(1, 10**9),
    workers=st.integers(1, 200),
    item_bytes=st.floats(0, 1e12),
    memory_bytes=st.integers(1, 10**13),
    per_worker=st.integers(1, 16),
)
def test_blocks_fit_into_memory_and_keep_every_worker_busy(
    count, workers, item_bytes, memory_bytes, per_worker
):
    size = block_size(
        count,
        workers=workers,
        item_bytes=item_bytes,
        memory_bytes=memory_bytes,
        per_worker=per_worker,
    )
    assert 1 <= size <= count
    assert size == 1 or size * workers * max(item_bytes, 1) <= memory_bytes * (1 + 1e-9)
    assert size == 1 or (size - 1) * workers * per_worker < count


@pytest.mark.parametrize("given_", [1, 4e9, np.int64(5), np.float64(2.0), 10**30])
def test_a_budget_is_what_was_given(given_):
    assert memory_budget(given_) == int(given_)
    assert type(memory_budget(given_)) is int


def test_without_one_the_budget_is_a_quarter_of_what_is_free():
    assert memory_budget() == pytest.approx(free_memory_bytes() / 4, rel=0.5)
    assert memory_budget() >= 1


@pytest.mark.parametrize("wrong", [True, "1 GB", 0.5, float("nan"), float("inf"), [1], 1j])
def test_what_is_no_number_of_bytes_is_refused(wrong):
    with pytest.raises(TypeError, match="memory_bytes="):
        memory_budget(wrong)


@pytest.mark.parametrize("wrong", [0, -1, -4e9])
def test_no_memory_is_refused(wrong):
    with pytest.raises(ValueError, match="memory_bytes="):
        memory_budget(wrong)


def test_the_peak_is_what_the_body_needed_at_most():
    with measured_peak() as peak:
        np.ones(64 * MIB, np.uint8).sum()
    assert 48 * MIB < peak.bytes < 128 * MIB


def test_an_earlier_peak_does_not_hide_a_later_one():
    np.ones(256 * MIB, np.uint8).sum()
    with measured_peak() as peak:
        np.ones(64 * MIB, np.uint8).sum()  # more than the allocator keeps for later
    assert 48 * MIB < peak.bytes < 200 * MIB


def test_the_peak_is_measured_when_the_body_raises():
    with pytest.raises(LookupError), measured_peak() as peak:
        np.ones(64 * MIB, np.uint8).sum()
        raise LookupError
    assert peak.bytes > 48 * MIB
