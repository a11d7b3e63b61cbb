"""Points that are arrays: 1 MB each, in one labelled dataset."""

import numpy as np

from workloads import Workload
from workloads.sweeping import SWEEPERS, TUNED, Asked, timed_sweep


def profile(height):
    return np.full(131_072, height)


def profile_at(point):
    return profile(*point)


def heights(quick, repetition):
    values = [float(repetition + i) for i in range(100 if quick else 1000)]
    return (Asked(profile, profile_at, {"height": values}, ["profile"], {"profile": ["x"]}),)


WORKLOADS = {
    "arrays": Workload(
        "1,000 points of 1 MB each, as a labelled dataset",
        heights,
        peers=("serial", "shoal", *TUNED, *SWEEPERS),
        chunk=10,
        repeat=timed_sweep,
        rounds=5,
        columns={"seconds": "time", "points": "points"},
    ),
}
