"""Cheap points: what a labelled point costs beyond the function."""

from workloads import Workload
from workloads.sweeping import SWEEPERS, TUNED, Asked, timed_above_function


def add(a, b):
    return a + b


def add_at(point):
    return point[0] + point[1]


def many(quick, _repetition):
    values = [float(value) for value in range(100 if quick else 500)]
    return (Asked(add, add_at, {"a": values, "b": values}, ["total"]),)


WORKLOADS = {
    "cheap": Workload(
        "250,000 points of a + b, as a labelled dataset",
        many,
        peers=("serial", "shoal", *TUNED, *SWEEPERS),
        chunk=12_500,
        repeat=timed_above_function,
        columns={
            "above_seconds": "a point, above the function",
            "points": "points",
            "seconds": "time",
        },
    ),
}
