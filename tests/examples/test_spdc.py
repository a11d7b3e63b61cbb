"""The main job: the grid of overlap integrals is right, and the same in parallel as in a loop."""

import re
import signal
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
from examples.spdc.faster import overlap_block, overlap_coarse, overlap_compiled
from examples.spdc.overlap import (
    axes,
    closed_form,
    grid,
    integrate,
    named_axes,
    overlap,
    overlap_value,
)
from shoal.errors import VerificationFailed

DEMO = Path(__file__).parents[2] / "examples" / "spdc" / "demo.py"
PARAMETERS = grid()
CORNERS = [PARAMETERS[index] for index in (0, 99, 9900, 9999)]
PHI, XI = np.transpose(PARAMETERS)


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


def test_overlap_by_name_equals_integrate_bit_for_bit(serial):
    some = slice(None, None, 11)
    by_float = [overlap(phi=phi, xi=xi) for phi, xi in PARAMETERS[some]]
    by_numpy = [overlap(phi=phi, xi=xi) for phi, xi in zip(PHI[some], XI[some], strict=True)]
    assert bits(by_float) == bits(by_numpy) == bits(serial[some])


def test_the_block_agrees_with_the_closed_form():
    values = overlap_block(phi=PHI, xi=XI)
    assert values.shape == PHI.shape
    assert np.abs(values - closed_form(PHI, XI)).max() < 1e-12  # The closed form's own error.


@pytest.mark.parametrize("parameter", [*CORNERS, [0.0, 2.84]])
def test_the_block_is_right_to_the_last_digits_alone_and_among_others(parameter):
    exact = float(oracle_by_quadrature(*parameter).real)
    [alone] = overlap_block(*np.transpose([parameter]))
    among = overlap_block(*np.transpose([*PARAMETERS[::97], parameter]))[-1]
    assert abs(alone - exact) < 1e-14
    assert abs(among - exact) < 1e-14


@pytest.mark.parametrize("blocks", [7, 200])
def test_neither_the_number_nor_the_order_of_blocks_matters(blocks):
    whole = overlap_block(PHI, XI)
    shuffled = np.random.default_rng(1).permutation(len(PHI))
    for order in (np.arange(len(PHI)), shuffled):
        parts = [overlap_block(PHI[part], XI[part]) for part in np.array_split(order, blocks)]
        assert np.abs(np.concatenate(parts) - whole[order]).max() < 1e-14


def test_the_compiled_integrand_gives_what_quad_gives(serial):
    values, estimates = np.transpose([overlap_compiled(phi=phi, xi=xi) for phi, xi in PARAMETERS])
    assert np.abs(values - closed_form(PHI, XI)).max() < 1e-11
    assert np.abs(values - overlaps(serial).real).max() < 1e-14
    assert np.abs(estimates - [estimate.real for _, estimate in serial]).max() < 1e-13


def test_the_compiled_integrand_is_the_same_in_worker_processes():
    phi, xi = PHI[::53], XI[::53]
    serial = [overlap_compiled(*parameter) for parameter in zip(phi, xi, strict=True)]
    assert shoal.map(overlap_compiled, phi, xi, max_workers=2) == serial


def test_numba_is_imported_only_to_compile():
    program = (
        "import sys\n"
        "from examples.spdc.faster import overlap_compiled\n"
        "assert 'numba' not in sys.modules\n"
        "overlap_compiled(1.0, 2.0)\n"
        "assert 'numba' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=DEMO.parents[2], check=True)


def test_sixty_four_nodes_look_right_and_are_wrong_where_the_focus_is_tight():
    errors = np.abs(overlap_coarse(phi=PHI, xi=XI) - closed_form(PHI, XI))
    assert np.median(errors) < 1e-14
    assert 0.15 < errors.max() < 0.17
    assert XI[errors.argmax()] > 100.0
    assert XI[errors > 1e-6].min() == pytest.approx(8.7, abs=0.1)


@pytest.mark.parametrize("f", [overlap, overlap_compiled])
def test_a_point_that_is_no_number_is_a_type_error(f):
    with pytest.raises(TypeError):
        f(phi="-3.14", xi=1.0)


@pytest.mark.parametrize("f", [overlap_block, overlap_coarse])
def test_a_block_that_holds_no_numbers_is_a_type_error(f):
    with pytest.raises(TypeError):
        f(phi=np.array(["-3.14"]), xi=np.array([1.0]))


@pytest.mark.parametrize("points", [1, 7, 49, 100])
def test_the_named_axes_span_the_grid(points):
    named = named_axes(points)
    assert [[phi, xi] for phi in named["phi"] for xi in named["xi"]] == grid(points)
    assert all(type(value) is float for axis in named.values() for value in axis)


def test_the_sweep_equals_the_loop_bit_for_bit_and_is_labelled(serial):
    named = named_axes()
    pairs = shoal.sweep(overlap, named, outputs=["overlap", "error"])
    assert bits(np.stack([pairs.overlap, pairs.error], axis=-1)) == bits(serial)
    assert pairs.overlap.dims == ("phi", "xi")
    for name, values in named.items():
        assert pairs[name].values.tolist() == values
    phi, xi = PARAMETERS[4711]
    assert pairs.overlap.sel(phi=phi, xi=xi).item() == serial[4711][0]


def test_the_value_is_the_overlap_without_its_estimate():
    phi, xi = PARAMETERS[4711]
    assert overlap_value(phi=phi, xi=xi) == overlap(phi=phi, xi=xi)[0].real


def test_the_block_is_the_same_in_a_sweep_and_passes_its_check():
    options = {"vectorized": True, "reference": overlap_value, "outputs": "overlap"}
    values = shoal.sweep(overlap_block, named_axes(), **options).overlap.values.ravel()
    assert np.abs(values - overlap_block(phi=PHI, xi=XI)).max() < 1e-14


@pytest.mark.parametrize("points", [12, 100])
def test_sixty_four_nodes_pass_alone_and_not_beside_the_function_of_one_point(points):
    options = {"vectorized": True, "outputs": "overlap"}
    alone = shoal.sweep(overlap_coarse, named_axes(points), **options)
    assert not alone.shoal.errors.size
    with pytest.raises(VerificationFailed, match="differs from its reference") as caught:
        shoal.sweep(overlap_coarse, named_axes(points), reference=overlap_value, **options)
    assert caught.value.dataset.overlap.identical(alone.overlap)
    corners = {tuple(CORNERS[index]) for index in (1, 3)}
    found = {(point["phi"], point["xi"]) for point, _ in caught.value.disagreements}
    assert points != 100 or corners <= found


def test_the_demo_tells_its_story_and_draws_its_figure(tmp_path):
    output = tmp_path / "new" / "figure.png"
    command = [sys.executable, DEMO, "--points", "24", "--max-workers", "2", "--output", output]
    demo = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (demo.returncode, demo.stderr) == (0, "")  # No progress bar where nobody watches.
    for claim in (
        "24 x 24 numerical integrals",
        "equal the loop, bit for bit, at all 576 points",
        "overlap  (phi, xi) complex128",
        "new/figure.png",
        "VerificationFailed: the vectorised function differs from its reference",
        "$ shoal checkpoint show new/figure.checkpoint",
        "def overlap(phi, xi):",
        "damage: none",
        "equals that of the uninterrupted sweep, bit for bit",
        "PointsFailed: 1 of 576 points failed, the first at phi='pi'",
        "TypeError: can't multiply sequence",
        "failed on input ['pi', ",
        "shoal.failure(error).replay()",
        "the same TypeError",
    ):
        assert claim in demo.stdout
    rows = re.findall(r"^  (\S.*\S) +[\d.]+ +[\d.]+ +(\d+e-\d+)$", demo.stdout, re.MULTILINE)
    assert [name for name, _ in rows] == [
        "for loop",
        "shoal.map",
        "shoal.sweep",
        "shoal.sweep in blocks, by quad_vec",
        "shoal.sweep of machine code, by numba",
    ]
    assert all(float(error) < 1e-11 for _, error in rows)
    assert demo.stdout.count("\n") < 100
    colours = imread(output)[..., :3]
    assert min(colours.shape[:2]) > 500
    assert len(np.unique(colours.reshape(-1, 3), axis=0)) > 50


def test_a_sweep_killed_half_way_goes_on_from_there(tmp_path, serial):
    checkpoint = tmp_path / "spdc.checkpoint"
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\n"
        "from resume import done, kill_half_way, sweep\n"
        "checkpoint, workers = Path(sys.argv[2]), {'max_workers': 2}\n"
        "print(kill_half_way(checkpoint, 100, workers), done(checkpoint))\n"
        "pairs = sweep(checkpoint, 100, workers)\n"
        "print(pairs.shoal.provenance['points_from_checkpoint'])\n"
        "print(pairs.overlap.values.tobytes().hex())\n"
    )
    command = [sys.executable, "-c", program, DEMO.parent, checkpoint]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    status, kept, taken_over = map(int, told[:3])
    assert status == -signal.SIGKILL
    assert 5_000 <= kept < 10_000
    assert taken_over == kept
    assert bytes.fromhex(told[3]) == bits([value for value, _ in serial])
