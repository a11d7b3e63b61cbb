"""Samplers and estimators of Qiskit and Aer, with pubs and the bindings inside them in parallel."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any

import numpy as np
from qiskit.circuit import Gate, QuantumCircuit
from qiskit.primitives import (
    BaseEstimatorV2,
    BaseSamplerV2,
    PrimitiveJob,
    PrimitiveResult,
    PubResult,
    SamplerPubResult,
    StatevectorEstimator,
    StatevectorSampler,
)
from qiskit.primitives.containers import BitArray, DataBin
from qiskit.primitives.containers.bindings_array import BindingsArray
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.primitives.containers.observables_array import ObservablesArray
from qiskit.primitives.containers.sampler_pub import SamplerPub

from shoal.quantum.conducting import Conducting, Pace, Way, default_is_ours
from shoal.quantum.qiskit.backend import ParallelBackend
from shoal.quantum.qiskit.checks import Ways
from shoal.quantum.qiskit.traits import seconds_of
from shoal.quantum.splitting import Chunk, Layout, by_cost
from shoal.tasks import available_cores, shorten

AIM_SECONDS = 0.02
VERSION = {"version": 2}


class ParallelSampler(BaseSamplerV2):  # type: ignore[misc]  # Qiskit has no types
    """A sampler whose pubs, and the bindings inside each of them, run in parallel."""

    def __init__(
        self,
        sampler: BaseSamplerV2,
        *,
        executor: str | Executor | None = None,
        max_workers: int | None = None,
        progress: bool | None = False,
    ) -> None:
        """Starts nothing.

        Args:
            sampler: Qiskit's `StatevectorSampler`, or Aer's `SamplerV2`. For others, give
                Qiskit's `BackendSamplerV2` a `ParallelBackend`.
            executor: As for `ParallelBackend`, like the others.
            max_workers: How many chunks of bindings run at once.
            progress: True shows a bar.

        Raises:
            TypeError: For any other sampler, or one seeded by a generator, whose numbers would
                depend on the order in which bindings are run.
        """
        self._ways = _ways(executor, max_workers, progress)
        _check_seed(sampler)
        self._sampler = _on_parallel_backend(sampler, "SamplerV2", self._ways)
        self._pace = Pace()
        if self._sampler is None and type(sampler) is not StatevectorSampler:
            raise _unknown("sampler", sampler, "StatevectorSampler or Aer's SamplerV2")
        self._here = sampler

    def run(
        self, pubs: Iterable[Any], *, shots: int | None = None
    ) -> PrimitiveJob[PrimitiveResult[SamplerPubResult]]:
        """Samples, asynchronously.

        Args:
            pubs: As for the sampler: circuits, with values of their parameters and shots.
            shots: Shots of pubs that bring none; None: the sampler's default.

        Returns:
            A job. Its result is that of the sampler for the same seed, bit for bit.
        """
        if self._sampler is not None:
            return self._sampler.run(pubs, shots=shots)
        shots = self._here.default_shots if shots is None else shots
        return _job(self._run, [SamplerPub.coerce(pub, shots) for pub in pubs])

    def _run(self, pubs: Sequence[SamplerPub]) -> PrimitiveResult[SamplerPubResult]:
        def message(chunk: Chunk) -> list[SamplerPub]:
            return [
                SamplerPub(
                    pubs[number].circuit,
                    pubs[number].parameter_values.ravel()[of.start : of.stop],
                    pubs[number].shots,
                )
                for part in chunk
                for number, of in layout.segments(part)
            ]

        layout = Layout(tuple(pub.size for pub in pubs))
        parts = _conducted(
            Primitive(self._here), message, layout, pubs, ways=self._ways, pace=self._pace
        )
        results = [
            _merged_samples(pub, own) if own else self._here.run([pub]).result()[0]
            for pub, own in zip(pubs, parts, strict=True)
        ]
        return PrimitiveResult(results, metadata=VERSION)


class ParallelEstimator(BaseEstimatorV2):  # type: ignore[misc]  # as above
    """An estimator whose pubs, and the values inside each of them, are computed in parallel."""

    def __init__(
        self,
        estimator: BaseEstimatorV2,
        *,
        executor: str | Executor | None = None,
        max_workers: int | None = None,
        progress: bool | None = False,
    ) -> None:
        """Starts nothing.

        Args:
            estimator: Qiskit's `StatevectorEstimator`, or Aer's `EstimatorV2`. For others, give
                Qiskit's `BackendEstimatorV2` a `ParallelBackend`.
            executor: As for `ParallelBackend`, like the others.
            max_workers: How many chunks run at once.
            progress: True shows a bar.

        Raises:
            TypeError: For any other estimator, or one seeded by a generator.
        """
        self._ways = _ways(executor, max_workers, progress)
        _check_seed(estimator)
        self._estimator = _on_parallel_backend(estimator, "EstimatorV2", self._ways)
        self._pace = Pace()
        if self._estimator is None and type(estimator) is not StatevectorEstimator:
            raise _unknown("estimator", estimator, "StatevectorEstimator or Aer's EstimatorV2")
        self._here = estimator

    def run(
        self, pubs: Iterable[Any], *, precision: float | None = None
    ) -> PrimitiveJob[PrimitiveResult[PubResult]]:
        """Estimates, asynchronously.

        Args:
            pubs: As for the estimator: circuits, observables, values of parameters, precision.
            precision: Precision of pubs that bring none; None: the estimator's default.

        Returns:
            A job. Its result is that of the estimator for the same seed, bit for bit; noise of a
            precision above 0 too.
        """
        if precision is None:
            options = getattr(self._here, "options", self._here)
            precision = options.default_precision
        coerced = [EstimatorPub.coerce(pub, precision) for pub in pubs]
        return _job(self._run if self._estimator is None else self._run_on_aer, coerced)

    def _run_on_aer(self, pubs: Sequence[EstimatorPub]) -> PrimitiveResult[PubResult]:
        """Aer's estimator runs one pub after another, so we have it run several at a time."""
        most = self._ways.max_workers or available_cores()
        with ThreadPoolExecutor(most, thread_name_prefix="shoal-pubs") as threads:
            results = threads.map(lambda pub: self._estimator.run([pub]).result()[0], pubs)
            return PrimitiveResult(list(results), metadata=VERSION)

    def _run(self, pubs: Sequence[EstimatorPub]) -> PrimitiveResult[PubResult]:
        whole = [_draws(pub.circuit) or pub.size == 0 for pub in pubs]
        values = [None if all_ else _Values(pub) for pub, all_ in zip(pubs, whole, strict=True)]

        def message(chunk: Chunk) -> list[EstimatorPub]:
            found = []
            for part in chunk:
                for number, of in layout.segments(part):
                    own = values[number]
                    found.append(pubs[number] if own is None else own.pub(of))
            return found

        layout = Layout(
            tuple(1 if own is None else pub.size for pub, own in zip(pubs, values, strict=True))
        )
        parts = _conducted(
            Primitive(self._here), message, layout, pubs, ways=self._ways, pace=self._pace
        )
        results = [
            own[0] if values[number] is None else self._noisy(pubs[number], own)
            for number, own in enumerate(parts)
        ]
        return PrimitiveResult(results, metadata=VERSION)

    def _noisy(self, pub: EstimatorPub, parts: Sequence[PubResult]) -> PubResult:
        """The exact values of a pub, with the noise that the estimator draws for them in turn."""
        evs = np.concatenate([part.data.evs for part in parts])
        if pub.precision != 0:
            rng = np.random.default_rng(self._here.seed)
            evs = np.array([rng.normal(value, pub.precision) for value in evs], dtype=np.float64)
        data = DataBin(evs=evs.reshape(pub.shape), stds=np.zeros(pub.shape), shape=pub.shape)
        about = {"target_precision": pub.precision, "circuit_metadata": pub.circuit.metadata}
        return PubResult(data, metadata=about)


class Primitive:
    """A sampler or an estimator as what the engine runs."""

    def __init__(self, primitive: Any) -> None:
        self.primitive = primitive

    def __call__(self, pubs: Sequence[Any]) -> list[Any]:
        """The results of pubs."""
        return list(self.primitive.run(pubs).result())

    def load(self, number: int) -> int:
        """Does nothing, in a worker that has imported Qiskit now."""
        return number


class _Values:
    """The values inside a pub of an estimator, as pubs of a few of them."""

    def __init__(self, pub: EstimatorPub) -> None:
        bindings = pub.parameter_values
        places = np.arange(bindings.size).reshape(bindings.shape)
        self._circuit = pub.circuit
        self._places = np.broadcast_to(places, pub.shape).ravel()
        self._observables = np.broadcast_to(np.asarray(pub.observables), pub.shape).ravel()
        self._parameters = tuple(pub.circuit.parameters)
        self._rows = bindings.as_array(self._parameters).reshape(bindings.size, -1)

    def pub(self, which: range) -> EstimatorPub:
        """Some of the values, exact."""
        at = slice(which.start, which.stop)
        rows = self._rows[self._places[at]]
        bindings = BindingsArray({self._parameters: rows}) if self._parameters else None
        if bindings is None:
            bindings = BindingsArray(shape=(len(which),))
        return EstimatorPub(
            self._circuit, ObservablesArray(self._observables[at]), bindings, precision=0.0
        )


def _conducted(
    primitive: Primitive,
    message: Callable[[Chunk], Any],
    layout: Layout,
    pubs: Sequence[Any],
    *,
    ways: Ways,
    pace: Pace,
) -> list[list[Any]]:
    """The results of the parts of every pub, in order; raises the error of the first that fails."""
    workers = ways.max_workers or available_cores()
    expected = [seconds_of(pub.circuit, None) for pub in pubs]
    chunks = by_cost(layout, expected, aim=AIM_SECONDS, workers=workers)
    way = Way(
        ways.executor,
        ways.max_workers,
        True,
        ways.progress,
        ways.executor is None and default_is_ours(),
        pace,
        lambda: type(primitive.primitive).__qualname__,
    )
    conducting = Conducting(
        primitive,
        message,
        chunks,
        way,
        seconds=[len(part) * expected[layout.circuit_of(part.start)] for (part,) in chunks],
        stopped=lambda: False,
    )
    ended: dict[tuple[int, int], Any] = {}
    for chunk, value in conducting:
        places = [(number, of.start) for part in chunk for number, of in layout.segments(part)]
        lost = isinstance(value, Exception)
        ended.update(zip(places, [value] * len(places) if lost else value, strict=True))
    found: list[list[Any]] = [[] for _ in pubs]
    for (number, _), result in sorted(ended.items(), key=lambda item: item[0]):
        if isinstance(result, Exception):
            raise result
        found[number].append(result)
    return found


def _merged_samples(pub: SamplerPub, parts: Sequence[SamplerPubResult]) -> SamplerPubResult:
    """A pub's result from those of its bindings, in order."""
    first = parts[0].data
    merged = {}
    for name in first:
        array = np.concatenate([part.data[name].array for part in parts])
        merged[name] = BitArray(array.reshape(*pub.shape, *array.shape[-2:]), first[name].num_bits)
    return SamplerPubResult(DataBin(**merged, shape=pub.shape), metadata=parts[0].metadata)


def _draws(circuit: QuantumCircuit) -> bool:
    """Whether computing a state may draw random numbers: what is no gate may hold a reset."""
    return not all(
        isinstance(each.operation, Gate) or each.operation.name == "barrier"
        for each in circuit.data
    )


def _on_parallel_backend(primitive: Any, name: str, ways: Ways) -> Any:
    """A copy of one of Aer's primitives that runs on a `ParallelBackend`; None for all else."""
    aer: Any = sys.modules.get("qiskit_aer.primitives")
    if aer is None or type(primitive) is not getattr(aer, name):
        return None
    made = copy.copy(primitive)
    made._backend = ParallelBackend(  # noqa: SLF001  (it takes none that is not Aer's by its face)
        primitive._backend,  # noqa: SLF001  (as above)
        executor=ways.executor,
        max_workers=ways.max_workers,
        progress=ways.progress,
    )
    return made


def _ways(executor: Any, max_workers: int | None, progress: bool | None) -> Ways:
    return Ways(
        executor=executor,
        max_workers=max_workers,
        max_job_size=None,
        max_shot_size=None,
        progress=progress,
    )


def _check_seed(primitive: Any) -> None:
    seed = getattr(primitive, "seed", None)
    if isinstance(seed, np.random.Generator):
        raise TypeError(
            f"seed={shorten(seed)}: expected an integer or None; what a generator gives would "
            "depend on the order in which bindings are run"
        )


def _unknown(name: str, primitive: Any, known: str) -> TypeError:
    return TypeError(
        f"{name}={shorten(primitive)}: expected {known}; for a backend, give Qiskit's "
        f"Backend{name.capitalize()}V2 a ParallelBackend"
    )


def _job(run: Callable[[Any], Any], pubs: Any) -> PrimitiveJob[Any]:
    """A job of Qiskit's own kind, begun as its own primitives begin theirs."""
    job = PrimitiveJob(run, pubs)
    job._submit()  # noqa: SLF001  (there is no other way)
    return job
