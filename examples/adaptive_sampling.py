"""A resonance that a grid misses: the same number of points, on a grid and chosen by a learner.

Run it as ``python examples/adaptive_sampling.py``; ``--help`` lists the options. The transmission
of a cavity has a line a thousandth as wide as the range. A grid of some hundred points steps over
it; a learner of adaptive sees that something is there and goes and looks. Both run on worker
processes. It needs shoal with the extra ``adaptive``, and takes a few seconds.
"""

import argparse

import adaptive
import numpy as np

import shoal
from shoal.sweeps import sample

CENTRE, WIDTH = 0.3217, 1e-3
RANGE = (-1.0, 1.0)


def transmission(detuning):
    """A slow background, a Lorentzian line on it, and a foot wide enough to be noticed."""
    line = WIDTH**2 / (WIDTH**2 + (detuning - CENTRE) ** 2)
    foot = 0.05 / (1 + ((detuning - CENTRE) / 0.1) ** 2)
    return 0.1 * np.cos(2 * detuning) + foot + line


def main(arguments=None):
    """Samples both ways and prints how far each is from the function.

    Args:
        arguments: The command line's words; those of this process when not given.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=150, help="evaluations for each way (150)")
    parser.add_argument("--max-workers", type=int, help="worker processes (one for every core)")
    options = parser.parse_args(arguments)

    grid = np.linspace(*RANGE, options.points)
    on_grid = np.array(shoal.map(transmission, grid, max_workers=options.max_workers))
    learner = sample(
        adaptive.Learner1D(transmission, bounds=RANGE),
        points=options.points,
        max_workers=options.max_workers,
    )
    chosen = np.array(sorted(learner.data.items()))

    print(f"{options.points} evaluations each, or a few more")
    print(f"The line is {WIDTH:g} wide, at {CENTRE}\n")
    report("grid", grid, on_grid)
    report("learner", chosen[:, 0], chosen[:, 1])


def report(way, detunings, values):
    """Prints what one way found.

    Args:
        way: Its name.
        detunings: Where the function was evaluated, ascending, of shape (n_points,).
        values: The function there, of the same shape.
    """
    fine = np.linspace(*RANGE, 200_001)
    error = np.abs(np.interp(fine, detunings, values) - transmission(fine)).max()
    on_line = int((np.abs(detunings - CENTRE) < 3 * WIDTH).sum())
    print(
        f"  {way:<8} {on_line:3} points on the line   maximum {values.max():.3f} at "
        f"{detunings[values.argmax()]:+.4f}   largest error {error:.3f}"
    )


if __name__ == "__main__":
    main()
