"""The peers that run PennyLane's circuits, and those that vectorise a function with JAX.

`DEVICES` is like `PEERS`. Circuits and gradients are asked for as a `workloads.pennylane.Asked`,
which knows how to run one on a device, and inputs are numbers. Each peer is warm from the second
round on.
"""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import chain

from peers import Peer, ceiling, loop

PARALLEL = "shoal.parallel"
MOST_ON_DEFAULT = 1  # It starts two processes for each batch of circuits, which takes ten seconds.


def one_by_one(_workers, _chunk, *, name, most=None, **options):
    """Call a QNode on a device in this process for each number."""
    return Peer(
        map=lambda f, numbers: [f.on(name, number, **options) for number in numbers],
        most_points=most,
    )


def one_batch(_workers, _chunk, *, name, new=False):
    """Hand all circuits to a device at once; `new` is one that no process was started for."""
    return Peer(map=lambda f, numbers: f.together(name, numbers, new=new))


def ceiling_in_batches(workers, chunk):
    """Let processes hand their share of the circuits to lightning at once, see `peers.ceiling`."""
    bare = ceiling(workers, chunk)

    def run(f, numbers):
        shares = [numbers[first::workers] for first in range(workers)]
        results = bare.map(partial(together, f), shares)
        place = dict(zip(chain(*shares), chain(*results), strict=True))
        return [place[number] for number in numbers]

    return Peer(map=run, own_seconds=bare.own_seconds)


def together(f, numbers):
    return f.together("lightning.qubit", numbers)


def built_before(_workers, _chunk, *, name):
    """Time only how a device runs circuits that are there, not how they are built."""
    seconds = [0.0]

    def run(f, numbers):
        tapes = f.tapes(numbers)
        start = time.perf_counter()
        results = f.executed(tapes, name)
        seconds[0] = time.perf_counter() - start
        return results

    return Peer(map=run, own_seconds=lambda: seconds[0])


def ceiling_built_before(workers, chunk):
    """Let processes hand their share of such circuits to lightning, see `peers.ceiling`."""
    bare = ceiling(workers, chunk)

    def run(f, numbers):
        shares = [Share(first, f, numbers[first::workers]) for first in range(workers)]
        results = bare.map(partial(executed, f), shares)
        order = chain(*(numbers[first::workers] for first in range(workers)))
        place = dict(zip(order, chain(*results), strict=True))
        return [place[number] for number in numbers]

    return Peer(map=run, own_seconds=bare.own_seconds)


@dataclass(order=True)
class Share:
    """Some of the circuits; sent to a process, it arrives as a number and the circuits, built."""

    first: int
    asked: object = field(compare=False)
    numbers: list

    def __reduce__(self):
        return arrived, (self.first, self.asked, self.numbers)


def arrived(first, asked, numbers):
    return first, asked.tapes(numbers)


def executed(f, share):
    return f.executed(share[1], "lightning.qubit")


def threads(workers, _chunk):
    """Map over threads, each of which has a device of its own: from a shared one come errors."""
    local = threading.local()

    def own(f, number):
        if not hasattr(local, "run"):
            local.run = f.on_new("lightning.qubit")
        return local.run(number)

    pool = ThreadPoolExecutor(workers)
    return Peer(
        map=lambda f, numbers: list(pool.map(partial(own, f), numbers)), close=pool.shutdown
    )


def mp_pool(workers, _chunk):
    """Map by PennyLane's own executor, asked to keep its processes."""
    from pennylane.concurrency.executors import create_executor

    executor = create_executor("mp_pool", max_workers=workers, persist=True)
    return Peer(
        map=lambda f, numbers: executor.starmap(f, [(number,) for number in numbers]),
        close=executor.shutdown,
    )


def default_qubit(workers, chunk):
    """Use PennyLane's own simulator with its option `max_workers`."""
    return one_by_one(
        workers, chunk, name="default.qubit", most=MOST_ON_DEFAULT, max_workers=workers
    )


def vmap(_workers, _chunk):
    import jax

    vectorised = cache(lambda f: jax.jit(jax.vmap(f)))
    return Peer(map=lambda f, inputs: jax.block_until_ready(vectorised(f.function)(inputs)))


def vmap_in_blocks(_workers, _chunk):
    from shoal.quantum import vmap_in_blocks

    vectorised = cache(lambda f, memory_bytes: vmap_in_blocks(f, memory_bytes=memory_bytes))
    return Peer(map=lambda f, inputs: vectorised(f.function, f.memory_bytes)(inputs))


def lax_map(_workers, _chunk, *, size):
    """Let JAX itself go through the inputs in blocks, their size chosen by hand."""
    import jax

    vectorised = cache(lambda f: jax.jit(lambda xs: jax.lax.map(f, xs, batch_size=size)))
    return Peer(map=lambda f, inputs: jax.block_until_ready(vectorised(f.function)(inputs)))


def loop_compiled(_workers, _chunk):
    import jax

    compiled = cache(jax.jit)
    return Peer(map=lambda f, inputs: loop(compiled(f.function), inputs))


DEVICES = {
    PARALLEL: ("shoal.quantum", partial(one_batch, name=PARALLEL)),
    "shoal.parallel, cold": ("shoal.quantum", partial(one_batch, name=PARALLEL, new=True)),
    "shoal.parallel, gradients": ("shoal.quantum", partial(one_by_one, name=PARALLEL)),
    "lightning, one batch": ("pennylane", partial(one_batch, name="lightning.qubit")),
    "ceiling, one batch": ("multiprocessing", ceiling_in_batches),
    "ceiling, tapes": ("multiprocessing", ceiling_built_before),
    "shoal.parallel, tapes": ("shoal.quantum", partial(built_before, name=PARALLEL)),
    "lightning, tapes": ("pennylane", partial(built_before, name="lightning.qubit")),
    "threads": ("concurrent.futures.thread", threads),
    "qml.concurrency, mp_pool": ("pennylane.concurrency.executors", mp_pool),
    "default.qubit": ("pennylane", partial(one_by_one, name="default.qubit")),
    "default.qubit, max_workers": ("pennylane", default_qubit),
    "vmap": ("jax", vmap),
    "vmap_in_blocks": ("shoal.quantum", vmap_in_blocks),
    "lax.map, blocks of 64": ("jax", partial(lax_map, size=64)),
    "jit, one by one": ("jax", loop_compiled),
}
