"""One round trip: the time from asking for one task to having its result."""

import time
from statistics import median

from workloads import Workload
from workloads.tiny import add_one


def trips(quick, _repetition):
    return add_one, range(100 if quick else 1000)


def one_by_one(peer, f, inputs):
    seconds = []
    for x in inputs:
        start = time.perf_counter()
        result = peer.call(f, x)
        seconds.append(time.perf_counter() - start)
        if result != x + 1:
            raise ValueError(f"asked for {x} + 1, got {result!r}")
    seconds.sort()
    return {"seconds": median(seconds), "p99_seconds": seconds[int(0.99 * len(seconds))]}


WORKLOADS = {
    "trip": Workload(
        "One round trip, warm: 1,000 tasks of x + 1, one after the other",
        trips,
        peers=(
            "shoal",
            "shoal.map of one",
            "ProcessPoolExecutor",
            "multiprocessing.Pool",
            "joblib",
            "loky, chunked",
            "mpire",
            "pebble, chunked",
        ),
        repeat=one_by_one,
        rounds=5,
        columns={"seconds": "median", "p99_seconds": "99th percentile"},
    ),
}
