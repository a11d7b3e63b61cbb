"""Circuits on the engine; each name imports its SDK when it is first asked for."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from shoal.tasks import require

if TYPE_CHECKING:
    from shoal.quantum.jax_blocks import vmap_in_blocks
    from shoal.quantum.kernels.densities import Densities
    from shoal.quantum.kernels.functions.detection import KernelFallback
    from shoal.quantum.kernels.learning.alignment import (
        KernelAlignment,
        KernelTraining,
        target_alignment,
        train_kernel,
    )
    from shoal.quantum.kernels.learning.estimators import FidelityKernel, ProjectedKernel
    from shoal.quantum.kernels.learning.pictures import plot_kernel
    from shoal.quantum.kernels.learning.repair import repair_kernel
    from shoal.quantum.kernels.matrix import kernel_matrix
    from shoal.quantum.kernels.mps import MPS, StatesTooEntangled
    from shoal.quantum.kernels.products import Products
    from shoal.quantum.kernels.projected import Projected
    from shoal.quantum.kernels.report import KernelReport
    from shoal.quantum.kernels.statevectors import StateVectors
    from shoal.quantum.pennylane.device import ParallelDevice
    from shoal.quantum.qiskit.aer import AerSimulator
    from shoal.quantum.qiskit.backend import ParallelBackend
    from shoal.quantum.qiskit.job import CircuitsJob
    from shoal.quantum.qiskit.primitives import ParallelEstimator, ParallelSampler

__all__ = [  # noqa: RUF022  (sorted as Python does it; MPS is a name like the others)
    "AerSimulator",
    "CircuitsJob",
    "Densities",
    "FidelityKernel",
    "KernelAlignment",
    "KernelFallback",
    "KernelReport",
    "KernelTraining",
    "MPS",
    "ParallelBackend",
    "ParallelDevice",
    "ParallelEstimator",
    "ParallelSampler",
    "Products",
    "Projected",
    "ProjectedKernel",
    "StateVectors",
    "StatesTooEntangled",
    "kernel_matrix",
    "plot_kernel",
    "repair_kernel",
    "target_alignment",
    "train_kernel",
    "vmap_in_blocks",
]

_HOMES = {
    "AerSimulator": ("shoal.quantum.qiskit.aer", "qiskit_aer", "qiskit"),
    "CircuitsJob": ("shoal.quantum.qiskit.job", "qiskit", "qiskit"),
    "Densities": ("shoal.quantum.kernels.densities", "numba", "kernels"),
    "FidelityKernel": ("shoal.quantum.kernels.learning.estimators", "sklearn", "kernels"),
    "KernelAlignment": ("shoal.quantum.kernels.learning.alignment", "scipy", "kernels"),
    "KernelFallback": ("shoal.quantum.kernels.functions.detection", "scipy", "kernels"),
    "KernelReport": ("shoal.quantum.kernels.report", "numba", "kernels"),
    "KernelTraining": ("shoal.quantum.kernels.learning.alignment", "scipy", "kernels"),
    "MPS": ("shoal.quantum.kernels.mps", "numba", "kernels"),
    "ParallelBackend": ("shoal.quantum.qiskit.backend", "qiskit", "qiskit"),
    "ParallelDevice": ("shoal.quantum.pennylane.device", "pennylane", "pennylane"),
    "ParallelEstimator": ("shoal.quantum.qiskit.primitives", "qiskit", "qiskit"),
    "ParallelSampler": ("shoal.quantum.qiskit.primitives", "qiskit", "qiskit"),
    "Products": ("shoal.quantum.kernels.products", "numba", "kernels"),
    "Projected": ("shoal.quantum.kernels.projected", "numba", "kernels"),
    "ProjectedKernel": ("shoal.quantum.kernels.learning.estimators", "sklearn", "kernels"),
    "StateVectors": ("shoal.quantum.kernels.statevectors", "numba", "kernels"),
    "StatesTooEntangled": ("shoal.quantum.kernels.mps", "numba", "kernels"),
    "kernel_matrix": ("shoal.quantum.kernels.matrix", "numba", "kernels"),
    "plot_kernel": ("shoal.quantum.kernels.learning.pictures", "scipy", "kernels"),
    "repair_kernel": ("shoal.quantum.kernels.learning.repair", "scipy", "kernels"),
    "target_alignment": ("shoal.quantum.kernels.learning.alignment", "scipy", "kernels"),
    "train_kernel": ("shoal.quantum.kernels.learning.alignment", "scipy", "kernels"),
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
