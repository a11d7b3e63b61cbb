"""The spatial mode overlap of an SPDC photon pair: its grid, its integral and its closed form.

A laser beam focused into a nonlinear crystal splits a few of its photons in two: spontaneous
parametric down-conversion (SPDC). How well the beams overlap, all Gaussian and focused alike
at the middle of the crystal, is

    overlap(phi, xi) = integral over z from -1 to 1 of  sqrt(xi) exp(i phi z / 2) / (1 - i xi z)

where every quantity is dimensionless:

* ``z``: position along the crystal; -1 and 1 are its two faces;
* ``phi``: phase mismatch gathered over the whole crystal, in radians;
* ``xi > 0``: focus, the crystal's length over the beam's confocal length; large is tight.

A quarter of ``overlap**2`` is the focusing factor h of Boyd and Kleinman, J. Appl. Phys. 39,
3597 (1968). They found its maximum, 1.068, at xi = 2.84.
"""

import numpy as np
from numpy import arange, exp, pi, sqrt
from scipy.integrate import quad
from scipy.special import exp1


def axes(points=100):
    """Returns the two axes of the figure.

    Args:
        points: Number of values along each axis, at least 1.

    Returns:
        Two ascending arrays of shape (points,): the phase mismatch phi in units of pi, in
        [-7, 3), and the focus as log10(xi), in [-1.5, 2.5).

    Raises:
        ValueError: If ``points`` is less than 1.
    """
    if points < 1:
        raise ValueError(f"points must be at least 1, got {points!r}")
    # For some numbers of points (49, 61, 77, ...) rounding makes arange one value too long.
    phase_mismatches = arange(-7.0, 3.0, 10.0 / points)[:points]
    focus_logs = arange(-1.5, 2.5, 4.0 / points)[:points]
    return phase_mismatches, focus_logs


def grid(points=100):
    """Returns the parameters of every point of the grid.

    Args:
        points: Number of values along each axis, at least 1.

    Returns:
        A list of ``points**2`` lists ``[phi, xi]`` of Python floats, phase mismatch in the outer
        loop and focus in the inner one: ``numpy.reshape(values, (points, points))[i, j]`` belongs
        to the i-th phase mismatch and the j-th focus of `axes`.

    Raises:
        ValueError: If ``points`` is less than 1.
    """
    phase_mismatches, focus_logs = axes(points)
    return [
        [float(phase_mismatch * pi), float(10.0**focus_log)]
        for phase_mismatch in phase_mismatches
        for focus_log in focus_logs
    ]


def named_axes(points=100):
    """Returns the axes of the grid by name, as `shoal.sweep` takes them.

    Args:
        points: Number of values along each axis, at least 1.

    Returns:
        A dict of two lists of Python floats: ``"phi"``, the phase mismatches in radians, and
        ``"xi"``, the focuses. Their combinations, the last axis fastest, are those of `grid`.

    Raises:
        ValueError: If ``points`` is less than 1.
    """
    phase_mismatches, focus_logs = axes(points)
    return {
        "phi": [float(phase_mismatch * pi) for phase_mismatch in phase_mismatches],
        # One by one, as in `grid`: the last bit of a power of a whole array may be another.
        "xi": [float(10.0**focus_log) for focus_log in focus_logs],
    }


def integrate(args):
    """Integrates the overlap at one point, by adaptive quadrature.

    Args:
        args: One list ``[phi, xi]``.

    Returns:
        What ``scipy.integrate.quad`` returns: the overlap and an estimate of its absolute error,
        both complex, for it integrates the real and the imaginary part one after the other. The
        imaginary part of the overlap is zero by symmetry.

    Raises:
        TypeError: If ``phi`` or ``xi`` is not a number.
    """
    phi, xi = args
    return quad(
        lambda z: sqrt(xi) * exp(1j * phi * z / 2.0) / (1.0 - 1j * xi * z),
        -1.0,
        1.0,
        complex_func=True,
    )


def overlap(phi, xi):
    """Integrates the overlap at one point, as `integrate` does, with its parameters by name.

    Args:
        phi: Phase mismatch in radians.
        xi: Focus, positive.

    Returns:
        As `integrate`: the overlap and an estimate of its absolute error, both complex.

    Raises:
        TypeError: If ``phi`` or ``xi`` is not a number.
    """
    return quad(
        lambda z: sqrt(xi) * exp(1j * phi * z / 2.0) / (1.0 - 1j * xi * z),
        -1.0,
        1.0,
        complex_func=True,
    )


def overlap_value(phi, xi):
    """Integrates the overlap at one point, and returns it alone: `overlap` without its estimate.

    It is what faster ways to compute the overlap are compared with.

    Args:
        phi: Phase mismatch in radians.
        xi: Focus, positive.

    Returns:
        The real overlap.

    Raises:
        TypeError: If ``phi`` or ``xi`` is not a number.
    """
    value, _ = overlap(phi, xi)
    return value.real


def closed_form(phi, xi):
    """Computes the overlap at many points at once, by the exponential integral E1.

    Derivation. Replacing z by -z conjugates the integrand, so the overlap is real. With
    ``s = 1 - i xi z`` and ``a = phi / (2 xi)`` it is

        overlap = i exp(a) / sqrt(xi) * J,
        J = integral of exp(-a s) / s ds along the straight line from 1 + i xi to 1 - i xi.

    An antiderivative is -E1(a s). Where the line begins, a s is ``c = a + i phi / 2``; where it
    ends, the conjugate of c, at which E1 takes the conjugate value. E1 is cut along the negative
    real axis, and across the cut, going up, its imaginary part falls by 2 pi.

    * phi > 0: a s stays in the right half plane, so J = 2i Im E1(c).
    * phi < 0: a s rises through the left half plane and crosses the cut once, at z = 0. Without
      the jump there, J = 2i (Im E1(c) - pi).
    * phi = 0: what is left is the integral of 1 / s, so J = -2i arctan(xi).

    Together, with [phi < 0] being 1 or 0:

        overlap = 2 exp(a) / sqrt(xi) * (pi [phi < 0] - Im E1(a + i phi / 2))
        overlap = 2 arctan(xi) / sqrt(xi)   at phi = 0

    E1 and its cut are as in the NIST Digital Library of Mathematical Functions, section 6.2.
    On the grid of this example the absolute error is below 1e-12.

    Args:
        phi: Phase mismatch in radians, a number or an array. Where ``abs(phi) / (2 xi)`` exceeds
            about 700, exp(a) or E1 overflows and the result is NaN.
        xi: Focus, positive, a number or an array that broadcasts with ``phi``.

    Returns:
        The real overlap, in the shape ``phi`` and ``xi`` broadcast to.
    """
    phi, xi = np.broadcast_arrays(np.asarray(phi, dtype=float), np.asarray(xi, dtype=float))
    matched = phi == 0.0
    mismatch = np.where(matched, xi, phi)  # Any number but 0 will do where phi is 0.
    a = mismatch / (2.0 * xi)
    angle = np.where(phi < 0.0, pi, 0.0) - exp1(a + 0.5j * mismatch).imag
    return 2.0 / sqrt(xi) * np.where(matched, np.arctan(xi), exp(a) * angle)
