"""What runs circuits where they are sent: the backend, the calls it gets, and what comes back."""

from __future__ import annotations

import copy
import ctypes
import hashlib
import io
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

import cloudpickle
from qiskit import QuantumCircuit, qpy
from qiskit.providers import BackendV2, Options
from qiskit.result.models import ExperimentResult, ExperimentResultData

from shoal.quantum.qiskit.traits import is_plain
from shoal.quantum.splitting import Chunk, Layout, Part, Seeding, merged_counts
from shoal.tasks import shorten

if TYPE_CHECKING:
    from qiskit.result import Result

LOADED_BACKENDS = 4
LARGE_BLOCK_BYTES = 1 << 24
M_MMAP_THRESHOLD = -3  # malloc.h
PROTOCOL = 5
ABOUT = ("backend_name", "backend_version", "header", "metadata", "qobj_id", "time_taken")
DIRECTLY = "_execute_circuits_job"
MISSING = object()
SIMPLE = frozenset([bool, int, float, str, type(None)])

_loaded: OrderedDict[str, BackendV2] = OrderedDict()
_loading = threading.Lock()


@dataclass(frozen=True)
class Call:
    """One call of a backend's `run`, for consecutive experiments.

    Attributes:
        part: The experiments.
        circuits: Their circuits, in order.
        numbers: The place of each of these in the list that the user gave.
        binds: Bindings for each circuit, as Aer takes them; None where there are none.
        sizes: How many experiments each circuit is here.
        seeding: Where their seeds come from.
        by_name: Whether the backend tells operations apart by name alone, as Aer does.
    """

    part: Part
    circuits: Sequence[QuantumCircuit]
    numbers: Sequence[int]
    binds: Sequence[Mapping[Any, Any]] | None
    sizes: Sequence[int]
    seeding: Seeding
    by_name: bool

    def halves(self) -> tuple[Call, Call]:
        """The call cut in two: between circuits, or between the bindings of a single one."""
        if len(self.circuits) > 1:
            middle = len(self.circuits) // 2
            return self._cut(slice(0, middle)), self._cut(slice(middle, None))
        middle = self.sizes[0] // 2
        return self._bound(0, middle), self._bound(middle, self.sizes[0])

    def _cut(self, which: slice) -> Call:
        before = sum(self.sizes[: which.start])
        sizes = self.sizes[which]
        start = self.part.start + before
        return replace(
            self,
            part=replace(self.part, start=start, stop=start + sum(sizes)),
            circuits=self.circuits[which],
            numbers=self.numbers[which],
            binds=None if self.binds is None else self.binds[which],
            sizes=sizes,
        )

    def _bound(self, start: int, stop: int) -> Call:
        at = self.part.start
        return replace(
            self,
            part=replace(self.part, start=at + start, stop=at + stop),
            binds=[bound(binds, range(start, stop)) for binds in self.binds or ()],
            sizes=[stop - start],
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles circuits as QPY where it keeps all that matters: it is five times as fast."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        if self.by_name and all(is_plain(circuit) for circuit in self.circuits):
            file = io.BytesIO()
            qpy.dump(list(self.circuits), file)
            fields["circuits"] = file.getvalue()
        return _call, (fields,)


def _call(fields: dict[str, Any]) -> Call:
    circuits = fields["circuits"]
    if isinstance(circuits, bytes):
        fields["circuits"] = qpy.load(io.BytesIO(circuits))
    return Call(**fields)


def bound(binds: Mapping[Any, Any], which: range) -> dict[Any, Any]:
    """Some of the bindings of a circuit."""
    return {parameter: values[which.start : which.stop] for parameter, values in binds.items()}


@dataclass
class Returned:
    """What a backend returned for one call.

    Attributes:
        part: The experiments.
        experiments: Their results, in order.
        about: What the result says of the call as a whole, by name.
    """

    part: Part
    experiments: list[ExperimentResult]
    about: dict[str, Any]


class Simulation:
    """A backend with its options; travels to every worker once."""

    def __init__(
        self, backend: BackendV2, options: Mapping[str, Any], packed: Callable[[], Packed]
    ) -> None:
        """Takes the backend, the options of a run, and what packs the backend if it must travel."""
        self.backend = backend
        self.options = dict(options)
        self._pack = packed
        self._one_at_a_time: Any = nullcontext()

    def locked(self, lock: threading.Lock) -> Simulation:
        """The same, for one call at a time in this process."""
        self._one_at_a_time = lock
        return self

    def __call__(self, calls: Sequence[Call]) -> list[Returned]:
        """Runs calls one after another. What fails costs its own circuits only."""
        return [returned for call in calls for returned in self._run(call)]

    def load(self, number: int) -> int:
        """Does nothing, in a worker that has now imported and loaded what circuits need."""
        return number

    def __reduce__(self) -> tuple[Any, ...]:
        packed = self._packed
        return _simulation, (packed.digest(), packed.data(), self.options)

    def name(self) -> str:
        """Tells the backend apart from others, by its bytes."""
        return self._packed.digest()

    @cached_property
    def _packed(self) -> Packed:
        """The backend as it was when this run first asked."""
        return self._pack()

    def _run(self, call: Call) -> Iterable[Returned]:
        options = dict(self.options)
        seed = call.seeding.of(call.part.start, call.part.first_shot)
        if seed is not None:
            options["seed_simulator"] = seed
        if call.part.shots is not None:
            options["shots"] = call.part.shots
        try:
            with self._one_at_a_time:
                result = result_of(self.backend, call, options)
            experiments = list(result.results or ())
            if len(experiments) != len(call.part):
                raise ValueError(
                    f"{len(experiments)} results for {len(call.part)} experiments: {result.status}"
                )
        except Exception as error:  # noqa: BLE001  (a backend may raise anything, for any of them)
            if len(call.part) == 1:
                return [Returned(call.part, [failed(call.circuits[0], call.numbers[0], error)], {})]
            return [returned for half in call.halves() for returned in self._run(half)]
        about = {name: getattr(result, name, MISSING) for name in ABOUT}
        about = {name: value for name, value in about.items() if value is not MISSING}
        return [Returned(call.part, _numbered(experiments, call), about)]


def result_of(backend: BackendV2, call: Call, options: dict[str, Any]) -> Result:
    """Runs a call. Aer's job is run without the thread that Aer has for it: we are in one."""
    circuits = list(call.circuits)
    binds = None if call.binds is None else [dict(each) for each in call.binds]
    if hasattr(backend, DIRECTLY) and backend.options.get("executor") is None:
        return getattr(backend, DIRECTLY)(circuits, binds, options)
    if binds is not None:
        options["parameter_binds"] = binds
    return backend.run(circuits, **options).result()


def _numbered(experiments: list[ExperimentResult], call: Call) -> list[ExperimentResult]:
    """Experiments with the numbers of circuits, which Aer leaves in failed ones, set right."""
    if all(experiment.success for experiment in experiments):
        return experiments
    fields = [experiment.to_dict() for experiment in experiments]
    for each in fields:
        if "circ_id" in each:
            each["circ_id"] = call.numbers[min(each["circ_id"], len(call.numbers) - 1)]
    return [ExperimentResult.from_dict(each) for each in fields]


def failed(circuit: QuantumCircuit, number: int, error: BaseException) -> ExperimentResult:
    """The result of an experiment that could not be run, as Aer gives those that failed."""
    text = f"circuit {number} ({circuit.name}): {type(error).__name__}: {error}"
    header = {"name": circuit.name, "metadata": circuit.metadata or {}}
    return ExperimentResult(
        0, False, ExperimentResultData(), status=f"ERROR: {text}", header=header
    )


def calls_of(
    chunk: Chunk,
    layout: Layout,
    circuits: Sequence[QuantumCircuit],
    binds: Sequence[Mapping[Any, Any]] | None,
    seeding: Seeding,
    *,
    by_name: bool,
) -> list[Call]:
    """The calls that run a chunk: one for each of its parts."""
    calls = []
    for part in chunk:
        segments = layout.segments(part)
        numbers = [number for number, _ in segments]
        calls.append(
            Call(
                part,
                [circuits[number] for number in numbers],
                numbers,
                None if binds is None else [bound(binds[number], of) for number, of in segments],
                [len(of) for _, of in segments],
                seeding,
                by_name,
            )
        )
    return calls


def merged_shots(pieces: Sequence[ExperimentResult]) -> ExperimentResult:
    """One experiment from pieces of its shots, in order: counts add up, memories follow."""
    fields = copy.copy(pieces[0].to_dict())
    data: list[dict[str, Any]] = [piece.data.to_dict() for piece in pieces]
    fields["shots"] = sum(int(piece.shots) for piece in pieces)
    fields["data"] = {}
    if "counts" in data[0]:
        fields["data"]["counts"] = merged_counts(each["counts"] for each in data)
    if "memory" in data[0]:
        fields["data"]["memory"] = [shot for each in data for shot in each["memory"]]
    if "time_taken" in fields:
        fields["time_taken"] = sum(piece.time_taken for piece in pieces)
    return ExperimentResult.from_dict(fields)


def may_be_merged(pieces: Sequence[ExperimentResult]) -> bool:
    """Whether pieces of shots are those that the run of all shots would have given."""
    if not all(piece.success for piece in pieces):
        return False
    about = [getattr(piece, "metadata", {}) for piece in pieces]
    methods = {each.get("method") for each in about}
    return len(methods) == 1 and all(each.get("measure_sampling") is False for each in about)


class Packed:
    """A backend as bytes, made when they are first wanted.

    Large backends take half a second to pickle; those of `leaves` say whether that is still true.
    """

    def __init__(self, backend: BackendV2) -> None:
        self._backend = backend
        self._leaves = leaves(backend)
        self._data: bytes | None = None
        self._digest = ""

    def still_holds(self, backend: BackendV2) -> bool:
        """Whether a backend holds the same objects and settings as this one did."""
        now = leaves(backend)
        return len(now) == len(self._leaves) and all(
            one is other or (type(one) in SIMPLE and type(one) is type(other) and one == other)
            for one, other in zip(now, self._leaves, strict=True)
        )

    def data(self) -> bytes:
        """The bytes; raises TypeError, with the reason, for a backend that has none."""
        if self._data is None:
            try:
                data: bytes = cloudpickle.dumps(without_executor(self._backend), PROTOCOL)
            except Exception as error:
                raise TypeError(
                    f"backend={shorten(self._backend)} cannot be sent to workers: "
                    f"{type(error).__name__}: {error}"
                ) from error
            self._digest = hashlib.blake2b(data, digest_size=16).hexdigest()
            self._data = data
        return self._data

    def digest(self) -> str:
        """A name for the bytes."""
        self.data()
        return self._digest


def without_executor(backend: BackendV2, *others: str) -> BackendV2:
    """A backend of Aer without its `executor`, which cannot travel, and without other options."""
    if not hasattr(backend, DIRECTLY) or backend.options.get("executor") is None:
        return backend
    made, options = copy.copy(backend), copy.copy(backend.options)
    options.update_options(**dict.fromkeys(("executor", *others)))
    made.__dict__["_options"] = options
    return made


def leaves(value: Any, depth: int = 12) -> list[Any]:
    """The objects and settings that a backend is made of, through its dicts and lists."""
    found: list[Any] = []
    _add_leaves(value, depth, found)
    return found


def _add_leaves(value: Any, depth: int, found: list[Any]) -> None:
    kind = type(value)
    if depth == 0 or kind in SIMPLE:
        found.append(value)
    elif issubclass(kind, dict):
        for pair in value.items():
            for each in pair:
                _add_leaves(each, depth - 1, found)
    elif issubclass(kind, list | tuple):
        for each in value:
            _add_leaves(each, depth - 1, found)
    elif issubclass(kind, Options):
        _add_leaves(dict(value.items()), depth - 1, found)
    elif issubclass(kind, BackendV2) or kind.__name__ == "NoiseModel":
        _add_leaves(vars(value), depth - 1, found)
    else:
        found.append(value)


@cache
def give_back_large_blocks() -> None:
    """Has the C library give the memory of large states back as soon as they are freed.

    By itself it keeps what it has been asked for once, up to 32 MB a block, in a heap that can only
    shrink from its end: a worker that has run some circuits of 20 qubits holds four states.
    """
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):  # glibc's; others have no such habit
        libc.mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK_BYTES)


def _simulation(digest: str, data: bytes, options: Mapping[str, Any]) -> Simulation:
    """The simulation in a worker, where a backend that came before is still there."""
    with _loading:
        backend = _loaded.get(digest)
        if backend is None:
            give_back_large_blocks()
            backend = _loaded[digest] = cloudpickle.loads(data)
        _loaded.move_to_end(digest)
        while len(_loaded) > LOADED_BACKENDS:
            _loaded.popitem(last=False)
    return Simulation(backend, options, lambda: Packed(backend))
