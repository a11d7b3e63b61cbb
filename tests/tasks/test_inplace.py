"""Results written in place are those of the serial loop, and nothing of them is lost silently."""

import gc
from collections import namedtuple
from time import monotonic

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import shoal
from shoal.tasks import NotWritten, Task, run, shared_array
from shoal.tasks.inplace import check_out, write, writing, written_or_kept
from tests.searching import examples
from tests.tasks.regions import open_regions

executors = st.sampled_from(["serial", "threads", "processes"])


@examples(30)
@given(
    inputs=st.lists(st.floats(allow_nan=True), max_size=40),
    executor=executors,
    shared=st.booleans(),
    batch_size=st.just("auto") | st.integers(1, 9),
    max_workers=st.sampled_from([1, 2, 7]),
)
def test_what_is_written_equals_the_serial_loop_bit_for_bit(
    inputs, executor, shared, batch_size, max_workers
):
    shape = (len(inputs), 2)
    out = shared_array(shape) if shared else np.zeros(shape)
    got = shoal.map(
        lambda x: (x, -x),
        inputs,
        out=out,
        executor=executor,
        batch_size=batch_size,
        max_workers=max_workers,
    )
    assert got is out
    assert out.tobytes() == np.array([(x, -x) for x in inputs], float).reshape(shape).tobytes()


@pytest.mark.parametrize("dtype", ["f8", "c16", "i4", "u1", "?", "M8[s]", "U5", "f4,i2"])
def test_every_dtype_without_objects_is_shared(dtype):
    kind = np.dtype(dtype)
    values = np.zeros(4, kind) if kind.names else np.arange(4).astype(kind)
    out = shared_array(4, dtype)
    assert out.dtype == kind
    assert out.tobytes() == bytes(out.nbytes)
    shoal.map(lambda value: value, list(values), out=out, max_workers=2)
    assert out.tobytes() == values.tobytes()


@pytest.mark.parametrize(
    "shape", [0, 3, (3,), (3, 2), [3, 2], (3, 0), np.int64(3), (np.int64(3), 2)]
)
def test_a_shared_array_has_the_shape_asked_for(shape):
    assert shared_array(shape).shape == np.zeros(shape).shape


def test_python_objects_cannot_be_shared():
    for dtype in (object, "O", [("a", "i4"), ("b", "O")]):
        with pytest.raises(TypeError, match="dtype="):
            shared_array(3, dtype)


def test_a_shared_array_is_freed_when_it_is_let_go():
    gc.collect()
    before = open_regions("out")
    out = shared_array(1000)
    assert open_regions("out") > before
    shoal.map(float, range(1000), out=out, max_workers=2)
    del out
    end = monotonic() + 5
    while open_regions("out") > before:  # workers let go of it in their own time
        gc.collect()
        assert monotonic() < end


def test_a_shared_array_may_be_used_again():
    out = shared_array(5)
    for factor in range(3):
        shoal.map(lambda x, factor=factor: float(factor * x), range(5), out=out)
        assert out.tolist() == [factor * x for x in range(5)]


def test_a_view_of_a_shared_array_is_written_too():
    whole = shared_array((4, 2))
    shoal.map(float, range(4), out=whole[:, 1], max_workers=2)
    assert whole.tolist() == [[0.0, float(x)] for x in range(4)]


@pytest.mark.parametrize("executor", ["serial", "threads", "processes"])
@pytest.mark.parametrize("make", [np.zeros, shared_array])
def test_places_of_tasks_that_failed_keep_what_they_had(executor, make):
    def fails(x):
        if x == 2:
            raise LookupError(x)
        return float(x)

    out = make(4)
    out[:] = -1
    with pytest.raises(LookupError) as caught:
        shoal.map(fails, range(4), out=out, executor=executor, batch_size=1)
    assert shoal.failure(caught.value).index == 2
    assert out.tolist()[:3] == [0.0, 1.0, -1.0]


@pytest.mark.parametrize("executor", ["serial", "threads", "processes"])
@pytest.mark.parametrize("make", [np.zeros, shared_array])
@pytest.mark.parametrize(
    ("value", "place", "kind"),
    [
        (1j, (3, "f8"), TypeError),
        (1.5, (3, "i8"), TypeError),
        ("text", (3, "f8"), TypeError),
        (None, (3, "f8"), TypeError),
        ([1.0, 2.0], (3, "f8"), ValueError),
        (1.0, ((3, 2), "f8"), ValueError),
        ([1.0, 2.0, 3.0], ((3, 2), "f8"), ValueError),
        (1.0, (2, "f8"), IndexError),
        (300, (3, "u1"), (OverflowError, TypeError, ValueError)),
        (-1, (3, "u1"), (OverflowError, TypeError, ValueError)),
        (2**40, (3, "i4"), (OverflowError, TypeError, ValueError)),
    ],
)
def test_a_result_that_does_not_fit_is_the_failure_of_its_task(make, executor, value, place, kind):
    with pytest.raises(kind) as caught:
        shoal.map(lambda x: value, range(3), out=make(*place), executor=executor, batch_size=2)
    assert shoal.failure(caught.value).index == (2 if kind is IndexError else 0)


def test_run_writes_in_place_and_its_outcomes_hold_no_values():
    out = shared_array(3)
    outcomes = list(run(float, [Task((str(x),)) for x in (1, "x", 3)], out=out))
    assert [outcome.value for outcome in outcomes] == [None] * 3
    assert {outcome.index for outcome in outcomes if not outcome.ok} == {1}
    assert out.tolist() == [1.0, 0.0, 3.0]


@pytest.mark.parametrize("retries", [0, 1])
def test_no_failure_to_write_is_forgotten_when_a_neighbour_is_tried_again(retries):
    def odd(x):
        if x == 5:
            raise ValueError(x)
        return "text" if x == 2 else float(x)

    for out in (np.zeros(8), shared_array(8)):
        tasks = [Task((x,)) for x in range(8)]
        outcomes = run(odd, tasks, out=out, batch_size=8, retries=retries)
        failed = {outcome.index: type(outcome.error) for outcome in outcomes if not outcome.ok}
        assert failed == {2: TypeError, 5: ValueError}


@pytest.mark.parametrize("wrong", [[0.0], 3, "array", None.__class__, (1, 2)])
def test_what_is_no_array_is_refused_by_name(wrong):
    with pytest.raises(TypeError, match="out="):
        shoal.map(float, [1], out=wrong)


def test_an_array_that_cannot_be_written_to_is_refused_by_name():
    frozen = np.zeros(3)
    frozen.flags.writeable = False
    for wrong in (frozen, np.array(1.0)):
        with pytest.raises(ValueError, match="out"):
            check_out(wrong)


def test_errors_as_results_do_not_go_into_an_array():
    with pytest.raises(ValueError, match="on_error='return' with out"):
        shoal.map(float, [1], out=np.zeros(1), on_error="return")


def test_a_seeded_call_writes_the_same_draws():
    children = np.random.SeedSequence(3).spawn(6)
    expected = [np.random.default_rng(child).random() for child in children]
    out = shared_array(6)
    shoal.map(lambda _, rng: rng.random(), range(6), seed=3, out=out, max_workers=2)
    assert out.tolist() == expected


@given(value=st.integers(-(2**70), 2**70), dtype=st.sampled_from(["i1", "u1", "i4", "u8", "f8"]))
def test_an_integer_is_written_as_it_is_or_not_at_all(value, dtype):
    out = np.zeros(1, dtype)
    try:
        write(out, 0, value)
    except (TypeError, ValueError, OverflowError):
        assert out[0] == 0
    else:
        assert int(out[0]) == value or (dtype == "f8" and float(out[0]) == float(value))


@pytest.mark.parametrize("dtype", ["i1", "u1", "i4", "u4", "i8", "u8", "f4", "f8", "c16"])
def test_a_plain_integer_that_fits_is_written_into_any_numeric_dtype(dtype):
    out = np.zeros(3, dtype)
    assert shoal.map(lambda x: x, range(3), out=out, executor="serial").tolist() == [0, 1, 2]


Pair = namedtuple("Pair", "b a")  # noqa: PYI024  (users have these)


def fields():
    return np.zeros(3, [("a", "f8"), ("b", "i8", 2)])


@pytest.mark.parametrize(
    "value",
    [(1.5, [2, 3]), [1.5, (2, 3)], {"b": [2, 3], "a": 1.5}, Pair([2, 3], 1.5)],
    ids=lambda value: type(value).__name__,
)
def test_several_results_go_into_the_fields_of_their_names(value):
    out = fields()
    write(out, 1, value)
    assert out[1].item() == (1.5, pytest.approx([2, 3]))
    assert out[[0, 2]].tobytes() == bytes(2 * out.itemsize)


@pytest.mark.parametrize(
    "value", [(1.5,), (1, 2, 3), {"a": 1.5}, {"a": 1, "c": [2, 3]}, (1.5, [2]), (1j, [2, 3])]
)
def test_results_that_do_not_fit_into_the_fields_are_refused(value):
    with pytest.raises((TypeError, ValueError)):
        write(fields(), 0, value)


def test_fields_are_written_by_the_workers():
    out = shared_array(4, np.dtype([("a", "f8"), ("b", "i8", 2)]))
    shoal.map(lambda x: (x / 2, [x, -x]), range(4), out=out, max_workers=2)
    assert out["a"].tolist() == [0, 0.5, 1, 1.5]
    assert out["b"].tolist() == [[x, -x] for x in range(4)]


@pytest.mark.parametrize(
    ("dtype", "kept", "written"),
    [
        ("f8", [1, True, 1j, "1", None, np.float32(1), [1.0], np.zeros(1)], [1.5, np.float64(2)]),
        ("f4", [1.0, np.float64(0.1), 1], [np.float32(0.1), np.array(0.5, "f4")]),
        ("i8", [1.0, True, 2**63, np.int32(1)], [1, -(2**63), np.int64(7)]),
        ("c16", [1.0, np.complex64(1)], [1j, np.complex128(2)]),
        ("?", [1, "yes"], [True, np.False_]),
    ],
)
def test_exactly_means_that_only_values_of_the_arrays_own_kind_are_written(dtype, kept, written):
    for value in kept:
        out = np.zeros(1, dtype)
        returned = written_or_kept(out, 0, value)
        assert type(returned) is NotWritten
        assert returned.value is value
        assert out.tobytes() == np.zeros(1, dtype).tobytes()
    for value in written:
        out = np.zeros(1, dtype)
        assert written_or_kept(out, 0, value) is None
        assert out[0] == value


def test_exactly_means_that_masks_and_labels_are_not_lost():
    import xarray as xr

    out = np.zeros((2, 3))
    for value in (np.ma.zeros(3), xr.DataArray(np.zeros(3)), np.zeros(3).view(np.recarray)):
        assert written_or_kept(out, 0, value).value is value
    assert written_or_kept(out, 0, np.ones(3)) is None
    assert written_or_kept(out, 2, np.ones(3)).value.tolist() == [1.0] * 3


def test_strictly_a_misfit_raises_and_otherwise_it_is_returned():
    out = np.zeros(2)
    strict = writing(out, lambda numbered: numbered[1])
    lenient = writing(out, lambda numbered: numbered[1], strict=False)
    assert strict((0, 1.5)) is None
    assert lenient((1, 2.5)) is None
    assert out.tolist() == [1.5, 2.5]
    with pytest.raises(TypeError):
        strict((0, "text"))
    assert lenient((0, "text")).value == "text"
