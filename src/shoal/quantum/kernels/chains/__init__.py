"""States along a line of qubits as chains of small tensors: built, compressed and multiplied."""

from shoal.quantum.kernels.chains.bonds import bond_bounds
from shoal.quantum.kernels.chains.building import Chains
from shoal.quantum.kernels.chains.preparing import prepare_chains
from shoal.quantum.kernels.chains.reduced import bloch_vectors
from shoal.quantum.kernels.chains.transfer import LANES, Packed, fidelities, pack

__all__ = [
    "LANES",
    "Chains",
    "Packed",
    "bloch_vectors",
    "bond_bounds",
    "fidelities",
    "pack",
    "prepare_chains",
]
