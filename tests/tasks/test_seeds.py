"""The generator of a task is numpy's own: child i of the seed, for input i."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import shoal
from shoal.tasks.seeds import check_seed, generator
from tests.searching import examples

entropies = st.integers(0, 2**200) | st.lists(st.integers(0, 2**40), min_size=1, max_size=5)


def state(rng):
    return rng.bit_generator.state


@given(entropy=entropies, index=st.integers(0, 60))
def test_a_generator_equals_that_of_the_spawned_child(entropy, index):
    child = np.random.SeedSequence(entropy).spawn(index + 1)[index]
    ours = generator(check_seed(entropy), index)
    assert state(ours) == state(np.random.default_rng(child))


@given(entropies, st.lists(st.integers(0, 2**31), max_size=3), st.integers(0, 40))
def test_a_spawned_sequence_may_be_the_seed_itself(entropy, key, index):
    def seed():
        return np.random.SeedSequence(entropy, spawn_key=key, pool_size=8)

    child = seed().spawn(index + 1)[index]
    assert state(generator(check_seed(seed()), index)) == state(np.random.default_rng(child))


def test_children_spawned_before_do_not_matter():
    fresh, used = np.random.SeedSequence(3), np.random.SeedSequence(3)
    used.spawn(10)
    assert state(generator(fresh, 2)) == state(generator(used, 2))


def test_asking_for_a_generator_spawns_nothing_from_the_users_sequence():
    seed = np.random.SeedSequence(3)
    generator(check_seed(seed), 5)
    assert seed.n_children_spawned == 0


def test_no_two_of_many_indices_share_a_stream():
    seed = check_seed(11)
    draws = {generator(seed, index).integers(2**62) for index in range(2000)}
    assert len(draws) == 2000


def test_a_sequence_without_entropy_of_its_own_is_one_seed_for_the_whole_call():
    seed = np.random.SeedSequence()
    draws = [
        shoal.map(lambda _, rng: rng.random(), range(5), seed=seed, executor="serial")
        for _ in range(2)
    ]
    assert draws[0] == draws[1]


@examples(20)
@given(entropy=entropies, count=st.integers(1, 30), batch_size=st.integers(1, 8))
def test_mapped_draws_are_those_of_the_spawned_children(entropy, count, batch_size):
    children = np.random.SeedSequence(entropy).spawn(count)
    expected = [np.random.default_rng(child).random(2).tolist() for child in children]
    for executor in ("serial", "processes"):
        assert expected == shoal.map(
            lambda _, rng: rng.random(2).tolist(),
            range(count),
            seed=entropy,
            executor=executor,
            batch_size=batch_size,
        )


def test_none_is_no_seed():
    assert check_seed(None) is None


@pytest.mark.parametrize("seed", [0, np.int64(4), np.array([1, 2]), (1, 2), range(3), [2**80]])
def test_everything_numpy_takes_as_integers_is_a_seed(seed):
    assert state(generator(check_seed(seed), 0)) == state(
        np.random.default_rng(np.random.SeedSequence(seed).spawn(1)[0])
    )


@pytest.mark.parametrize(
    "seed", [1.5, True, "7", b"7", {1}, random.Random(1), np.random.default_rng(1), [1.5], 1j]
)
def test_a_seed_of_the_wrong_kind_is_refused_by_name(seed):
    with pytest.raises(TypeError, match="seed="):
        check_seed(seed)


@pytest.mark.parametrize("seed", [-1, [-1], np.array([-3])])
def test_a_negative_seed_is_refused_by_name_and_value(seed):
    with pytest.raises(ValueError, match="seed=") as caught:
        check_seed(seed)
    assert repr(seed) in str(caught.value)
