"""Sweeps: what every peer is asked to sweep, and how one repetition of it is timed.

What a peer makes, a labelled dataset or a plain list, is made within the time; that it is right is
seen afterwards, when each output has been brought into one array in the order of the grid.
"""

import gc
import os
import random
import shutil
import time
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import product
from math import ceil, prod
from pathlib import Path
from tempfile import mkdtemp

from workloads import digest

TUNED = ("ProcessPoolExecutor, chunked", "multiprocessing.Pool", "joblib")
SWEEPERS = ("pipefunc", "xyzpy", "xsweep, processes", "xsweep, serial")


@dataclass(frozen=True)
class Asked:
    """A sweep to be made.

    Attributes:
        f: called by keyword with one value from each axis.
        at: the same function of one sequence of values, for peers that map.
        axes: lists of values by name, the last one fastest.
        outputs: names of what `f` returns.
        dims: names of the dimensions of its own, for each output that is an array.
        block: the same function of arrays of values, one for each axis, or None.
        verdict: called with this and the outputs as arrays; returns a text that is the same for
            results that are right.
    """

    f: object
    at: object
    axes: dict
    outputs: list
    dims: dict = field(default_factory=dict)
    block: object = None
    verdict: object = lambda _asked, columns: digest(columns)

    @cached_property
    def points(self):
        """Return the values at each point, as lists."""
        return [list(values) for values in product(*self.axes.values())]

    @cached_property
    def arrays(self):
        """Return one array of values over all points for each axis, as rows."""
        import numpy as np

        return np.transpose(self.points)

    def __len__(self):
        """Return the number of points."""
        return prod(len(values) for values in self.axes.values())

    def with_at_most(self, count):
        """Return this sweep, or one of at most `count` of its points, spread over all axes."""
        if count is None or len(self) <= count:
            return self
        each = max(int(count ** (1 / len(self.axes)) + 1e-9), 1)
        axes = {name: values[:: ceil(len(values) / each)] for name, values in self.axes.items()}
        return replace(self, axes=axes)


def columns(made, asked):
    """Return one array for each output, the points along axis 0, in the order of the grid."""
    import numpy as np

    if hasattr(made, "data_vars"):
        arrays = [made[name].transpose(*asked.axes, ...).values for name in asked.outputs]
        arrays = [a.reshape(-1, *a.shape[len(asked.axes) :]) for a in arrays]
    elif isinstance(made, np.ndarray):
        arrays = [made]
    else:
        parts = [made] if len(asked.outputs) == 1 else zip(*made, strict=True)
        arrays = [np.asarray(part) for part in parts]
    return [np.array(a.tolist()) if a.dtype == object else a for a in arrays]


def timed_sweep(peer, asked, store=None):
    """Time one sweep. Peers that cannot do so many points do fewer, checked by a loop here."""
    everything, asked = asked, asked.with_at_most(peer.most_points)
    sweep = peer.sweep or partial(map_points, peer.map, asked.points)
    stored = () if store is None else (store,)
    if asked.block:
        asked.arrays  # noqa: B018 - made before the clock starts
    gc.collect()  # What the last repetition made is gone, too.
    start = time.perf_counter()
    made = sweep(asked, *stored)
    seconds = time.perf_counter() - start
    finished_at = time.monotonic()
    if peer.own_seconds is not None:
        seconds = peer.own_seconds()
    text = asked.verdict(asked, columns(made, asked))
    record = {
        "seconds": seconds,
        "point_seconds": seconds / len(asked),
        "points": len(asked),
        "finished_at": finished_at,
    }
    if asked is everything:
        return {**record, "digest": text}
    loop = [asked.at(point) for point in asked.points]
    return {**record, "same": text == asked.verdict(asked, columns(loop, asked))}


def map_points(map, points, asked):
    return map(asked.at, points)


def timed_above_function(peer, asked):
    """Time one sweep, and what a point costs beyond the function in nested loops."""
    record = timed_sweep(peer, asked)
    asked = asked.with_at_most(peer.most_points)
    bare = min(nested_loops(asked) for _ in range(3))
    return {**record, "above_seconds": (record["seconds"] - bare) / record["points"]}


def nested_loops(asked):
    f, (outer, inner) = asked.f, asked.axes.values()
    start = time.perf_counter()
    results = [f(a, b) for a in outer for b in inner]
    return (time.perf_counter() - start) * len(asked) / len(results)


def timed_resume(peer, asked):
    """Time a sweep of which every point is stored; the first time, it is stored before."""
    store, mark = folder() / "points", folder() / "mark"
    if peer.can_store and not mark.exists():
        peer.sweep(asked.with_at_most(peer.most_points), store)
        mark.touch()
    return timed_sweep(peer, asked, store if peer.can_store else None)


def timed_storing(peer, asked):
    """Time a sweep that stores its points anew and one that does not, in a random order."""
    place = Path(mkdtemp(dir=folder()))
    stores = [None, place / "new"]
    random.shuffle(stores)
    records = {store is not None: timed_sweep(peer, asked, store) for store in stores}
    shutil.rmtree(place)
    off = records[False]["seconds"]
    return {
        **records[True],
        "same": records[True]["digest"] == records[False]["digest"],
        "off_seconds": off,
        "cost_percent": 100 * (records[True]["seconds"] / off - 1),
    }


def folder():
    """Return this peer's own folder, which goes when the workload is done."""
    return Path(os.environ["BENCHMARK_FOLDER"])
