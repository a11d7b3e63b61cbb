"""What is known of Qiskit's backends and circuits: seed rules, options, cost, memory."""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from shoal.quantum.splitting import SeedRule

if TYPE_CHECKING:
    from qiskit import QuantumCircuit
    from qiskit.providers import BackendV2

CALL_SECONDS = 8e-4
OPERATION_SECONDS = 8e-6
AMPLITUDE_SECONDS = 3.5e-9
AMPLITUDE_BYTES = 16
MOST_QUBITS_OF_A_STATE = 40

CLIFFORD_GATES = (
    "cx",
    "cy",
    "cz",
    "ecr",
    "h",
    "id",
    "s",
    "sdg",
    "swap",
    "sx",
    "sxdg",
    "x",
    "y",
    "z",
)
CLIFFORD = frozenset([*CLIFFORD_GATES, "barrier", "measure", "reset"])
STATELESS = frozenset(
    ["stabilizer", "extended_stabilizer", "matrix_product_state", "tensor_network"]
)
BASIC = "qiskit.providers.basic_provider"
FAKES = "qiskit.providers.fake_provider"
FAKES_OF_RUNTIME = "qiskit_ibm_runtime.fake_provider"
CHANNEL = "quantum_channel"
EXPONENT = {"density_matrix": 2, "unitary": 2, "superop": 4}
PER_SHOT = frozenset(["automatic", "statevector", "stabilizer", "matrix_product_state"])


class Traits(NamedTuple):
    """What may be assumed of a backend.

    Attributes:
        rule: How it derives the seeds of experiments from one seed.
        trusted: Whether it may run in the caller's process: a simulator that we know.
        takes_binds: Whether its `run` takes `parameter_binds`.
        is_aer: Whether Aer runs the circuits, which tells operations apart by their names alone.
        makes_noise: Whether it adds noise of its own when it first runs.
        takes_seed: Whether it has an option `seed_simulator`.
    """

    rule: SeedRule
    trusted: bool
    takes_binds: bool
    is_aer: bool
    takes_seed: bool
    makes_noise: bool = False


def traits_of(backend: BackendV2) -> Traits:
    """What may be assumed of this backend; imports no simulator that is not in use already."""
    takes_seed = hasattr(backend.options, "seed_simulator")
    if _is_aer(backend):
        return Traits("strided", True, True, True, takes_seed)
    if _is_fake_on_aer(backend):
        return Traits("strided", True, True, True, takes_seed, makes_noise=True)
    return Traits("none", _is_just(backend, BASIC, "BasicSimulator"), False, False, takes_seed)


def _is_just(backend: BackendV2, module: str, name: str) -> bool:
    """Whether it is of a class of Qiskit's, and of none derived from it; imports nothing."""
    found = sys.modules.get(module)
    return found is not None and type(backend) is getattr(found, name)


def _is_aer(backend: BackendV2) -> bool:
    aer: Any = sys.modules.get("qiskit_aer")
    return aer is not None and isinstance(backend, aer.backends.aerbackend.AerBackend)


def _is_fake_on_aer(backend: BackendV2) -> bool:
    """Whether it is a fake backend that runs circuits on Aer.

    Those of Qiskit and of its runtime have Aer's options exactly where they find Aer installed.
    """
    fake = _is_just(backend, FAKES, "GenericBackendV2") or any(
        kind.__module__.startswith(FAKES_OF_RUNTIME) for kind in type(backend).__mro__
    )
    return fake and hasattr(backend.options, "max_parallel_threads")


def known_options(backend: BackendV2, traits: Traits) -> frozenset[str]:
    """The names of the options that a trusted backend looks at."""
    names = frozenset(key for key, _ in backend.options.items())
    if not traits.is_aer:
        return names
    compiler: Any = sys.modules.get("qiskit_aer.backends.aer_compiler")
    return names | frozenset(getattr(compiler, "BACKEND_RUN_ARG_TYPES", ()))


def option(backend: BackendV2, options: Mapping[str, Any], name: str) -> Any:
    """An option as a run has it: its own, else the backend's; None where there is none."""
    value = options.get(name)
    return backend.options.get(name) if value is None else value


def has_errors(circuit: QuantumCircuit) -> bool:
    """Whether a circuit has errors of Aer's among its operations."""
    return CHANNEL in circuit.count_ops()


def noise_of_all(circuits: Iterable[QuantumCircuit], noise: Any) -> Any:
    """The noise model that Aer makes for a list of circuits with errors among their operations.

    It goes by the whole list, and has a say in how every circuit is simulated, also one without
    errors: so a part of the list must be run with the model of the whole.
    """
    aer: Any = sys.modules["qiskit_aer"]
    model = aer.noise.NoiseModel() if noise is None else copy.deepcopy(noise)
    known = set()
    for circuit in circuits:
        for instruction in circuit.data if has_errors(circuit) else ():
            if instruction.operation.name != CHANNEL:
                continue
            error = instruction.operation._quantum_error  # noqa: SLF001  (there is no other way)
            if error.id not in known:
                known.add(error.id)
                model.add_all_qubit_quantum_error(error, error.id)
    return model


@cache
def plain_operations() -> frozenset[str]:
    """The names of the operations that QPY keeps as they are: standard gates and measurements."""
    from qiskit.circuit.library import get_standard_gate_name_mapping

    return frozenset(get_standard_gate_name_mapping()) - {"delay"} | {"barrier", "measure", "reset"}


def is_plain(circuit: QuantumCircuit) -> bool:
    """Whether QPY keeps all of a circuit that Aer looks at: standard gates and plain metadata.

    QPY turns instructions to save something, and quantum errors, into nameless ones; pickling
    keeps them, at five times the cost.
    """
    if circuit.num_parameters or not plain_operations().issuperset(circuit.count_ops()):
        return False
    metadata = circuit.metadata or {}
    return type(metadata) is dict and all(
        type(key) is str and (value is None or type(value) in (str, int, float, bool))
        for key, value in metadata.items()
    )


def seconds_of(circuit: QuantumCircuit, method: Any) -> float:
    """A guess at what one run of a circuit takes; right within a factor of a few for Aer."""
    operations = len(circuit.data)
    qubits = _state_qubits(circuit, method)
    return float(CALL_SECONDS + operations * (OPERATION_SECONDS + AMPLITUDE_SECONDS * 2.0**qubits))


def state_bytes(circuits: Iterable[QuantumCircuit], method: Any) -> int:
    """What the largest state of these circuits needs while it is simulated, in bytes."""
    widest = max((_state_qubits(circuit, method) for circuit in circuits), default=0)
    return AMPLITUDE_BYTES << widest


def _state_qubits(circuit: QuantumCircuit, method: Any) -> int:
    """Qubits of the state vector that is as large as what the method holds; 0 for none."""
    qubits = int(circuit.num_qubits)
    if method in STATELESS:
        return 0
    wide = qubits > 20 and method in (None, "automatic")
    if wide and CLIFFORD.issuperset(circuit.count_ops()):
        return 0
    qubits *= EXPONENT.get(method, 1)
    return qubits if qubits <= MOST_QUBITS_OF_A_STATE else 0


def runs_shot_by_shot(
    circuit: QuantumCircuit, backend: BackendV2, options: Mapping[str, Any], piece: int, shots: int
) -> bool:
    """Whether Aer will run a circuit shot by shot, so that its shots can be split exactly.

    It does where something random happens before the end. It samples once otherwise, and also
    where it takes to density matrices, which for noisy circuits it does above 2^qubits shots.
    """
    method = option(backend, options, "method") or "automatic"
    branching = option(backend, options, "shot_branching_enable")
    operations = circuit.count_ops()
    saving = any(name.startswith(("save_", "set_")) for name in operations)
    if method not in PER_SHOT or branching or saving:
        return False
    states = 2**circuit.num_qubits
    if method == "automatic" and piece <= states < shots:
        return False
    noise = option(backend, options, "noise_model")
    noisy = noise is not None and bool(noise.noise_instructions)
    if noisy and (method != "automatic" or shots <= states):
        return True
    if "reset" in operations or not plain_operations().issuperset(operations):
        return True
    return _measures_midway(circuit)


def _measures_midway(circuit: QuantumCircuit) -> bool:
    measured: set[Any] = set()
    for instruction in circuit.data:
        if instruction.operation.name == "measure":
            if measured.intersection(instruction.qubits):
                return True
            measured.update(instruction.qubits)
        elif instruction.operation.name != "barrier" and measured.intersection(instruction.qubits):
            return True
    return False
