"""The main job: a grid of 10,000 integrals, by a for loop and by shoal.map, with its figure.

Run it as ``python examples/spdc/demo.py``; ``--help`` lists the options. It times both, proves
that their results are equal bit for bit and close to the closed form, draws the figure, and then
shows what shoal says when one of the 10,000 parameters is wrong. It needs shoal, scipy and
matplotlib, and takes a few seconds.
"""

import argparse
import sys
import textwrap
import time
import traceback
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from overlap import axes, closed_form, grid, integrate
from tqdm import tqdm

import shoal


def main(arguments=None):
    """Runs the whole demo.

    Args:
        arguments: The command line's words; those of this process when not given.
    """
    options = read_options(arguments)
    print(f"Overlap of an SPDC pair: {options.points} x {options.points} numerical integrals\n")
    values = sweep(options.points, options.max_workers)
    draw(values, options.output)
    print(f"  figure           {options.output.resolve()}")
    make_a_mistake(options.points, options.max_workers)


def read_options(arguments):
    """Reads the command line.

    Args:
        arguments: Its words, or None for those of this process.

    Returns:
        A namespace with ``points`` (values along each axis), ``max_workers`` (None: every core)
        and ``output`` (the figure's path).
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=count, default=100, help="values along each axis (100)")
    parser.add_argument("--max-workers", type=count, help="worker processes (one for every core)")
    parser.add_argument("--output", type=Path, default=Path("spdc.png"), help="figure (spdc.png)")
    return parser.parse_args(arguments)


def count(word):
    """Returns the whole number, at least 1, that ``word`` says."""
    number = int(word)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {number}")
    return number


def sweep(points, max_workers):
    """Computes the grid three times, compares the results and prints what came of it.

    Args:
        points: Values along each axis.
        max_workers: Worker processes; None for one on every core.

    Returns:
        The real overlaps, of shape (points, points): phase mismatch by focus.
    """

    def by_loop():
        bar = tqdm(parameters, "for loop", disable=not watched)
        return [integrate(parameter) for parameter in bar]

    def by_map():
        return shoal.map(integrate, parameters, max_workers=max_workers, progress=watched)

    def report(name, seconds):
        print(f"  {name:<26} {seconds:5.2f} s   {serial_seconds / seconds:.2f} times as fast")

    watched = sys.stderr.isatty()  # Progress bars are for eyes, not for log files.
    parameters = grid(points)
    serial, serial_seconds = timed(by_loop)
    print(f"  {'for loop':<26} {serial_seconds:5.2f} s")
    cold, cold_seconds = timed(by_map)
    report("shoal.map, first call", cold_seconds)
    warm, warm_seconds = timed(by_map)
    report("shoal.map, from then on", warm_seconds)
    print("\n  The first call starts the worker processes; they stay for the next.\n")

    assert bits(cold) == bits(warm) == bits(serial), "shoal.map and the loop differ"
    print(f"  same results     all {len(serial):,} equal the loop's, bit for bit")
    values = np.array([overlap.real for overlap, _ in serial])
    error = np.abs(values - closed_form(*np.transpose(parameters))).max()
    print(f"  right results    within {error:.1e} of the closed form")
    return values.reshape(points, points)


def timed(run):
    """Calls ``run()``; returns its result and the seconds it took."""
    start = time.perf_counter()
    result = run()
    return result, time.perf_counter() - start


def bits(results):
    """Returns the bytes of every number in a list of results, in order."""
    return np.array(results).tobytes()


def draw(values, output):
    """Draws overlap**2 over the grid, with its maximum marked, as a PNG.

    Args:
        values: Overlaps of shape (points, points), phase mismatch by focus.
        output: Path of the file; its folder is made if missing.
    """
    phase_mismatches, focus_logs = axes(len(values))
    squares = values**2
    best = np.unravel_index(squares.argmax(), squares.shape)
    best_mismatch, best_log = phase_mismatches[best[0]], focus_logs[best[1]]

    figure = Figure(figsize=(7.0, 5.0), dpi=150, layout="constrained")
    plot = figure.add_subplot()
    mesh = plot.pcolormesh(phase_mismatches, focus_logs, squares.T, shading="nearest", vmin=0.0)
    figure.colorbar(mesh, label=r"$|\mathrm{overlap}|^2$")
    plot.annotate(
        rf"best: $\varphi = {best_mismatch:.1f}\,\pi$, $\xi = {10.0**best_log:.2f}$",
        (best_mismatch, best_log),
        xytext=(0.97, 0.95),
        textcoords="axes fraction",
        horizontalalignment="right",
        verticalalignment="top",
        color="white",
        arrowprops={"arrowstyle": "->", "color": "white"},
    )
    plot.set_xlabel(r"phase mismatch $\varphi\,/\,\pi$")
    plot.set_ylabel(r"focus $\log_{10}\,\xi$")
    plot.set_title("Spatial mode overlap of an SPDC photon pair")
    output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(output, format="png")


def make_a_mistake(points, max_workers):
    """Gives one parameter as text, and shows the error and how to get at it.

    Args:
        points: Values along each axis.
        max_workers: Worker processes; None for one on every core.
    """
    parameters = grid(points)
    middle = len(parameters) // 2
    parameters[middle][0] = "pi"
    print("\nAnd if one parameter of them all is not a number but text?\n")
    print(f"  parameters[{middle}] = {parameters[middle]}")
    print("  shoal.map(integrate, parameters)\n")
    try:
        shoal.map(integrate, parameters, max_workers=max_workers)
    except TypeError as error:
        print(textwrap.indent("".join(traceback.format_exception(error)), "  "))
        replay(error)


def replay(error):
    """Runs the input that failed once more, in this process.

    Args:
        error: What `shoal.map` raised.
    """
    try:
        shoal.failure(error).replay()
    except type(error) as again:
        print(f"  Replayed just now: the same {type(again).__name__}, where a debugger can stop.")


if __name__ == "__main__":
    main()
