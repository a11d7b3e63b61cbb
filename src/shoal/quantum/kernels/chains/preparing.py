"""The chains of a table of gates, compressed where they need it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal.quantum.kernels.chains.building import Chains
from shoal.quantum.kernels.chains.compressing import compress
from shoal.quantum.kernels.chains.grouping import grouped
from shoal.quantum.kernels.tracing import GateTable

if TYPE_CHECKING:
    import numpy as np

KEPT = 2
GROWN = 16


def prepare_chains(
    table: GateTable, rows: np.ndarray, *, cutoff: float = 0.0, max_bond: int | None = None
) -> Chains:
    """The chains that a table of gates prepares from |0…0⟩, one for each row of features.

    Args:
        table: Its gates on several wires are those of `bond_bounds`.
        rows: Features, of shape (n_rows, n_features), n_rows from 1.
        cutoff: As of `compress`; 0.0 drops nothing but zeros.
        max_bond: As of `compress`.

    Returns:
        Settled chains. They are compressed where a bond grew above `KEPT`, and only then.
    """
    chains = Chains.zeros(table.n_qubits, len(rows))
    angles = table.angles(rows)
    limit = GROWN
    for gate in grouped(table):
        if chains.apply(gate, angles) > limit:
            chains.settle()
            compress(chains, cutoff=cutoff, max_bond=max_bond)
            limit = max(GROWN, 4 * chains.largest_bond)
    chains.settle()
    if chains.largest_bond > (KEPT if max_bond is None else min(KEPT, max_bond)):
        compress(chains, cutoff=cutoff, max_bond=max_bond)
    return chains
