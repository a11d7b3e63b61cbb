"""The peers that run circuits: Aer's own settings, a pool by hand, and shoal.

`SIMULATORS` is like `PEERS`. A peer's map gets a list of circuits, or a circuit with its values, as
its single input, and returns what Aer, or Qiskit's sampler, gives for it.
"""

import time
from functools import partial

from peers import Peer, loop_when_told

WARMING_SECONDS = 20  # For workers to be started, which shoal does once they are worth it.


def aer(_workers, _chunk, **options):
    return Peer(map=lambda f, inputs: [f(each, **options) for each in inputs])


def ceiling(workers, _chunk):
    """As the ceiling of other workloads; each process runs one stretch of the circuits."""
    from multiprocessing import Pipe, get_context

    context = get_context("fork")
    pipes, slowest = [], [0.0]
    for _ in range(workers):
        ours, theirs = Pipe()
        context.Process(target=loop_when_told, args=(theirs,), daemon=True).start()
        pipes.append(ours)

    def run(f, inputs):
        [circuits] = inputs
        shares = stretches(circuits, -(-len(circuits) // workers))
        for pipe, share in zip(pipes, shares, strict=True):
            pipe.send((partial(on_one_thread, f), [share]))
        for pipe in pipes:
            pipe.recv()
        for pipe in pipes:
            pipe.send("go")
        seconds, parts = zip(*[pipe.recv() for pipe in pipes], strict=True)
        slowest[0] = max(seconds)
        return [[counts for [part] in parts for counts in part]]

    return Peer(map=run, own_seconds=lambda: slowest[0])


def stretches(circuits, size):
    """Cut a list; each part is with the number of its first circuit."""
    return [(circuits[first : first + size], first) for first in range(0, len(circuits), size)]


def on_one_thread(f, stretch):
    return f(*stretch, max_parallel_threads=1)


def pool(workers, chunk, *, cut, joined):
    """Map parts on a pool of spawned processes, as is done by hand; a chunk chosen for it."""
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    made = ProcessPoolExecutor(workers, mp_context=get_context("spawn"))

    def run(f, inputs):
        [asked] = inputs
        work, parts = cut(f, asked, chunk)
        return [joined(list(made.map(work, parts)))]

    return Peer(map=run, close=lambda: made.shutdown(cancel_futures=True))


def circuits_cut(f, circuits, size):
    return partial(on_one_thread, f), stretches(circuits, size)


def circuits_joined(parts):
    return [counts for part in parts for counts in part]


def pub_cut(f, pub, size):
    circuit, values = pub
    flat = values.reshape(-1, values.shape[-1])
    return f, [(circuit, flat[first : first + size]) for first in range(0, len(flat), size)]


def pub_joined(parts, *, rows=4):
    import numpy as np

    bits = np.concatenate(parts)
    return bits.reshape(rows, -1, *bits.shape[1:])


def parallel_backend(_workers, _chunk, *, executor=None, warming_seconds=WARMING_SECONDS):
    """Use a backend as a user does, who tunes nothing; warm once its workers run everything."""
    from workloads.circuits import SEED, SHOTS, counts, simulator

    from shoal.quantum import ParallelBackend

    backend = ParallelBackend(simulator(), executor=executor)
    warm = set()

    def run(_, inputs):
        return [counts(result(each)) for each in inputs]

    def result(circuits):
        """Run circuits; the first time, so often that a long list has gone to workers."""
        until = time.monotonic() + (0 if len(circuits) in warm else warming_seconds)
        warm.add(len(circuits))
        while True:
            got = backend.run(circuits, shots=SHOTS, seed_simulator=SEED).result()
            if got.metadata["shoal"]["calls_here"] == 0 or time.monotonic() > until:
                return got

    return Peer(map=run)


def own_simulator(_workers, _chunk, **options):
    """Use shoal's simulator with Aer's documented options."""
    from workloads.circuits import SEED, SHOTS, counts, simulator

    simulator()  # Sees to Aer's threads.
    from shoal.quantum import AerSimulator

    backend = AerSimulator(**options)

    def run(_, inputs):
        return [
            counts(backend.run(each, shots=SHOTS, seed_simulator=SEED).result()) for each in inputs
        ]

    return Peer(map=run)


def parallel_sampler(_workers, _chunk):
    from qiskit.primitives import StatevectorSampler
    from workloads.circuits import SEED, SHOTS

    from shoal.quantum import ParallelSampler

    sampler = ParallelSampler(StatevectorSampler(seed=SEED), executor="processes")

    def run(_, inputs):
        return [sampler.run([pub], shots=SHOTS).result()[0].data.meas.array for pub in inputs]

    return Peer(map=run)


def parallel_script(_workers, _chunk):
    from workloads.circuits import script

    imports = "from shoal.quantum import ParallelBackend"
    backend = "ParallelBackend(AerSimulator())"
    return Peer(map=lambda _, inputs: [script(imports, backend, count) for count in inputs])


SIMULATORS = {
    "Aer, max_parallel_experiments=0": ("time", partial(aer, max_parallel_experiments=0)),
    "ceiling, circuits": ("multiprocessing", ceiling),
    "ProcessPoolExecutor, chunked, circuits": (
        "concurrent.futures.process",
        partial(pool, cut=circuits_cut, joined=circuits_joined),
    ),
    "ProcessPoolExecutor, chunked, pub": (
        "concurrent.futures.process",
        partial(pool, cut=pub_cut, joined=pub_joined),
    ),
    "ParallelBackend": ("shoal", parallel_backend),
    "ParallelBackend, short runs": ("shoal", partial(parallel_backend, warming_seconds=0)),
    "ParallelBackend, processes": ("shoal", partial(parallel_backend, executor="processes")),
    "ParallelBackend, script": ("shoal", parallel_script),
    "AerSimulator of shoal, processes": (
        "shoal",
        partial(own_simulator, executor="processes", max_job_size=10),
    ),
    "AerSimulator of shoal, no executor": ("shoal", own_simulator),
    "ParallelSampler": ("shoal", parallel_sampler),
}
