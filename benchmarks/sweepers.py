"""The peers of sweeps: what makes a labelled dataset, and what works in blocks.

`SWEEPERS` is like `PEERS`. A sweep is asked for as a `workloads.sweeping.Asked`. Each peer gets
what its own pages recommend for a few processes, and a pool that stays if it takes one.
"""

from functools import partial
from itertools import pairwise

from peers import EXECUTOR, Peer, ceiling, chunked_executor, shoal


def shoal_with_reference(_workers, _chunk):
    import shoal

    def run(asked):
        names = asked.outputs
        return shoal.sweep(
            asked.block, asked.axes, outputs=names, vectorized=True, reference=asked.f
        )

    return Peer(map=shoal.map, sweep=run)


def shoal_map(workers, chunk):
    peer = shoal(workers, chunk)
    return Peer(map=peer.map)


def pipefunc(workers, _chunk, *, storage="file_array"):
    """Run a pipeline of one function on a pool of its standard kind, chunks chosen by itself.

    It stores each point in a file as it comes ("file_array"), or all in one when done ("dict").
    """
    from concurrent.futures import ProcessPoolExecutor

    from pipefunc import PipeFunc, Pipeline

    pool = ProcessPoolExecutor(workers)

    def stored_in(store):
        return {"run_folder": store, "resume": True, "storage": storage}

    def run(asked, store=None):
        taken = ", ".join(f"{name}[{name}]" for name in asked.axes)
        given = ", ".join(f"{name}[{', '.join(asked.axes)}]" for name in asked.outputs)
        names = tuple(asked.outputs) if len(asked.outputs) > 1 else asked.outputs[0]
        step = PipeFunc(asked.f, names, mapspec=f"{taken} -> {given}")
        where = {} if store is None else stored_in(store)
        results = Pipeline([step]).map(
            asked.axes, executor=pool, parallel=True, show_progress=False, **where
        )
        return results.to_xarray()

    return Peer(map=None, sweep=run, close=pool.shutdown, can_store=True)


def xyzpy(workers, _chunk):
    """Run a Runner, or a Harvester for what is missing in its file, in parallel."""
    from xyzpy import Harvester, Runner

    settings = {"parallel": True, "num_workers": workers, "verbosity": 0}

    def run(asked, store=None):
        runner = Runner(asked.f, var_names=asked.outputs, var_dims=asked.dims or None)
        if store is None:
            return runner.run_combos(asked.axes, **settings)
        harvester = Harvester(runner, data_name=str(store))
        harvester.harvest_combos(asked.axes, missing_only=True, **settings)
        return harvester.full_ds

    return Peer(map=None, sweep=run, can_store=True, most_points=10_000)


def xsweep(workers, _chunk, *, executor):
    """Lift the function as its decorator does.

    Its process executor sends the plan of the whole sweep with every point. It keeps real numbers
    only, of the others a part without a word, so complex results are given in two parts.
    """
    import xarray as xr
    from xsweep import SweepPolicy, sweep

    lifted = {}

    def lift(asked):
        parts = parts_of(asked)
        outputs = (f"{part}({', '.join(dims)})" for _, part, dims in parts)
        contract = f"loop({', '.join(asked.axes)}) -> {', '.join(outputs)}"
        at_each = sweep(contract, version="1")(in_parts(asked, parts))
        # Workers look for a lifted function under its name, where the decorator would put it.
        at_each.__module__, at_each.__qualname__ = __name__, asked.f.__name__
        globals()[asked.f.__name__] = lifted[asked.f] = at_each

    def run(asked, store=None):
        if asked.f not in lifted:
            lift(asked)
        policy = SweepPolicy(
            executor=executor, max_workers=workers, load=True, store=store, on_error="raise"
        )
        return whole(asked, lifted[asked.f](xr.Dataset(coords=asked.axes), policy=policy))

    most = 1000 if executor == "process" else 10_000
    return Peer(map=None, sweep=run, can_store=True, most_points=most)


def parts_of(asked):
    """Return (output, part, dimensions) for each part, seen from what the first point returns."""
    returned = asked.at(asked.points[0])
    results = [returned] if len(asked.outputs) == 1 else returned
    parts = []
    for name, result in zip(asked.outputs, results, strict=True):
        names = (f"{name}_real", f"{name}_imag") if isinstance(result, complex) else (name,)
        parts += [(name, part, asked.dims.get(name, ())) for part in names]
    return parts


def in_parts(asked, parts):
    """Return the function as xsweep wants it: of real numbers or labelled arrays, in a dict."""
    from xarray import DataArray

    def given(results, name, part, dims):
        result = results[name]
        if dims:
            return DataArray(result, dims=dims)
        return result if part == name else getattr(result, part.removeprefix(f"{name}_"))

    def f(**values):
        returned = asked.f(**values)
        several = returned if len(asked.outputs) > 1 else (returned,)
        results = dict(zip(asked.outputs, several, strict=True))
        return {part: given(results, name, part, dims) for name, part, dims in parts}

    return f


def whole(asked, dataset):
    """Put the parts of complex results together."""
    import numpy as np

    for name in asked.outputs:
        if name not in dataset:
            real, imag = dataset[f"{name}_real"], dataset[f"{name}_imag"]
            number = np.empty(real.shape, complex)
            number.real, number.imag = real, imag
            dataset[name] = (real.dims, number)
    return dataset


def one_block(_workers, _chunk):
    """Call the function once with the whole grid, in this process."""
    return Peer(map=None, sweep=lambda asked: asked.block(*asked.arrays))


def blocks_on(start, workers, chunk):
    """Call the function with as many contiguous parts of the grid as there are workers."""
    peer = start(workers, chunk)

    def run(asked):
        import numpy as np

        count = len(asked)
        bounds = pairwise(count * at // workers for at in range(workers + 1))
        pieces = [(first, asked.arrays[:, first:last]) for first, last in bounds]
        return np.concatenate(peer.map(partial(on_piece, asked.block), pieces))

    return Peer(map=None, sweep=run, close=peer.close, own_seconds=peer.own_seconds)


def on_piece(block, piece):
    _first, arrays = piece
    return block(*arrays)


SWEEPERS = {
    "shoal.map": ("shoal", shoal_map),
    "shoal, reference": ("shoal", shoal_with_reference),
    "pipefunc": ("pipefunc", pipefunc),
    "pipefunc, dict": ("pipefunc", partial(pipefunc, storage="dict")),
    "xyzpy": ("xyzpy", xyzpy),
    "xsweep, processes": ("xsweep", partial(xsweep, executor="process")),
    "xsweep, serial": ("xsweep", partial(xsweep, executor="serial")),
    "one block": ("numpy", one_block),
    "ceiling, in blocks": ("multiprocessing", partial(blocks_on, ceiling)),
    "ProcessPoolExecutor, in blocks": (EXECUTOR, partial(blocks_on, chunked_executor)),
}
