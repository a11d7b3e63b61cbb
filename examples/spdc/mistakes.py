"""What comes of mistakes: a formula that is wrong at some points, a parameter that is text."""

import textwrap
import warnings

import numpy as np
from faster import overlap_coarse
from overlap import closed_form, grid, integrate, named_axes, overlap, overlap_value

import shoal
from shoal.errors import VerificationFailed


def trust_a_wrong_formula(points, workers):
    """Sweeps 64-node quadrature, whose errors sit in a corner of the grid, and has it found out.

    Args:
        points: Values along each axis.
        workers: How many to use, as `shoal.sweep` takes it: a dict with ``max_workers``.
    """
    options = {"outputs": "overlap", "vectorized": True, **workers}
    named = named_axes(points)
    coarse = shoal.sweep(overlap_coarse, named, **options)
    errors = np.abs(coarse.overlap.values.ravel() - closed_form(*np.transpose(grid(points))))
    median, worst = np.median(errors), errors.max()
    print("  Quadrature with 64 nodes is fast, and nothing tells that it is not right everywhere:")
    print(f"  its error is {median:.0e} at the median point and {worst:.2f} at the worst.")
    print("  Compared with the function of one point, at the corners and at random points:\n")
    print("  >>> shoal.sweep(overlap_coarse, axes, vectorized=True, reference=overlap_value)")
    try:
        shoal.sweep(overlap_coarse, named, reference=overlap_value, **options)
    except VerificationFailed as error:
        what, first, *_ = str(error).splitlines()
        say(f"VerificationFailed: {what}")
        say(f"  {first.strip()}")
        print("    ...")
    else:
        print("  No error: on this grid, it is right everywhere.")


def make_a_mistake(points, workers):
    """Gives one phase mismatch as text: as data of a sweep, and as the error of a map.

    Args:
        points: Values along each axis.
        workers: How many to use: a dict with ``max_workers``.
    """
    wrong = [{"phi": phi, "xi": xi} for phi, xi in grid(points)]
    middle = len(wrong) // 2
    wrong[middle]["phi"] = "pi"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pairs = shoal.sweep(overlap, wrong, outputs=["overlap", "error"], **workers)
    print(f"  >>> points[{middle}]\n  {wrong[middle]}")
    print('  >>> pairs = shoal.sweep(overlap, points, outputs=["overlap", "error"])')
    say(f"{caught[-1].category.__name__}: {caught[-1].message}")
    print('  >>> pairs.shoal.errors[["phi", "xi", "error", "worker"]]')
    print(textwrap.indent(pairs.shoal.errors[["phi", "xi", "error", "worker"]].to_string(), "  "))
    as_an_error(grid(points), middle, workers)


def as_an_error(parameters, middle, workers):
    """Shows what a map says of the same mistake, and how to get at it.

    Args:
        parameters: What `integrate` takes, one for each point.
        middle: Which of them to spoil.
        workers: How many to use: a dict with ``max_workers``.
    """
    parameters[middle][0] = "pi"
    print("\n  >>> shoal.map(integrate, parameters)")
    try:
        shoal.map(integrate, parameters, **workers)
    except TypeError as error:
        print(f"  TypeError: {error}")
        print(textwrap.indent("\n".join(error.__notes__), "  "))
        replay(error)


def replay(error):
    """Runs the input that failed once more, in this process.

    Args:
        error: What `shoal.map` raised.
    """
    try:
        shoal.failure(error).replay()
    except type(error) as again:
        print(f"\n  Replayed just now: the same {type(again).__name__}, where a debugger can stop.")


def say(text):
    """Prints a long line as an indented paragraph."""
    print(textwrap.fill(text, 96, initial_indent="  ", subsequent_indent="    "))
