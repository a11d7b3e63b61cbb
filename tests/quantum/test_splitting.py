"""Splitting is pure: what is cut can be put together again, whatever the sizes."""

import subprocess
import sys

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from shoal.quantum.splitting import (
    Layout,
    Part,
    Seeding,
    by_cost,
    by_size,
    guided,
    joined,
    merged_counts,
    pieces,
    singly,
)

counts = st.lists(st.integers(1, 30), min_size=1, max_size=20)


@given(total=st.integers(1, 200), size=st.one_of(st.none(), st.integers(1, 250)))
def test_chunks_of_a_size_hold_each_experiment_once_in_order(total, size):
    chunks = by_size(total, size)
    held = [at for chunk in chunks for part in chunk for at in range(part.start, part.stop)]
    assert held == list(range(total))
    assert [sum(map(len, chunk)) for chunk in chunks][:-1] == [size] * (len(chunks) - 1)


def test_sixty_circuits_are_sixty_jobs_of_one_or_thirty_of_two():
    assert len(by_size(60, 1)) == 60
    assert len(by_size(60, 2)) == 30
    assert len(by_size(60, None)) == 1


@given(counts=counts, aim=st.floats(1e-3, 1), workers=st.integers(1, 8))
def test_chunks_by_cost_hold_each_experiment_once_and_one_circuit_each(counts, aim, workers):
    layout = Layout(tuple(counts))
    chunks = by_cost(layout, [0.01] * len(counts), aim=aim, workers=workers)
    held = [at for (part,) in chunks for at in range(part.start, part.stop)]
    assert held == list(range(sum(counts)))
    assert all(len(layout.segments(part)) == 1 for (part,) in chunks)


costs = st.lists(st.floats(1e-4, 2.0), min_size=1, max_size=60)


@given(seconds=costs, workers=st.integers(1, 8))
def test_guided_chunks_hold_each_experiment_once_long_ones_first(seconds, workers):
    units = list(zip(by_size(len(seconds), 1), seconds, strict=True))
    made = guided(units, workers=workers, shortest=0.003, longest=0.1)
    held = [at for chunk, _ in made for part in chunk for at in range(part.start, part.stop)]
    assert sorted(held) == list(range(len(seconds)))
    for chunk, expected in made:
        [part] = chunk
        assert np.isclose(expected, sum(seconds[part.start : part.stop]))
    assert [expected for _, expected in made] == sorted((each for _, each in made), reverse=True)


@given(seconds=costs, workers=st.integers(1, 8))
def test_no_guided_chunk_is_longer_than_a_share_of_all_unless_it_is_one_unit(seconds, workers):
    units = list(zip(by_size(len(seconds), 1), seconds, strict=True))
    share = min(max(sum(seconds) / (2 * workers), 0.003), 0.1)
    for chunk, expected in guided(units, workers=workers, shortest=0.003, longest=0.1):
        assert expected <= share * (1 + 1e-9) or sum(map(len, chunk)) == 1


def test_many_short_experiments_go_in_few_chunks_the_last_ones_small():
    units = [(chunk, 0.001) for chunk in by_size(2000, 1)]
    made = guided(units, workers=2, shortest=0.003, longest=0.1)
    assert len(made) < 40
    assert made[0][1] > 0.09
    assert made[-1][1] < 0.004


@given(counts=counts, data=st.data())
def test_segments_of_a_part_are_its_experiments(counts, data):
    layout = Layout(tuple(counts))
    start = data.draw(st.integers(0, len(layout) - 1))
    stop = data.draw(st.integers(start + 1, len(layout)))
    flat = [(circuit, at) for circuit, count in enumerate(counts) for at in range(count)]
    found = [(circuit, at) for circuit, of in layout.segments(Part(start, stop)) for at in of]
    assert found == flat[start:stop]


@given(shots=st.integers(1, 5000), most=st.integers(1, 6000))
def test_pieces_of_shots_follow_each_other_and_add_up(shots, most):
    cut = pieces(shots, most)
    assert sum(number for _, number in cut) == shots
    assert all(number <= most for _, number in cut)
    assert [first for first, _ in cut] == list(range(0, shots, most))


def test_pieces_of_shots_count_as_circuits_in_a_chunk():
    chunks = by_size(2, 2, {0: pieces(10, 4)})
    assert chunks == [
        (Part(0, 1, 0, 4), Part(0, 1, 4, 4)),
        (Part(0, 1, 8, 2), Part(1, 2)),
    ]


@given(total=st.integers(1, 60), size=st.integers(1, 60))
def test_joining_and_taking_apart_undo_each_other(total, size):
    chunks = by_size(total, size)
    assert joined(chunks) == (Part(0, total),)
    assert [chunk for each in chunks for chunk in singly(each)] == by_size(total, 1)


def test_seeds_by_aers_rule_are_2113_apart_and_shots_one_apart():
    seeding = Seeding("strided", 7)
    assert [seeding.of(number) for number in range(3)] == [7, 2120, 4233]
    assert seeding.of(1, shot=5) == 2125


def test_seeds_wrap_at_64_bits_as_they_do_in_aer():
    assert Seeding("strided", 2**63 - 1).of(1) == -(2**63) + 2112
    assert Seeding("strided", -1).of(1) == 2112


@given(seed=st.integers(0, 2**64), number=st.integers(0, 1000))
def test_spawned_seeds_are_children_of_one_sequence(seed, number):
    child = np.random.SeedSequence(seed).spawn(number + 1)[number]
    expected = int(child.generate_state(1, np.uint64)[0] >> np.uint64(1))
    assert Seeding("spawned", seed, bits=63).of(number) == expected


def test_spawned_seeds_differ_and_fit_into_the_bits_asked_for():
    seeds = [Seeding("spawned", 1).of(number) for number in range(500)]
    assert len(set(seeds)) == 500
    assert max(seeds) < 2**31


def test_counts_of_pieces_add_up():
    assert merged_counts([{"0x1": 1}, {"0x0": 2, "0x1": 3}]) == {"0x1": 4, "0x0": 2}


def test_splitting_and_the_face_of_the_room_import_no_sdk():
    code = (
        "import sys, shoal.quantum, shoal.quantum.splitting, shoal.quantum.conducting; "
        "assert not {'qiskit', 'qiskit_aer', 'pennylane'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
