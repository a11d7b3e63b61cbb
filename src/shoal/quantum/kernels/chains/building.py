"""From a table of gates to chains of tensors, one chain a sample; exact, gate by gate.

A gate on several wires is a sum of products of 2x2 matrices. Each term becomes one value of a bond
that runs from its first wire to its last, so a controlled gate doubles that bond, and no
decomposition of states is needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from shoal.quantum.kernels.chains.grouping import Group
from shoal.quantum.kernels.compiling import compiled
from shoal.quantum.kernels.tracing import Gate, gate_matrices

Term = Mapping[int, np.ndarray]
NEGLIGIBLE = 4e-15  # above the rounding of a product of a few gates
_ZERO = np.array([[1, 0], [0, 0]], complex)[:, :, None]
_ONE = np.array([[0, 0], [0, 1]], complex)[:, :, None]
_IDENTITY = np.eye(2, dtype=complex)[:, :, None]
_FLIPS = {
    "ccx": np.array([[0, 1], [1, 0]], complex)[:, :, None],
    "ccz": np.array([[1, 0], [0, -1]], complex)[:, :, None],
}
# Columns are the eigenvectors of Z, X and Y.
_BASES = (
    np.eye(2, dtype=complex),
    np.array([[1, 1], [1, -1]], complex) / np.sqrt(2),
    np.array([[1, 1], [1j, -1j]], complex) / np.sqrt(2),
)


@dataclass
class Chains:
    """States of many samples, as tensors along a line of qubits.

    Attributes:
        n_rows: How many samples, from 1.
        sites: A tensor for each qubit, of shape (left bond, 2, right bond, n_rows), complex128; its
            last axis is 1 while it is the same for all samples.
        lost: For each sample, a bound of the norm of what was left out, from 0.
        waiting: Gates on single qubits, each of shape (2, 2, n_rows or 1), not yet applied.
    """

    n_rows: int
    sites: list[np.ndarray]
    lost: np.ndarray
    waiting: dict[int, np.ndarray] = field(default_factory=dict)

    @classmethod
    def zeros(cls, n_qubits: int, n_rows: int) -> Chains:
        """The state |0…0⟩ for every sample."""
        zero = np.array([1, 0], complex).reshape(1, 2, 1, 1)
        return cls(n_rows, [zero] * n_qubits, np.zeros(n_rows))

    @property
    def largest_bond(self) -> int:
        """The largest dimension of a bond."""
        return max(int(site.shape[2]) for site in self.sites)

    def apply(self, gate: Gate | Group, angles: np.ndarray) -> int:
        """Lets a gate act on every sample, `angles` being those of the whole table.

        Returns:
            The largest dimension of the bonds that the gate acted across; 1 for a single wire.
        """
        if isinstance(gate, Gate) and len(gate.wires) == 1:
            self._turn(gate.wires[0], _samples_last(gate_matrices(gate, angles)))
            return 1
        first, last = min(gate.wires), max(gate.wires)
        self._join(terms(gate, angles))
        return max(int(site.shape[2]) for site in self.sites[first:last])

    def settle(self, wires: Sequence[int] | None = None) -> None:
        """Applies what waits on some wires, or on all."""
        for wire in tuple(self.waiting) if wires is None else wires:
            if wire in self.waiting:
                self.sites[wire] = act(self.waiting.pop(wire), self.sites[wire])

    def _turn(self, wire: int, matrix: np.ndarray) -> None:
        before = self.waiting.get(wire)
        self.waiting[wire] = matrix if before is None else act(matrix, before[None])[0]

    def _join(self, of_gate: Sequence[Term]) -> None:
        wires = sorted({wire for term in of_gate for wire in term})
        self.settle(wires)
        if len(of_gate) == 1:
            for wire, matrix in of_gate[0].items():
                self.sites[wire] = act(matrix, self.sites[wire])
            return
        first, last = wires[0], wires[-1]
        for wire in range(first, last + 1):
            site = self.sites[wire]
            branches = [act(term[wire], site) if wire in term else site for term in of_gate]
            self.sites[wire] = _widened(branches, open_left=wire > first, open_right=wire < last)


def terms(gate: Gate | Group, angles: np.ndarray) -> list[Term]:
    """A gate as a sum of products: for each term, a matrix (2, 2, n_rows or 1) for some wires.

    Wires that a term leaves out are not touched by it. Where the gate is diagonal or controlled, in
    the eigenbasis of Z, X or Y of one of its wires, the terms are projectors there.
    """
    if isinstance(gate, Group):
        return _of_two(gate.matrices(angles), gate.wires)
    if gate.name == "multirz":
        half = angles[:, gate.angles[0]] / 2
        z = {wire: np.array([[1, 0], [0, -1]], complex)[:, :, None] for wire in gate.wires}
        first = gate.wires[0]
        return [
            {**dict.fromkeys(gate.wires, _IDENTITY), first: _IDENTITY * np.cos(half)},
            {**z, first: z[first] * (-1j * np.sin(half))},
        ]
    if gate.name in _FLIPS:
        a, b, target = gate.wires
        return [{a: _ZERO}, {a: _ONE, b: _ZERO}, {a: _ONE, b: _ONE, target: _FLIPS[gate.name]}]
    return _of_two(gate_matrices(gate, angles), gate.wires)


def _of_two(matrices: np.ndarray, wires: Sequence[int]) -> list[Term]:
    """The terms of a gate on two wires."""
    whole = matrices.reshape(-1, 2, 2, 2, 2)  # sample, b, a, b before, a before
    a, b = wires
    for own, other, tensor in ((a, b, whole), (b, a, whole.transpose(0, 2, 1, 4, 3))):
        for basis in _BASES:
            found = _controlled(tensor, basis)
            if found is not None:
                return [{own: projector, other: matrix} for projector, matrix in found]
    if a > b:
        return _schmidt(whole.transpose(0, 2, 1, 4, 3), b, a)
    return _schmidt(whole, a, b)


def _controlled(
    tensor: np.ndarray, basis: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray]] | None:
    """Projectors on one wire, each with what happens to the other; None if it is not so.

    The wire is the one whose indices are the second and the fourth of `tensor` after the samples.
    """
    seen = np.einsum("ai,nsatb,bj->nsitj", basis.conj(), tensor, basis)
    if max(np.abs(seen[:, :, 0, :, 1]).max(), np.abs(seen[:, :, 1, :, 0]).max()) > NEGLIGIBLE:
        return None
    return [
        (
            np.outer(basis[:, k], basis[:, k].conj())[:, :, None],
            _samples_last(seen[:, :, k, :, k]),
        )
        for k in range(2)
    ]


def _schmidt(whole: np.ndarray, a: int, b: int) -> list[Term]:
    """Any gate on two wires as at most four products, by a singular value decomposition.

    The weights go to the left wire, so that right of it nothing grows.
    """
    flat = whole.transpose(0, 2, 4, 1, 3).reshape(-1, 4, 4)
    u, weights, v = np.linalg.svd(flat)
    kept = weights.max(axis=0) > NEGLIGIBLE * weights.max()
    u = u * weights[:, None, :]
    return [
        {
            a: _samples_last(u[:, :, k].reshape(-1, 2, 2)),
            b: _samples_last(v[:, k].reshape(-1, 2, 2)),
        }
        for k in np.flatnonzero(kept)
    ]


def _samples_last(matrices: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(matrices.transpose(1, 2, 0), dtype=complex)


def _widened(branches: Sequence[np.ndarray], *, open_left: bool, open_right: bool) -> np.ndarray:
    """The tensors of all terms in one, with the number of the term in the bonds that are open."""
    count = len(branches)
    left, _, right, _ = branches[0].shape
    samples = max(branch.shape[3] for branch in branches)
    lefts, rights = (count if open_left else 1), (count if open_right else 1)
    whole = np.zeros((left, lefts, 2, right, rights, samples), complex)
    for k, branch in enumerate(branches):
        whole[:, k if open_left else 0, :, :, k if open_right else 0] = branch
    return whole.reshape(left * lefts, 2, right * rights, samples)


def act(matrix: np.ndarray, tensor: np.ndarray) -> np.ndarray:
    """A matrix (2, 2, samples) on the middle index of a tensor (left, 2, right, samples).

    Where one of them is the same for all samples, its last axis is 1.
    """
    samples = max(matrix.shape[2], tensor.shape[3])
    out = np.empty((*tensor.shape[:3], samples), complex)
    _act(matrix, tensor, out)
    return out


@compiled
def _act(matrix: np.ndarray, tensor: np.ndarray, out: np.ndarray) -> None:
    """Fills `out`; a step of 0 stays at the only sample there is."""
    left, _, right, samples = out.shape
    step_m = 1 if matrix.shape[2] > 1 else 0
    step_t = 1 if tensor.shape[3] > 1 else 0
    for a in range(left):
        for s in range(2):
            for b in range(right):
                for i in range(samples):
                    m, t = i * step_m, i * step_t
                    out[a, s, b, i] = (
                        matrix[s, 0, m] * tensor[a, 0, b, t] + matrix[s, 1, m] * tensor[a, 1, b, t]
                    )
