"""A vectorised JAX function in blocks that fit into memory, compiled once."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from shoal.tasks import memory_budget, shorten

TOO_LARGE = 1.05
MOST_TRACED = 128
LARGE_MATRIX = 32


def vmap_in_blocks(f: Callable[..., Any], *, memory_bytes: int | None = None) -> Callable[..., Any]:
    """As ``jax.jit(jax.vmap(f))``, in blocks of inputs whose evaluation fits into memory.

    `jax.vmap` evaluates all inputs at once: a thousand states of 14 qubits, and several copies of
    each, more for gradients. Here a block is as large as `memory_bytes` allow. All blocks have one
    size, the last one is padded, and so XLA compiles once. How much memory a block needs is read
    from the traced function, and checked with what XLA says of the compiled one.

    Args:
        f: A function that JAX can trace, of one or several arguments: a QNode on
            ``default.qubit``, `jax.grad` of one. Arguments may be nested (pytrees).
        memory_bytes: What one block may need besides its inputs and the results, from 1; None: a
            quarter of what is free at the first call.

    Returns:
        A function of arrays whose first axis counts the inputs, all of the same length. Its
        results are numpy arrays of that length. Arguments of another shape compile anew.

    Raises:
        TypeError: If `f` is not callable, or `memory_bytes` no integer.
        ValueError: If `memory_bytes` is below 1; by the function, if lengths differ.

    Example:
        >>> import jax.numpy as jnp
        >>> from shoal.quantum import vmap_in_blocks
        >>> vmap_in_blocks(jnp.square, memory_bytes=64)(jnp.arange(5.0))
        array([ 0.,  1.,  4.,  9., 16.], dtype=float32)
    """
    if not callable(f):
        raise TypeError(f"f={shorten(f)} is not callable: expected a function")
    if memory_bytes is not None:
        memory_budget(memory_bytes)
    return _InBlocks(f, memory_bytes)


class _InBlocks:
    """The function in blocks: compiled when the shapes of its arguments are first met."""

    def __init__(self, f: Callable[..., Any], memory_bytes: int | None) -> None:
        self._vectorised = jax.jit(jax.vmap(f))
        self._memory_bytes = memory_bytes
        self._compiled: dict[Any, tuple[int, Any]] = {}

    def __call__(self, *arguments: Any) -> Any:
        """Evaluates all inputs, a block at a time."""
        leaves, structure = jax.tree_util.tree_flatten(arguments)
        leaves = [leaf if hasattr(leaf, "dtype") else np.asarray(leaf) for leaf in leaves]
        count = _common_length(leaves)
        if count == 0:
            return jax.tree_util.tree_map(np.asarray, self._vectorised(*arguments))
        size, compiled = self._for_shapes(leaves, structure, count)
        whole: Any = None
        for start in range(0, count, size):
            block = [_padded(leaf[start : start + size], size) for leaf in leaves]
            results = compiled(*jax.tree_util.tree_unflatten(structure, block))
            kept = min(size, count - start)
            if whole is None:
                whole = jax.tree_util.tree_map(lambda each: _room(each, count), results)
            jax.tree_util.tree_map(
                lambda into, each: _put(into, each, start, kept),  # noqa: B023  (used at once)
                whole,
                results,
            )
        return whole

    def _for_shapes(self, leaves: Sequence[Any], structure: Any, count: int) -> tuple[int, Any]:
        """The size of a block, and the function compiled for it; known from the second call on."""
        key = (structure, tuple((leaf.shape, str(leaf.dtype)) for leaf in leaves))
        if key not in self._compiled:
            self._compiled[key] = self._compile(leaves, structure, count)
        return self._compiled[key]

    def _compile(self, leaves: Sequence[Any], structure: Any, count: int) -> tuple[int, Any]:
        """Chooses the size of a block and compiles for it; again if the estimate was too low."""
        budget = memory_budget(self._memory_bytes)
        some = min(count, MOST_TRACED)  # so many that what all inputs share counts for little
        traced = jax.make_jaxpr(self._vectorised)(*_shapes(leaves, structure, some))
        size = _even(budget * some // max(working_bytes(traced.jaxpr), 1), count)
        while True:
            compiled = self._vectorised.lower(*_shapes(leaves, structure, size)).compile()
            needed = _temporary_bytes(compiled)
            if size == 1 or needed <= TOO_LARGE * budget:
                return size, compiled
            size = min(_even(int(size * budget / needed), count), size - 1)


def _common_length(leaves: Sequence[Any]) -> int:
    lengths = sorted({leaf.shape[0] if leaf.ndim else -1 for leaf in leaves})
    if len(lengths) != 1 or lengths[0] < 0:
        told = "numbers" if -1 in lengths else f"lengths {lengths}"
        raise ValueError(
            f"the arguments hold {told}: expected arrays whose first axis counts the inputs, all "
            "of the same length; bind what is the same for all inputs with functools.partial"
        )
    return int(lengths[0])


def _even(most: int, count: int) -> int:
    """A size of at most `most` that cuts `count` inputs into blocks as equal as can be."""
    blocks = -(-count // max(min(most, count), 1))
    return -(-count // blocks)


def _shapes(leaves: Sequence[Any], structure: Any, size: int) -> Any:
    shapes = [
        jax.ShapeDtypeStruct(  # type: ignore[no-untyped-call]
            (size, *leaf.shape[1:]), jax.dtypes.canonicalize_dtype(leaf.dtype)
        )
        for leaf in leaves
    ]
    return jax.tree_util.tree_unflatten(structure, shapes)


def _padded(block: Any, size: int) -> Any:
    """The block as an array of JAX; a short one is filled with its last input."""
    missing = size - len(block)
    if missing:
        block = np.concatenate([np.asarray(block), np.repeat(np.asarray(block[-1:]), missing, 0)])
    return jax.numpy.asarray(block)


def _room(result: Any, count: int) -> np.ndarray:
    return np.empty((count, *result.shape[1:]), result.dtype)


def _put(whole: np.ndarray, result: Any, start: int, kept: int) -> None:
    whole[start : start + kept] = np.asarray(result)[:kept]


def _temporary_bytes(compiled: Any) -> int:
    """What XLA says the compiled function needs besides arguments and results; 0 if unknown."""
    analysis = compiled.memory_analysis()
    return int(getattr(analysis, "temp_size_in_bytes", 0) or 0)


def working_bytes(jaxpr: Any) -> int:
    """Memory that the values of a traced function need at its fullest, inputs left out.

    Each value counts from the equation that makes it to the last that uses it. XLA fuses some of
    them away and so needs less, as a rule. Where large matrices are multiplied it needs more, and
    does not say so: it copies what it multiplies, and keeps copies and results until the last of
    several products is done (observed with jax 0.10 on processors).
    """
    last: dict[Any, int] = {}
    for place, equation in enumerate(jaxpr.eqns):
        last.update((var, place) for var in equation.invars if not hasattr(var, "val"))
    for var in jaxpr.outvars:
        if not hasattr(var, "val"):
            last[var] = len(jaxpr.eqns)
    made: set[Any] = set()
    live = most = multiplied = 0
    for place, equation in enumerate(jaxpr.eqns):
        inner = max(map(working_bytes, _inner(equation)), default=0)
        if _multiplies_matrices(equation):
            inner = sum(map(_bytes, equation.invars))
            multiplied += 2 * inner + sum(map(_bytes, equation.outvars))
        born = [var for var in equation.outvars if var in last]
        made.update(born)
        live += sum(map(_bytes, born))
        most = max(most, live + inner)
        used = {var for var in equation.invars if not hasattr(var, "val")}
        live -= sum(_bytes(var) for var in used if var in made and last[var] == place)
    return max(most, multiplied)


def _multiplies_matrices(equation: Any) -> bool:
    """Whether it multiplies matrices that are both large, each way."""
    if equation.primitive.name != "dot_general":
        return False
    (summed, _), (batched, _) = equation.params["dimension_numbers"]
    left, right = (math.prod(var.aval.shape) for var in equation.invars)
    shape = equation.invars[0].aval.shape
    inner, batch = (math.prod(shape[axis] for axis in axes) for axes in (summed, batched))
    rows, columns = (count // max(inner * batch, 1) for count in (left, right))
    return bool(min(inner, rows, columns) >= LARGE_MATRIX)


def _inner(equation: Any) -> list[Any]:
    """The functions that an equation calls: of jit, of loops, of custom derivatives."""
    found = []
    for value in equation.params.values():
        for each in value if isinstance(value, list | tuple) else (value,):
            inner = getattr(each, "jaxpr", each)
            if hasattr(inner, "eqns"):
                found.append(inner)
    return found


def _bytes(var: Any) -> int:
    shape, dtype = getattr(var.aval, "shape", ()), getattr(var.aval, "dtype", None)
    return int(np.prod(shape, dtype=np.int64)) * getattr(dtype, "itemsize", 8)
