"""Faster ways to the same overlap: many points at once, and a compiled integrand; and a trap.

`examples/spdc/overlap.py` says what is integrated. Both ways rest on two facts about its
integrand. Replacing z by -z conjugates it, so the imaginary part integrates to zero and the real
part is even:

    overlap = 2 * integral over z from 0 to 1 of
              sqrt(xi) (cos(p) - t sin(p)) / (1 + t**2),   p = phi z / 2,   t = xi z

What they return is therefore real. It needs numpy and scipy, and numba for `overlap_compiled`.
"""

import functools
import math

import numpy as np
from scipy import LowLevelCallable
from scipy.integrate import quad, quad_vec


def overlap_block(phi, xi):
    """Integrates the overlap at many points at once, by one adaptive quadrature for all of them.

    The interval is halved wherever the worst point needs it, so a point's last bits, though not
    its accuracy, depend on the points it is computed with: the tolerance is absolute and holds
    for each of them. On the grid of this example the absolute error is below 1e-14.

    Args:
        phi: Phase mismatches in radians, an array of shape (n,).
        xi: Focuses, positive, an array of shape (n,).

    Returns:
        The overlaps, an array of n real numbers.

    Raises:
        TypeError: If ``phi`` or ``xi`` does not hold numbers.
    """
    halves, _ = quad_vec(
        functools.partial(_real_part, phi=phi, xi=xi),
        0.0,
        1.0,
        epsabs=1e-10,  # Far above the true error: the estimate of quad_vec is careful.
        epsrel=0.0,
        norm="max",
        quadrature="gk15",
    )
    return 2.0 * halves


def overlap_compiled(phi, xi):
    """Integrates the overlap at one point, by `quad` of an integrand in machine code.

    The same quadrature as that of `overlap`, on the same nodes, of the real part alone. The first
    call in a process imports numba and compiles, which takes several times as long as the 10,000
    points of the grid then do.

    Args:
        phi: Phase mismatch in radians.
        xi: Focus, positive.

    Returns:
        The overlap and an estimate of its absolute error, both real.

    Raises:
        ImportError: If numba is not installed.
        TypeError: If ``phi`` or ``xi`` is not a number.
    """
    return quad(_compiled_integrand(), -1.0, 1.0, args=(phi, xi))


def overlap_coarse(phi, xi):
    """Integrates the overlap at many points at once, by 64 nodes: fast, and wrong where it counts.

    For half of the grid this is accurate to the last bits. Where the focus is tight the integrand
    is a peak of width 1 / xi that falls between the nodes: from ``xi = 9`` on errors exceed 1e-6,
    above 100 they reach 0.16, and nothing says so. Only a comparison with `overlap` finds it.

    Args:
        phi: Phase mismatches in radians, an array of shape (n,).
        xi: Focuses, positive, an array of shape (n,).

    Returns:
        The overlaps, an array of n real numbers.
    """
    nodes, weights = np.polynomial.legendre.leggauss(64)
    return (_real_part(nodes, phi=phi[:, None], xi=xi[:, None]) * weights).sum(axis=1)


def _real_part(z, *, phi, xi):
    """The real part of the integrand; its arguments broadcast."""
    p, t = phi * (z / 2.0), xi * z
    return np.sqrt(xi) * (np.cos(p) - t * np.sin(p)) / (1.0 + t * t)


@functools.cache
def _compiled_integrand():
    """Returns the real part of the integrand as `quad` can call it without Python.

    The object that holds the machine code cannot travel between processes, so each makes its own,
    once. Numba's ``cache=True`` would save a fifth of that time, the rest being numba's own start.
    """
    import numba

    signature = numba.float64(numba.intc, numba.types.CPointer(numba.float64))

    @numba.cfunc(signature)
    def real_part(_, arguments):
        z, phi, xi = arguments[0], arguments[1], arguments[2]
        p, t = phi * z / 2.0, xi * z
        return math.sqrt(xi) * (math.cos(p) - t * math.sin(p)) / (1.0 + t * t)

    return LowLevelCallable(real_part.ctypes)
