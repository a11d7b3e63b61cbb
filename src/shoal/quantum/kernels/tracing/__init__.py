"""A feature map as data: its gates, and their angles as formulas of the features; traced once."""

from shoal.quantum.kernels.tracing.formulas import Formulas
from shoal.quantum.kernels.tracing.gates import NAMES, Gate, gate_matrices
from shoal.quantum.kernels.tracing.table import FeatureMap, GateTable, LibraryStates
from shoal.quantum.kernels.tracing.tracing import trace

__all__ = [
    "NAMES",
    "FeatureMap",
    "Formulas",
    "Gate",
    "GateTable",
    "LibraryStates",
    "gate_matrices",
    "trace",
]
