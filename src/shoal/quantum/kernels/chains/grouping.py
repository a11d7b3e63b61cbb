"""Gates that follow each other on the same two wires, put together: one gate, as bonds see it.

CX, a phase and CX again are one rotation about ZZ, with two terms instead of four.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from shoal.quantum.kernels.tracing import Gate, GateTable, gate_matrices


@dataclass(frozen=True, slots=True)
class Group:
    """Several gates in the order in which they act.

    Attributes:
        gates: The first and the last on the same two wires, the others on one or both of them.
    """

    gates: tuple[Gate, ...]

    @property
    def wires(self) -> tuple[int, ...]:
        """Both wires."""
        return self.gates[0].wires

    def matrices(self, angles: np.ndarray) -> np.ndarray:
        """Their product, as `gate_matrices` gives that of a gate on `wires`."""
        whole = np.eye(4, dtype=complex)[None]
        for gate in self.gates:
            whole = self._on_both(gate, gate_matrices(gate, angles)) @ whole
        return whole

    def _on_both(self, gate: Gate, matrices: np.ndarray) -> np.ndarray:
        if gate.wires == self.wires:
            return matrices
        if len(gate.wires) == 2:
            tensor = matrices.reshape(-1, 2, 2, 2, 2)
            return tensor.transpose(0, 2, 1, 4, 3).reshape(-1, 4, 4)
        form = "ij,nkl->nikjl" if gate.wires[0] == self.wires[0] else "nij,kl->nikjl"
        factors = (np.eye(2), matrices) if gate.wires[0] == self.wires[0] else (matrices, np.eye(2))
        lifted: np.ndarray = np.einsum(form, *factors).reshape(-1, 4, 4)
        return lifted


@dataclass(slots=True)
class _Open:
    """A group that may still grow, and what came after it on single wires."""

    gates: list[Gate]
    after: list[Gate] = field(default_factory=list)

    def closed(self) -> Iterator[Gate | Group]:
        yield self.gates[0] if len(self.gates) == 1 else Group(tuple(self.gates))
        yield from self.after


def grouped(table: GateTable) -> Iterator[Gate | Group]:
    """The gates of a table, those on the same two wires together, in an order that is as good.

    Gates change places only where they have no wire in common.
    """
    growing: dict[int, _Open] = {}
    for gate in table.gates:
        there = [growing.get(wire) for wire in gate.wires]
        first = there[0]
        if first is not None and len(gate.wires) == 1:
            first.after.append(gate)
        elif first is not None and len(gate.wires) == 2 and first is there[1]:
            first.gates += [*first.after, gate]
            first.after = []
        else:
            yield from _closed(gate, growing)
            if len(gate.wires) == 2:
                growing.update(dict.fromkeys(gate.wires, _Open([gate])))
            else:
                yield gate
    while growing:
        yield from _closed(growing[next(iter(growing))].gates[0], growing)


def _closed(gate: Gate, growing: dict[int, _Open]) -> Iterator[Gate | Group]:
    """Ends the groups that have a wire in common with a gate."""
    for wire in gate.wires:
        if wire in growing:
            group = growing[wire]
            for own in group.gates[0].wires:
                del growing[own]
            yield from group.closed()
