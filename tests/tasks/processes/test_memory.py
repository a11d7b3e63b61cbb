"""Regions are shared, sized as asked, and leave nothing behind."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.tasks.processes.memory import map_read_only, map_words, new_region, region_with


def open_descriptors():
    return len(os.listdir("/proc/self/fd"))


@given(data=st.binary(min_size=1, max_size=20_000))
def test_a_region_holds_the_data_it_was_made_with(data):
    mapped = map_read_only(region_with(memoryview(data), "test"), len(data))
    assert bytes(mapped) == data


def test_what_is_mapped_read_only_cannot_be_written_to():
    mapped = map_read_only(region_with(memoryview(b"abc"), "test"), 3)
    assert mapped.readonly
    with pytest.raises(TypeError):
        mapped[0] = 1


def test_a_new_region_is_zero():
    descriptor = new_region(100, "test")
    assert os.pread(descriptor, 200, 0) == bytes(100)
    os.close(descriptor)


def test_words_written_on_one_side_are_seen_on_the_other():
    descriptor = new_region(24, "test")
    one, other = map_words(descriptor, 3), map_words(descriptor, 3)
    os.close(descriptor)
    one[1] = -(2**62)
    assert list(other) == [0, -(2**62), 0]


def test_a_region_outlives_its_descriptor_as_long_as_it_is_mapped():
    descriptor = region_with(memoryview(b"kept"), "test")
    mapped = map_read_only(os.dup(descriptor), 4)
    os.close(descriptor)
    assert bytes(mapped) == b"kept"


def test_mapping_closes_the_descriptor_it_is_given():
    before = open_descriptors()
    mapped = map_read_only(region_with(memoryview(b"abc"), "test"), 3)
    held = open_descriptors()  # the mapping may hold one of its own
    del mapped
    assert held <= before + 1
    assert open_descriptors() == before


def test_a_region_that_cannot_be_had_leaves_no_descriptor():
    before = open_descriptors()
    with pytest.raises(OSError, match=r".+"):
        new_region(-1, "test")
    assert open_descriptors() == before
