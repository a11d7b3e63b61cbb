"""Pictures show what is there: values, failed points, units, logarithms; or say what to do."""

import io
import pickle
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr

import shoal
import shoal.sweeps.labelled.accessor
from shoal.errors import MissingExtra

pytest.importorskip("matplotlib")

from shoal.sweeps.pictures import plots
from shoal.sweeps.pictures.drawing import Scale

pytestmark = pytest.mark.filterwarnings("ignore::shoal.sweeps.PointsFailed")

FREQUENCIES = np.logspace(1, 4, 13)


def response(f, q):
    if f > 5000:
        raise OverflowError(f)
    if q == 3:
        raise KeyError(q)
    return 1 / (1 + 1j * q * (f / 1e3 - 1e3 / f))


def sweep(f, axes, **options):
    return shoal.sweep(f, axes, executor="serial", **options)


@pytest.fixture(scope="module")
def complex_grid():
    made = sweep(response, {"f": FREQUENCIES, "q": np.arange(1.0, 9)})
    made.f.attrs.update(long_name="Frequency", units="Hz")
    made.response.attrs["units"] = "V"
    return made


def drawn(figure):
    """Draws everything, and returns the panels without colour bars."""
    content = io.BytesIO()
    figure.savefig(content, format="png")
    assert content.getvalue()[:4] == b"\x89PNG"
    return [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]


def legend_of(axes):
    legends = [each for each in axes.get_children() if type(each).__name__ == "Legend"]
    return [text.get_text() for each in legends for text in each.get_texts()]


def mesh_of(axes):
    return next(each for each in axes.collections if type(each).__name__ == "QuadMesh")


def test_complex_values_over_two_dimensions_are_modulus_and_phase(complex_grid):
    figure = complex_grid.shoal.plot()
    left, right = drawn(figure)
    values = complex_grid.response.values.T
    np.testing.assert_array_equal(mesh_of(left).get_array().filled(np.nan), np.abs(values))
    shown = mesh_of(right)
    np.testing.assert_allclose(shown.get_array().filled(np.nan), np.angle(values))
    assert shown.get_clim() == (-np.pi, np.pi)
    assert shown.get_cmap().name == "twilight"
    labels = [axes.get_ylabel() for axes in figure.axes if axes.get_label() == "<colorbar>"]
    assert labels == ["|response| (V)", "arg response"]


def test_axes_have_names_and_units_and_logarithms_where_they_are(complex_grid):
    left, _ = drawn(complex_grid.shoal.plot())
    assert (left.get_xlabel(), left.get_ylabel()) == ("Frequency (Hz)", "q")
    assert (left.get_xscale(), left.get_yscale()) == ("log", "linear")
    turned, _ = drawn(complex_grid.shoal.plot(x="q"))
    assert (turned.get_xlabel(), turned.get_ylabel()) == ("q", "Frequency (Hz)")


def test_failed_points_are_hatched_and_named(complex_grid):
    left, _ = drawn(complex_grid.shoal.plot())
    assert legend_of(left) == ["failed"]
    assert any(patch.get_hatch() for patch in left.patches)
    good, _ = drawn(complex_grid.isel(f=slice(3), q=slice(2)).shoal.plot(kind="map"))
    assert legend_of(good) == []


def test_one_dimension_is_a_line_with_crosses_where_points_failed(complex_grid):
    figure = complex_grid.sel(q=2.0).shoal.plot()
    left, right = drawn(figure)
    np.testing.assert_array_equal(left.lines[0].get_ydata(), np.abs(complex_grid.response[:, 1]))
    assert left.lines[1].get_xdata().tolist() == FREQUENCIES[FREQUENCIES > 5000].tolist()
    assert legend_of(left) == ["failed"]
    assert figure.get_suptitle() == "q = 2"
    assert right.get_ylim() == (-np.pi * 1.05, np.pi * 1.05)


def test_a_small_second_dimension_gives_lines(complex_grid):
    left, _ = drawn(complex_grid.isel(q=[0, 4]).shoal.plot())
    assert [text for text in legend_of(left) if text != "failed"] == ["1", "5"]
    three = sweep(lambda a, b, x: a + b * x, {"a": [0, 1], "b": [1, 2], "x": np.arange(20.0)})
    [axes] = drawn(three.shoal.plot())
    assert legend_of(axes) == ["0, 1", "0, 2", "1, 1", "1, 2"]
    assert axes.lines[-3].get_ydata().tolist() == (2 * np.arange(20.0) + 1).tolist()


def test_text_along_an_axis_stands_at_even_distances():
    made = sweep(lambda name, x: len(name) * x, {"name": list("abcdefg"), "x": np.arange(9.0)})
    [axes] = drawn(made.shoal.plot())
    assert [text.get_text() for text in axes.get_xticklabels()] == list("abcdefg")


def test_dates_stand_along_an_axis_as_dates():
    days = np.arange("2024-01-01", "2024-01-20", dtype="M8[D]")
    made = sweep(lambda day, x: x * 1.0, {"day": days, "x": np.arange(9)})
    [axes] = drawn(made.shoal.plot())
    assert type(axes.xaxis.get_major_formatter()).__name__.endswith("DateFormatter")


def test_labels_in_any_order_are_drawn_in_their_place():
    [axes] = drawn(
        sweep(lambda x, y: x + 10 * y, {"x": [3, 1, 2, 5, 4, 0], "y": range(7)}).shoal.plot()
    )
    assert mesh_of(axes).get_array()[0].tolist() == [0, 1, 2, 3, 4, 5]


def test_integers_among_failed_points_and_truth_values_are_numbers():
    def whole(x, y):
        if x == 1:
            raise ValueError
        return x + y

    made = sweep(whole, {"x": range(8), "y": range(8)})
    assert made.whole.dtype == object
    [axes] = drawn(made.shoal.plot())
    assert mesh_of(axes).get_array().max() == 14
    drawn(sweep(lambda x: x > 1, {"x": [1, 2, 3]}).shoal.plot())


def test_explicit_points_of_two_parameters_are_dots():
    def height(x, y):
        if x > 0.9:
            raise ValueError
        return x * y

    rng = np.random.default_rng(1)
    points = [{"x": x, "y": y} for x, y in rng.random((60, 2)).tolist()]
    made = sweep(height, points)
    [axes] = drawn(made.shoal.plot())
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("x", "y")
    good = ~np.isnan(made.height.values)
    assert axes.collections[0].get_array().tolist() == made.height.values[good].tolist()
    assert legend_of(axes) == ["failed"]
    [line] = drawn(made.shoal.plot(x="x"))
    assert line.get_xlabel() == "x"
    drawn(made.shoal.plot_errors())


def test_places_that_a_merge_left_open_are_marked_apart():
    def flat(x, y):
        return x + y

    one = sweep(flat, {"x": range(6), "y": range(6)})
    made = one.shoal.merge(sweep(flat, {"x": range(6, 9), "y": range(3, 9)}))
    [axes] = drawn(made.shoal.plot())
    assert legend_of(axes) == ["missing"]


@pytest.mark.parametrize("way", ["plot_errors", "plot", "from a file"])
def test_the_map_of_errors_has_a_colour_for_each_type(complex_grid, way):
    if way == "plot":
        figure = complex_grid.shoal.plot(errors=True)
    else:
        ds = complex_grid if way == "plot_errors" else pickle.loads(pickle.dumps(complex_grid))
        figure = ds.shoal.plot_errors()
    [axes] = drawn(figure)
    assert sorted(legend_of(axes)) == ["KeyError (11)", "OverflowError (16)", "no error (77)"]
    shown = mesh_of(axes).get_array()
    assert np.unique(shown.compressed()).tolist() == [0, 1]
    assert shown.count() == 27


def test_errors_over_one_dimension_have_a_row_for_each_type(complex_grid):
    [axes] = drawn(complex_grid.sel(q=3.0).shoal.plot_errors())
    rows = [text.get_text() for text in axes.get_yticklabels()]
    assert sorted(rows) == ["KeyError", "OverflowError", "done"]


def test_an_average_over_a_dimension_is_drawn_without_marks(complex_grid):
    with_mean = complex_grid.assign(mean=abs(complex_grid.response).mean("q"))
    [axes] = drawn(with_mean.shoal.plot("mean"))
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), with_mean["mean"].values)
    assert legend_of(axes) == []


def test_values_that_are_no_numbers_are_refused():
    made = sweep(lambda x: "a" * x, {"x": [1, 2]})
    with pytest.raises(TypeError, match="holds str: expected numbers"):
        made.shoal.plot()


def test_too_many_dimensions_are_refused_with_what_to_write():
    made = sweep(lambda a, b, c: a, {"a": range(9), "b": range(10), "c": range(11)}, outputs="v")
    with pytest.raises(ValueError, match=r"3 dimensions .* dataset\.isel\(a=0\)\.shoal\.plot\(\)"):
        made.shoal.plot()
    with pytest.raises(ValueError, match=r"isel\(a=0\)"):
        made.shoal.plot_errors()
    drawn(made.isel(a=0).shoal.plot())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "expected one of them"),
        ({"name": "w"}, "expected one of the outputs"),
        ({"name": "u", "kind": "pie"}, "kind='pie'"),
        ({"name": "u", "x": "z"}, "x='z': expected one of"),
        ({"name": "three"}, r"along 'run' run a, b, c: choose one .*x='a'"),
    ],
)
def test_what_cannot_be_drawn_is_said(options, message):
    two = xr.Dataset({"u": ("x", [1.0, 2]), "v": ("x", [1, 2])}, {"x": [1, 2]})
    runs = {"a": ("run", [1, 2]), "b": ("run", [3, 4]), "c": ("run", [5, 6])}
    two = two.assign(three=("run", [1.0, 2.0])).assign_coords(runs)
    with pytest.raises(ValueError, match=message):
        two.shoal.plot(**options)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.logspace(0, 3, 7), True),
        ([1, 2, 5, 10, 20, 50, 100], True),
        (2.0 ** np.arange(8), True),
        (np.linspace(1, 100, 12), False),
        ([1, 2, 3, 4], False),
        ([0.0, 1, 10, 100], False),
        ([1, 10], False),
        (np.logspace(0, 0.2, 9), False),
        (np.linspace(0, 1, 9) ** 2, False),
    ],
)
def test_logarithmic_spacing_is_told_from_even_spacing(values, expected):
    assert Scale("x", np.asarray(values)).logarithmic is expected


def test_cells_reach_half_way_to_their_neighbours():
    assert Scale("x", np.array([1.0, 2, 4])).edges().tolist() == [0.5, 1.5, 3, 5]
    edges = Scale("x", np.array([1.0, 10, 100])).edges()
    np.testing.assert_allclose(edges, [10**-0.5, 10**0.5, 10**1.5, 10**2.5])


def test_the_line_of_a_phase_is_broken_where_it_goes_round():
    made = sweep(lambda x: np.exp(1j * x), {"x": np.linspace(0, 10, 50)}, outputs="z")
    _, right = drawn(made.shoal.plot())
    shown = right.lines[0].get_ydata()
    assert np.isnan(shown).sum() == 2
    assert np.abs(np.diff(shown[~np.isnan(shown)])).max() > np.pi


def test_a_notebook_shows_the_figure_and_pyplot_is_not_needed():
    program = """
import sys, numpy as np, shoal
made = shoal.sweep(lambda x: x**2, {"x": np.arange(5.0)}, outputs="y", executor="serial")
assert "matplotlib" not in sys.modules
assert made.shoal.plot()._repr_png_().startswith(b"\\x89PNG")
assert "matplotlib.pyplot" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_missing_matplotlib_is_named(complex_grid, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtra, match=r"pip install 'shoal\[plots\]'"):
        complex_grid.shoal.plot()


def test_many_types_of_error_share_the_last_colour():
    def varied(x):
        raise [KeyError, ValueError, TypeError, OSError, EOFError, NameError][x % 6]

    made = sweep(varied, {"x": range(12)})
    assert len(plots._kinds(*_record_and_numbers(made))[1]) == 6


def _record_and_numbers(made):
    record = plots.record_in(made.attrs)
    return record, plots.numbers_in(record, made)[1]
