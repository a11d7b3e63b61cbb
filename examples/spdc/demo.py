"""The main job: a grid of 10,000 integrals as a sweep, faster and faster, killed, and mistaken.

Run it as ``python examples/spdc/demo.py``; ``--help`` lists the options. It computes the grid in a
loop and in every way that shoal offers, in one table; shows the labelled result and draws it; lets
a wrong formula be found out; kills a sweep half-way and resumes it; and shows what comes of one
wrong parameter among the 10,000. It needs shoal, scipy and matplotlib, uses numba where that is
installed, and takes some ten seconds on two cores.
"""

import argparse
import os
from pathlib import Path

import numpy as np
from figure import draw
from mistakes import make_a_mistake, trust_a_wrong_formula
from resume import kill_and_resume
from ways import compare_ways


def main(arguments=None):
    """Runs the whole demo.

    Args:
        arguments: The command line's words; those of this process when not given.
    """
    options = read_options(arguments)
    workers = {"max_workers": options.max_workers}
    print(f"Overlap of an SPDC pair: {options.points} x {options.points} numerical integrals\n")
    pairs = compare_ways(options.points, workers)

    title("The sweep is a labelled dataset")
    look_at(pairs)
    draw(pairs, options.output)
    print(f"  Its figure: {os.path.relpath(options.output)}")

    title("A formula for many points at once may be wrong at some of them")
    trust_a_wrong_formula(options.points, workers)

    title("Killed half-way, and resumed")
    kill_and_resume(options.output.with_suffix(".checkpoint"), options.points, workers, pairs)

    title("One of all the phase mismatches is not a number but text")
    make_a_mistake(options.points, workers)


def read_options(arguments):
    """Reads the command line.

    Args:
        arguments: Its words, or None for those of this process.

    Returns:
        A namespace with ``points`` (values along each axis), ``max_workers`` (None: every core)
        and ``output`` (the figure's path; the checkpoint lies beside it).
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


def title(text):
    """Prints the title of a section."""
    print(f"\n{text}\n")


def look_at(pairs):
    """Prints a sweep's dataset, and what is asked of it by label.

    Args:
        pairs: The dataset of the sweep of `overlap`.
    """
    lines = str(pairs).splitlines()
    print("\n".join(f"  {line}" for line in lines[: lines.index("Attributes:")]))
    factor = pairs.overlap.real**2 / 4.0
    best = factor.isel(factor.argmax(["phi", "xi"]))
    loose = pairs.overlap.sel(phi=-np.pi, xi=0.1, method="nearest")
    print(f"""
  >>> factor = pairs.overlap.real**2 / 4      # Boyd and Kleinman: 1.068 at xi = 2.84
  >>> best = factor.isel(factor.argmax(["phi", "xi"]))
  {best:.3f} at phi = {best.phi / np.pi:.1f} pi, xi = {best.xi:.2f}
  >>> pairs.overlap.sel(phi=-np.pi, xi=0.1, method="nearest")
  {loose.item().real:.3f} at phi = {loose.phi / np.pi:.1f} pi, xi = {loose.xi:.2f}
""")


if __name__ == "__main__":
    main()
