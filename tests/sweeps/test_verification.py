"""A vectorised function is compared with its reference where it matters, and told where it errs."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest

import shoal
from shoal.errors import VerificationFailed
from shoal.sweeps import PointsFailed
from shoal.sweeps.axes import grid_of
from shoal.sweeps.verification import corners

SPDC = Path(__file__).parents[2] / "examples" / "spdc"


def checked(f, axes, reference=None, **options):
    """A vectorised sweep in this process, compared with a reference."""
    return shoal.sweep(
        f, axes, **{"executor": "serial", "vectorized": True, "reference": reference, **options}
    )


def square(x, y=0):
    return x * x + y


AXES = {"x": np.linspace(-1, 1, 30), "y": np.linspace(0, 1, 20)}


def noting(path, f=square):
    def noted(**point):
        with open(path, "a") as file:
            file.write(" ".join(f"{float(value):.4f}" for value in point.values()) + "\n")
        return f(**point)

    return noted


def test_a_right_function_passes_at_all_corners_and_some_random_points(tmp_path):
    found = checked(square, AXES, noting(tmp_path / "points"))
    looked_at = (tmp_path / "points").read_text().splitlines()
    assert len(looked_at) in range(17, 21)
    assert len(set(looked_at)) == len(looked_at)
    assert looked_at[:4] == [f"{x:.4f} {y:.4f}" for x in (-1, 1) for y in (0, 1)]
    assert found.square.shape == (30, 20)


@pytest.mark.parametrize(("verify_points", "count"), [(0, 4), (5, 9), (10_000, 600)])
def test_the_number_of_random_points_is_chosen(tmp_path, verify_points, count):
    checked(square, AXES, noting(tmp_path / "points"), verify_points=verify_points)
    found = len((tmp_path / "points").read_text().splitlines())
    assert count - 4 <= found <= count


def test_without_reference_and_points_nothing_is_computed_twice(tmp_path):
    path = tmp_path / "calls"

    def f(x):
        with open(path, "a") as file:
            file.write(f"{len(x)}\n")
        return x

    checked(f, {"x": [1.0, 2.0]}, verify_points=0, batch_size=2)
    assert path.read_text().split() == ["2"]
    checked(f, {"x": [1.0, 2.0]}, batch_size=2)
    assert path.read_text().split() == ["2", "2", "2"]


@pytest.mark.parametrize("corner", [(0, 0), (0, -1), (-1, 0), (-1, -1)])
def test_an_error_at_a_single_corner_is_found(corner):
    x, y = (AXES[name][at] for name, at in zip("xy", corner, strict=True))

    def wrong(x, y, at):
        return square(x, y) + 1e-5 * ((x == at[0]) & (y == at[1]))

    def right(x, y, at):
        return square(x, y)

    with pytest.raises(VerificationFailed, match="differs from its reference at 1 ") as caught:
        checked(wrong, AXES, right, constants={"at": (x, y)})
    [(point, text)] = caught.value.disagreements
    assert point == {"x": x, "y": y}
    assert "expected" in text
    assert caught.value.dataset.wrong.shape == (30, 20)
    assert "rtol=1e-06, atol=1e-09" in str(caught.value)


@pytest.fixture
def spdc(monkeypatch):
    """The functions of the example."""
    pytest.importorskip("scipy")
    monkeypatch.syspath_prepend(SPDC)
    for name in ("overlap", "faster"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import faster
    import overlap

    return overlap, faster


def test_a_quadrature_that_is_wrong_at_the_corner_of_the_example_is_found(spdc):
    overlap, faster = spdc
    phi, xi = overlap.axes(100)
    axes = {"phi": phi * np.pi, "xi": 10.0**xi}

    def reference(phi, xi):
        return overlap.overlap(phi, xi)[0].real

    found = checked(faster.overlap_block, axes, reference)
    exact = overlap.closed_form(axes["phi"][:, None], axes["xi"])
    assert np.abs(found.overlap_block - exact).max() < 1e-9
    with pytest.raises(VerificationFailed, match="at xi=|at phi=") as caught:
        checked(faster.overlap_coarse, axes, reference)
    wrong = np.abs(caught.value.dataset.overlap_coarse - exact)
    assert wrong.median() < 1e-12  # which is why a look at a few points would not do
    assert wrong.max() > 0.1


def test_nan_agrees_with_nan_and_with_nothing_else():
    def f(x):
        return np.where(x < 0, np.nan, x)

    def right(x):
        return math.nan if x < 0 else x

    checked(f, {"x": AXES["x"]}, right)
    for reference in (lambda x: x, lambda x: math.nan):
        with pytest.raises(VerificationFailed):
            checked(f, {"x": AXES["x"]}, reference)


def objects(*values):
    array = np.empty(len(values), object)
    array[:] = values
    return array


@pytest.mark.parametrize("special", [np.inf, -np.inf, 1e300, complex(np.nan, 1), -0.0])
def test_special_values_agree_with_themselves(special):
    def f(x):
        return np.full(len(x), special)

    checked(f, {"x": [1.0, 2.0]}, lambda x: special)
    with pytest.raises(VerificationFailed):
        checked(f, {"x": [1.0, 2.0]}, lambda x: 17.5)


@pytest.mark.parametrize(
    ("values", "wrong"),
    [
        (np.array(["a", "b"]), "c"),
        (objects({1}, None), 3),
        (objects((1, "x"), (2, "y")), (1, "y")),
        (objects(math.nan, "x"), "y"),
        (np.array([True, False]), None),
        (np.array([2**70, 3], object), 2**70 + 1),
        (np.array(["2026-01-01", "NaT"], "M8[D]"), np.datetime64("2026-01-02")),
    ],
    ids=["text", "sets", "tuples", "NaN", "truth values", "huge integers", "dates"],
)
def test_values_of_any_kind_are_compared(values, wrong):
    def f(x):
        return values[x]

    checked(f, {"x": [0, 1]}, lambda x: values[x])
    with pytest.raises(VerificationFailed):
        checked(f, {"x": [0, 1]}, lambda x: wrong)


def test_arrays_and_several_outputs_are_compared_in_every_entry():
    def f(x):
        return {"sum": x + 1, "powers": x[:, None] ** np.arange(4)}

    def right(x):
        return {"powers": np.array([x**n for n in range(4)]), "sum": x + 1}

    def wrong(x):
        return {**right(x), "powers": right(x)["powers"] + [0, 0, 0, 1e-3]}

    checked(f, {"x": [1.0, 2.0, 3.0]}, right)
    with pytest.raises(VerificationFailed, match="powers = "):
        checked(f, {"x": [1.0, 2.0, 3.0]}, wrong)
    with pytest.raises(VerificationFailed, match=r"expected \['sum'\]|the outputs are"):
        checked(f, {"x": [1.0, 2.0, 3.0]}, lambda x: {"sum": x + 1})


def test_tolerances_are_those_that_were_given():
    def rough(x):
        return x * (1 + 1e-4)

    axes = {"x": [1.0, 1000.0]}
    with pytest.raises(VerificationFailed):
        checked(rough, axes, lambda x: x)
    checked(rough, axes, lambda x: x, rtol=1e-3)
    with pytest.raises(VerificationFailed, match="at 1 of"):
        checked(rough, axes, lambda x: x, rtol=0, atol=1e-3)


def test_a_reference_that_raises_is_told_with_what_it_raised():
    def reference(x):
        raise ZeroDivisionError("no reference")

    with pytest.raises(
        VerificationFailed, match="the reference raised ZeroDivisionError: no reference"
    ) as caught:
        checked(square, {"x": [1.0, 2.0]}, reference)
    assert caught.value.dataset.square.values.tolist() == [1, 4]


def test_points_that_failed_are_not_compared():
    def f(x):
        if np.any(x == 1):
            raise ValueError("bad")
        return x * x

    with pytest.warns(PointsFailed, match="1 of 4"):
        found = checked(f, {"x": [1.0, 2.0, 3.0, 4.0]}, lambda x: x * x)
    assert found.f.values[1:].tolist() == [4, 9, 16]


def test_where_all_points_failed_nothing_is_compared():
    def f(x):
        raise ValueError("bad")

    with pytest.warns(PointsFailed, match="2 of 2"):
        checked(f, {"x": [1.0, 2.0]}, square)


def test_blocks_that_depend_on_their_make_up_are_found_without_reference():
    def f(x):
        return x - x.mean()

    with pytest.raises(VerificationFailed, match="itself in a block of its own"):
        checked(f, {"x": np.arange(100.0)}, batch_size=10)


def test_a_function_that_fails_in_another_block_says_so():
    def f(x):
        if np.any(np.diff(x) < 0):
            raise ValueError("not ascending")
        return x

    with pytest.raises(VerificationFailed, match="the function raised ValueError: not ascending"):
        checked(f, {"x": np.arange(100.0)}, batch_size=10)


def test_only_some_of_many_disagreements_are_shown():
    with pytest.raises(VerificationFailed, match=r"(?s)at 20 of .*and 15 more") as caught:
        checked(square, AXES, lambda x, y: -1.0)
    assert len(caught.value.disagreements) in range(17, 21)
    assert len(str(caught.value).splitlines()) < 12


def test_what_was_verified_is_in_the_checkpoint_though_it_failed(tmp_path):
    options = {"checkpoint": tmp_path / "points"}
    with pytest.raises(VerificationFailed):
        checked(square, AXES, lambda x, y: -1.0, **options)
    found = checked(square, AXES, square, **options)
    assert found.shoal.provenance["points_from_checkpoint"] == 600


def test_the_points_looked_at_are_the_same_each_time(tmp_path):
    seen = []
    for number in range(2):
        checked(square, AXES, noting(tmp_path / str(number)))
        seen.append((tmp_path / str(number)).read_text())
    assert seen[0] == seen[1]


def test_corners_are_the_first_and_last_places_of_each_dimension():
    def grid(**axes):
        return grid_of(lambda **point: 0, axes, None)

    assert corners(grid(a=[1, 2, 3])) == [0, 2]
    assert corners(grid(a=[1], b=[1])) == [0]
    assert corners(grid(a=[1, 2, 3], b=[1], c=[1, 2, 3, 4])) == [0, 3, 8, 11]
    many = corners(grid(**{f"a{k}": [1, 2, 3] for k in range(12)}))
    assert len(many) == len(set(many)) == 256
    assert (many[0], many[-1]) == (0, 3**12 - 1)


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"reference": 3}, TypeError, "reference=3 is not callable"),
        ({"verify_points": -1}, ValueError, "verify_points=-1"),
        ({"rtol": math.nan}, ValueError, "rtol=nan"),
        ({"atol": "1"}, ValueError, "atol='1'"),
        ({"vectorized": 1}, TypeError, "vectorized=1"),
        ({"vectorized": False, "reference": square}, ValueError, "reference= is for vectorized"),
    ],
)
def test_wrong_options_are_refused(options, error, said):
    with pytest.raises(error, match=said):
        shoal.sweep(square, {"x": [1]}, **{"vectorized": True, "executor": "serial", **options})
