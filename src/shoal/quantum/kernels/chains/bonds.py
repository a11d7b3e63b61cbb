"""How large the bonds of a table's chains can become, seen from its gates alone."""

from __future__ import annotations

import numpy as np

from shoal.quantum.kernels.chains.building import terms
from shoal.quantum.kernels.chains.grouping import Group, grouped
from shoal.quantum.kernels.tracing import Gate, GateTable

TERMS = {"swap": 4, "ccx": 3, "ccz": 3}
LARGEST_POWER = 62


def bond_bounds(table: GateTable) -> np.ndarray | str:
    """An upper bound of the exact dimension of every bond, or which gate no chain takes.

    Every gate across a bond multiplies it by the number of its terms, gates that follow each other
    on the same two wires being one; and no bond is larger than the states on its smaller side.

    Returns:
        int64, of shape (n_qubits + 1,), the first and last 1; at most 2**62. Or words that name a
        gate on three or more wires which is not a sum of a few products.
    """
    n = table.n_qubits
    angles = np.random.default_rng(0).uniform(-3, 3, (1, len(table.constant)))
    powers = np.zeros(n + 1)
    for gate in grouped(table):
        if len(gate.wires) == 1:
            continue
        if isinstance(gate, Gate) and gate.name == "unitary" and len(gate.wires) > 2:
            return f"{gate.label or gate.name} acts on {len(gate.wires)} wires at once"
        powers[min(gate.wires) + 1 : max(gate.wires) + 1] += np.log2(_count(gate, angles))
    places = np.arange(n + 1)
    powers = np.minimum(powers, np.minimum(places, n - places))
    return np.floor(2.0 ** np.minimum(powers, LARGEST_POWER) + 1e-6).astype(np.int64)


def _count(gate: Gate | Group, angles: np.ndarray) -> int:
    """How many terms: at some angles, which are as good as any."""
    if isinstance(gate, Group) or gate.name == "unitary":
        return len(terms(gate, angles))
    return TERMS.get(gate.name, 2)
