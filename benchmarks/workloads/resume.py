"""Resuming: the sweep asked for again when every point of it is stored."""

from workloads import Workload
from workloads.grid import points
from workloads.sweeping import timed_resume

PEERS = ("serial", "shoal", "pipefunc", "pipefunc, dict", "xyzpy", "xsweep, serial")

WORKLOADS = {
    "resume": Workload(
        "The SPDC sweep with all of its 10,000 points stored, warm",
        points,
        peers=PEERS,
        repeat=timed_resume,
    ),
    "resume-cold": Workload(
        "The SPDC sweep with all of its 10,000 points stored, in a fresh interpreter",
        points,
        peers=PEERS,
        repeat=timed_resume,
        rounds=5,
        warm=False,
        columns={"import_seconds": "import → result", "call_seconds": "call → result"},
    ),
}
