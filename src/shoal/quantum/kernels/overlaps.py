"""|⟨a|b⟩|² for two blocks of states: one matrix product by BLAS, which lets go of Python's lock.

The routines are called at their addresses in `scipy.linalg.cython_blas`: scipy's own wrappers keep
the lock, so that two threads would take turns.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from shoal.quantum.kernels.compiling import compiled

LETTERS = {"complex128": "z", "complex64": "c", "float64": "d", "float32": "s"}


def overlaps(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """|⟨a|b⟩|² for every row of `left` and every row of `right`.

    Args:
        left: States, shape (n_left, dimension), C-contiguous; float32 to complex128.
        right: As `left`; the same array, where the result is to be exactly symmetric: half of it is
            computed then, and mirrored.

    Returns:
        Shape (n_left, n_right); float32 for states in single precision, else float64.
    """
    values = np.empty((len(left), len(right)), left.real.dtype)
    if left is right:
        _squared_half(_parts(_square(left)), values)
    else:
        _squared(_parts(_rectangle(left, right)), values)
    return values


def _parts(values: np.ndarray) -> np.ndarray:
    """Real and imaginary parts along a last axis; a view."""
    parts = 2 if values.dtype.kind == "c" else 1
    return values.view(values.real.dtype).reshape(*values.shape, parts)


def _rectangle(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Inner products, (n_left, n_right), or their conjugates: gemm.

    In the order of Fortran the states are columns, and the result is transposed: one of right with
    left.
    """
    made = np.empty((len(left), len(right)), left.dtype)
    dimension = left.shape[1]
    complex_ = left.dtype.kind == "c"
    routine = _routine(LETTERS[left.dtype.name] + "gemm")
    m, n, k = (ctypes.byref(ctypes.c_int(each)) for each in (len(right), len(left), dimension))
    one, zero = _scalar(1, left.dtype), _scalar(0, left.dtype)
    ta, tb = (b"C", b"N") if complex_ else (b"T", b"N")
    routine(ta, tb, m, n, k, one, _at(right), k, _at(left), k, zero, _at(made), m)
    return made


def _square(states: np.ndarray) -> np.ndarray:
    """Inner products of the states with each other, in one triangle: herk or syrk."""
    made = np.empty((len(states), len(states)), states.dtype)
    complex_ = states.dtype.kind == "c"
    routine = _routine(LETTERS[states.dtype.name] + ("herk" if complex_ else "syrk"))
    n, k = (ctypes.byref(ctypes.c_int(each)) for each in (len(states), states.shape[1]))
    real = states.real.dtype
    one, zero = _scalar(1, real), _scalar(0, real)
    # Fortran's lower triangle is the upper one of the transposed result.
    routine(b"L", b"C" if complex_ else b"T", n, k, one, _at(states), k, zero, _at(made), n)
    return made


def _at(array: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def _scalar(value: float, dtype: np.dtype[Any]) -> Any:
    return np.array([value], dtype).ctypes.data_as(ctypes.c_void_p)


@lru_cache(maxsize=16)
def _routine(name: str) -> Callable[..., None]:
    """A routine of scipy's BLAS; ctypes lets go of Python's lock while it runs."""
    from scipy.linalg import cython_blas

    capsule = cython_blas.__pyx_capi__[name]
    interface = ctypes.pythonapi
    interface.PyCapsule_GetName.restype = ctypes.c_char_p
    interface.PyCapsule_GetName.argtypes = [ctypes.py_object]
    interface.PyCapsule_GetPointer.restype = ctypes.c_void_p
    interface.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    address = interface.PyCapsule_GetPointer(capsule, interface.PyCapsule_GetName(capsule))
    routine: Callable[..., None] = ctypes.CFUNCTYPE(None)(address)
    return routine


@compiled
def _squared(products: np.ndarray, values: np.ndarray) -> None:
    rows, columns, parts = products.shape
    for i in range(rows):
        for j in range(columns):
            total = products[i, j, 0] * products[i, j, 0]
            if parts == 2:
                total += products[i, j, 1] * products[i, j, 1]
            values[i, j] = total


@compiled
def _squared_half(products: np.ndarray, values: np.ndarray) -> None:
    """As `_squared` for the upper triangle, and the lower one from it."""
    rows, _, parts = products.shape
    for i in range(rows):
        for j in range(i, rows):
            total = products[i, j, 0] * products[i, j, 0]
            if parts == 2:
                total += products[i, j, 1] * products[i, j, 1]
            values[i, j] = total
    for i in range(rows):
        for j in range(i):
            values[i, j] = values[j, i]
