"""Circuits on the engine; each name imports its SDK when it is first asked for."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from shoal.tasks import require

if TYPE_CHECKING:
    from shoal.quantum.jax_blocks import vmap_in_blocks
    from shoal.quantum.pennylane.device import ParallelDevice
    from shoal.quantum.qiskit.aer import AerSimulator
    from shoal.quantum.qiskit.backend import ParallelBackend
    from shoal.quantum.qiskit.job import CircuitsJob
    from shoal.quantum.qiskit.primitives import ParallelEstimator, ParallelSampler

__all__ = [
    "AerSimulator",
    "CircuitsJob",
    "ParallelBackend",
    "ParallelDevice",
    "ParallelEstimator",
    "ParallelSampler",
    "vmap_in_blocks",
]

_HOMES = {
    "AerSimulator": ("shoal.quantum.qiskit.aer", "qiskit_aer", "qiskit"),
    "CircuitsJob": ("shoal.quantum.qiskit.job", "qiskit", "qiskit"),
    "ParallelBackend": ("shoal.quantum.qiskit.backend", "qiskit", "qiskit"),
    "ParallelDevice": ("shoal.quantum.pennylane.device", "pennylane", "pennylane"),
    "ParallelEstimator": ("shoal.quantum.qiskit.primitives", "qiskit", "qiskit"),
    "ParallelSampler": ("shoal.quantum.qiskit.primitives", "qiskit", "qiskit"),
    "vmap_in_blocks": ("shoal.quantum.jax_blocks", "jax", "jax"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'shoal.quantum' has no attribute {name!r}")
    home, package, extra = _HOMES[name]
    require(package, extra=extra, purpose=f"shoal.quantum.{name}")
    value = globals()[name] = getattr(importlib.import_module(home), name)
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
