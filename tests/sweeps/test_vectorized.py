"""Vectorised sweeps: blocks as arrays, within memory, and the points of a block that fails."""

import os

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import shoal
from shoal.errors import ResultNotReturned, TaskTimeout, WorkerDied
from shoal.sweeps import OutputMismatch, PointsFailed
from shoal.sweeps.vectorized import BlockTable, Sizing, Span
from shoal.tasks import shared_array
from tests.searching import examples

MIB = 1 << 20


def vectorized(f, axes, **options):
    """A vectorised sweep in this process."""
    return shoal.sweep(
        f, axes, **{"executor": "serial", "vectorized": True, "verify_points": 0, **options}
    )


def sizes_seen(path):
    """A function that notes the size of each block."""

    def f(x):
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(descriptor, f"{len(x)} ".encode())
        os.close(descriptor)
        return x * 2.0

    return f


def read_sizes(path):
    found = [int(each) for each in path.read_text().split()]
    path.unlink()
    return found


def formula(a, b, c=1):
    return a * 10.0 + b * c


@pytest.mark.parametrize("batch_size", ["auto", 1, 3, 100])
@pytest.mark.parametrize(
    "axes",
    [
        {"a": [1, 2, 3], "b": [0.5, 1.5]},
        {"a": ("k", np.arange(5)), "b": ("k", np.linspace(0, 1, 5))},
        {"a": ("k", [1, 2]), "b": [3, 4, 5], "c": ("k", [7, 8])},
        [{"a": 1, "b": 2}, {"b": 5.5, "a": 3}, {"a": 1, "b": 2}],
        pd.DataFrame({"a": [1, 2, 3], "b": [0.5, 0.25, 0.125]}),
        xr.Dataset(
            {"a": (("x", "y"), np.arange(6.0).reshape(2, 3))}, {"b": ("y", [1, 2, 3]), "c": 2}
        ),
        xr.Dataset({"a": (("x", "z"), np.eye(2)), "b": (("y",), [1, 2, 3])}),
    ],
    ids=["product", "zipped", "both", "points", "table", "dataset", "dataset with a gap"],
)
def test_it_equals_the_sweep_point_by_point(axes, batch_size):
    scalar = shoal.sweep(formula, axes, executor="serial")
    found = vectorized(formula, axes, batch_size=batch_size)
    assert found.identical(scalar.assign_attrs(found.attrs))


@examples(40)
@given(
    st.lists(st.floats(-10, 10), min_size=1, max_size=7),
    st.lists(st.integers(-5, 5), min_size=1, max_size=7),
    st.integers(1, 50),
    st.sampled_from(["serial", "processes"]),
)
def test_no_size_of_blocks_makes_a_difference(a, b, batch_size, executor):
    options = {"executor": executor, "max_workers": 2}
    whole = vectorized(formula, {"a": a, "b": b})
    found = vectorized(formula, {"a": a, "b": b}, batch_size=batch_size, **options)
    assert found.identical(whole.assign_attrs(found.attrs))
    assert whole.formula.values.tolist() == [[x * 10.0 + y for y in b] for x in a]


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([1, 2, 3], np.int64),
        ([1, 2.5], np.float64),
        ([1.0, 2j], np.complex128),
        ([True, False], np.bool_),
        (["a", "bcd\0"], object),
        ([None, 1], object),
        ([[1], [2, 3]], object),
        ([{"k": 1}, {"k": 2}], object),
        ([2**70, 1], object),
        (np.array([1, 2], "f4"), np.float32),
        (np.array(["a", "bcd"]), np.dtype("U3")),
        (np.array(["2026-01-01"], "M8[D]"), np.dtype("M8[D]")),
        (pd.Index([1, 2]), np.int64),
        (range(3), np.int64),
    ],
)
def test_parameters_come_as_arrays_with_the_values_of_the_axis(values, dtype):
    seen = []

    def f(x):
        seen.append(x)
        return np.arange(len(x))

    vectorized(f, {"x": values}, max_workers=1)
    [x] = seen
    assert (x.dtype, x.shape) == (dtype, (len(values),))
    assert all(type(a) is type(b) and a == b for a, b in zip(x, values, strict=True)) or (
        x.dtype != object and x.tolist() == np.array(values).tolist()
    )


def test_a_block_may_write_into_its_arguments():
    def f(x):
        x *= 2
        return x

    assert vectorized(f, {"x": [1.0, 2.0]}).f.values.tolist() == [2, 4]


def test_outputs_of_all_kinds_have_their_points_along_the_first_axis():
    def f(x, y):
        n = len(x)
        words = np.array([f"w{each:.0f}" * int(each) for each in x])
        return {
            "real": x + y,
            "complex": x * 1j,
            "whole": np.arange(n),
            "vector": np.stack([x, y, x * y], axis=1),
            "words": words,
            "objects": np.array([{each} for each in x], object),
        }

    axes = {"x": [1.0, 2.0], "y": [1.0, 2.0, 3.0]}
    for batch_size in (1, 4, 6):
        found = vectorized(f, axes, batch_size=batch_size)
        assert found.vector.shape == (2, 3, 3)
        assert found.vector.sel(x=2.0, y=3.0).values.tolist() == [2, 3, 6]
        assert found.complex.dtype == complex
        assert found.words.dtype == object  # of the same kind whatever the block
        assert found.words.sel(x=2.0, y=1.0).item() == "w2w2"
        assert found.objects.sel(x=2.0, y=1.0).item() == {2.0}


def test_outputs_are_named_and_have_dimensions_of_their_own():
    def f(x, big):
        return x + big.sum(), np.outer(x, big)

    found = vectorized(
        f,
        {"x": [1.0, 2.0]},
        constants={"big": np.arange(3.0)},
        outputs={"total": (), "spectrum": "w"},
        coords={"w": [10, 20, 30]},
    )
    assert found.total.values.tolist() == [4, 5]
    assert found.spectrum.sel(w=30, x=2.0).item() == 4


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        (lambda x: 1.0, r"'f' has shape \(\) for a block of 20 points.*\(20, …\)"),
        (lambda x: x[:-1], r"'f' has shape \(19,\) for a block of 20"),
        (lambda x: np.zeros((2, 20)), r"'f' has shape \(2, 20\)"),
        (lambda x: (x, x), "name them, as in outputs="),
        (lambda x: {"f": x, "g": 1}, r"'g' has shape \(\)"),
        (lambda x: {"f": [[1], [1, 2]]}, "'f' is no array"),
    ],
)
def test_a_wrong_shape_is_named(returned, said):
    def f(x):
        return returned(x)

    with pytest.warns(PointsFailed, match="20 of 20"):
        found = vectorized(f, {"x": np.arange(20.0)}, max_workers=1, memory_bytes=4096 * MIB)
    errors = found.shoal.errors
    assert {type(error) for error in errors.error} == {OutputMismatch}
    assert errors.message.str.match(f".*{said}").all()
    with pytest.raises(OutputMismatch, match=said):
        errors["replay"][0]()


def failing_at(*bad):
    def f(x, y):
        if np.any(np.isin(x, bad) & (y == 2)):
            raise ValueError(f"bad among {len(x)}")
        return x * y

    return f


@pytest.mark.parametrize("executor", ["serial", "processes"])
def test_a_block_that_fails_is_halved_until_the_bad_points_are_alone(executor):
    axes = {"x": np.arange(40), "y": [1, 2, 3]}
    with pytest.warns(PointsFailed, match="2 of 120 points failed, the first at x=3, y=2"):
        found = vectorized(failing_at(3, 31), axes, executor=executor, max_workers=2)
    errors = found.shoal.errors
    assert errors.x.tolist() == [3, 31]
    assert errors.y.tolist() == [2, 2]
    assert errors.message.tolist() == ["bad among 1"] * 2
    assert found.f.dtype == object  # integers with holes
    whole = vectorized(failing_at(), axes).f
    assert (found.f == whole).sum() == 118
    for index, replay, error in zip((10, 94), errors["replay"], errors.error, strict=True):
        with pytest.raises(ValueError, match="bad among 1"):
            replay()
        known = shoal.failure(error)
        assert known.index == index
        assert known.kwargs == {"x": index // 3, "y": 2}
        [note] = error.__notes__
        assert note.startswith(f"shoal: task {index} failed on input (x={index // 3}, y=2)\n")


def test_a_replay_that_goes_well_gives_what_the_function_returned(tmp_path):
    marker = tmp_path / "marker"

    def f(x):
        if not marker.exists() and 3.0 in x:
            raise ValueError
        return x + 1

    with pytest.warns(PointsFailed):
        errors = vectorized(f, {"x": np.arange(5.0)}).shoal.errors
    marker.touch()
    assert errors["replay"][0]().tolist() == [4.0]


def test_many_bad_points_are_each_found():
    def f(x):
        if np.any(x % 3 == 0):
            raise ValueError("threes")
        return x

    with pytest.warns(PointsFailed, match="100 of 300"):
        found = vectorized(f, {"x": np.arange(300.0)})
    assert np.array_equal(np.isnan(found.f), np.arange(300) % 3 == 0)


@pytest.mark.parametrize("max_workers", [1, 2])
def test_a_function_that_always_fails_runs_few_blocks(tmp_path, max_workers):
    path = tmp_path / "sizes"
    noting = sizes_seen(path)

    def f(x):
        noting(x)
        raise ValueError("always")

    with pytest.warns(PointsFailed, match="20,000 of 20,000"):
        found = vectorized(f, {"x": np.arange(20_000.0)}, max_workers=max_workers)
    assert len(read_sizes(path)) <= 10
    [error] = {id(each): each for each in found.shoal.errors.error[-5:]}.values()
    assert "points" in error.__notes__[0]
    assert "failed together, in a block of " in error.__notes__[0]


def test_a_few_points_that_all_fail_are_each_named():
    def f(x):
        raise ValueError(f"bad {x.tolist()}")

    with pytest.warns(PointsFailed, match="3 of 3"):
        found = vectorized(f, {"x": [1, 2, 3]})
    assert found.shoal.errors.message.tolist() == ["bad [1]", "bad [2]", "bad [3]"]


def test_with_on_error_raise_the_first_bad_point_is_raised():
    axes = {"x": np.arange(40), "y": [1, 2, 3]}
    for batch_size in ("auto", 7, 1):
        with pytest.raises(ValueError, match="bad among 1") as caught:
            vectorized(failing_at(31, 8), axes, on_error="raise", batch_size=batch_size)
        assert shoal.failure(caught.value).kwargs == {"x": 8, "y": 2}


def test_with_on_error_raise_a_block_whose_halves_go_well_is_no_error():
    def f(x):
        if len(x) > 3:
            raise MemoryError("too large")
        return x

    for on_error in ("raise", "return"):
        found = vectorized(f, {"x": np.arange(50.0)}, on_error=on_error, batch_size=10)
        assert found.f.values.tolist() == list(range(50))


def test_a_block_that_ends_its_worker_is_halved():
    def f(x):
        if 5 in x:
            os._exit(3)
        return x

    with pytest.warns(PointsFailed, match="1 of 16"):
        found = vectorized(
            f, {"x": np.arange(16)}, executor="processes", max_workers=2, worker_death_retries=0
        )
    [error] = found.shoal.errors.error
    assert isinstance(error, WorkerDied)
    assert error.index == 5


def test_a_block_that_runs_too_long_is_halved():
    def f(x):
        import time

        if 5 in x:
            time.sleep(60)
        return x

    with pytest.warns(PointsFailed, match="1 of 8"):
        found = vectorized(
            f, {"x": np.arange(8)}, executor="processes", max_workers=2, timeout_seconds=0.3
        )
    assert [type(error) for error in found.shoal.errors.error] == [TaskTimeout]


def test_a_result_that_cannot_be_kept_costs_its_point_alone(tmp_path):
    import threading

    def f(x):
        return np.array([threading.Lock() if each == 2 else each for each in x], object)

    with pytest.warns(PointsFailed, match="1 of 6 points failed, the first at x=2"):
        found = vectorized(f, {"x": list(range(6))}, checkpoint=tmp_path / "points")
    assert [type(error) for error in found.shoal.errors.error] == [ResultNotReturned]
    assert found.f.values.tolist()[3:] == [3, 4, 5]


def test_a_fixed_batch_size_is_the_size_of_blocks(tmp_path):
    path = tmp_path / "sizes"
    vectorized(sizes_seen(path), {"x": np.arange(10.0)}, batch_size=4)
    assert sorted(read_sizes(path)) == [3, 3, 4]


def test_less_memory_makes_more_and_smaller_blocks(tmp_path):
    path = tmp_path / "sizes"
    largest = []
    for memory_bytes in (1, 64 * MIB, 1024 * MIB):
        found = vectorized(
            sizes_seen(path), {"x": np.arange(40.0)}, memory_bytes=memory_bytes, max_workers=2
        )
        assert found.f.values.tolist() == list(range(0, 80, 2))
        largest.append(max(read_sizes(path)))
    assert largest[0] == 1
    assert min(largest[1:]) > 10


def hungry(path):
    """A function that needs half a MiB or more for each point, and notes its peak."""

    def f(x):
        from shoal.tasks import measured_peak

        with measured_peak() as peak:
            rows = np.ones((len(x), MIB // 16))
            total = (rows * x[:, None]).mean(axis=1)
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(descriptor, f"{peak.bytes} ".encode())
        os.close(descriptor)
        return total

    return f


def test_the_memory_that_blocks_need_stays_near_the_budget(tmp_path):
    """One MiB a point: all points at once would need 300 MiB."""
    path, budget = tmp_path / "peaks", 40 * MIB
    found = vectorized(
        hungry(path),
        {"x": np.arange(300.0)},
        executor="processes",
        max_workers=2,
        memory_bytes=budget,
    )
    assert found.f.values.tolist() == list(range(300))
    peaks = read_sizes(path)
    assert 2 * max(peaks) < 1.5 * budget
    assert len(peaks) < 60  # nor are blocks much smaller than they may be


def test_a_seed_is_refused():
    def f(a, rng):
        return a

    with pytest.raises(ValueError, match="seed= with vectorized=True"):
        vectorized(f, {"a": [1]}, seed=1)


def test_a_checkpoint_gets_several_blocks_of_each_worker(tmp_path):
    path = tmp_path / "sizes"
    vectorized(
        sizes_seen(path), {"x": np.arange(64.0)}, checkpoint=tmp_path / "points", max_workers=2
    )
    assert len(read_sizes(path)) == 16


def test_blocks_are_cut_evenly():
    assert Span(0, 10).parts(4) == [Span(0, 3), Span(3, 6), Span(6, 10)]
    assert Span(3, 3).parts(5) == []
    assert Span(2, 7).halves() == [Span(2, 4), Span(4, 7)]
    assert Span(2, 3).halves() == []


def test_the_first_blocks_are_small_where_memory_might_not_hold_larger_ones():
    sizing = Sizing(10_000, workers=2, memory_bytes=1024 * MIB, strict=True)
    assert sizing.next_blocks(Span(0, 10_000)) == [Span(0, 8), Span(8, 16)]
    assert sizing.measured(8 * MIB, 8)
    assert {len(each) for each in sizing.next_blocks(Span(16, 10_000))} == {499, 500}
    assert not sizing.measured(499 * MIB, 499)
    assert sizing.measured(MIB, 499)  # what the first needed was not for its points
    assert [len(each) for each in sizing.next_blocks(Span(5000, 10_000))] == [2500, 2500]
    assert sizing.measured(5000 * MIB, 2500)  # more than thought
    assert max(map(len, sizing.next_blocks(Span(7500, 10_000)))) <= 256


def test_few_points_are_not_measured_first():
    sizing = Sizing(10, workers=2, memory_bytes=1024 * MIB)
    assert sizing.next_blocks(Span(0, 10)) == [Span(0, 5), Span(5, 10)]
    assert not sizing.measured(5 * MIB, 5)


def test_the_arguments_of_a_block_are_made_from_the_axes():
    from shoal.sweeps.axes import grid_of

    grid = grid_of(formula, {"a": [1, 2], "b": [3.0, 4.0, 5.0]}, {"c": 7})
    table = BlockTable(grid, np.array([5, 0, 4]), [Span(0, 1), Span(1, 3)])
    assert {name: np.asarray(each).tolist() for name, each in table[1].items()} == {
        "a": [1, 2],
        "b": [3.0, 4.0],
        "c": 7,
    }


def test_a_constant_in_shared_memory_serves_all_blocks():
    big = shared_array(200_000, float)
    big[:] = 1

    def f(x, big):
        return x + big[-1]

    found = vectorized(
        f, {"x": np.arange(10.0)}, constants={"big": big}, executor="processes", batch_size=2
    )
    assert found.f.values.tolist() == list(range(1, 11))
