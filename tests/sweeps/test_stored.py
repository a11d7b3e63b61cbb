"""What a checkpoint keeps of a sweep, and which of its points still hold in another grid."""

import math
import os
import warnings

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import shoal
from shoal.errors import (
    CheckpointChanged,
    CheckpointDamaged,
    CheckpointNotWritten,
    CheckpointUnreadable,
)
from shoal.sweeps import PointsFailed
from shoal.tasks import summary


def note(path, *names):
    """Appends a line to a file, from whatever process."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, (",".join(map(str, names)) + "\n").encode())
    os.close(descriptor)


@pytest.fixture
def ledger(tmp_path):
    """The path of a file in which calls are noted."""
    return str(tmp_path / "ledger")


def read(path):
    """What was noted since the last reading, sorted as text."""
    if not os.path.exists(path):
        return []
    with open(path) as file:
        found = sorted(file.read().split())
    os.unlink(path)
    return found


@pytest.fixture
def sweep(tmp_path):
    """A sweep in this process with a checkpoint."""

    def sweep(f, axes, **options):
        options = {"executor": "serial", "checkpoint": tmp_path / "points", **options}
        return shoal.sweep(f, axes, **options)

    return sweep


def noted(ledger, fail=()):
    """A function of two parameters that notes its calls, and fails at some sums."""

    def f(a, b):
        note(ledger, a, b)
        if a + b in fail:
            raise ValueError(f"bad sum {a + b}")
        return a * 10 + b

    return f


AXES = {"a": [1, 2], "b": [3, 4, 5]}


def test_the_same_call_runs_nothing_again(sweep, ledger):
    first = sweep(noted(ledger), AXES)
    assert len(read(ledger)) == 6
    again = sweep(noted(ledger), AXES)
    assert read(ledger) == []
    assert again.identical(first.assign_attrs(again.attrs))
    assert again.shoal.provenance["points_from_checkpoint"] == 6


@pytest.mark.parametrize("vectorized", [False, True])
def test_only_missing_and_failed_points_are_run_again(sweep, ledger, tmp_path, vectorized):
    broken = tmp_path / "broken"
    broken.touch()

    def f(a):
        for each in np.atleast_1d(a):
            note(ledger, each)
        if broken.exists() and np.any(np.isin(a, [2, 5])):
            raise ValueError("broken")
        return a * 2

    axes = {"a": list(range(8))}
    with pytest.warns(PointsFailed, match="2 of 8"):
        sweep(f, axes, vectorized=vectorized, verify_points=0, max_workers=1)
    read(ledger)
    assert summary(tmp_path / "points").failed == 2
    broken.unlink()
    whole = sweep(f, axes, vectorized=vectorized, verify_points=0, max_workers=1)
    assert read(ledger) == ["2", "5"]
    assert whole.f.values.tolist() == list(range(0, 16, 2))
    assert whole.f.dtype == int
    assert len(whole.shoal.errors) == 0


def test_a_point_that_goes_on_failing_is_tried_each_time(sweep, ledger):
    for _ in range(2):
        with pytest.warns(PointsFailed):
            found = sweep(noted(ledger, fail=[5]), AXES)
        assert "1,4" in read(ledger)
        assert found.shoal.errors.message.tolist() == ["bad sum 5"] * 2


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ({"axes": {"a": [1, 2], "b": [3, 4, 6]}}, "axis b"),
        ({"axes": {"a": [1, 2]}, "constants": {"b": 3}}, "dimensions"),
        ({"constants": {"c": 2}}, "constant c: 1 → 2"),
        ({"seed": 1}, "seed: None → 1"),
        ({"seed": 0}, "seed: None → 0"),
        ({"outputs": "energy"}, "outputs"),
        ({"threads_per_task": 2}, "threads_per_task: 1 → 2"),
        ({"vectorized": True}, "vectorized: False → True"),
        ({"f": lambda a, b, c=0, rng=None: a - b}, "a \\- b"),
    ],
)
def test_a_change_is_refused_with_the_difference(sweep, what, said):
    def f(a, b, c=0, rng=None):
        return a + b

    given = {"f": f, "axes": AXES, "constants": {"c": 1}}
    sweep(**given)
    with pytest.raises(CheckpointChanged, match=said):
        sweep(**{**given, **what})
    if what.keys() == {"constants"}:
        assert sweep(**{**given, **what}, on_change="accept").f.dims == ("a", "b")


def test_dimensions_in_another_order_are_another_grid(sweep):
    """The numbers of points would be the same, and mean others."""
    dataset = xr.Dataset(coords={"a": ("x", [1, 2]), "b": ("y", [10, 20])})

    def f(a, b):
        return 100 * a + b

    first = sweep(f, dataset, over=["x", "y"])
    with pytest.raises(CheckpointChanged, match="dimensions"):
        sweep(f, dataset, over=["y", "x"])
    turned = sweep(f, dataset, over=["y", "x"], on_change="accept")
    assert turned.f.dims == ("y", "x")
    assert turned.f.identical(first.f.transpose("y", "x"))
    assert turned.shoal.provenance["points_from_checkpoint"] == 4


GRIDS = {
    "extended at the end": ({"a": [1, 2, 3], "b": [3, 4, 5]}, ["3,3", "3,4", "3,5"]),
    "extended in front": ({"a": [0, 1, 2], "b": [3, 4, 5]}, ["0,3", "0,4", "0,5"]),
    "extended along the fast axis": ({"a": [1, 2], "b": [3, 4, 4.5, 5]}, ["1,4.5", "2,4.5"]),
    "reordered values": ({"a": [2, 1], "b": [5, 3, 4]}, []),
    "reordered axes": ({"b": [3, 4, 5], "a": [1, 2]}, []),
    "smaller": ({"a": [2], "b": [4, 5]}, []),
    "elsewhere": ({"a": [7], "b": [4]}, ["7,4"]),
    "points": ([{"a": 2, "b": 5}, {"a": 9, "b": 9}, {"b": 3, "a": 1}], ["9,9"]),
    "a table": (pd.DataFrame({"a": [2, 9], "b": [5, 9]}), ["9,9"]),
    "zipped": ({"a": ("k", [1, 2, 8]), "b": ("k", [4, 5, 3])}, ["8,3"]),
}


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("vectorized", [False, True])
def test_accepting_another_grid_keeps_the_points_common_to_both(sweep, ledger, name, vectorized):
    axes, new = GRIDS[name]

    def f(a, b):
        for pair in np.broadcast(a, b):
            note(ledger, *(each if each % 1 else int(each) for each in pair))
        return a * 10 + b

    options = {"vectorized": vectorized, "verify_points": 0}
    sweep(f, AXES, **options)
    read(ledger)
    with pytest.raises(CheckpointChanged):
        sweep(f, axes, **options)
    found = sweep(f, axes, **options, on_change="accept")
    assert read(ledger) == new
    alone = sweep(f, axes, **options, checkpoint=None)
    assert found.identical(alone.assign_attrs(found.attrs))
    read(ledger)
    again = sweep(f, axes, **options)
    assert read(ledger) == []
    assert again.identical(found.assign_attrs(again.attrs))


def test_accepting_another_function_keeps_all_points(sweep, ledger):
    with pytest.warns(PointsFailed):
        sweep(noted(ledger, fail=[4]), AXES)
    read(ledger)
    found = sweep(noted(ledger, fail=[]), AXES, on_change="accept")
    assert read(ledger) == ["1,3"]
    assert found.f.values.tolist() == [[13, 14, 15], [23, 24, 25]]


def test_accepting_other_outputs_renames_what_can_be_and_runs_the_rest(sweep, ledger):
    def pair(a):
        note(ledger, a)
        return a, -a

    def named(a):
        note(ledger, a)
        return {"x": a, "y": -a}

    sweep(pair, {"a": [1, 2]}, outputs=["x", "y"])
    renamed = sweep(pair, {"a": [1, 2]}, outputs=["x", "z"], on_change="accept")
    assert renamed.z.values.tolist() == [-1, -2]
    assert read(ledger) == ["1", "2"]
    other = {"checkpoint": ledger + " named"}
    sweep(named, {"a": [1, 2]}, outputs=["x", "y"], **other)
    assert read(ledger) == ["1", "2"]
    with pytest.warns(PointsFailed):  # it returns x and y still
        sweep(named, {"a": [1, 2]}, outputs=["x", "z"], on_change="accept", **other)
    assert read(ledger) == ["1", "2"]


def test_what_did_not_fit_is_run_again_and_its_old_error_is_gone(sweep, tmp_path):
    wide = tmp_path / "wide"
    wide.touch()

    def f(a):
        return np.zeros(3) if a == 2 and wide.exists() else np.zeros(2)

    with pytest.warns(PointsFailed, match="shape"):
        sweep(f, {"a": [1, 2, 3]})
    wide.unlink()
    found = sweep(f, {"a": [1, 2, 3]})
    assert found.f.shape == (3, 2)
    assert not np.isnan(found.f.values).any()


def test_with_a_seed_points_are_kept_at_their_own_number_alone(sweep):
    def draw(a, rng):
        return rng.random()

    sweep(draw, {"a": [1, 2, 3]}, seed=7)
    options = {"seed": 7, "on_change": "accept"}
    for axes in ({"a": [1, 2, 3, 4]}, {"a": [0, 1, 2, 3]}, {"a": [3, 2, 1]}):
        found = sweep(draw, axes, **options)
        alone = sweep(draw, axes, checkpoint=None, seed=7)
        assert found.draw.identical(alone.draw)
        assert len(np.unique(found.draw)) == found.draw.size  # no stream was used twice


@pytest.mark.parametrize(
    ("seed", "other"),
    [
        (np.random.SeedSequence(1), np.random.SeedSequence(2)),
        ([1, 2], [1, 3]),
        (np.random.SeedSequence(5), np.random.SeedSequence(5, spawn_key=(1,))),
    ],
)
def test_a_seed_of_any_kind_is_told_from_another(sweep, seed, other):
    def draw(a, rng):
        return rng.random()

    for _ in range(2):
        sweep(draw, {"a": [1, 2]}, seed=seed)
    with pytest.raises(CheckpointChanged, match="seed"):
        sweep(draw, {"a": [1, 2]}, seed=other)


def test_axes_of_objects_are_found_again_by_value(sweep, ledger):
    def f(g, x):
        note(ledger, x)
        return g["k"] + len(x)

    axes = {"g": [{"k": 1}, {"k": 2}], "x": ["a", "bb"]}
    sweep(f, axes)
    read(ledger)
    sweep(f, axes)
    assert read(ledger) == []
    axes = {"g": [{"k": 2}, {"k": 1}], "x": ["bb", "ccc"]}
    found = sweep(f, axes, on_change="accept")
    assert read(ledger) == ["ccc", "ccc"]
    assert found.f.values.tolist() == [[4, 5], [3, 4]]


def test_zeros_of_both_signs_nan_and_numbers_of_other_types_are_told_apart(sweep, ledger):
    def f(x):
        note(ledger, repr(x).replace(" ", ""))
        return math.copysign(1, x)

    values = [0.0, -0.0, math.nan, 1, True, 1.0, np.float32(1)]
    sweep(f, {"x": values})
    assert len(read(ledger)) == len(values)
    found = sweep(f, {"x": [*values[::-1], np.float64(1)]}, on_change="accept")
    assert read(ledger) == ["np.float64(1.0)"]
    assert found.f.values.tolist() == [1, 1, 1, 1, 1, -1, 1, 1]


@pytest.mark.parametrize(
    "kind", [np.float64, np.float32, np.float16, np.longdouble, np.complex64, np.int8, np.bool_]
)
@pytest.mark.parametrize("batch_size", [1, 100])
def test_numbers_of_numpy_come_back_as_they_were(sweep, kind, batch_size):
    def f(x):
        return kind(x) / kind(3) if kind is not np.bool_ else kind(x)

    axes = {"x": list(range(20))}
    first = sweep(f, axes, batch_size=batch_size)
    again = sweep(f, axes)
    assert again.shoal.provenance["points_from_checkpoint"] == 20
    assert first.f.dtype == again.f.dtype
    assert first.f.values.tobytes() == again.f.values.tobytes()


def test_durations_keep_their_unit(sweep):
    def f(x):
        return np.timedelta64(x, "ms")

    for _ in range(2):
        found = sweep(f, {"x": [1, 2, 3]})
        assert (found.f.values == np.array([1, 2, 3], "m8[ms]")).all()


def test_points_with_many_parameters_are_not_confused(sweep):
    points = [{f"p{k}": (index >> k) & 1 for k in range(9)} for index in range(512)]

    def f(**point):
        return sum(value << int(name[1:]) for name, value in point.items())

    found = sweep(f, points)
    assert found.f.values.tolist() == list(range(512))
    turned = sweep(f, points[::-1], on_change="accept")
    assert turned.f.values.tolist() == list(range(512))[::-1]
    assert turned.shoal.provenance["points_from_checkpoint"] == 512


def test_axes_that_cannot_be_loaded_any_more_cost_their_points_and_warn(sweep, monkeypatch):
    def f(x):
        return 1

    sweep(f, {"x": [_Gone(), _Gone()]})
    monkeypatch.setenv("SHOAL_TEST_GONE", "1")
    with pytest.warns(CheckpointDamaged, match="axes"):
        found = sweep(f, {"x": [1, 2]}, on_change="accept")
    assert found.f.values.tolist() == [1, 1]


class _Gone:
    """Something whose class forgets how to load it."""

    def __setstate__(self, state):
        if "SHOAL_TEST_GONE" in os.environ:
            raise ImportError("gone")

    def __getstate__(self):
        return {"x": 1}


@pytest.mark.parametrize("kind", ["no directory", "a directory", "a file of others", "a device"])
def test_a_path_that_will_not_do_is_refused_before_any_work(sweep, ledger, tmp_path, kind):
    (tmp_path / "text").write_text("something else")
    path, error = {
        "no directory": (tmp_path / "none" / "points", CheckpointNotWritten),
        "a directory": (tmp_path, CheckpointNotWritten),
        "a file of others": (tmp_path / "text", CheckpointUnreadable),
        "a device": ("/dev/null", CheckpointUnreadable),
    }[kind]
    with pytest.raises(error, match=str(path)):
        sweep(noted(ledger), AXES, checkpoint=path)
    assert read(ledger) == []
    assert (tmp_path / "text").read_text() == "something else"


def test_a_read_only_path_is_refused_before_any_work(sweep, ledger, tmp_path):
    place = tmp_path / "locked"
    place.mkdir(mode=0o500)
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    with pytest.raises(CheckpointNotWritten, match="Permission denied"):
        sweep(noted(ledger), AXES, checkpoint=place / "points")
    assert read(ledger) == []


@pytest.mark.parametrize("checkpoint", [{}, {"checkpoint": None}])
def test_a_wrong_on_change_is_refused_with_and_without_a_checkpoint(sweep, checkpoint):
    with pytest.raises(ValueError, match="on_change='keep': expected 'refuse' or 'accept'"):
        sweep(noted(print), AXES, on_change="keep", **checkpoint)


def test_no_path_at_all_is_a_type_error(sweep):
    with pytest.raises(TypeError, match="path=3"):
        sweep(noted(print), AXES, checkpoint=3)


def test_errors_of_any_kind_are_kept_as_short_text(sweep, tmp_path):
    class Mute(Exception):
        def __str__(self):
            raise RuntimeError("no words")

    def f(a):
        raise ValueError("x" * 10_000_000) if a == 1 else Mute

    with pytest.warns(PointsFailed):
        sweep(f, {"a": [1, 2]})
    assert (tmp_path / "points").stat().st_size < 50_000
    texts = [text for _, text in summary(tmp_path / "points").failures]
    assert texts[0].startswith("ValueError: xxx")
    assert "Mute" in texts[1]


def test_a_record_whose_values_cannot_be_loaded_is_run_again(sweep, monkeypatch):
    def f(a):
        return _Gone() if a == 2 else float(a)

    sweep(f, {"a": [1, 2, 3]}, batch_size=1)
    monkeypatch.setenv("SHOAL_TEST_GONE", "1")
    with pytest.warns(CheckpointDamaged, match="1 points count as missing"):
        found = sweep(f, {"a": [1, 2, 3]})
    assert found.f.values[2] == 3.0
    assert type(found.f.values[1]) is _Gone


def test_a_checkpoint_of_nothing_but_failures_begins_anew(sweep):
    def f(a):
        raise ValueError("no")

    for _ in range(2):
        with pytest.warns(PointsFailed, match="3 of 3"):
            found = sweep(f, {"a": [1, 2, 3]})
    assert found.f.isnull().all()
    assert found.shoal.provenance["points_from_checkpoint"] == 0


def test_large_results_are_not_all_held_at_once(sweep):
    """One record at a time is loaded: here all of them would be 80 MB beside the result."""
    import tracemalloc

    def f(a):
        return np.full(250_000, float(a))

    sweep(f, {"a": list(range(40))}, batch_size=1)
    tracemalloc.start()
    try:
        found = sweep(f, {"a": list(range(40))})
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1.4 * found.f.nbytes


def test_warnings_are_no_part_of_a_good_resume(sweep, ledger):
    sweep(noted(ledger), AXES)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sweep(noted(ledger), AXES)
