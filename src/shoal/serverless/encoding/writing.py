"""How each type that JSON does not know is written."""

from __future__ import annotations

import base64
import io
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from importlib import import_module
from typing import Any

TYPE, VALUE, INT_KEYS = "__type__", "__value__", "__int_keys__"
NEWEST_QPY = 17  # what the published clients write at most; older Qiskits read it
CONTAINERS = "qiskit.primitives.containers"

Form = Callable[[Any], Any]


def form_of(o: Any) -> Form | None:
    """What writes values of this one's type, or None if they must know it themselves."""
    for kinds, form in _forms():
        if isinstance(o, kinds):
            return form
    return None


def by_itself(o: Any) -> Any:
    """The form of a value that says itself how it is written, else what IBM's client makes of it.

    Raises:
        TypeError: If there is none.
    """
    kind = type(o)
    if hasattr(o, "to_json") and not isinstance(o, type):
        return {TYPE: "to_json", VALUE: o.to_json()}
    if hasattr(o, "settings") and not isinstance(o, type):
        named = {"__module__": kind.__module__, "__class__": kind.__name__}
        return {TYPE: "settings", **named, VALUE: _with_int_keys(o.settings)}
    if "qiskit_ibm_runtime" in sys.modules and not callable(o):  # a callable would become null
        return sys.modules["qiskit_ibm_runtime"].RuntimeEncoder().default(o)
    raise TypeError(f"it is of type {kind.__qualname__}")


def _forms() -> Iterator[tuple[Any, Form]]:
    """Types and what writes them; of related types the special ones first.

    A value of a library's type can only be there if the library is loaded, so none is imported.
    """
    yield date, _tagged("datetime", lambda o: o.isoformat())
    yield complex, _tagged("complex", lambda o: [o.real, o.imag])
    yield (set, frozenset), _tagged("set", list)
    if "numpy" in sys.modules:
        yield sys.modules["numpy"].ndarray, _tagged("ndarray", _array)
        yield sys.modules["numpy"].generic, lambda o: o.item()
    for module, name, form in _LIBRARIES:
        kind = getattr(sys.modules.get(module), name, None)
        if kind is not None:
            yield kind, form


def _tagged(name: str, content: Form) -> Form:
    return lambda o: {TYPE: name, VALUE: content(o)}


def _attributes(name: str, *attributes: str) -> Form:
    """A form that consists of some attributes by name."""
    return _tagged(name, lambda o: {each: getattr(o, each) for each in attributes})


def _array(o: Any) -> Any:
    if o.dtype == object:
        return o.tolist()
    return _packed(sys.modules["numpy"].save, o, allow_pickle=False)


def _sparse(o: Any) -> str:
    return _packed(sys.modules["scipy.sparse"].save_npz, o, compress=False)


def _circuit(o: Any) -> str:
    from shoal.serverless.encoding import Encoder

    qpy = import_module("qiskit.qpy")
    options: dict[str, Any] = {"metadata_serializer": Encoder}
    if getattr(qpy, "QPY_VERSION", 0) > NEWEST_QPY:
        options["version"] = NEWEST_QPY
    return _packed(lambda file, circuit: qpy.dump(circuit, file, **options), o)


def _instruction(o: Any) -> str:
    """An instruction travels as the only one of a circuit."""
    circuit = sys.modules["qiskit.circuit"].QuantumCircuit(o.num_qubits, o.num_clbits)
    circuit.append(o, circuit.qubits, circuit.clbits)
    return _circuit(circuit)


def _parameter(o: Any) -> str:
    """QPY's record of a parameter: length of the name (2 bytes, big-endian), UUID, name."""
    name = o.name.encode()
    uuid = getattr(o, "uuid", None) or o._uuid  # noqa: SLF001 - its only name before Qiskit 1.0
    return base64.b64encode(len(name).to_bytes(2, "big") + uuid.bytes + name).decode()


def _bindings(o: Any) -> dict[str, Any]:
    from shoal.serverless.encoding import encode

    return {"shape": o.shape, "data": {encode(names): array for names, array in o.data.items()}}


def _estimator_pub(o: Any) -> Any:
    values = o.parameter_values.as_array(o.circuit.parameters)
    return o.circuit, o.observables.tolist(), values, o.precision


def _sampler_pub(o: Any) -> Any:
    return o.circuit, o.parameter_values.as_array(o.circuit.parameters), o.shots


def _data_bin(o: Any) -> dict[str, Any]:
    return {"field_names": list(o), "shape": o.shape, "fields": dict(o.items())}


# Module, class, form. Primitive unified blocs (pubs) and coupling maps have no form of their own:
# whoever takes them takes the lists too.
_LIBRARIES: tuple[tuple[str, str, Form], ...] = (
    ("scipy.sparse", "spmatrix", _tagged("spmatrix", _sparse)),
    ("scipy.sparse", "sparray", _tagged("spmatrix", _sparse)),
    ("qiskit.result", "Result", _tagged("Result", lambda o: o.to_dict())),
    ("qiskit.circuit", "QuantumCircuit", _tagged("QuantumCircuit", _circuit)),
    ("qiskit.circuit", "Parameter", _tagged("Parameter", _parameter)),
    ("qiskit.circuit.parametertable", "ParameterView", list),
    ("qiskit.circuit", "Instruction", _tagged("Instruction", _instruction)),
    ("qiskit.transpiler", "CouplingMap", list),
    (
        f"{CONTAINERS}.observables_array",
        "ObservablesArray",
        _tagged("ObservablesArray", lambda o: o.tolist()),
    ),
    (f"{CONTAINERS}.bindings_array", "BindingsArray", _tagged("BindingsArray", _bindings)),
    (f"{CONTAINERS}.bit_array", "BitArray", _attributes("BitArray", "array", "num_bits")),
    (f"{CONTAINERS}.data_bin", "DataBin", _tagged("DataBin", _data_bin)),
    (f"{CONTAINERS}.estimator_pub", "EstimatorPub", _estimator_pub),
    (f"{CONTAINERS}.sampler_pub", "SamplerPub", _sampler_pub),
    (
        f"{CONTAINERS}.sampler_pub_result",
        "SamplerPubResult",
        _attributes("SamplerPubResult", "data", "metadata"),
    ),
    (f"{CONTAINERS}.pub_result", "PubResult", _attributes("PubResult", "data", "metadata")),
    (
        f"{CONTAINERS}.primitive_result",
        "PrimitiveResult",
        _tagged("PrimitiveResult", lambda o: {"pub_results": list(o), "metadata": o.metadata}),
    ),
    (
        "qiskit.primitives",
        "SamplerResult",
        _attributes("SamplerResult", "quasi_dists", "metadata"),
    ),
    (
        "qiskit.primitives",
        "EstimatorResult",
        _attributes("EstimatorResult", "values", "metadata"),
    ),
    (
        "qiskit.quantum_info",
        "PauliLindbladMap",
        _tagged(
            "PauliLindbladMap",
            lambda o: {"paulis": o.to_sparse_list(), "num_qubits": o.num_qubits},
        ),
    ),
    ("qiskit_aer.noise", "NoiseModel", _tagged("NoiseModel", lambda o: o.to_dict())),
    (
        "qiskit_ibm_runtime",
        "QiskitRuntimeService",
        _tagged("QiskitRuntimeService", lambda o: o.active_account()),
    ),
)


def _with_int_keys(settings: Any) -> Any:
    """A copy in which dictionaries with integer keys say so, as JSON makes them strings."""
    if not isinstance(settings, Mapping):
        return settings
    copied = {key: _with_int_keys(value) for key, value in settings.items()}
    if any(isinstance(key, int) for key in copied):
        copied[INT_KEYS] = True
    return copied


def _packed(write: Callable[..., Any], o: Any, *, compress: bool = True, **options: Any) -> str:
    """What a function writes into a file, as base64; compressed by zlib if so asked."""
    file = io.BytesIO()
    write(file, o, **options)
    data = file.getvalue()
    return base64.b64encode(zlib.compress(data) if compress else data).decode()
