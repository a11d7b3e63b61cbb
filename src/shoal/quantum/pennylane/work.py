"""What a worker of the parallel device does: one tape on a base device that it builds once.

The same functions run tapes in the parent, so that results do not depend on where they were run.
"""

from __future__ import annotations

import pickle
import threading
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import cloudpickle
import numpy as np
import pennylane as qml
from pennylane.math import Interface
from pennylane.transforms import broadcast_expand, convert_to_numpy_parameters

from shoal.quantum.pennylane.adapters import is_lightning
from shoal.quantum.pennylane.lightning import GateCalls, gate_calls
from shoal.quantum.pennylane.templates import Template, unpacked, whole
from shoal.quantum.pennylane.tracking import Updates, recorded

MOST_DEVICES = 2  # each may hold a state vector
MOST_PLANS = 16
MOST_TEMPLATES = 64
EXECUTE = "execute"
PREPARE = "shoal.prepare"
NOT_SENT = ("rng", "prng_key", PREPARE)

# What travels with every tape, in types that are pickled fast: the recipe of the base device (its
# name and keyword arguments, pickled), and the plan, packed.
Job = tuple[bytes, bytes]
Item = tuple[Any, Any, Any]  # a tape, its tangents or cotangents, its seed


@dataclass(frozen=True, slots=True)
class Plan:
    """What all tapes of a batch have in common.

    Attributes:
        method: The method of the device that is called.
        config: How PennyLane wants it done.
        prepare: Whether the base device's transforms are still to be applied.
        to_numpy: Whether parameters may be other than numpy's, and are to be converted.
        expand: Whether parameters with a batch dimension are to be taken apart.
        tracked: Whether to collect what the base device tells its tracker.
    """

    method: str
    config: qml.devices.ExecutionConfig
    prepare: bool
    to_numpy: bool
    expand: bool
    tracked: bool

    def packed(self) -> bytes:
        """As bytes, without what neither travels nor matters to the base device."""
        config, method = self.config, self.config.gradient_method
        options = config.device_options
        sent = replace(
            config,
            gradient_method=method if isinstance(method, str) else None,
            gradient_keyword_arguments={},
            device_options={name: options[name] for name in options if name not in NOT_SENT},
            use_device_jacobian_product=self.method != EXECUTE
            and config.use_device_jacobian_product,
            interface=Interface.NUMPY,
        )
        data: bytes = cloudpickle.dumps(replace(self, config=sent), 5)
        return data


class Done(NamedTuple):
    """What became of a tape.

    Attributes:
        value: What the method returns for it: a pair for those that return two results.
        updates: What the base device told its tracker.
    """

    value: Any
    updates: Updates


Prepared = tuple[Plan, Any]  # with the transforms to apply to each tape


def prepared(device: qml.devices.Device, plan: Plan) -> Prepared:
    """The plan with what is to be done to tapes before the base device takes them."""
    if not (plan.prepare or plan.expand or plan.to_numpy):
        return plan, None
    program = qml.CompilePipeline()
    if plan.prepare:
        program += device.preprocess_transforms(plan.config)
    elif plan.expand:
        program.add_transform(broadcast_expand)
    if plan.to_numpy:
        program.add_transform(convert_to_numpy_parameters)
    return plan, program


def build(recipe: bytes) -> qml.devices.Device:
    """The base device that a recipe describes."""
    name, options = pickle.loads(recipe)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the parent has shown what there is to say
        return qml.device(name, **options)


class Bench:
    """Base devices, plans and compiled templates, kept for the next tape; for one thread."""

    def __init__(self) -> None:
        self._devices: OrderedDict[bytes, qml.devices.Device] = OrderedDict()
        self._plans: OrderedDict[Job, Prepared] = OrderedDict()
        self._templates: OrderedDict[tuple[Job, bytes], Template | None] = OrderedDict()
        self._calls: OrderedDict[tuple[Job, bytes], GateCalls | None] = OrderedDict()

    def lay(self, recipe: bytes, device: qml.devices.Device) -> None:
        """Puts a device there that exists already."""
        self._devices[recipe] = device

    def device(self, recipe: bytes) -> qml.devices.Device:
        """The base device of a recipe, built at first use."""
        if recipe not in self._devices:
            self._devices[recipe] = build(recipe)
            _trim(self._devices, MOST_DEVICES)
        self._devices.move_to_end(recipe)
        return self._devices[recipe]

    def prepared(self, device: qml.devices.Device, job: Job) -> Prepared:
        """The plan of a job, with its transforms."""
        if job not in self._plans:
            self._plans[job] = prepared(device, pickle.loads(job[1]))
            _trim(self._plans, MOST_PLANS)
        return self._plans[job]

    def compiled(self, device: qml.devices.Device, job: Job, packed: bytes) -> Template | None:
        """A template as the plan's transforms leave it; None where they must see each circuit."""
        key = (job, packed)
        if key not in self._templates:
            _, program = self.prepared(device, job)
            template: Template | None = unpacked(packed)
            if template is not None and program is not None:
                template = template.through(program) if ignores_angles(device) else None
            self._templates[key] = template
            _trim(self._templates, MOST_TEMPLATES)
        self._templates.move_to_end(key)
        return self._templates[key]

    def calls(self, job: Job, packed: bytes, angles: Sequence[float]) -> GateCalls | None:
        """What runs the circuits of a template faster than the base device; None: that runs them.

        Args:
            angles: Those of one circuit, by which it is checked.
        """
        key = (job, packed)
        if key not in self._calls:
            device = self.device(job[0])
            plan, _ = self.prepared(device, job)
            template = self.compiled(device, job, packed) if may_call(plan, device) else None
            self._calls[key] = (
                None if template is None else gate_calls(device, template, plan.config, angles)
            )
            _trim(self._calls, MOST_TEMPLATES)
        self._calls.move_to_end(key)
        return self._calls[key]


def may_call(plan: Plan, device: qml.devices.Device) -> bool:
    """Whether nobody sees more of the base device at work than the results of its circuits."""
    states = plan.config.use_device_jacobian_product  # which it keeps for the gradients
    return plan.method == EXECUTE and not (plan.tracked or states or device.tracker.active)


def ignores_angles(device: qml.devices.Device) -> bool:
    """Whether a device's transforms do the same whatever the angles: known of PennyLane's own."""
    return is_lightning(device) or type(device).__module__.startswith("pennylane.devices.")


def _trim(kept: OrderedDict[Any, Any], most: int) -> None:
    while len(kept) > most:
        kept.popitem(last=False)


def run_tapes(
    device: qml.devices.Device, how: Prepared, tapes: Sequence[Any], extras: Sequence[Any] | None
) -> list[Any]:
    """Calls the method of the plan on tapes together; gives what it returns for each.

    Args:
        extras: Tangents or cotangents, one entry a tape, for the methods that take them.
    """
    plan, program = how
    ready, finish = program(tuple(tapes)) if program else (tuple(tapes), None)
    arguments = (ready,) if extras is None else (ready, extras)
    returned = getattr(device, plan.method)(*arguments, plan.config) if ready else ()
    if plan.method.startswith("execute_and"):
        return list(zip(*returned, strict=True))
    return list(returned if finish is None else finish(returned))


def run_tape(device: qml.devices.Device, how: Prepared, item: Item) -> Done:
    """One tape, with its own random stream if it has one; tells what the tracker would hear."""
    tape, extra, seed = item
    extras = None if extra is None else (extra,)
    with seeded(device, seed), recorded(device, wanted=how[0].tracked) as updates:
        [value] = run_tapes(device, how, (tape,), extras)
    return Done(value, updates)


_kept = threading.local()


def work(job: Job, sent: Any, extra: Any, seed: Any) -> Done:
    """What is sent to workers: runs one tape. Threads have a base device each.

    Args:
        sent: The tape, as `templates.slimmed` made it.
    """
    bench: Bench | None = getattr(_kept, "bench", None)
    if bench is None:
        bench = _kept.bench = Bench()
    if type(sent) is tuple and seed is None:
        calls = bench.calls(job, *sent)
        if calls is not None:
            return Done(calls(sent[1]), [])
    device = bench.device(job[0])
    plan, program = bench.prepared(device, job)
    template = bench.compiled(device, job, sent[0]) if type(sent) is tuple else None
    if template is not None:
        return run_tape(device, (plan, None), (template.tape(sent[1]), extra, seed))
    return run_tape(device, (plan, program), (whole(sent), extra, seed))


@contextmanager
def seeded(device: qml.devices.Device, seed: Any) -> Iterator[None]:
    """Gives the device a random stream of its own for one tape; nothing where `seed` is None.

    Devices without a generator draw from numpy's global one, which is put back afterwards.

    Args:
        seed: Entropy, and the number of the stream, as `numpy.random.SeedSequence` takes them.
    """
    if seed is None:
        yield
        return
    sequence = np.random.SeedSequence(seed[0], spawn_key=(seed[1],))
    if hasattr(device, "_rng"):
        device._rng = np.random.default_rng(sequence)  # noqa: SLF001  (there is no public way)
        state = getattr(device, "_statevector", None)
        if state is not None:  # lightning's, which keeps the generator it was made with
            state._rng = device._rng  # noqa: SLF001  (as above)
        yield
        return
    before = np.random.get_state()  # noqa: NPY002  (what such devices draw from)
    np.random.seed(sequence.generate_state(4))  # noqa: NPY002  (as above)
    try:
        yield
    finally:
        np.random.set_state(before)  # noqa: NPY002  (as above)
