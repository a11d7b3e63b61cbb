"""``dataset.shoal`` tells the truth about errors and status, also of parts of a dataset."""

import copy
import json
import pickle

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import shoal
import shoal.sweeps.labelled.accessor
from shoal.errors import TaskRaised

pytestmark = pytest.mark.filterwarnings("ignore::shoal.sweeps.PointsFailed")

XS, YS = [0.5, 1.0, 2.0, 4.0], ["a", "b", "c"]


def picky(x, y):
    if x > 1 and y != "b":
        raise ValueError(f"no {y} at {x}")
    return int(x * 2)


def sweep(f, axes, **options):
    return shoal.sweep(f, axes, executor="serial", **options)


@pytest.fixture(scope="module")
def dataset():
    return sweep(picky, {"x": XS, "y": YS})


def from_file(dataset):
    """As it comes from a file: attributes are text, and nothing else."""
    again = pickle.loads(pickle.dumps(dataset))
    assert type(again.attrs["shoal"]) is str
    return again


def messages_expected(xs, ys):
    return [f"no {y} at {x}" for x in XS for y in YS if x > 1 and y != "b" and x in xs and y in ys]


def assert_truthful(part, xs, ys):
    """What a part with these labels says is what the function does there."""
    status = part.shoal.status.transpose("x", "y").values.tolist()
    assert status == [["failed" if x > 1 and y != "b" else "done" for y in ys] for x in xs]
    assert part.shoal.errors.message.tolist() == messages_expected(xs, ys)


def test_errors_are_a_table_with_inputs_and_what_runs_them_again(dataset):
    errors = dataset.shoal.errors
    assert [*errors.columns] == ["x", "y", *shoal.sweeps.labelled.accessor.COLUMNS]
    assert errors.x.tolist() == [2.0, 2.0, 4.0, 4.0]
    assert errors.y.tolist() == ["a", "c", "a", "c"]
    assert [str(error) for error in errors.error] == errors.message.tolist()
    assert all("in picky" in text for text in errors.traceback)
    with pytest.raises(ValueError, match=r"no c at 4\.0"):
        errors.replay[3]()


def test_from_a_file_errors_are_the_same_but_for_what_lives_in_the_process(dataset):
    live, told = dataset.shoal.errors, from_file(dataset).shoal.errors
    same = ["x", "y", "message", "traceback", "attempts", "worker"]
    assert told[same].equals(live[same])
    assert told.error.tolist() == ["ValueError"] * 4
    assert told.replay.tolist() == [None] * 4


places = st.lists(st.integers(0, 3), min_size=1, unique=True)


@given(rows=places, columns=places, live=st.booleans())
def test_a_selection_has_the_status_and_the_errors_of_its_labels(dataset, rows, columns, live):
    columns = [at for at in columns if at < 3] or [1]
    part = dataset.isel(x=rows, y=columns)
    part = part if live else from_file(part)
    assert_truthful(part, [XS[at] for at in rows], [YS[at] for at in columns])


def test_labels_may_stand_twice_in_a_selection(dataset):
    part = dataset.isel(x=[3, 3, 0])
    assert part.shoal.status.sel(y="a").values.tolist() == ["failed", "failed", "done"]
    assert part.shoal.errors.x.tolist() == [4.0, 4.0]


def test_one_place_along_a_dimension_leaves_the_others(dataset):
    part = dataset.sel(x=4.0)
    assert part.shoal.status.dims == ("y",)
    assert part.shoal.status.values.tolist() == ["failed", "done", "failed"]
    assert part.shoal.errors.y.tolist() == ["a", "c"]
    assert dataset.sel(x=4.0, y="b").shoal.status.item() == "done"


@pytest.mark.parametrize(
    "change",
    [
        copy.copy,
        copy.deepcopy,
        lambda ds: ds.copy(deep=True),
        lambda ds: ds.transpose("y", "x"),
        lambda ds: ds.assign(more=ds.picky.astype(float) + 1),
        lambda ds: ds.load(),
        lambda ds: ds.sortby("x", ascending=False).sortby("x"),
    ],
)
def test_live_errors_survive_what_people_do(dataset, change):
    changed = change(dataset)
    assert_truthful(changed, XS, YS)
    assert all(map(callable, changed.shoal.errors.replay))


def test_arithmetic_that_keeps_attributes_keeps_the_errors(dataset):
    with xr.set_options(keep_attrs=True):
        assert_truthful(dataset.astype(float) * 2 + 1, XS, YS)


def test_where_points_cannot_be_told_apart_status_refuses_and_errors_are_all_kept(dataset):
    for gone in (dataset.isel(x=0, drop=True), dataset.astype(float).mean("x", keep_attrs=True)):
        with pytest.raises(LookupError, match="dimension 'x'"):
            _ = gone.shoal.status
        assert gone.shoal.errors.message.tolist() == messages_expected(XS, YS)
    unlabelled = sweep(lambda k: 1 / k[0], {"k": [[0], [1], [2]]})
    assert unlabelled.shoal.status.values.tolist() == ["failed", "done", "done"]
    with pytest.raises(LookupError, match="dimension 'k' had 3 places"):
        _ = unlabelled.isel(k=[1, 2]).shoal.status


def test_a_dimension_with_very_many_labels_is_known_while_it_is_whole(monkeypatch):
    monkeypatch.setattr(shoal.sweeps.labelled.states, "MOST_LABELS", 3)
    many = from_file(sweep(lambda x: 1 / x, {"x": [0.0, 1.0, 2.0, 3.0]}))
    assert many.shoal.status.values.tolist() == ["failed", "done", "done", "done"]
    with pytest.raises(LookupError, match="had 4 places"):
        _ = many.isel(x=[1, 0]).shoal.status


def test_places_that_no_sweep_has_computed_are_missing(dataset):
    part = dataset.reindex(x=[1.0, 3.0, 4.0])
    assert part.shoal.status.sel(y="a").values.tolist() == ["done", "missing", "failed"]


def test_explicit_points_and_dates_and_nan_are_found_by_their_labels():
    days = np.array(["2024-02-28", "2024-02-29", "2024-03-01"], "M8[D]")

    def leap(day, x):
        if np.isnan(x):
            raise ValueError(f"{day} {x}")
        return x

    points = [{"day": day, "x": x} for day, x in zip(days, (1.0, np.nan, 3.0), strict=True)]
    made = from_file(sweep(leap, points)).isel(point=[2, 1])
    assert made.shoal.status.values.tolist() == ["done", "failed"]
    assert made.shoal.errors.day.tolist() == [made.day.values[1]]
    axes = from_file(sweep(leap, {"day": days, "x": [np.nan, 1.0]})).isel(day=[1], x=[1, 0])
    assert axes.shoal.status.values.tolist() == [["done", "failed"]]


def test_a_sweep_without_errors_says_so(dataset):
    good = sweep(lambda x: x, {"x": XS})
    assert good.shoal.errors.empty
    assert good.shoal.errors.columns[0] == "x"
    assert (good.isel(x=[2, 0]).shoal.status == "done").all()
    assert good.isel(x=0).shoal.status.item() == "done"


def test_a_dataset_of_no_sweep_has_no_errors_and_no_status():
    other = xr.Dataset({"a": ("x", [1])}, attrs={"shoal": "not json"})
    assert other.shoal.provenance == {}
    assert other.shoal.errors.empty
    with pytest.raises(LookupError, match="does not come from a sweep"):
        _ = other.shoal.status


def test_ten_thousand_failures_are_little_text():
    def wrong(a, b):
        raise ValueError(f"{a} and {b}, " + "which is a long story " * 20)

    made = sweep(wrong, {"a": np.arange(100.0), "b": np.linspace(0, 1, 100)})
    assert len(made.attrs["shoal"]) < 700_000
    told = from_file(made)
    for dataset in (made, told, told.isel(a=slice(50, None))):
        errors = dataset.shoal.errors
        assert len(errors) == dataset.wrong.size
    assert errors.a.tolist()[:2] == [50.0, 50.0]
    assert errors.message[0].startswith("not kept")
    assert set(errors.error) == {"ValueError"}


def test_the_record_is_json_and_provenance_leaves_the_errors_out(dataset):
    record = json.loads(dataset.attrs["shoal"])
    assert record["failed"] == 4
    told = dataset.shoal.provenance
    assert told["failed"] == 4
    assert told["function"].endswith("picky")
    assert told["versions"]["xarray"] == xr.__version__
    assert not {"errors", "tracebacks", "states", "types"} & {*told}


class Silent(Exception):
    def __str__(self):
        raise RuntimeError("no text")


def test_an_exception_without_a_text_is_listed_too():
    def silent(x):
        raise Silent

    made = sweep(silent, {"x": [1, 2]})
    for dataset in (made, from_file(made)):
        assert len(dataset.shoal.errors) == 2
    assert isinstance(made.shoal.errors.error[0], Silent | TaskRaised)
