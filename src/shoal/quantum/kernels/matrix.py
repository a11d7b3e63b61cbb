"""kernel_matrix: the similarities of all pairs of samples, from the states a circuit prepares."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np

from shoal.quantum.conducting import VARIABLE
from shoal.quantum.kernels import checks
from shoal.quantum.kernels.functions import blackbox, detection
from shoal.quantum.kernels.method import Asked, Method, Plan
from shoal.quantum.kernels.methods import check_shots, checked_method, choose
from shoal.quantum.kernels.noise import take_noise
from shoal.quantum.kernels.report import KernelReport
from shoal.quantum.kernels.tiling import Drawing, Options, compute, described, workers_of
from shoal.quantum.kernels.tracing import FeatureMap, GateTable, LibraryStates, trace
from shoal.tasks import check_options, check_seed, memory_budget, part

TOLERANCES = {"complex128": 1e-6, "complex64": 1e-3}


def kernel_matrix(
    x: Any,
    y: Any = None,
    *,
    feature_map: Any = None,
    kernel: Callable[..., Any] | None = None,
    method: Any = "auto",
    shots: int | None = None,
    noise: Any = None,
    dtype: Any = "complex128",
    executor: str | Executor | None = None,
    max_workers: int | None = None,
    memory_bytes: int | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    verify: int = 3,
    seed: Any = None,
    progress: bool | None = None,
    return_report: bool = False,
) -> Any:
    r"""The quantum kernel k(x, y) of all rows of `x` with all rows of `y`.

    With a feature map U, k(x, y) = \|⟨0|U(y)†U(x)|0⟩\|²: the N states U(x)|0⟩ are prepared, each
    once, and multiplied, instead of running N² circuits.

    Args:
        x: Samples, shape (n_x, n_features), finite.
        y: Samples, shape (n_y, n_features); None: those of `x`.
        feature_map: A Qiskit circuit whose parameters, in the order of ``circuit.parameters``, are
            the features; or a function or QNode ``f(x)`` of PennyLane that applies U(x) to one row
            of features (what it measures is ignored).
        kernel: In place of a feature map, a function ``k(x1, x2)`` of two rows that returns a
            number. If it is a QNode that runs U(x2)†U(x1) and measures how often all qubits are 0,
            its feature map is taken; else it is called for each pair.
        method: ``"auto"`` takes the fastest that applies: ``"products"`` (no entangling gates),
            ``"statevectors"``, ``"mps"`` (little entanglement along a line of qubits),
            ``"densities"`` (noise). Or one of these, or ``"projected"``, which is another kernel;
            or an object with options, such as ``MPS(max_bond=8)``.
        shots: Each entry is drawn as so many shots would estimate it, from 1; None: exact.
        noise: Of every gate of U(x) and of the inverse of U(y): Kraus matrices, a dict of them by
            names of gates, or a noise model of Aer. k(x, y) is not symmetric then, and k(x, x)
            not 1; for few qubits.
        dtype: Precision of the states: ``"complex128"``, or ``"complex64"``, which takes half of
            the memory and the time and leaves errors of about 1e-6.
        executor: As for `shoal.map`; None: threads of this process, which share the states, unless
            the variable `SHOAL_EXECUTOR` says otherwise; one thread in a task of `shoal.map`.
        max_workers: How many tiles are computed at once, from 1. None: as many as cores.
        memory_bytes: What states and tiles at work may need besides the matrix. None: a quarter of
            what is free. States that do not fit are prepared again where they are needed.
        checkpoint: A file for finished tiles: the same call goes on from there, and a call with
            more rows computes only what is new.
        verify: From 0: so many rows are traced anew as plain numbers, to compare their gates; so
            many pairs are evaluated by `kernel` itself, to compare the entries.
        seed: Of the shots, as for `shoal.map`; None: another one each time, which no checkpoint
            can go on from.
        progress: As for `shoal.map`.
        return_report: Whether to return a `KernelReport` too.

    Returns:
        Shape (n_x, n_y), float64, or float32 for complex64; k(x, x) is exactly symmetric, where the
        method is. With `return_report` a pair of the matrix and the report. The values do not
        depend on executor or `max_workers`, bit for bit; other machines may round differently.

    Raises:
        TypeError: For arguments of the wrong kind, before any work.
        ValueError: For values out of range, before any work: samples that are not finite, another
            number of features than the map takes, memory for less than one row and column.
        shoal.errors.ShoalError: As `shoal.map`, and for the checkpoint.

    Example:
        >>> import numpy as np
        >>> from qiskit.circuit.library import zz_feature_map
        >>> from shoal.quantum import kernel_matrix
        >>> x = np.array([[0.1, 0.2], [0.3, 0.4]])
        >>> kernel_matrix(x, feature_map=zz_feature_map(2)).round(3)
        array([[1.   , 0.103],
               [0.103, 1.   ]])
    """
    checks.check_what(feature_map, kernel, noise)
    check_options(
        kernel or kernel_matrix,
        executor=executor,
        max_workers=max_workers,
        progress=progress,
        seed=seed,
    )
    if memory_bytes is not None:
        memory_budget(memory_bytes)
    rows = checks.checked_rows(x, "x")
    columns = None if y is None else checks.checked_rows(y, "y", like=rows)
    request = _Request(
        rows,
        columns,
        checked_method(method),
        None if noise is None else take_noise(noise),
        checks.checked_dtype(dtype),
        checks.checked_count(shots, "shots", least=1, optional=True),
        checks.checked_count(verify, "verify", least=0),
        check_seed(seed) or np.random.SeedSequence(),
        Options(executor, max_workers, memory_bytes, checkpoint, (), progress),
    )
    check_shots(request.method, request.shots)
    if shots is not None and seed is None and checkpoint is not None:
        raise ValueError(
            "seed=None with shots and a checkpoint: the same call would draw other shots when it "
            "goes on; expected a seed"
        )
    of = _of_map(feature_map, request) if kernel is None else _of_kernel(kernel, request)
    return of if return_report else of[0]


@dataclass(frozen=True, slots=True)
class _Request:
    """A checked call.

    Attributes:
        x: Rows.
        y: Columns, or None for those of `x`.
        method: The one asked for, or None.
        noise: The noise model, or None.
        dtype: Of the states.
        shots: For each entry, or None.
        verify: How many rows, or pairs, are compared.
        seed: Of the shots.
        options: Where and how tiles are computed.
        begun: When, by `time.perf_counter`.
    """

    x: np.ndarray
    y: np.ndarray | None
    method: Method | None
    noise: Any
    dtype: np.dtype[Any]
    shots: int | None
    verify: int
    seed: np.random.SeedSequence
    options: Options
    begun: float = field(default_factory=time.perf_counter)

    @property
    def columns(self) -> np.ndarray:
        """The samples of the columns."""
        return self.x if self.y is None else self.y

    def asked(self, feature_map: FeatureMap) -> Asked:
        """What methods are asked."""
        return Asked(feature_map, len(self.x), len(self.columns), self.dtype, self.noise)

    def seconds(self) -> float:
        """Since the call."""
        return time.perf_counter() - self.begun


@dataclass(frozen=True, slots=True)
class _Planned:
    """A feature map, traced, and what is to compute it.

    Attributes:
        given: The user's feature map.
        asked: What is asked of the method.
        method: The method.
        why: Why this one.
        plan: Its plan.
        seconds: Of tracing and planning.
    """

    given: Any
    asked: Asked
    method: Method
    why: str
    plan: Plan
    seconds: dict[str, float]


def _planned(feature_map: Any, request: _Request) -> _Planned:
    """Traces a map, with `verify` rows as plain numbers, and plans."""
    begun = time.perf_counter()
    chosen = np.random.default_rng(0).choice(len(request.x), max(request.verify, 1))
    traced = trace(feature_map, request.x.shape[1], request.x[chosen])
    if isinstance(traced, GateTable):
        checks.check_angles(traced, request.x, "x")
        if request.y is not None:
            checks.check_angles(traced, request.y, "y")
    done = time.perf_counter()
    asked = request.asked(traced)
    method, why = choose(request.method, asked)
    plan = method.plan(asked)
    seconds = {"trace": done - begun, "plan": time.perf_counter() - done}
    return _Planned(feature_map, asked, method, why, plan, seconds)


def _of_map(feature_map: Any, request: _Request) -> tuple[np.ndarray, KernelReport]:
    planned = _planned(feature_map, request)
    library = "the states are the library's own"
    if isinstance(planned.asked.feature_map, GateTable):
        library = f"gates and angles of {max(request.verify, 1)} rows, as the library binds them"
    return _computed(planned, request, library)


def _of_kernel(kernel: Callable[..., Any], request: _Request) -> tuple[np.ndarray, KernelReport]:
    """By the feature map in the kernel, if there is one and it gives what the kernel gives."""
    found = detection.find_feature_map(kernel, request.x.shape[1])
    if found.feature_map is None:
        return _by_pairs(found.kernel, found.simulator, found.why, request)
    try:
        planned = _planned(found.feature_map, request)
        if isinstance(planned.asked.feature_map, LibraryStates):
            raise detection.NotOne(planned.asked.feature_map.why)
        differing = detection.differing(
            found.kernel,
            request.x,
            request.y,
            cast("np.ndarray", _Entries(planned.plan, request.x, request.columns)),
            pairs=request.verify,
            tolerance=TOLERANCES[request.dtype.name],
        )
        if not differing:
            verified = f"{request.verify} pairs, by the kernel itself" if request.verify else ""
            matrix, report = _computed(planned, request, verified)
            return matrix, replace(report, why=f"{found.why}; {report.why}")
    except detection.NotOne as why:  # which only some rows show
        differing = [str(why)]
    warnings.warn(detection.fallback_warning(differing), stacklevel=3)
    return _by_pairs(found.kernel, found.simulator, "its feature map differs", request)


class _Entries:
    """The exact entries of a matrix, each computed when it is asked for."""

    def __init__(self, plan: Plan, x: np.ndarray, y: np.ndarray) -> None:
        self.shape = (len(x), len(y))
        self._plan = plan
        self._x = x
        self._y = y

    def __getitem__(self, place: tuple[int, int]) -> float:
        i, j = place
        left = self._plan.encode(self._x[i : i + 1], "x")
        right = self._plan.encode(self._y[j : j + 1], "y")
        return float(self._plan.multiply(left, right)[0, 0])


def _by_pairs(
    kernel: Callable[..., Any], simulator: bool, why: str, request: _Request
) -> tuple[np.ndarray, KernelReport]:
    """Calls the kernel for each pair.

    Raises:
        ValueError: If shots, or a method, are asked for.
    """
    name = request.method.name if request.method else None
    for option, value in (("shots", request.shots), ("method", name)):
        if value is not None:
            raise ValueError(
                f"{option}={value!r} needs a feature map, and the kernel is called pair by pair: "
                f"{why}"
            )
    options = request.options
    computed = blackbox.compute(
        kernel,
        request.x,
        request.y,
        executor=options.executor,
        max_workers=options.max_workers,
        checkpoint=options.checkpoint,
        progress=options.progress,
        verify=request.verify,
        may_run_here=simulator,
    )
    default = os.environ.get(VARIABLE) or "processes"
    executor = "serial" if computed.ran_here else options.executor or default
    report = KernelReport(
        "pairs",
        why,
        "a function k(x1, x2)",
        shape=(computed.matrix.shape[0], computed.matrix.shape[1]),
        pairs=computed.pairs,
        from_checkpoint=computed.from_checkpoint,
        seconds={"kernel": computed.worker_seconds, "total": request.seconds()},
        executor=described(executor),
        workers=workers_of(executor, options.max_workers),
    )
    return computed.matrix, report


def _computed(
    planned: _Planned, request: _Request, verified: str
) -> tuple[np.ndarray, KernelReport]:
    """All tiles, and the report on them."""
    asked = planned.asked
    single = asked.dtype == np.complex64
    drawing = Drawing(np.float32 if single else np.float64, request.shots, request.seed)
    parts = _parts(planned) if request.options.checkpoint is not None else ()
    options = replace(request.options, parts=parts, drawing=drawing)
    done = compute(planned.plan, request.x, request.y, options)
    half = 0.5 if done.layout.half else 1.0
    seconds = {
        **planned.seconds,
        "encode": done.encode_seconds,
        "multiply": done.multiply_seconds,
        "total": request.seconds(),
    }
    report = KernelReport(
        planned.method.name,
        planned.why,
        _described(asked.feature_map),
        n_qubits=asked.feature_map.n_qubits,
        shape=(asked.n_x, asked.n_y),
        dtype=asked.dtype.name,
        states=done.states,
        tiles=done.tiles,
        from_checkpoint=done.tiles_from_checkpoint,
        tile_edge=done.layout.edge,
        flops=half * planned.plan.flops(asked.n_x, asked.n_y),
        seconds=seconds,
        executor=done.executor,
        workers=done.workers,
        shots=request.shots,
        precision_error=done.deviation,
        lost_weight=done.lost_weight,
        verification=verified,
    )
    return done.matrix, report


def _parts(planned: _Planned) -> list[Any]:
    """What the entries depend on besides the samples."""
    traced = planned.asked.feature_map
    circuit = planned.given if isinstance(traced, LibraryStates) else traced
    return [
        part("feature map", circuit),
        part("method", planned.method),
        part("dtype of the states", planned.asked.dtype.name),
        part("noise", planned.asked.noise),
    ]


def _described(feature_map: FeatureMap) -> str:
    if isinstance(feature_map, LibraryStates):
        return f"states by {feature_map.library}, because {feature_map.why}"
    count, angles = len(feature_map.gates), len(feature_map.formulas.outputs)
    return f"{count} gates, {angles} different angles, traced from {feature_map.source}"
