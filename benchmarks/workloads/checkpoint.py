"""Checkpoints: what it costs to have every point on disk, besides in the result."""

from workloads import Workload
from workloads.grid import points
from workloads.sweeping import timed_storing

WORKLOADS = {
    "checkpoint": Workload(
        "The SPDC sweep, 10,000 points, with and without its points stored, by turns, warm",
        points,
        peers=("shoal", "pipefunc", "pipefunc, dict", "xyzpy", "xsweep, serial"),
        repeat=timed_storing,
        rounds=3,
        contenders=("shoal",),
        more_rounds=22,
        columns={"seconds": "stored", "off_seconds": "not stored", "cost_percent": "cost"},
    ),
}
