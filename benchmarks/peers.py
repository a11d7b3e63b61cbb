"""The peers: every way to run a function over many inputs that is measured here.

`PEERS` names, for each, the module to import and a function that starts it. That function gets
the number of workers and the workload's chunk, and returns a `Peer`. A peer is given what a
careful user would give it, and nothing more; "chunked" means a chunk chosen by hand.
"""

import time
from functools import cache, partial
from itertools import chain, cycle


class Peer:
    """One peer, started.

    Attributes:
        map: called with a function and a list, returns the list of results in order.
        stream: called with a function and an iterator, returns results one at a time, in order.
        call: called with a function and one input, returns its result.
        close: ends it.
        own_seconds: None, or tells how long the last map took by the peer's own clock.
        sweep: called with what `workloads.sweeping` asks, and with a path to store its points at
            where it `can_store`; returns a dataset, or the results in the order of the grid. None:
            it maps the points.
        most_points: how many points of a sweep, or tasks of a map, it can do in a few seconds;
            None for any number.
        has_run: whether it has run what is asked before, where that matters.
    """

    def __init__(
        self,
        *,
        map,
        stream=None,
        call=None,
        close=None,
        own_seconds=None,
        sweep=None,
        can_store=False,
        most_points=None,
    ):
        self.map = map
        self.stream = stream
        self.call = call
        self.close = close or (lambda: None)
        self.own_seconds = own_seconds
        self.sweep = sweep
        self.can_store = can_store
        self.most_points = most_points
        self.has_run = False


def serial(_workers, _chunk):
    return Peer(map=loop, stream=map, call=lambda f, x: f(x))


def loop(f, inputs):
    return [f(x) for x in inputs]


def shoal(workers, _chunk, *, one_by_map=False):
    import shoal

    executor = cache(lambda: shoal.executor("processes", max_workers=workers))
    if one_by_map:
        call = lambda f, x: shoal.map(f, [x])[0]  # noqa: E731
    else:
        call = lambda f, x: executor().submit(f, x).result()  # noqa: E731

    def sweep(asked, store=None):
        return shoal.sweep(
            asked.block or asked.f,
            asked.axes,
            outputs=asked.outputs if not asked.dims else asked.dims,
            vectorized=asked.block is not None,
            checkpoint=store,
        )

    return Peer(map=shoal.map, stream=shoal.imap, call=call, sweep=sweep, can_store=True)


def process_pool_executor(workers, chunk, *, chunked, start="fork"):
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    pool = ProcessPoolExecutor(workers, mp_context=get_context(start))
    return from_executor(pool, chunk if chunked else 1)


def from_executor(pool, chunk):
    return Peer(
        map=lambda f, inputs: list(pool.map(f, inputs, chunksize=chunk)),
        stream=lambda f, inputs: pool.map(f, inputs, chunksize=chunk),
        call=lambda f, x: pool.submit(f, x).result(),
        close=lambda: pool.shutdown(cancel_futures=True),
    )


def multiprocessing_pool(workers, chunk, *, start="fork"):
    from multiprocessing import get_context

    pool = get_context(start).Pool(workers)
    return Peer(
        map=pool.map,
        stream=lambda f, inputs: pool.imap(f, inputs, chunk),
        call=lambda f, x: pool.apply(f, (x,)),
        close=pool.terminate,
    )


def joblib(workers, _chunk):
    from joblib import Parallel, delayed

    def run(f, inputs, **options):
        return Parallel(n_jobs=workers, **options)(delayed(f)(x) for x in inputs)

    return Peer(
        map=run,
        stream=partial(run, return_as="generator"),
        call=lambda f, x: run(f, [x])[0],
    )


def joblib_on(workers, _chunk, *, backend):
    """Let all that uses joblib within a loop use a backend."""
    from joblib import parallel_config

    if backend == "shoal":
        import shoal

        shoal.register_joblib()

    def run(f, inputs):
        with parallel_config(backend=backend, n_jobs=workers):
            return loop(f, inputs)

    return Peer(map=run)


def loky(workers, chunk):
    from loky import get_reusable_executor

    return from_executor(get_reusable_executor(max_workers=workers, timeout=600), chunk)


def mpire(workers, chunk):
    from mpire import WorkerPool

    pool = WorkerPool(n_jobs=workers, keep_alive=True)

    def whole(inputs):  # mpire spreads a list or tuple over a function's parameters.
        return [(x,) if isinstance(x, list | tuple) else x for x in inputs]

    return Peer(
        map=lambda f, inputs: pool.map(f, whole(inputs), concatenate_numpy_output=False),
        stream=lambda f, inputs: pool.imap(f, inputs, chunk_size=chunk),
        call=lambda f, x: pool.apply(f, (x,)),
        close=pool.terminate,
    )


def mpire_shared_objects(workers, _chunk):
    from mpire import WorkerPool

    def run(f, inputs):  # The shared object is the pool's, so a new one needs a new pool.
        with WorkerPool(n_jobs=workers, shared_objects=f.args[0], start_method="fork") as pool:
            return pool.map(f.func, inputs)

    return Peer(map=run)


def pebble(workers, chunk):
    from pebble import ProcessPool

    pool = ProcessPool(max_workers=workers)

    def close():
        pool.stop()
        pool.join()

    return Peer(
        map=lambda f, inputs: list(pool.map(f, inputs, chunksize=chunk).result()),
        stream=lambda f, inputs: pool.map(f, inputs, chunksize=chunk).result(),
        call=lambda f, x: pool.schedule(f, args=(x,)).result(),
        close=close,
    )


def shared_memory_by_hand(workers, chunk):
    """Put a partial's array into shared memory, for a ProcessPoolExecutor with chunks."""
    from multiprocessing.shared_memory import SharedMemory

    import numpy as np

    pool = process_pool_executor(workers, chunk, chunked=True)

    def run(f, inputs):
        array = f.args[0]
        memory = SharedMemory(create=True, size=array.nbytes)
        try:
            np.frombuffer(memory.buf, array.dtype, array.size)[:] = array
            return pool.map(partial(on_shared, f.func, memory.name, array.dtype.str), inputs)
        finally:
            memory.unlink()
            memory.close()

    return Peer(map=run, close=pool.close)


def on_shared(f, name, dtype, x):
    return f(attached(name, dtype)[1], x)


@cache
def attached(name, dtype):
    from multiprocessing.shared_memory import SharedMemory

    import numpy as np

    memory = SharedMemory(name)
    return memory, np.frombuffer(memory.buf, dtype)


def ceiling(workers, _chunk):
    """Let already started processes loop over their share, the time being the slowest's.

    No message is sent while they compute: this is what the cores themselves can do. The inputs
    are dealt out in order of size, there and back, so that the shares are even.
    """
    from multiprocessing import Pipe, get_context

    context = get_context("fork")
    pipes, slowest = [], [0.0]
    for _ in range(workers):
        ours, theirs = Pipe()
        context.Process(target=loop_when_told, args=(theirs,), daemon=True).start()
        pipes.append(ours)

    def run(f, inputs):
        order = sorted(range(len(inputs)), key=inputs.__getitem__)
        shares = [[] for _ in range(workers)]
        for i, share in zip(order, cycle([*shares, *reversed(shares)])):
            share.append(i)
        for pipe, share in zip(pipes, shares, strict=True):
            pipe.send((f, [inputs[i] for i in share]))
        for pipe in pipes:
            pipe.recv()
        for pipe in pipes:
            pipe.send("go")
        seconds, parts = zip(*[pipe.recv() for pipe in pipes], strict=True)
        slowest[0] = max(seconds)
        place = dict(zip(chain(*shares), chain(*parts), strict=True))
        return [place[i] for i in range(len(inputs))]

    return Peer(map=run, own_seconds=lambda: slowest[0])


def loop_when_told(pipe):
    while True:
        f, inputs = pipe.recv()
        pipe.send("ready")
        pipe.recv()
        start = time.perf_counter()
        results = loop(f, inputs)
        pipe.send((time.perf_counter() - start, results))


def ideal_schedule(workers, _chunk):
    """Time every task in a serial loop: no schedule beats their sum over the workers."""
    seconds = []

    def run(f, inputs):
        seconds.clear()
        results = []
        for x in inputs:
            start = time.perf_counter()
            results.append(f(x))
            seconds.append(time.perf_counter() - start)
        return results

    return Peer(map=run, own_seconds=lambda: max(sum(seconds) / workers, *seconds))


EXECUTOR = "concurrent.futures.process"
chunked_executor = partial(process_pool_executor, chunked=True)

PEERS = {
    "serial": ("time", serial),
    "ceiling": ("multiprocessing", ceiling),
    "ideal schedule": ("time", ideal_schedule),
    "shoal": ("shoal", shoal),
    "shoal.map of one": ("shoal", partial(shoal, one_by_map=True)),
    "ProcessPoolExecutor": (EXECUTOR, partial(process_pool_executor, chunked=False)),
    "ProcessPoolExecutor, chunked": (EXECUTOR, chunked_executor),
    "ProcessPoolExecutor, chunked, forkserver": (
        EXECUTOR,
        partial(chunked_executor, start="forkserver"),
    ),
    "ProcessPoolExecutor, chunked, spawn": (EXECUTOR, partial(chunked_executor, start="spawn")),
    "multiprocessing.Pool": ("multiprocessing.pool", multiprocessing_pool),
    "multiprocessing.Pool, forkserver": (
        "multiprocessing.pool",
        partial(multiprocessing_pool, start="forkserver"),
    ),
    "joblib": ("joblib", joblib),
    "joblib on shoal": ("joblib", partial(joblib_on, backend="shoal")),
    "joblib on loky": ("joblib", partial(joblib_on, backend="loky")),
    "joblib on multiprocessing": ("joblib", partial(joblib_on, backend="multiprocessing")),
    "loky, chunked": ("loky", loky),
    "mpire": ("mpire", mpire),
    "mpire, shared_objects": ("mpire", mpire_shared_objects),
    "pebble, chunked": ("pebble", pebble),
    "shared memory by hand": (EXECUTOR, shared_memory_by_hand),
}
