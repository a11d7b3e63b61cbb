"""Checks at the door of a parallel backend: what is asked, before anything runs."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence, Sized
from typing import TYPE_CHECKING, Any

from qiskit import QuantumCircuit

from shoal.quantum.qiskit.traits import Traits, known_options
from shoal.quantum.splitting import Seeding
from shoal.tasks import check_options, shorten

if TYPE_CHECKING:
    from qiskit.providers import BackendV2

Binds = Sequence[Mapping[Any, Any]]

AER_SEED_BITS = 63


class Ways:
    """How the circuits of a backend are run; the arguments of `ParallelBackend`, checked."""

    def __init__(
        self,
        *,
        executor: Any,
        max_job_size: int | None,
        max_shot_size: int | None,
        max_workers: int | None = None,
        seeds: str = "exact",
        progress: bool | None = False,
        engine_batches: bool = True,
    ) -> None:
        """Raises what the engine would raise for these; `engine_batches` if no size is given."""
        check_options(print, executor=executor, max_workers=max_workers, progress=progress)
        if seeds not in ("exact", "spawn"):
            raise ValueError(f"seeds={shorten(seeds)}: expected 'exact' or 'spawn'")
        self.executor = executor
        self.max_workers = max_workers
        self.max_job_size = _size("max_job_size", max_job_size)
        self.max_shot_size = _size("max_shot_size", max_shot_size)
        self.seeds = seeds
        self.progress = progress
        self.by_cost = engine_batches and self.max_job_size is None


def _size(name: str, value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name}={shorten(value)}: expected an integer of at least 1, or None")
    if value < 1:
        raise ValueError(f"{name}={value}: expected an integer of at least 1, or None")
    return int(value)


def checked_circuits(run_input: Any) -> list[QuantumCircuit]:
    """The circuits as a list; raises for anything else."""
    if isinstance(run_input, QuantumCircuit):
        return [run_input]
    if isinstance(run_input, str | bytes | Mapping) or not hasattr(run_input, "__iter__"):
        raise TypeError(f"circuits={shorten(run_input)}: expected a circuit or a list of circuits")
    circuits = list(run_input)
    if not circuits:
        raise ValueError("circuits=[]: expected at least one circuit")
    for number, circuit in enumerate(circuits):
        if not isinstance(circuit, QuantumCircuit):
            raise TypeError(
                f"circuit {number} is {shorten(circuit)}: expected a qiskit.QuantumCircuit, "
                f"not {type(circuit).__name__}"
            )
    return circuits


def check_run_options(backend: BackendV2, traits: Traits, options: Mapping[str, Any]) -> None:
    """Raises for options that a simulator would pass over in silence, and for bad shots."""
    if not traits.trusted:
        return
    for name, value in options.items():
        if hasattr(backend.options, name):
            continue
        known = known_options(backend, traits)
        if name in known:
            continue
        import difflib

        near = difflib.get_close_matches(name, known, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise TypeError(f"{name}={shorten(value)}: the backend has no such option{hint}")
    if options.get("shots") is not None:
        _size("shots", options["shots"])


def checked_counts(
    circuits: Sequence[QuantumCircuit], binds: Binds | None, traits: Traits
) -> tuple[int, ...]:
    """How many experiments each circuit is; raises where parameters have no values."""
    if not binds:
        for number, circuit in enumerate(circuits):
            if circuit.num_parameters:
                raise ValueError(_unbound(number, circuit, circuit.parameters))
        return (1,) * len(circuits)
    if not traits.takes_binds:
        raise TypeError("parameter_binds: this backend takes none; bind with assign_parameters")
    if len(binds) != len(circuits):
        raise ValueError(
            f"parameter_binds has {len(binds)} entries for {len(circuits)} circuits: expected "
            "one dict of values for each circuit"
        )
    return tuple(
        _bindings(number, circuit, values)
        for number, (circuit, values) in enumerate(zip(circuits, binds, strict=True))
    )


def _bindings(number: int, circuit: QuantumCircuit, binds: Mapping[Any, Any]) -> int:
    """How many times a circuit runs with these values of its parameters."""
    used = {each: binds[each] for each in circuit.parameters if each in binds}
    missing = [each for each in circuit.parameters if each not in binds]
    if missing:
        raise ValueError(_unbound(number, circuit, missing))
    for parameter, values in used.items():
        if not isinstance(values, Sized):
            raise TypeError(
                f"circuit {number}: parameter {parameter.name} is bound to {shorten(values)}: "
                "expected a list of values"
            )
    sizes = {len(values) for values in used.values()}
    if len(sizes) > 1 or 0 in sizes:
        raise ValueError(
            f"circuit {number}: its parameters have {sorted(sizes)} values: expected as many, "
            "and at least one, for each"
        )
    return sizes.pop() if sizes else 1


def _unbound(number: int, circuit: QuantumCircuit, parameters: Any) -> str:
    names = ", ".join(str(parameter.name) for parameter in parameters)
    return f"circuit {number} ({circuit.name}) has parameters without values: {names}"


def seeding_of(traits: Traits, ways: Ways, seed: Any) -> Seeding:
    """How experiments get their seeds; draws the one of the run where none is given."""
    if seed is not None and (isinstance(seed, bool) or not hasattr(seed, "__index__")):
        raise TypeError(f"seed_simulator={shorten(seed)}: expected an integer")
    number = None if seed is None else int(seed)
    bits = AER_SEED_BITS if traits.rule == "strided" else 31
    spawned = ways.seeds == "spawn" or (number is None and traits.rule == "none")
    if not traits.takes_seed and (number is None or spawned):
        return Seeding("none", None)
    if number is None:
        number = secrets.randbits(31)
    if spawned:
        if number < 0:
            raise ValueError(f"seed_simulator={number}: expected at least 0 with seeds='spawn'")
        return Seeding("spawned", number, bits)
    return Seeding(traits.rule, number)
