"""The sweep with its labels: a grid of integrals, point by point, in blocks and compiled."""

import numpy as np
from faster import overlap_block, overlap_compiled  # examples/spdc, as they stand there
from overlap import axes, closed_form, integrate, overlap
from scipy.integrate import quad_vec

from workloads import Workload
from workloads.sweep import integrate_often
from workloads.sweeping import SWEEPERS, TUNED, Asked, timed_sweep

PER_POINT = {"point_seconds": "time a point", "points": "points", "seconds": "time"}
REFERENCES = {"serial": "speed-up over serial", "ceiling": "share of the ceiling"}
OUTPUTS = ["overlap", "error"]
CLOSE = 1e-8


def overlap_often(phi, xi):
    """Integrate 62 times: about 9 ms."""
    return integrate_often([phi, xi])


def overlap_value(phi, xi):
    """Integrate at one point; the value alone, for a comparison with those in blocks."""
    return overlap(phi, xi)[0].real


def overlap_value_at(point):
    return overlap_value(*point)


def overlap_compiled_at(point):
    return overlap_compiled(*point)


def overlap_naive(phi, xi):
    """Integrate many points at once, with two lines changed and everything as SciPy has it."""
    return quad_vec(
        lambda z: np.sqrt(xi) * np.exp(1j * phi * z / 2.0) / (1.0 - 1j * xi * z), -1.0, 1.0
    )[0]


def grid_axes(points):
    phase_mismatches, focus_logs = axes(points)
    return {
        "phi": [float(phase_mismatch * np.pi) for phase_mismatch in phase_mismatches],
        "xi": [float(10.0**focus_log) for focus_log in focus_logs],
    }


def near_closed_form(asked, columns):
    """Tell whether the first output is close to the closed form at every point."""
    far = np.abs(columns[0] - closed_form(*asked.arrays)) > CLOSE
    return f"{far.sum()} of {far.size} off"


def points(quick, _repetition):
    return (Asked(overlap, integrate, grid_axes(30 if quick else 100), OUTPUTS),)


def slow_points(quick, _repetition):
    return (Asked(overlap_often, integrate_often, grid_axes(6 if quick else 20), OUTPUTS),)


def compiled_points(quick, _repetition):
    size = grid_axes(30 if quick else 100)
    return (Asked(overlap_compiled, overlap_compiled_at, size, OUTPUTS),)


def in_blocks(block):
    def blocks(quick, _repetition):
        asked = Asked(
            overlap_value,
            overlap_value_at,
            grid_axes(30 if quick else 100),
            ["overlap"],
            block=block,
            verdict=near_closed_form,
        )
        return (asked,)

    return blocks


def vectorized(title, block):
    return Workload(
        title,
        in_blocks(block),
        peers=(
            "serial",
            "ceiling",
            "one block",
            "ceiling, in blocks",
            "shoal",
            "shoal, reference",
            "ProcessPoolExecutor, in blocks",
        ),
        repeat=timed_sweep,
        rounds=15,
        references={
            "serial": "speed-up over serial",
            "one block": "speed-up over one block",
            "ceiling, in blocks": "share of the ceiling in blocks",
        },
    )


WORKLOADS = {
    "grid": Workload(
        "The SPDC sweep, labelled, 10,000 points of about 145 µs, warm",
        points,
        peers=("serial", "ceiling", "shoal", "shoal.map", *TUNED, *SWEEPERS),
        chunk=1000,
        repeat=timed_sweep,
        contenders=("ceiling", "shoal", *TUNED),
        more_rounds=14,
        columns=PER_POINT,
        references=REFERENCES,
    ),
    "grid-slow": Workload(
        "The same at about 9 ms a point, 400 points, warm",
        slow_points,
        peers=("serial", "ceiling", "shoal", "multiprocessing.Pool", "joblib", *SWEEPERS[:3]),
        repeat=timed_sweep,
        rounds=3,
        contenders=("ceiling", "shoal", "multiprocessing.Pool"),
        more_rounds=4,
        references=REFERENCES,
    ),
    "grid-cold": Workload(
        "The SPDC sweep, labelled, in a fresh interpreter, start of the workers included",
        points,
        peers=(
            "serial",
            "shoal",
            *TUNED,
            "loky, chunked",
            "ProcessPoolExecutor, chunked, forkserver",
            "ProcessPoolExecutor, chunked, spawn",
            "multiprocessing.Pool, forkserver",
            "pipefunc",
            "xyzpy",
        ),
        chunk=1000,
        repeat=timed_sweep,
        rounds=7,
        quick_rounds=1,
        warm=False,
        columns={
            "import_seconds": "import → result",
            "call_seconds": "call → result",
            "exec_seconds": "exec → result",
        },
        references={"serial": "speed-up over serial"},
    ),
    "grid-vectorized": vectorized("The SPDC sweep in blocks: real part, gk15", overlap_block),
    "grid-vectorized-naive": vectorized("The SPDC sweep in blocks: plain quad_vec", overlap_naive),
    "grid-compiled": Workload(
        "The SPDC sweep, 10,000 points, the integrand compiled, warm",
        compiled_points,
        peers=("serial", "ceiling", "shoal", "shoal.map", *TUNED, "pipefunc", "xyzpy"),
        chunk=1000,
        repeat=timed_sweep,
        rounds=15,
        references=REFERENCES,
    ),
}
