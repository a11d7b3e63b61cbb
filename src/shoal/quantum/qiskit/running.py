"""One list of circuits on its way to a result: cut, run through the engine, merged in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import CancelledError
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

from qiskit.result import Result

from shoal.quantum.conducting import Conducting, Pace, Way, default_is_ours, is_on_this_machine
from shoal.quantum.qiskit.checks import Binds, Ways
from shoal.quantum.qiskit.simulation import (
    Returned,
    Simulation,
    calls_of,
    failed,
    may_be_merged,
    merged_shots,
)
from shoal.quantum.qiskit.traits import Traits, option, runs_shot_by_shot, seconds_of, state_bytes
from shoal.quantum.splitting import Chunk, Layout, Part, Pieces, Seeding, by_cost, by_size, pieces
from shoal.tasks import available_cores, memory_budget, shorten

if TYPE_CHECKING:
    from qiskit import QuantumCircuit
    from qiskit.result.models import ExperimentResult

    from shoal.quantum.qiskit.job import CircuitsJob

OWN_RULE = (
    "the backend derives the seeds of all circuits from one by a rule of its own, so that with "
    "seeds='exact' they go in one call"
)
AIM_SECONDS = 0.02
LITTLE_SECONDS = 0.02
MANY_SHOTS = 10_000
LARGE_STATE_BYTES = 1 << 24
SHARES_OF_MEMORY = 2  # memory_budget() is a quarter of what is free


class Asked(NamedTuple):
    """What is to be run.

    Attributes:
        circuits: The circuits.
        binds: The values of their parameters, a dict for each; None: they have none.
        layout: Their experiments.
        seeding: The seeds of these.
        unsplit: Why they must all go in one call; empty where they need not.
    """

    circuits: Sequence[QuantumCircuit]
    binds: Binds | None
    layout: Layout
    seeding: Seeding
    unsplit: str = ""


class Running:
    """One list of circuits on its way to a result."""

    def __init__(
        self, asked: Asked, simulation: Simulation, ways: Ways, traits: Traits, pace: Pace
    ) -> None:
        """Decides where circuits may run, and runs nothing."""
        self._circuits = asked.circuits
        self._binds = asked.binds
        self._layout = asked.layout
        self._seeding = asked.seeding
        self._simulation = simulation
        self._ways = ways
        self._traits = traits
        one_stream = asked.seeding.rule == "none" and asked.seeding.seed is not None
        self._unsplit = OWN_RULE if one_stream and len(asked.layout) > 1 else asked.unsplit
        self._shots_unsplit: list[int] = []
        method = option(simulation.backend, simulation.options, "method")
        self._seconds = [seconds_of(circuit, method) for circuit in self._circuits]
        self.way = self._way(state_bytes(self._circuits, method), pace)
        self._split: dict[int, Pieces] = {}
        self._chunks: Sequence[Chunk] = [(Part(0, len(self._layout)),)]

    def is_little(self) -> bool:
        """Whether it takes this process some milliseconds, as far as is known."""
        pace, ways = self.way.pace, self._ways
        if not (self.way.may_run_here and pace.measured) or ways.max_shot_size or ways.progress:
            return False
        shots = option(self._simulation.backend, self._simulation.options, "shots")
        if not isinstance(shots, int) or shots > MANY_SHOTS:
            return False
        return self._expected(self._chunks[0]) * pace.seconds < LITTLE_SECONDS

    def _way(self, largest_bytes: int, pace: Pace) -> Way:
        ways = self._ways
        workers = ways.max_workers
        if largest_bytes > LARGE_STATE_BYTES and is_on_this_machine(ways.executor):
            fitting = SHARES_OF_MEMORY * memory_budget() // largest_bytes
            workers = max(min(workers or available_cores(), fitting), 1)
        here = self._traits.trusted and ways.by_cost and ways.executor is None
        return Way(
            ways.executor,
            workers,
            ways.by_cost,
            ways.progress,
            here and default_is_ours(),
            pace,
            self._simulation.name,
        )

    def _shot_pieces(self) -> dict[int, Pieces]:
        """The pieces of those experiments whose shots may be split; notes the others."""
        most, backend = self._ways.max_shot_size, self._simulation.backend
        if most is None:
            return {}
        options = self._simulation.options
        shots = option(backend, options, "shots")
        if not hasattr(shots, "__index__") or shots <= most:
            return {}
        shots = int(shots)
        split: dict[int, Pieces] = {}
        at = 0
        for circuit, count in zip(self._circuits, self._layout.counts, strict=True):
            exact = self._traits.rule == "strided" and runs_shot_by_shot(
                circuit, backend, options, most, shots
            )
            for experiment in range(at, at + count):
                if exact:
                    split[experiment] = pieces(shots, most)
                else:
                    self._shots_unsplit.append(experiment)
            at += count
        return split

    def _cut(self) -> list[Chunk]:
        total = len(self._layout)
        if self._unsplit:
            self._split = {}
            return by_size(total, None)
        if self._ways.by_cost and not self._split:
            workers = self.way.max_workers or available_cores()
            return by_cost(self._layout, self._seconds, aim=AIM_SECONDS, workers=workers)
        size = 1 if self._ways.by_cost else self._ways.max_job_size
        chunks = by_size(total, size, self._split)
        return chunks if self._seeding.together else [_apart(chunk) for chunk in chunks]

    def _expected(self, chunk: Chunk) -> float:
        if self._binds is None:  # each circuit is one experiment
            return sum(sum(self._seconds[part.start : part.stop]) for part in chunk)
        return sum(
            self._seconds[number] * len(which)
            for part in chunk
            for number, which in self._layout.segments(part)
        )

    def at_once(self, job: CircuitsJob) -> Result:
        """Runs everything in this process, in one call: for what `is_little`."""
        [whole] = self._chunks
        begun = monotonic()
        returned = self._simulation(self._message(whole))
        seconds = monotonic() - begun
        self.way.pace.learn(seconds, self._expected(whole))
        job.finish(len(self._layout))
        return self._merged({each.part: each for each in returned}, job, seconds, 1)

    def result(self, job: CircuitsJob) -> Result:
        """Runs everything, here and on the executor; the body of the job's thread."""
        begun = monotonic()
        returned: dict[Part, Returned] = {}
        self._split = self._shot_pieces()
        self._chunks = self._cut()
        here = self._conduct(self._chunks, returned, job)
        again: list[int] = self._not_split_after_all(returned)
        if again:
            self._conduct([(Part(number, number + 1),) for number in again], returned, job)
            self._shots_unsplit = sorted({*self._shots_unsplit, *again})
        return self._merged(returned, job, monotonic() - begun, here)

    def _message(self, chunk: Chunk) -> Any:
        parts = chunk if self._seeding.together else _apart(chunk)
        return calls_of(
            parts,
            self._layout,
            self._circuits,
            self._binds,
            self._seeding,
            by_name=self._traits.is_aer,
        )

    def _conduct(
        self, chunks: Sequence[Chunk], returned: dict[Part, Returned], job: CircuitsJob
    ) -> int:
        """Runs chunks; returns how many ran in this process."""
        conducting = Conducting(
            self._simulation,
            self._message,
            chunks,
            self.way,
            seconds=[self._expected(chunk) for chunk in chunks],
            stopped=job.stopped,
        )
        job.on_cancel(conducting.abandon)
        for chunk, value in conducting:
            lost = isinstance(value, Exception)
            for each in [self._lost(part, value) for part in chunk] if lost else value:
                returned[each.part] = each
                if each.part.first_shot == 0:
                    job.finish(len(each.part))
        return conducting.here

    def _lost(self, part: Part, error: Exception) -> Returned:
        """What stands in the result for experiments that no worker could run."""
        numbers = [self._layout.circuit_of(at) for at in range(part.start, part.stop)]
        return Returned(
            part, [failed(self._circuits[number], number, error) for number in numbers], {}
        )

    def _not_split_after_all(self, returned: Mapping[Part, Returned]) -> list[int]:
        """The experiments whose shots were split, but which did not run shot by shot."""
        again = []
        for experiment in self._split:
            parts = self._pieces_of(experiment)
            if any(part not in returned for part in parts):
                continue  # cancelled
            each = [returned[part].experiments[0] for part in parts]
            if not may_be_merged(each) and all(piece.success for piece in each):
                again.append(experiment)
        return again

    def _pieces_of(self, experiment: int) -> list[Part]:
        return [
            Part(experiment, experiment + 1, first, shots)
            for first, shots in self._split[experiment]
        ]

    def _merged(
        self, returned: Mapping[Part, Returned], job: CircuitsJob, seconds: float, here: int
    ) -> Result:
        if job.stopped():
            raise CancelledError(f"job {job.job_id()} was cancelled")
        if len(returned) == 1 and not self._split:
            [only] = returned.values()
            return self._result(only.experiments, [only.about], job, seconds, here)
        found: dict[int, ExperimentResult] = {}
        for each in returned.values():
            if each.part.shots is None:
                found.update(
                    zip(range(each.part.start, each.part.stop), each.experiments, strict=True)
                )
        for experiment in self._split:
            if experiment not in found:
                parts = [returned[part].experiments[0] for part in self._pieces_of(experiment)]
                bad = next((part for part in parts if not part.success), None)
                found[experiment] = bad or merged_shots(parts)
        experiments = [found[number] for number in range(len(self._layout))]
        ordered = sorted(
            returned.values(), key=lambda each: (each.part.start, each.part.first_shot)
        )
        return self._result(experiments, [each.about for each in ordered], job, seconds, here)

    def _result(
        self,
        experiments: list[ExperimentResult],
        about: list[dict[str, Any]],
        job: CircuitsJob,
        seconds: float,
        here: int,
    ) -> Result:
        about = [each for each in about if each]
        good = [bool(each.success) for each in experiments]
        backend = self._simulation.backend
        fields = dict(about[0]) if about else {"backend_name": backend.name}
        fields["metadata"] = _merged_metadata(about)
        fields["metadata"]["shoal"] = {
            **self._told(here),
            "seconds_in_backend": round(
                sum(float(each.get("time_taken") or 0.0) for each in about), 6
            ),
        }
        fields.update(
            backend_version=fields.get("backend_version") or backend.backend_version,
            job_id=job.job_id(),
            success=all(good),
            status=_status(experiments, good),
            date=datetime.now(UTC).isoformat(),
            time_taken=seconds,
            results=experiments,
        )
        return Result(**fields)

    def _told(self, here: int) -> dict[str, Any]:
        """What the metadata tell: enough to run it again."""
        exact = self._seeding.rule != "spawned"
        told: dict[str, Any] = {
            "seeds": "exact" if exact else "spawn",
            "seed_simulator": self._seeding.seed,
            "executor": None if self._ways.executor is None else shorten(self._ways.executor),
            "max_workers": self.way.max_workers,
            "max_job_size": self._ways.max_job_size,
            "max_shot_size": self._ways.max_shot_size,
            "chunks": len(self._chunks),
            "calls_here": here,
        }
        if self._unsplit:
            told["unsplit"] = self._unsplit
        if self._shots_unsplit:
            told["shots_unsplit"] = list(self._shots_unsplit)
        return told


def _apart(chunk: Chunk) -> Chunk:
    """The chunk with every experiment a call of its own, for the sake of its own seed."""
    return tuple(
        Part(at, at + 1, part.first_shot, part.shots)
        for part in chunk
        for at in range(part.start, part.stop)
    )


def _merged_metadata(about: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The metadata of the first call, with times added up over all of them."""
    each = [one["metadata"] for one in about if isinstance(one.get("metadata"), Mapping)]
    merged = dict(each[0]) if each else {}
    for key in merged:
        if key.startswith("time_taken"):
            merged[key] = sum(one.get(key, 0.0) for one in each)
    return merged


def _status(experiments: Sequence[ExperimentResult], good: Sequence[bool]) -> str:
    """In Aer's words."""
    if all(good):
        return "COMPLETED"
    if any(good):
        return "PARTIAL COMPLETED"
    return str(experiments[0].status)
