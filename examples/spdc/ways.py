"""Every way to compute the grid: timed, and held against the loop and the closed form."""

import time
from importlib.util import find_spec

import numpy as np
from faster import overlap_block, overlap_compiled
from overlap import closed_form, grid, integrate, named_axes, overlap, overlap_value
from tqdm import tqdm

import shoal

BOTH = ["overlap", "error"]


def compare_ways(points, workers):
    """Computes the grid in every way and prints a table of what each took, and how right it is.

    Args:
        points: Values along each axis.
        workers: How many to use, as `shoal.sweep` takes it: a dict with ``max_workers``.

    Returns:
        The dataset of the sweep of `overlap`.
    """

    def by_loop():
        return [integrate(each) for each in tqdm(parameters, "for loop", disable=None)]

    def by_map():
        return shoal.map(integrate, parameters, **workers)

    def by_sweep():
        return shoal.sweep(overlap, named, outputs=BOTH, **workers)

    def in_blocks():
        options = {"vectorized": True, "reference": overlap_value, **workers}
        return shoal.sweep(overlap_block, named, outputs="overlap", **options)

    def compiled():
        return shoal.sweep(overlap_compiled, named, outputs=BOTH, **workers)

    parameters, named = grid(points), named_axes(points)
    table = Table(closed_form(*np.transpose(parameters)))
    loop = table.add("for loop", by_loop)
    _, start_seconds = timed(by_sweep)
    mapped = table.add("shoal.map", by_map)
    pairs = table.add("shoal.sweep", by_sweep)
    table.add("shoal.sweep in blocks, by quad_vec", in_blocks)
    if find_spec("numba"):
        _, compile_seconds = timed(compiled)
        table.add("shoal.sweep of machine code, by numba", compiled)
        compiling = f"the first compiled {compile_seconds:.2f} s, to compile in each of them"
    else:
        compiling = "without numba, nothing was compiled"
    swept = np.stack([pairs[name].values.ravel() for name in BOTH], axis=1)
    assert np.array(loop).tobytes() == np.array(mapped).tobytes() == swept.tobytes(), "they differ"
    print(f"\n  map and sweep equal the loop, bit for bit, at all {len(loop):,} points")
    print("  error is the largest distance from the closed form; quad_vec was checked as it ran")
    print(f"  the first sweep took {start_seconds:.2f} s, to start the workers; {compiling}")
    return pairs


class Table:
    """A table that is printed row by row, each way in the time of the first.

    Args:
        exact: What the values should be, of shape (n,).
    """

    def __init__(self, exact):
        self.exact = exact
        self.first_seconds = None
        print(f"  {'':<38}{'seconds':>9}{'times as fast':>16}{'error':>11}")

    def add(self, name, run):
        """Calls ``run()``, prints its row and returns its result.

        Args:
            name: What the row is called.
            run: Returns a list of pairs, an overlap and an error, or a dataset of them.
        """
        result, seconds = timed(run)
        values = [each for each, _ in result] if isinstance(result, list) else result.overlap.values
        error = np.abs(np.ravel(values) - self.exact).max()
        self.first_seconds = self.first_seconds or seconds
        speed = self.first_seconds / seconds
        print(f"  {name:<38}{seconds:>9.3f}{speed:>16.2f}{error:>11.0e}", flush=True)
        return result


def timed(run):
    """Calls ``run()``; returns its result and the seconds it took."""
    start = time.perf_counter()
    result = run()
    return result, time.perf_counter() - start
