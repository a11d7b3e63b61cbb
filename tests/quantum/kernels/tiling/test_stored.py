import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from shoal.errors import CheckpointChanged
from shoal.quantum.kernels.tiling import Drawing, Options, compute
from shoal.tasks import part
from tests.quantum.kernels.tiling.plans import Products, rows

X = rows(500)


def computed(path, x=X, y=None, drawing=Drawing(), parts=()):  # noqa: B008  (it is frozen)
    options = Options("serial", checkpoint=path, drawing=drawing, parts=parts)
    return compute(Products(), x, y, options)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "kernel.checkpoint"


def test_the_same_call_computes_nothing_again(path):
    first, again = computed(path), computed(path)
    assert (first.tiles, first.tiles_from_checkpoint) == (10, 0)
    assert (again.tiles, again.tiles_from_checkpoint) == (0, 10)
    np.testing.assert_array_equal(first.matrix, again.matrix)
    assert again.lost_weight == first.lost_weight


def test_more_rows_compute_only_what_is_new(path):
    computed(path, X[:384])
    more = computed(path)
    assert (more.tiles, more.tiles_from_checkpoint) == (4, 6)
    np.testing.assert_array_equal(more.matrix, computed(None).matrix)
    back = computed(path, X[:384])
    assert back.tiles == 0


def test_rows_in_another_place_are_found_again(path):
    computed(path, X[:256], X[256:384])
    found = computed(path, X[128:256], X[256:384])
    assert (found.tiles, found.tiles_from_checkpoint) == (0, 1)
    np.testing.assert_array_equal(found.matrix, computed(None, X[128:256], X[256:384]).matrix)


def test_shots_are_drawn_anew_for_rows_in_another_place(path):
    drawing = Drawing(np.float64, 100, np.random.SeedSequence(3))
    computed(path, X[:256], X[256:384], drawing)
    found = computed(path, X[128:256], X[256:384], drawing)
    assert (found.tiles, found.tiles_from_checkpoint) == (1, 0)


def test_equal_blocks_of_rows_are_found_in_all_their_places(path):
    twice = np.concatenate([X[:128], X[:128]])
    first, again = computed(path, twice), computed(path, twice)
    assert (again.tiles, again.tiles_from_checkpoint) == (0, 3)
    np.testing.assert_array_equal(first.matrix, again.matrix)


def test_with_other_memory_other_tiles_are_computed_and_nothing_is_refused(path):
    computed(path)
    small = Options("serial", checkpoint=path, memory_bytes=20_000)
    found = compute(Products(), X, None, small)
    assert found.layout.edge < 128
    assert found.tiles_from_checkpoint == 0
    np.testing.assert_allclose(found.matrix, computed(None).matrix, atol=1e-13)
    assert computed(path).tiles == 0


def test_something_else_is_refused_with_the_difference(path):
    computed(path, parts=[part("method", "one")])
    with pytest.raises(CheckpointChanged, match="method: one → other"):
        computed(path, parts=[part("method", "other")])
    with pytest.raises(CheckpointChanged, match="shots"):
        drawing = Drawing(np.float64, 100, np.random.SeedSequence(3))
        computed(path, drawing=drawing, parts=[part("method", "one")])


def test_what_was_stored_before_a_kill_is_not_computed_again(path):
    script = textwrap.dedent(
        """
        import sys, time
        from tests.quantum.kernels.tiling.plans import Products, rows
        from shoal.quantum.kernels.tiling import Options, compute

        class Slow(Products):
            def multiply(self, left, right):
                print("tile", flush=True)
                time.sleep(0.5)
                return super().multiply(left, right)

        Slow.__qualname__ = "Products"
        compute(Slow(), rows(500), None, Options("serial", checkpoint=sys.argv[1]))
        """
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True
    ) as running:
        for _ in range(4):
            assert running.stdout.readline() == "tile\n"
        os.kill(running.pid, signal.SIGKILL)
        running.wait(60)
    found = computed(path)
    # Three tiles had ended when the fourth began; each is on the disk before the next one ends.
    assert found.tiles_from_checkpoint >= 2
    assert found.tiles + found.tiles_from_checkpoint == 10
    np.testing.assert_array_equal(found.matrix, computed(None).matrix)
