"""Points on the engine: in place or by message, with a checkpoint or without, to the same end."""

import os
import signal
import threading

import numpy as np
import pytest
import xarray as xr

import shoal
from shoal.errors import CheckpointNotWritten, ResultNotReturned, WorkerDied
from shoal.sweeps import PointsFailed, running
from shoal.tasks import summary

pytestmark = pytest.mark.timeout(60)
LARGE = 20_000  # numbers, above what makes a result worth writing in place


def rows(a, b):
    return np.full(LARGE, a * 10.0 + b)


def several(a, b):
    return {"one": np.full(LARGE, a * 1.0), "two": np.arange(LARGE) * b, "three": a * 1j}


AXES = {"a": [1, 2, 3, 4], "b": [5, 6, 7, 8]}


@pytest.fixture
def in_place(monkeypatch):
    """How often workers were given an array to write into."""
    given = []
    real = running.shared_array

    def shared_array(shape, dtype):
        given.append(shape)
        return real(shape, dtype)

    monkeypatch.setattr(running, "shared_array", shared_array)
    monkeypatch.setattr(running, "WORTHWHILE", 0.0)  # however slow the machine is just now
    return given


@pytest.mark.parametrize("f", [rows, several])
def test_in_place_results_are_in_the_checkpoint_and_come_back_the_same(tmp_path, in_place, f):
    options = {"checkpoint": tmp_path / "points", "max_workers": 2}
    first = shoal.sweep(f, AXES, **options)
    assert len(in_place) == 1
    assert summary(tmp_path / "points").done == 16
    again = shoal.sweep(f, AXES, **options)
    assert len(in_place) == 1
    assert again.shoal.provenance["points_from_checkpoint"] == 16
    alone = shoal.sweep(f, AXES, executor="serial")
    for found in (first, again):
        assert found.identical(alone.assign_attrs(found.attrs))


@pytest.mark.parametrize("f", [rows, several])
def test_half_in_place_and_half_from_a_checkpoint_is_the_whole(tmp_path, in_place, f):
    options = {"checkpoint": tmp_path / "points", "max_workers": 2}
    shoal.sweep(f, {**AXES, "a": [2, 4]}, **options)
    found = shoal.sweep(f, AXES, **options, on_change="accept")
    assert found.shoal.provenance["points_from_checkpoint"] == 8
    assert len(in_place) == 2
    alone = shoal.sweep(f, AXES, executor="serial")
    assert found.identical(alone.assign_attrs(found.attrs))


def test_what_does_not_fit_in_place_is_kept_as_it_is(tmp_path, in_place):
    def f(a):
        if a == 7:
            return np.zeros(3)
        if a == 8:
            raise ValueError("bad")
        return np.full(LARGE, a) * (1j if a == 9 else 1)

    axes = {"a": list(range(12))}
    alone = None
    for options in (
        {"executor": "serial"},
        {"checkpoint": tmp_path / "points", "max_workers": 2},
        {"checkpoint": tmp_path / "points", "max_workers": 2},
    ):
        with pytest.warns(PointsFailed, match="2 of 12"):
            found = shoal.sweep(f, axes, **options)
        alone = found if alone is None else alone
        assert found.identical(alone.assign_attrs(found.attrs))
        assert found.shoal.errors.a.tolist() == [7, 8]
    assert in_place
    assert found.shoal.provenance["points_from_checkpoint"] == 10


def test_labelled_results_keep_their_labels_in_a_checkpoint(tmp_path):
    def f(a):
        return xr.DataArray(np.full(LARGE, a), {"t": np.arange(LARGE)}, ["t"])

    for _ in range(2):
        found = shoal.sweep(f, {"a": [1, 2, 3]}, checkpoint=tmp_path / "points", max_workers=2)
        assert found.f.dims == ("a", "t")
        assert found.t.values[-1] == LARGE - 1


@pytest.mark.parametrize("executor", ["serial", "threads"])
def test_a_result_that_cannot_be_pickled_costs_its_point_alone(tmp_path, executor):
    """Without a checkpoint such a result is fine on these executors."""

    def f(a):
        if a == 4:
            raise ValueError("bad")
        return threading.Lock() if a in (2, 7) else a

    path = tmp_path / "points"
    with pytest.warns(PointsFailed, match="3 of 9 points failed, the first at a=2"):
        found = shoal.sweep(f, {"a": list(range(9))}, executor=executor, checkpoint=path)
    errors = found.shoal.errors
    assert errors.a.tolist() == [2, 4, 7]
    assert list(map(type, errors.error)) == [ResultNotReturned, ValueError, ResultNotReturned]
    assert "cannot be kept in the checkpoint" in errors.message[0]
    assert type(errors["replay"][0]()) is type(threading.Lock())
    assert found.f.values[[0, 1, 3, 5, 6, 8]].tolist() == [0, 1, 3, 5, 6, 8]
    told = summary(path)
    assert (told.done, told.failed) == (6, 3)
    assert dict(told.failures)[4] == "ValueError: bad"


def test_a_result_that_only_cloudpickle_can_pickle_is_kept(tmp_path):
    def f(a):
        return lambda: a

    for _ in range(2):
        found = shoal.sweep(f, {"a": [1, 2]}, executor="serial", checkpoint=tmp_path / "points")
        assert [each() for each in found.f.values] == [1, 2]


def test_results_of_none_are_values(tmp_path):
    def f(a):
        return None

    for _ in range(2):
        found = shoal.sweep(f, {"a": [1, 2]}, executor="serial", checkpoint=tmp_path / "points")
        assert found.f.values.tolist() == [None, None]
    assert found.shoal.provenance["points_from_checkpoint"] == 2


def test_when_the_checkpoint_fails_no_further_point_is_begun(tmp_path):
    """And none still runs while the user looks at the error."""
    path, begun = tmp_path / "points", tmp_path / "begun"

    def f(a):
        descriptor = os.open(begun, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(descriptor, b".")
        os.close(descriptor)
        if a == 3:
            path.unlink()  # its file is gone: nothing more can be written
        return a

    with pytest.raises(CheckpointNotWritten, match="removed or replaced") as caught:
        shoal.sweep(f, {"a": list(range(500))}, checkpoint=path, max_workers=1, batch_size=1)
    count = begun.stat().st_size
    assert count < 50
    assert caught.value.__traceback__ is not None  # what it holds on to does not go on running
    shoal.map(abs, range(8), max_workers=1)
    assert begun.stat().st_size <= count + 2


def test_a_worker_that_dies_while_it_writes_in_place_costs_nothing(tmp_path, in_place):
    marker = tmp_path / "marker"

    def f(a):
        if a == 9 and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return np.full(LARGE, float(a))

    found = shoal.sweep(f, {"a": list(range(12))}, max_workers=2, checkpoint=tmp_path / "points")
    assert in_place
    assert found.f.values[:, -1].tolist() == list(range(12))


def test_a_point_that_kills_its_workers_is_recorded_as_failed(tmp_path):
    def f(a):
        if a == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return a

    options = {"checkpoint": tmp_path / "points", "worker_death_retries": 0, "max_workers": 2}
    with pytest.warns(PointsFailed, match="1 of 6"):
        found = shoal.sweep(f, {"a": list(range(6))}, **options)
    assert [type(error) for error in found.shoal.errors.error] == [WorkerDied]
    assert [index for index, _ in summary(tmp_path / "points").failures] == [3]


@pytest.mark.parametrize("vectorized", [False, True])
def test_with_on_error_raise_what_was_finished_is_in_the_checkpoint(tmp_path, vectorized):
    def f(a):
        if np.any(a == 5):
            raise ValueError("bad")
        return a

    path = tmp_path / "points"
    with pytest.raises(ValueError, match="bad"):
        shoal.sweep(
            f,
            {"a": list(range(8))},
            executor="serial",
            batch_size=1,
            checkpoint=path,
            on_error="raise",
            vectorized=vectorized,
            verify_points=0,
        )
    assert summary(path).done >= 5
