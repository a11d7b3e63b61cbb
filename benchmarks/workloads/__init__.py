"""The workloads: what every peer is asked to do, and how one repetition of it is timed.

A workload's name begins with the name of its file: `sweep-cold` is one of those in `sweep.py`.
This file and those beside it are imported by workers, so they import little.
"""

import time
from math import ceil

NAMES = (
    "sweep",
    "sweep-slow",
    "sweep-cold",
    "tiny",
    "tiny-lambda",
    "shared",
    "large",
    "trip",
    "first",
    "memory",
    "memory-ahead",
    "uneven",
    "uneven-sleep",
    "grid",
    "grid-slow",
    "grid-cold",
    "grid-vectorized",
    "grid-vectorized-naive",
    "grid-compiled",
    "cheap",
    "arrays",
    "resume",
    "resume-cold",
    "checkpoint",
    "ray",
    "ray-tiny",
    "dask",
    "dask-tiny",
    "scikit",
    "scikit-trees",
    "scikit-ridge",
    "circuits",
    "circuits-tiny",
    "circuits-few",
    "circuits-sweep",
    "circuits-cold",
    "circuits-memory",
    "pennylane",
    "pennylane-16",
    "pennylane-20",
    "pennylane-tapes",
    "pennylane-tapes-16",
    "pennylane-small",
    "pennylane-cold",
    "pennylane-gradient",
    "pennylane-adjoint",
    "jax",
    "jax-gradient",
    "jax-large",
    "kernels",
    "kernels-8",
    "kernels-10",
    "kernels-16",
    "kernels-large",
    "service",
    "service-busy",
    "service-polls",
    "service-polls-many",
    "service-start",
    "service-cold",
    "service-many",
    "service-restart",
)

# The peers of most workloads, warm. "chunked" is tuned by hand with the workload's `chunk`.
LOCAL = (
    "serial",
    "shoal",
    "ProcessPoolExecutor",
    "ProcessPoolExecutor, chunked",
    "multiprocessing.Pool",
    "joblib",
    "loky, chunked",
    "mpire",
    "pebble, chunked",
)


def timed_map(peer, f, inputs):
    """Time one map. A peer with a clock of its own (the ceiling) tells the seconds itself.

    Peers that cannot do so many tasks do fewer, spread over all, checked by a loop here.
    """
    everything, inputs = inputs, spread(inputs, peer.most_points)
    start = time.perf_counter()
    results = peer.map(f, inputs)
    seconds = time.perf_counter() - start
    finished_at = time.monotonic()
    if peer.own_seconds is not None:
        seconds = peer.own_seconds()
    record = {
        "seconds": seconds,
        "task_seconds": seconds / len(inputs),
        "tasks": len(inputs),
        "tasks_per_second": len(inputs) / seconds,
        "finished_at": finished_at,
    }
    if len(inputs) == len(everything):
        return {**record, "digest": digest(results)}
    return {**record, "same": digest(results) == digest([f(x) for x in inputs])}


def timed_again(peer, f, inputs):
    """Time a map by a peer that has run it before: a new one runs it twice."""
    if not peer.has_run:
        timed_map(peer, f, inputs)
        peer.has_run = True
    return timed_map(peer, f, inputs)


def spread(inputs, most):
    """Return at most so many inputs, at even distances; all for None."""
    return inputs if most is None else inputs[:: max(ceil(len(inputs) / most), 1)]


def digest(results):
    """Return a text that differs when one bit, one type or the order of the results does."""
    import hashlib

    total = hashlib.sha256()
    for result in results:
        if hasattr(result, "tobytes"):
            total.update(f"{result.dtype}{result.shape}".encode())
            total.update(result.tobytes() if result.ndim == 0 else memoryview(result).cast("B"))
        else:
            total.update(repr(result).encode())
    return f"{len(results)}:{total.hexdigest()[:16]}"


class Workload:
    """One thing that every peer is asked to do.

    Attributes:
        title: what it is, for a reader.
        job: called with (quick, repetition), returns the function and its inputs, not timed.
        peers: names of the peers that take part, in the order of the table.
        chunk: inputs per message, for the peers tuned by hand.
        repeat: called with (peer, function, inputs), returns one repetition's measurements.
        rounds, quick_rounds: rounds in which every peer runs once, after a round to warm up.
        warm: each peer keeps its process and its workers from round to round.
        patience_seconds: who takes longer in the round to warm up sits the others out.
        contenders, more_rounds: peers that run in further rounds alone, for narrow comparisons.
        columns: measurements in the table, by key, with their headings; the first one ranks.
        references: peers whose first measurement over a peer's own is a column, with its heading.
    """

    def __init__(
        self,
        title,
        job,
        *,
        peers=LOCAL,
        chunk=1,
        repeat=timed_map,
        rounds=7,
        quick_rounds=2,
        warm=True,
        patience_seconds=5,
        contenders=(),
        more_rounds=0,
        columns=None,
        references=None,
    ):
        self.title = title
        self.job = job
        self.peers = peers
        self.chunk = chunk
        self.repeat = repeat
        self.rounds = rounds
        self.quick_rounds = quick_rounds
        self.warm = warm
        self.patience_seconds = patience_seconds
        self.contenders = contenders
        self.more_rounds = more_rounds
        self.columns = columns or {"seconds": "time"}
        self.references = references or {}
