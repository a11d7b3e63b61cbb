"""Uneven tasks: one in a hundred takes a hundred times as long."""

import os
import random
import time

from workloads import LOCAL, Workload


def spin(loops):
    for _ in range(loops):
        pass
    return loops


def doze(milliseconds):
    time.sleep(milliseconds / 1000)
    return milliseconds


def lengths(quick):
    """Return 1,000 lengths in ms: ten of 100 at places that are the same each time, else 1."""
    count = 200 if quick else 1000
    long = set(random.Random(20).sample(range(count), count // 100))
    return [100 if i in long else 1 for i in range(count)]


def spins(quick, _repetition):
    loops = int(os.environ["BENCHMARK_LOOPS_PER_MS"])
    return spin, [loops * length for length in lengths(quick)]


def dozes(quick, _repetition):
    return doze, lengths(quick)


IDEAL = {"ideal schedule": "share of the ideal"}

WORKLOADS = {
    "uneven": Workload(
        "1,000 uneven tasks that compute: 990 of 1 ms, 10 of 100 ms",
        spins,
        peers=("ideal schedule", "ceiling", *LOCAL),
        chunk=10,
        rounds=4,
        references={**IDEAL, "ceiling": "share of the ceiling"},
    ),
    "uneven-sleep": Workload(
        "1,000 uneven tasks that sleep: 990 of 1 ms, 10 of 100 ms",
        dozes,
        peers=("ideal schedule", *LOCAL),
        chunk=10,
        rounds=3,
        references=IDEAL,
    ),
}
