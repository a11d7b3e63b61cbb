"""The peers on clusters: Ray and Dask by hand, each on this machine, and shoal on both.

`CLUSTERS` is like `PEERS`. Each peer has a Ray or a Dask of its own, with one worker of one thread
for each core, started before the clock. The size of "chunks of" is chosen by hand.
"""

import logging
from functools import cache, partial
from itertools import chain

from peers import Peer, loop

RAY_MESSAGES = 2000  # Ray takes about half a millisecond for each.
RAY_POOL_TASKS = 200_000  # Ray's Pool takes a few microseconds for each.
DASK_MESSAGES = 1000  # Dask takes about two milliseconds for each,
DASK_TASKS = 50_000  # and tens of microseconds for each element of a list.


def shoal_on(_workers, _chunk, *, name):
    """Map as a user does, who names a cluster and tunes nothing; it is started by a first map."""
    import shoal

    run = partial(shoal.map, executor=name)
    run(abs, [0])
    return Peer(map=run)


def start_ray(workers):
    """Start a Ray as shoal does: on this machine alone, without a dashboard."""
    import ray

    ray.init(
        address="local",
        num_cpus=workers,
        include_dashboard=False,
        logging_level=logging.ERROR,
    )
    return ray


def ray_per_task(workers, _chunk):
    ray = start_ray(workers)
    remote = cache(ray.remote)

    def run(f, inputs):
        return ray.get([remote(f).remote(x) for x in inputs])

    return Peer(map=run, close=ray.shutdown, most_points=RAY_MESSAGES)


def ray_in_chunks(workers, _chunk, *, size):
    ray = start_ray(workers)
    remote = cache(lambda f: ray.remote(over_chunk(f)))

    def run(f, inputs):
        chunks = [remote(f).remote(chunk) for chunk in cut(inputs, size)]
        return list(chain.from_iterable(ray.get(chunks)))

    return Peer(map=run, close=ray.shutdown, most_points=size * RAY_MESSAGES)


def cut(inputs, size):
    return [inputs[first : first + size] for first in range(0, len(inputs), size)]


def over_chunk(f):
    """Return a function of a chunk that holds `f`, so that `f` is sent once."""

    def run(chunk):
        return loop(f, chunk)

    return run


def ray_pool(workers, _chunk):
    ray = start_ray(workers)
    from ray.util.multiprocessing import Pool

    pool = Pool(workers)

    def close():
        pool.terminate()
        ray.shutdown()

    return Peer(map=pool.map, close=close, most_points=RAY_POOL_TASKS)


def start_dask(workers):
    """Start a Dask as its pages do: scheduler here, workers in processes, on this machine alone."""
    from distributed import Client

    return Client(n_workers=workers, threads_per_worker=1, dashboard_address="127.0.0.1:0")


def shoal_on_client(workers, _chunk):
    """Map on the Dask that the other peers have, and not on one that shoal has started."""
    import shoal

    client = start_dask(workers)
    return Peer(map=partial(shoal.map, executor=client), close=client.close)


def dask_client_map(workers, _chunk):
    client = start_dask(workers)

    def run(f, inputs):
        return client.gather(client.map(f, inputs, pure=False))

    return Peer(map=run, close=client.close, most_points=DASK_MESSAGES)


def dask_in_chunks(workers, _chunk, *, size):
    client = start_dask(workers)

    def run(f, inputs):
        chunks = client.map(partial(loop, f), cut(inputs, size), pure=False)
        return list(chain.from_iterable(client.gather(chunks)))

    most = min(size * DASK_MESSAGES, DASK_TASKS)
    return Peer(map=run, close=client.close, most_points=most)


CLUSTERS = {
    "shoal on Ray": ("shoal", partial(shoal_on, name="ray")),
    "Ray per task": ("ray", ray_per_task),
    **{
        f"Ray, chunks of {size:,}": ("ray", partial(ray_in_chunks, size=size))
        for size in (50, 1000, 20_000)
    },
    "ray.util.multiprocessing.Pool": ("ray", ray_pool),
    "shoal on Dask": ("shoal", partial(shoal_on, name="dask")),
    "shoal on a Dask Client": ("shoal", shoal_on_client),
    "Dask client.map": ("distributed", dask_client_map),
    **{
        f"Dask, chunks of {size:,}": ("distributed", partial(dask_in_chunks, size=size))
        for size in (50, 1000)
    },
}
