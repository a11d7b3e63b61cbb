"""The PennyLane device that runs batches of circuits in worker processes: "shoal.parallel"."""

from __future__ import annotations

import copy
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import cloudpickle
import numpy as np
import pennylane as qml
from pennylane.devices import Device, ExecutionConfig
from pennylane.devices.modifiers import single_tape_support
from pennylane.exceptions import DeviceError
from pennylane.math import Interface
from pennylane.transforms import broadcast_expand

from shoal.quantum.pennylane.adapters import is_lightning
from shoal.quantum.pennylane.batch import Batch, Costs
from shoal.quantum.pennylane.crew import crew_for
from shoal.quantum.pennylane.tapes import apart, batch_size
from shoal.quantum.pennylane.templates import Patterns
from shoal.quantum.pennylane.tracking import replay
from shoal.quantum.pennylane.work import EXECUTE, PREPARE, Bench, Item, Plan, prepared
from shoal.tasks import check_options, shorten

NAME = "shoal.parallel"
TO_NUMPY, AS_IS = "to_numpy", "as_is"


@single_tape_support
class ParallelDevice(Device):  # type: ignore[misc]  # PennyLane ships no types
    """Runs batches of circuits on a base device in every worker process.

    ``qml.device("shoal.parallel", wires=4, base="lightning.qubit")`` stands wherever
    ``qml.device("lightning.qubit", wires=4)`` does. What PennyLane hands over as one batch (the
    circuits of a parameter-shift gradient, of a batch of inputs, of `qml.execute`) is spread over
    processes, each with a base device of its own. Batches too short to gain by that, and all
    batches until the workers have imported PennyLane, run in this process on a base device, so
    that nothing is ever slower than the base device alone. Values, gradients and what a
    `qml.Tracker` counts are those of the base device; backpropagation is not offered, because it
    cannot cross processes.

    Results of shots are those of an independent random stream for each circuit: with a `seed` in
    the base device's options they are the same for any number of workers, though not the base
    device's own, which draws all circuits from one stream.

    The device may be shared between threads.
    """

    def __init__(
        self,
        wires: Any = None,
        *,
        base: str = "lightning.qubit",
        executor: Any = None,
        max_workers: int | None = None,
        max_job_size: int | None = None,
        **base_options: Any,
    ) -> None:
        """Builds the base device once here; starts no worker yet.

        Args:
            wires: As for the base device.
            base: Name of the device that runs the circuits.
            executor: As for `shoal.map`; devices without one of their own share one set of worker
                processes.
            max_workers: How many circuits run at once, from 1; None: as many as cores, and never
                more than states of these many qubits fit into free memory.
            max_job_size: Most circuits in one message, from 1; None: measured.
            base_options: Further options of the base device.

        Raises:
            pennylane.exceptions.DeviceError: If the base device does not exist or refuses its
                options.
            TypeError: For arguments of the wrong kind.
            ValueError: For arguments out of range, and for threads with a lightning device.
        """
        super().__init__(wires=wires)
        _check(base, executor, max_workers, max_job_size)
        shots = base_options.pop("shots", None)
        if type(base_options.get("seed")).__module__.startswith("jax"):
            raise TypeError("seed=… is a key of JAX: expected an integer or a numpy seed")
        options = {**base_options, "wires": wires}
        self._base = _built(base, {**options, "shots": shots} if shots is not None else options)
        self._knows_best = is_lightning(self._base)  # to which that is adjoint already
        if self._knows_best and _is_threads(executor):
            raise ValueError(
                f"executor={shorten(executor)} with base={base!r}: a lightning device computes "
                "under Python's global lock, so threads would only be slower. "
                "Use executor='processes'"
            )
        self._shots = self._base.shots
        self._base_name = base
        self._recipe = _recipe(base, options, keep_seed=not hasattr(self._base, "_rng"))
        self._arguments = {
            "wires": wires,
            "base": base,
            "max_workers": max_workers,
            "max_job_size": max_job_size,
            **({"executor": executor} if isinstance(executor, str) else {}),
            **base_options,
        }
        self._crew = crew_for(executor, max_workers)
        self._width = min(max_workers or self._crew.width, self._crew.width)
        self._max_job_size = max_job_size
        self._costs = Costs()
        self._patterns = Patterns()
        self._bench = Bench()
        self._bench.lay(self._recipe, self._base)
        self._native = broadcast_expand not in self._base.preprocess_transforms()
        self._entropy = _entropy_of(self._base, base_options.get("seed"))
        self._drawn = 0
        self._lock = threading.RLock()

    def __reduce__(self) -> tuple[Any, ...]:
        """Travels as its arguments: in a worker it runs everything on its base device."""
        return _rebuilt, (self._arguments,)

    @property
    def name(self) -> str:
        """The name by which PennyLane finds this device."""
        return NAME

    @property
    def base(self) -> Device:
        """The base device in this process."""
        return self._base

    def warm_up(self) -> None:
        """Starts the workers and waits until they have imported PennyLane.

        Never necessary: they are started when that pays. For a program that knows it will need
        them, and for measuring.
        """
        self._crew.warm_up(self._base_name, self._recipe)

    def setup_execution_config(
        self, config: ExecutionConfig | None = None, circuit: Any = None
    ) -> ExecutionConfig:
        """The base device's choices, without backpropagation.

        Unless the base device computes the gradients, its transforms are left to the workers.
        """
        config = self._base.setup_execution_config(self._for_base(config), circuit)
        if config.use_device_gradient or qml.capture.enabled():
            return config
        to_numpy = config.interface is Interface.AUTOGRAD and config.derivative_order == 1
        options = {**config.device_options, PREPARE: TO_NUMPY if to_numpy else AS_IS}
        numpy_here = config.convert_to_numpy and not to_numpy
        return replace(config, device_options=options, convert_to_numpy=numpy_here)

    def preprocess_transforms(self, execution_config: ExecutionConfig | None = None) -> Any:
        """The base device's transforms, as far as they must be applied before `execute`.

        Those that take a batch dimension apart are left out, so that JAX hands over a whole
        vectorised batch in one call; the workers apply them.
        """
        if execution_config is not None and PREPARE in execution_config.device_options:
            return qml.CompilePipeline()
        config = None if execution_config is None else self._for_base(execution_config)
        program = self._base.preprocess_transforms(config)
        if config is None or not config.use_device_gradient:
            program.remove(broadcast_expand)
        return program

    def supports_derivatives(
        self, execution_config: ExecutionConfig | None = None, circuit: Any = None
    ) -> bool:
        """As the base device, without backpropagation."""
        return self._supports("supports_derivatives", execution_config, circuit)

    def supports_jvp(
        self, execution_config: ExecutionConfig | None = None, circuit: Any = None
    ) -> bool:
        """As the base device."""
        return self._supports("supports_jvp", execution_config, circuit)

    def supports_vjp(
        self, execution_config: ExecutionConfig | None = None, circuit: Any = None
    ) -> bool:
        """As the base device."""
        return self._supports("supports_vjp", execution_config, circuit)

    def _supports(self, question: str, config: ExecutionConfig | None, circuit: Any) -> bool:
        if config is None:
            return bool(getattr(self._base, question)(None, circuit))
        if config.gradient_method == "backprop":
            return False
        return bool(getattr(self._base, question)(self._for_base(config), circuit))

    def execute(self, circuits: Any, execution_config: ExecutionConfig | None = None) -> Any:
        """Results of circuits, in order."""
        return tuple(self._each(EXECUTE, circuits, None, execution_config))

    def compute_derivatives(
        self, circuits: Any, execution_config: ExecutionConfig | None = None
    ) -> Any:
        """Jacobians of circuits, in order, as the base device computes them."""
        return tuple(self._each("compute_derivatives", circuits, None, execution_config))

    def execute_and_compute_derivatives(
        self, circuits: Any, execution_config: ExecutionConfig | None = None
    ) -> Any:
        """Results and Jacobians of circuits."""
        method = "execute_and_compute_derivatives"
        return _pair(self._each(method, circuits, None, execution_config))

    def compute_jvp(
        self, circuits: Any, tangents: Any, execution_config: ExecutionConfig | None = None
    ) -> Any:
        """Jacobian-vector products of circuits, in order."""
        return tuple(self._each("compute_jvp", circuits, tangents, execution_config))

    def execute_and_compute_jvp(
        self, circuits: Any, tangents: Any, execution_config: ExecutionConfig | None = None
    ) -> Any:
        """Results and Jacobian-vector products of circuits."""
        return _pair(self._each("execute_and_compute_jvp", circuits, tangents, execution_config))

    def compute_vjp(
        self, circuits: Any, cotangents: Any, execution_config: ExecutionConfig | None = None
    ) -> Any:
        """Vector-Jacobian products of circuits, in order."""
        return tuple(self._each("compute_vjp", circuits, cotangents, execution_config))

    def execute_and_compute_vjp(
        self, circuits: Any, cotangents: Any, execution_config: ExecutionConfig | None = None
    ) -> Any:
        """Results and vector-Jacobian products of circuits."""
        return _pair(self._each("execute_and_compute_vjp", circuits, cotangents, execution_config))

    def _for_base(self, config: ExecutionConfig | None) -> ExecutionConfig:
        """The configuration as the base device knows it, with adjoint gradients as the best."""
        if config is None:
            return ExecutionConfig()
        changes: dict[str, Any] = {}
        if config.gradient_method == "best" and not self._knows_best:
            changes["gradient_method"] = "adjoint"
        if PREPARE in config.device_options:
            options = config.device_options
            changes["device_options"] = {name: options[name] for name in options if name != PREPARE}
        return replace(config, **changes) if changes else config

    def _each(
        self, method: str, circuits: Any, extras: Any, config: ExecutionConfig | None
    ) -> list[Any]:
        """What a method of the base device returns for each circuit."""
        if not circuits:
            return []
        if config is None:
            config = ExecutionConfig(gradient_method=None if method == EXECUTE else "adjoint")
        how = config.device_options.get(PREPARE)
        tapes, finish = (
            apart(circuits, as_list=self._native) if method == EXECUTE else (circuits, None)
        )
        plan = Plan(
            method=method,
            config=config,
            prepare=how is not None,
            to_numpy=how == TO_NUMPY,
            expand=self._expands(method, tapes),
            tracked=self.tracker.active,
        )
        with self._lock:
            batch = Batch(
                items=self._items(tapes, extras),
                how=prepared(self._base, plan),
                bench=self._bench,
                recipe=self._recipe,
                base_name=self._base_name,
                crew=self._crew,
                width=self._width,
                costs=self._costs,
                patterns=self._patterns,
                wires=len(self.wires or tapes[0].wires),
                max_job_size=self._max_job_size,
                may_cut=method == EXECUTE and not self.tracker.active,
            )
            done = batch.run()
        if self.tracker.active:
            replay(self.tracker, [each.updates for each in done])
        values = [each.value for each in done]
        return values if finish is None else finish(values)

    def _expands(self, method: str, tapes: Sequence[Any]) -> bool:
        """Whether a batch dimension is left that the base device does not take."""
        return method == EXECUTE and not self._native and any(map(batch_size, tapes))

    def _items(self, tapes: Sequence[Any], extras: Any) -> list[Item]:
        """The tapes with what belongs to each; those with shots get the next random streams."""
        items: list[Item] = []
        for place, tape in enumerate(tapes):
            seed = (self._entropy, self._drawn) if tape.shots else None
            self._drawn += seed is not None
            items.append((tape, None if extras is None else extras[place], seed))
        return items


def _rebuilt(arguments: dict[str, Any]) -> ParallelDevice:
    return ParallelDevice(**arguments)


def _check(base: Any, executor: Any, max_workers: Any, max_job_size: Any) -> None:
    """Raises for arguments that can never work, before anything is built."""
    if not isinstance(base, str):
        raise TypeError(f"base={shorten(base)}: expected the name of a PennyLane device")
    if base == NAME:
        raise ValueError(f"base={base!r}: expected a device that runs circuits itself")
    if max_job_size is not None and type(max_job_size) is not int:
        raise TypeError(f"max_job_size={shorten(max_job_size)}: expected an integer or None")
    if max_job_size is not None and max_job_size < 1:
        raise ValueError(f"max_job_size={max_job_size}: expected at least 1")
    check_options(_check, executor=executor, max_workers=max_workers)


def _built(base: str, options: dict[str, Any]) -> Device:
    try:
        return qml.device(base, **options)
    except (DeviceError, TypeError) as error:
        raise DeviceError(f"base={base!r} with {shorten(options)}: {error}") from error
    except ValueError as error:
        raise ValueError(f"base={base!r} with {shorten(options)}: {error}") from error


def _is_threads(executor: Any) -> bool:
    return executor == "threads" or isinstance(executor, ThreadPoolExecutor)


def _recipe(base: str, options: dict[str, Any], *, keep_seed: bool) -> bytes:
    """The base device as bytes; without its seed where every circuit brings one."""
    sent = {name: value for name, value in options.items() if keep_seed or name != "seed"}
    try:
        recipe: bytes = cloudpickle.dumps((base, sent), 5)
    except Exception as error:  # pickling the user's objects may raise anything
        raise TypeError(
            f"base options {shorten(sent)} cannot be sent to workers: {error}"
        ) from error
    return recipe


def _entropy_of(base: Device, seed: Any) -> Any:
    """Where the random streams of all circuits begin: at the base device's generator."""
    generator = getattr(base, "_rng", None)
    if isinstance(generator, np.random.Generator):
        return tuple(copy.deepcopy(generator).integers(0, 2**32, 4).tolist())
    return np.random.SeedSequence(seed if isinstance(seed, int) else None).entropy


def _pair(values: Sequence[Any]) -> tuple[Any, ...]:
    """Pairs of a result and a derivative as all results and all derivatives."""
    return tuple(zip(*values, strict=True)) if values else ((), ())
