"""Streams: the parent's memory, and how far the inputs are read ahead of the results."""

import gc
import time
from collections import deque
from pathlib import Path

from workloads import Workload
from workloads.tiny import add_one

STREAMERS = (
    "serial",
    "shoal",
    "ProcessPoolExecutor, chunked",
    "multiprocessing.Pool",
    "joblib",
    "loky, chunked",
    "mpire",
    "pebble, chunked",
)


def resident_mb(field):
    """Read this process's memory in MB: "VmRSS" is now, "VmHWM" the most since `forget_peak`."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1000
    raise LookupError(field)


def forget_peak():
    Path("/proc/self/clear_refs").write_text("5")


def nap(x):
    time.sleep(0.001)
    return x + 1


class Source:
    """The numbers below `count`, one at a time; `taken` tells how many have been asked for."""

    def __init__(self, count):
        self.count = count
        self.taken = 0

    def __iter__(self):
        for x in range(self.count):
            self.taken += 1
            yield x


def a_million(quick, _repetition):
    return add_one, Source(100_000 if quick else 1_000_000)


def five_thousand(_quick, _repetition):
    return nap, Source(5000)


def read_all(peer, f, source):
    """Read a long stream to its end, after a short one that starts the workers."""
    deque(peer.stream(f, iter(range(10_000))), maxlen=0)
    gc.collect()
    forget_peak()
    before = resident_mb("VmRSS")
    read = total = ahead = 0
    start = time.perf_counter()
    for result in peer.stream(f, iter(source)):
        read += 1
        total += result
        ahead = max(ahead, source.taken - read)
    return {
        "growth_mb": resident_mb("VmHWM") - before,
        "ahead": ahead,
        "seconds": time.perf_counter() - start,
        "digest": f"{read}:{total}",
    }


def read_one(peer, f, source):
    """Read one result of a stream, and then no more for a second."""
    start = time.perf_counter()
    stream = iter(peer.stream(f, iter(source)))
    first = next(stream)
    seconds = time.perf_counter() - start
    ahead = source.taken - 1
    time.sleep(1)
    return {
        "ahead_later": source.taken - 1,
        "ahead": ahead,
        "seconds": seconds,
        "digest": repr(first),
    }


WORKLOADS = {
    "memory": Workload(
        "1,000,000 tasks of x + 1 from a generator, read as a stream",
        a_million,
        peers=STREAMERS,
        chunk=1000,
        repeat=read_all,
        rounds=3,
        quick_rounds=1,
        warm=False,
        columns={
            "growth_mb": "parent grew by",
            "ahead": "inputs read ahead, at most",
            "seconds": "time",
        },
    ),
    "memory-ahead": Workload(
        "Inputs read ahead of the reader: 5,000 tasks of 1 ms, one result read, then none",
        five_thousand,
        peers=STREAMERS,
        repeat=read_one,
        rounds=1,
        quick_rounds=0,
        warm=False,
        columns={
            "ahead_later": "ahead 1 s later",
            "ahead": "ahead at the first result",
            "seconds": "first result after",
        },
    ),
}
