"""ParallelBackend: any Qiskit backend, with its circuits split, run in parallel and merged."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Literal

from qiskit.providers import BackendV2, Options

from shoal.quantum.conducting import Pace
from shoal.quantum.qiskit.checks import (
    Binds,
    Ways,
    check_run_options,
    checked_circuits,
    checked_counts,
    seeding_of,
)
from shoal.quantum.qiskit.job import CircuitsJob, job_number
from shoal.quantum.qiskit.running import Asked, Running
from shoal.quantum.qiskit.simulation import Packed, Simulation
from shoal.quantum.qiskit.traits import Traits, has_errors, noise_of_all, option, traits_of
from shoal.quantum.splitting import Layout
from shoal.tasks import shorten

if TYPE_CHECKING:
    from qiskit import QuantumCircuit
    from qiskit.transpiler import Target


class ParallelBackend(BackendV2):  # type: ignore[misc]  # Qiskit has no types
    """A Qiskit backend whose lists of circuits run in parallel.

    Everything else is the backend's own: its target, its options, the numbers it returns.
    """

    def __init__(
        self,
        backend: BackendV2,
        *,
        executor: str | Executor | None = None,
        max_workers: int | None = None,
        max_job_size: int | None = None,
        max_shot_size: int | None = None,
        seeds: Literal["exact", "spawn"] = "exact",
        progress: bool | None = False,
    ) -> None:
        """Starts nothing; workers start with the first list of circuits that is worth them.

        Args:
            backend: What runs circuits: Aer, a fake backend, `BasicSimulator`, or any other
                `qiskit.providers.BackendV2` that can be pickled.
            executor: Where circuits run, as for `shoal.map`. None: worker processes; a simulator
                of Aer or Qiskit also runs in this process where that is sooner, which it is for
                little work and while workers start.
            max_workers: How many chunks run at once, from 1; None: as many as cores. Fewer run
                where the states of large circuits would not fit into memory together.
            max_job_size: How many experiments go together, from 1, exactly. None: as many as are
                worth sending, by measured cost.
            max_shot_size: How many shots of a circuit go together, from 1, where Aer runs it shot
                by shot; other circuits keep their shots together. None: all.
            seeds: ``"exact"`` gives what the backend itself gives for the same seed, bit for
                bit. ``"spawn"`` gives each experiment a stream of its own, from one
                `numpy.random.SeedSequence`. Neither depends on chunks, workers or executors.
            progress: As for `shoal.map`: True shows a bar.

        Raises:
            TypeError: For arguments of the wrong kind.
            ValueError: For arguments out of range.
        """
        if not isinstance(backend, BackendV2):
            raise TypeError(
                f"backend={shorten(backend)}: expected a qiskit.providers.BackendV2, "
                f"not {type(backend).__name__}"
            )
        super().__init__(
            provider=backend.provider,
            name=f"parallel({backend.name})",
            description=backend.description,
            online_date=backend.online_date,
            backend_version=backend.backend_version,
        )
        self.backend = backend
        self._ways = Ways(
            executor=executor,
            max_workers=max_workers,
            max_job_size=max_job_size,
            max_shot_size=max_shot_size,
            seeds=seeds,
            progress=progress,
        )
        self._sent = Sent()

    @property
    def target(self) -> Target:
        """The target of the backend."""
        return self.backend.target

    @property
    def max_circuits(self) -> None:
        """None: lists of any length are split."""
        return

    @property
    def options(self) -> Options:
        """The options of the backend."""
        return self.backend.options

    def set_options(self, **fields: Any) -> None:
        """Sets options of the backend."""
        self.backend.set_options(**fields)

    @classmethod
    def _default_options(cls) -> Options:
        return Options()

    def run(
        self,
        run_input: QuantumCircuit | Sequence[QuantumCircuit],
        parameter_binds: Binds | None = None,
        **options: Any,
    ) -> CircuitsJob:
        """Runs circuits, asynchronously.

        Args:
            run_input: A circuit, or a list of circuits.
            parameter_binds: For Aer: a dict for each circuit, from parameter to a list of values.
            options: The backend's own, for this run: ``shots``, ``seed_simulator`` and so on.

        Returns:
            A job. Its result is that of the backend, with experiments in the order of the
            circuits; ``metadata["shoal"]`` tells the seed that was used, drawn if none was given.

        Raises:
            TypeError: For what is no circuit, an option the simulator does not have, or a backend
                that cannot be pickled; before anything runs, like the next.
            ValueError: For an empty list, or unbound parameters; names the circuit.
        """
        return start(
            self,
            self.backend,
            run_input,
            parameter_binds,
            options,
            ways=self._ways,
            sent=self._sent,
        )


class Sent:
    """What is kept from run to run: the backend as it was sent to workers, and its pace.

    Attributes:
        running: Held while the backend runs in this process.
        pace: How long it takes here.
    """

    def __init__(self) -> None:
        self.lock, self.running = threading.Lock(), threading.Lock()
        self.pace = Pace()
        self._packed: Packed | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Nothing of it travels with its backend, or into a copy."""
        return Sent, ()

    def packed(self, backend: BackendV2, *, keep: bool) -> Packed:
        """The backend, packed; again only if it has changed, where that can be told."""
        with self.lock:
            if self._packed is None or not keep or not self._packed.still_holds(backend):
                self._packed = Packed(backend)
            return self._packed


def start(
    shown: BackendV2,
    backend: BackendV2,
    run_input: Any,
    binds: Binds | None,
    options: Mapping[str, Any],
    *,
    ways: Ways,
    sent: Sent,
) -> CircuitsJob:
    """Checks a run, and begins it as a job of the backend `shown`."""
    if isinstance(ways.executor, ThreadPoolExecutor) or ways.executor == "threads":
        warnings.warn(
            "executor= is a thread pool: simulators hold Python's global lock while they run, so "
            "circuits in threads take turns. executor='processes' runs them at the same time",
            RuntimeWarning,
            stacklevel=3,
        )
    circuits = checked_circuits(run_input)
    traits = traits_of(backend)
    check_run_options(backend, traits, options)
    layout = Layout(checked_counts(circuits, binds, traits))
    seed = option(backend, options, "seed_simulator")
    seeding = seeding_of(traits, ways, seed)
    others = {key: value for key, value in options.items() if key != "seed_simulator"}
    unsplit = _with_errors(backend, circuits, others, traits) if traits.is_aer else ""
    simulation = Simulation(backend, others, lambda: sent.packed(backend, keep=traits.trusted))
    if traits.trusted:
        simulation.locked(sent.running)
    asked = Asked(circuits, binds or None, layout, seeding, unsplit)
    running = Running(asked, simulation, ways, traits, sent.pace)
    if not running.way.may_run_here and not isinstance(ways.executor, ThreadPoolExecutor):
        simulation.name()
    at_once = running.is_little() and not sent.running.locked()
    run = running.at_once if at_once else running.result
    job = CircuitsJob(shown, job_number(), run, len(layout))
    job.submit(at_once=at_once)
    return job


def _with_errors(
    backend: BackendV2,
    circuits: Sequence[QuantumCircuit],
    options: dict[str, Any],
    traits: Traits,
) -> str:
    """Sees to errors among the operations of circuits; returns why these cannot be split then."""
    if not any(has_errors(circuit) for circuit in circuits):
        return ""
    if traits.makes_noise:
        return "errors among the operations of circuits, on a backend that makes its own noise"
    options["noise_model"] = noise_of_all(circuits, option(backend, options, "noise_model"))
    return ""
