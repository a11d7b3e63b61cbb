"""The main job: the grid of overlap integrals is right, and the same in parallel as in a loop."""

import subprocess
import sys
from pathlib import Path

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.image import imread

import shoal
from examples.spdc.overlap import axes, closed_form, grid, integrate

DEMO = Path(__file__).parents[2] / "examples" / "spdc" / "demo.py"
PARAMETERS = grid()
CORNERS = [PARAMETERS[index] for index in (0, 99, 9900, 9999)]


@pytest.fixture(scope="module")
def serial():
    return [integrate(parameter) for parameter in PARAMETERS]


def overlaps(results):
    return np.array([overlap for overlap, _ in results])


def bits(results):
    return np.array(results).tobytes()


def oracle_by_quadrature(phi, xi):
    """The integral itself, to 30 digits; cut where the integrand bends, near z = 0."""
    with mpmath.workdps(30):
        phi, xi = mpmath.mpf(phi), mpmath.mpf(xi)
        right = [mpmath.mpf(10) ** -power for power in (3, 2, 1, 0)]
        cuts = [-cut for cut in reversed(right)] + [0, *right]
        return mpmath.quad(
            lambda z: mpmath.sqrt(xi) * mpmath.expj(phi * z / 2) / (1 - 1j * xi * z), cuts
        )


def oracle_by_e1(phi, xi):
    """The closed form by Ein(z) = E1(z) + ln z + Euler's constant, which is entire: no branches.

    Ein(a s) is an antiderivative of (1 - exp(-a s)) / s. Up to 65 digits cancel on the grid.
    """
    with mpmath.workdps(30 + 70):
        phi, xi = mpmath.mpf(phi), mpmath.mpf(xi)
        a, start = phi / (2 * xi), mpmath.mpc(1, xi)

        def ein(z):
            return mpmath.e1(z) + mpmath.log(z) + mpmath.euler if z else mpmath.mpf(0)

        half = ein(a * start) - mpmath.log(start)
        return -2 * mpmath.exp(a) / mpmath.sqrt(xi) * mpmath.im(half)


def test_the_grid_runs_over_focus_within_phase_mismatch():
    assert len(PARAMETERS) == 10_000
    assert all(type(number) is float for parameter in PARAMETERS for number in parameter)
    phi, xi = np.transpose(PARAMETERS)
    assert np.array_equal(phi, np.repeat(np.arange(-7, 3, 0.1) * np.pi, 100))
    assert np.allclose(xi, np.tile(10.0 ** np.arange(-1.5, 2.5, 0.04), 100), rtol=1e-15)


@given(st.integers(1, 1000))
def test_every_axis_has_the_points_asked_for(points):
    for axis in axes(points):
        assert len(axis) == points


@pytest.mark.parametrize("points", [0, -3])
def test_a_grid_without_points_is_refused(points):
    with pytest.raises(ValueError, match=f"points must be at least 1, got {points}"):
        grid(points)


def test_parallel_results_equal_the_loop_bit_for_bit(serial):
    parallel = shoal.map(integrate, PARAMETERS)
    assert parallel == serial
    assert bits(parallel) == bits(serial)


def test_integrals_agree_with_the_closed_form(serial):
    values = overlaps(serial)
    assert not values.imag.any()
    assert np.abs(values.real - closed_form(*np.transpose(PARAMETERS))).max() < 1e-11


def test_every_integral_is_within_its_own_error_estimate(serial):
    estimates = np.array([estimate.real for _, estimate in serial])
    errors = np.abs(overlaps(serial).real - closed_form(*np.transpose(PARAMETERS)))
    assert (errors <= estimates + 1e-12).all()


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(PARAMETERS))
def test_the_closed_form_is_the_integral(parameter):
    assert_closed_form_is_the_integral(*parameter)


@pytest.mark.parametrize("parameter", [*CORNERS, (0.0, 0.03), (0.0, 2.84), (-0.0, 300.0)])
def test_the_closed_form_is_the_integral_at_the_edges(parameter):
    assert_closed_form_is_the_integral(*parameter)


@pytest.mark.parametrize("phi", [1e-300, -1e-300, 1e-14, -1e-14])
def test_the_closed_form_is_continuous_where_the_phases_match(phi):
    assert closed_form(phi, 2.84) == pytest.approx(closed_form(0.0, 2.84), abs=1e-13)
    assert_closed_form_is_the_integral(phi, 2.84)


def assert_closed_form_is_the_integral(phi, xi):
    by_quadrature, by_e1 = oracle_by_quadrature(phi, xi), oracle_by_e1(phi, xi)
    assert abs(by_quadrature.imag) < 1e-25
    assert abs(by_quadrature - by_e1) < 1e-25
    assert abs(by_quadrature.real - float(closed_form(phi, xi))) < 1e-12


def test_the_closed_form_broadcasts():
    phase_mismatches, focus_logs = axes(7)
    values = closed_form(phase_mismatches[:, None] * np.pi, 10.0**focus_logs)
    assert values.shape == (7, 7)
    assert np.array_equal(values.ravel(), closed_form(*np.transpose(grid(7))))


def test_the_best_focus_is_that_of_boyd_and_kleinman():
    xi = np.linspace(2.7, 3.0, 301)
    phi = np.linspace(-1.2, -0.9, 301)[:, None] * np.pi
    factor = closed_form(phi, xi) ** 2 / 4.0
    assert factor.max() == pytest.approx(1.068, abs=5e-4)
    assert xi[factor.max(axis=0).argmax()] == pytest.approx(2.84, abs=5e-3)


def test_a_parameter_that_is_no_number_is_named_in_the_error():
    parameters = grid(12)
    parameters[77][0] = "-3.14"
    with pytest.raises(TypeError, match="can't multiply sequence by non-int") as caught:
        shoal.map(integrate, parameters)
    assert repr(parameters[77]) in "\n".join(caught.value.__notes__)
    assert caught.value.__cause__ is not None
    with pytest.raises(TypeError, match="can't multiply sequence by non-int"):
        shoal.failure(caught.value).replay()


def test_a_parameter_that_is_no_number_costs_only_its_own_point():
    parameters = grid(12)
    parameters[77][0] = "-3.14"
    results = shoal.map(integrate, parameters, on_error="return")
    assert isinstance(results.pop(77), TypeError)
    del parameters[77]
    assert results == [integrate(parameter) for parameter in parameters]


def test_the_demo_runs_and_draws_its_figure(tmp_path):
    output = tmp_path / "new" / "figure.png"
    command = [sys.executable, DEMO, "--points", "12", "--max-workers", "2", "--output", output]
    demo = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert demo.returncode == 0, demo.stderr
    assert "%|" not in demo.stderr, "a progress bar where nobody watches"
    for claim in ("12 x 12", "all 144 equal the loop's, bit for bit", "closed form", str(output)):
        assert claim in demo.stdout
    assert "TypeError: can't multiply sequence" in demo.stdout
    assert "failed on input ['pi', " in demo.stdout
    assert "shoal.failure(error).replay()" in demo.stdout
    colours = imread(output)[..., :3]
    assert min(colours.shape[:2]) > 500
    assert len(np.unique(colours.reshape(-1, 3), axis=0)) > 50
