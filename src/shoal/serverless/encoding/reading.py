"""How each type that JSON does not know is made again from what was written."""

from __future__ import annotations

import base64
import io
import json
import zlib
from collections.abc import Callable, Mapping
from datetime import datetime
from importlib import import_module
from types import MappingProxyType
from typing import Any

from shoal.errors import MissingExtra
from shoal.serverless.encoding.writing import CONTAINERS, INT_KEYS, VALUE

MOST_BYTES = 4 << 30  # that one compressed value may unpack to
_OPERATORS = "qiskit.quantum_info.operators"


def revived(name: str, found: dict[str, Any]) -> Any:
    """The value that a tagged form stands for; the form itself if its name is not known.

    Raises:
        ValueError: If it is damaged, or of a newer form than the libraries here know.
        MissingExtra: If it needs a package that is not installed.
    """
    try:
        if name == "settings":
            return _operator(found)
        if name in _OF_THE_CLIENT:
            return _by_the_client(found)
        return _READERS[name](found[VALUE]) if name in _READERS else found
    except ImportError:
        raise
    except Exception as error:
        text = f"a value of type {name} cannot be read: {type(error).__name__}: {error}"
        raise ValueError(text) from error


def _required(module: str, extra: str = "qiskit") -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise MissingExtra(
            f"this value needs {package}, which is not installed: pip install 'shoal[{extra}]'"
        ) from error


def _unpacked(text: str, *, compressed: bool = True) -> io.BytesIO:
    data = base64.b64decode(text)
    if compressed:
        unpacking = zlib.decompressobj()
        data = unpacking.decompress(data, MOST_BYTES)
        if unpacking.unconsumed_tail:
            raise ValueError(f"it unpacks to more than {MOST_BYTES} bytes")
    return io.BytesIO(data)


def _date(text: str) -> datetime:
    return datetime.fromisoformat(text[:-1] + "+00:00" if text.endswith("Z") else text)


def _array(content: Any) -> Any:
    numpy = _required("numpy", "all")
    if isinstance(content, str):
        return numpy.load(_unpacked(content), allow_pickle=False)
    return numpy.array(content)


def _sparse(text: str) -> Any:
    return _required("scipy.sparse", "kernels").load_npz(_unpacked(text, compressed=False))


def _circuit(text: str) -> Any:
    from shoal.serverless.encoding import Decoder

    [circuit] = _required("qiskit.qpy").load(_unpacked(text), metadata_deserializer=Decoder)
    return circuit


def _parameter(text: str) -> Any:
    record = base64.b64decode(text)
    uuid = import_module("uuid").UUID(bytes=record[2:18])
    name = record[18 : 18 + int.from_bytes(record[:2], "big")].decode()
    return _required("qiskit.circuit").Parameter(name, uuid=uuid)


def _bindings(content: dict[str, Any]) -> Any:
    data = {tuple(json.loads(names)): array for names, array in content["data"].items()}
    kind = _required(f"{CONTAINERS}.bindings_array").BindingsArray
    return kind(data=data, shape=tuple(content["shape"]))


def _data_bin(content: dict[str, Any]) -> Any:
    kind = _required(CONTAINERS).DataBin
    return kind(shape=tuple(content["shape"] or ()), **content["fields"])


def _lindblad(content: dict[str, Any]) -> Any:
    kind = _required("qiskit.quantum_info").PauliLindbladMap
    paulis = [tuple(pauli) for pauli in content["paulis"]]
    return kind.from_sparse_list(paulis, num_qubits=content["num_qubits"])


def _made(module: str, name: str) -> Callable[[dict[str, Any]], Any]:
    return lambda content: getattr(_required(module), name)(**content)


def _from_dict(module: str, name: str) -> Callable[[dict[str, Any]], Any]:
    return lambda content: getattr(_required(module), name).from_dict(content)


def _observables(content: Any) -> Any:
    return _required(f"{CONTAINERS}.observables_array").ObservablesArray(content)


def _operator(found: dict[str, Any]) -> Any:
    """An operator of qiskit.quantum_info from its settings; of anything else the form itself."""
    module, name = found["__module__"], found["__class__"]
    if not f"{module}.".startswith(f"{_OPERATORS}."):
        return found
    kind = getattr(_required(module), name)
    if not isinstance(kind, type) or not kind.__module__.startswith(_OPERATORS):
        raise ValueError(f"{module}.{name} is no operator")
    return kind(**_without_int_keys(found[VALUE]))


def _without_int_keys(settings: Any) -> Any:
    if not isinstance(settings, dict):
        return settings
    flagged = INT_KEYS in settings
    return {
        int(key) if flagged and key.lstrip("-").isdigit() else key: _without_int_keys(value)
        for key, value in settings.items()
        if key != INT_KEYS
    }


def _by_the_client(found: dict[str, Any]) -> Any:
    """What IBM's client, if it is installed, makes of a form of its own."""
    try:
        runtime = import_module("qiskit_ibm_runtime")
    except ImportError:
        return found
    return runtime.RuntimeDecoder().object_hook(found)


_OF_THE_CLIENT = frozenset(
    {
        "DoubleSliceSpan",
        "EstimatorPubResult",
        "ExecutionSpan",
        "ExecutionSpanCollection",
        "ExecutionSpans",
        "NoiseLearnerResult",
        "ParameterExpression",
        "TwirledSliceSpan",
        "TwirledSliceSpanV2",
    }
)
_READERS: Mapping[str, Callable[[Any], Any]] = MappingProxyType(
    {
        "datetime": _date,
        "complex": lambda parts: complex(parts[0], parts[1]),
        "set": set,
        "ndarray": _array,
        "spmatrix": _sparse,
        "QuantumCircuit": _circuit,
        "Instruction": lambda text: _circuit(text).data[0].operation,
        "Parameter": _parameter,
        "Result": _from_dict("qiskit.result", "Result"),
        "NoiseModel": _from_dict("qiskit_aer.noise", "NoiseModel"),
        "ObservablesArray": _observables,
        "BindingsArray": _bindings,
        "BitArray": _made(CONTAINERS, "BitArray"),
        "DataBin": _data_bin,
        "SamplerPubResult": _made(CONTAINERS, "SamplerPubResult"),
        "PubResult": _made(CONTAINERS, "PubResult"),
        "PrimitiveResult": _made(CONTAINERS, "PrimitiveResult"),
        "SamplerResult": _made("qiskit.primitives", "SamplerResult"),
        "EstimatorResult": _made("qiskit.primitives", "EstimatorResult"),
        "PauliLindbladMap": _lindblad,
        "QiskitRuntimeService": _made("qiskit_ibm_runtime", "QiskitRuntimeService"),
        "to_json": lambda text: text,
    }
)
