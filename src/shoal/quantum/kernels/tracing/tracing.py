"""trace: from the user's feature map to a table of gates, checked against the library's binding."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from shoal.quantum.kernels.tracing.table import FeatureMap, GateTable, LibraryStates
from shoal.quantum.kernels.tracing.taking import Taken, UnknownGate, angles_by_gate, same
from shoal.tasks import require, shorten

TOLERANCE = 1e-9
Take = Callable[[Any, Any], Taken]


def trace(feature_map: Any, n_features: int, samples: np.ndarray | None = None) -> FeatureMap:
    """Takes down a feature map, once, as a table of gates whose angles are formulas.

    The map is run on one sample whose numbers record what is done to them. It is run again on the
    other samples, as plain numbers, and the table must tell the same gates and angles for them.

    Args:
        feature_map: A Qiskit circuit whose parameters, in the order of ``circuit.parameters``, are
            the features; or a function or QNode of PennyLane that takes one row of features.
        n_features: Features of a row.
        samples: Rows to trace and check with, shape (n, n_features), n from 1; random without.

    Returns:
        The table; or the library's own states, where something in the map has no place in one.

    Raises:
        TypeError: If it is neither a circuit nor a function.
        ValueError: If it has no or other parameters, or does something else than apply gates.
    """
    if samples is None:
        samples = np.random.default_rng(0).uniform(-1, 1, (3, n_features))
    if _is_circuit(feature_map):
        return _of_qiskit(feature_map, n_features, samples)
    if not callable(feature_map):
        raise TypeError(
            f"feature_map={shorten(feature_map)}: expected a Qiskit circuit with parameters, or a "
            "function or QNode of PennyLane that takes one row of features"
        )
    require("pennylane", extra="pennylane", purpose="a feature map that is a function")
    return _of_pennylane(feature_map, n_features, samples)


def _is_circuit(feature_map: Any) -> bool:
    module = sys.modules.get("qiskit.circuit")
    return module is not None and isinstance(feature_map, module.QuantumCircuit)


def _of_qiskit(circuit: Any, n_features: int, samples: np.ndarray) -> FeatureMap:
    from shoal.quantum.kernels.tracing import qiskit

    qiskit.check(circuit, n_features)
    try:
        taken = qiskit.take(circuit, samples[0])
        table = _table(taken, circuit.num_qubits, n_features, "qiskit")
        _compare(table, taken, circuit, samples, qiskit.take_bound)
    except UnknownGate as why:
        states = qiskit.StatesOfCircuits(circuit)
        return LibraryStates(
            circuit.num_qubits, n_features, "Qiskit's Statevector, one by one", str(why), states
        )
    return table


def _of_pennylane(function: Any, n_features: int, samples: np.ndarray) -> FeatureMap:
    from shoal.quantum.kernels.tracing import pennylane

    pennylane.take_bound(function, samples[0])
    try:
        taken = _recorded(pennylane.take, function, samples[0])
        wires = pennylane.wires_of(function, pennylane.tape_of(function, samples[0]))
        table = _table(taken, len(wires), n_features, "pennylane")
        _compare(table, taken, function, samples, pennylane.take_bound)
    except UnknownGate as why:
        states = pennylane.StatesOfTapes(function, samples)
        return LibraryStates(states.n_qubits, n_features, states.library, str(why), states)
    return table


def _recorded(take: Take, function: Any, sample: np.ndarray) -> Taken:
    """Takes down a function that takes plain numbers, and may not know what to do with others."""
    try:
        return take(function, sample)
    except UnknownGate:
        raise
    except Exception as error:  # the user's function raises what it likes
        text = f"{type(error).__name__}: {error}"
        raise UnknownGate(f"the function does not take recorded features: {text}") from error


def _table(taken: Taken, n_qubits: int, n_features: int, source: str) -> GateTable:
    formulas = taken.recorder.formulas(taken.angles)
    return GateTable(n_qubits, n_features, tuple(taken.gates), formulas, source)


def _compare(
    table: GateTable, taken: Taken, feature_map: Any, samples: np.ndarray, take: Take
) -> None:
    """Raises UnknownGate where the table does not tell what the library does with a sample."""
    for sample in samples:
        plain = take(feature_map, sample)
        if not same(taken, plain):
            raise UnknownGate("its gates depend on the values of the features")
        ours = angles_by_gate(taken, table.angles(sample[None])[0])
        theirs = angles_by_gate(plain, plain.numbers())
        if not np.allclose(ours, theirs, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True):
            raise UnknownGate("its angles depend on the features in a way that cannot be recorded")
