"""The gates a table knows, and their matrices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

# Names, and how many angles each takes. Wires of controlled gates: controls first.
_WITHOUT = ("h", "x", "y", "z", "s", "sdg", "t", "tdg", "sx", "sxdg", "cx", "cy", "cz", "swap")
_WITH_ONE = ("rx", "ry", "rz", "p", "cp", "crx", "cry", "crz", "rxx", "ryy", "rzz", "multirz")
NAMES: dict[str, int] = {
    **dict.fromkeys((*_WITHOUT, "ccx", "ccz", "unitary"), 0),
    **dict.fromkeys(_WITH_ONE, 1),
    "u": 3,
}
LARGEST_UNITARY = 6
_PAULI = {
    "x": np.array([[0, 1], [1, 0]], complex),
    "y": np.array([[0, -1j], [1j, 0]]),
    "z": np.array([[1, 0], [0, -1]], complex),
}
_PHASES = {"s": np.pi / 2, "sdg": -np.pi / 2, "t": np.pi / 4, "tdg": -np.pi / 4, "z": np.pi}
_SWAP = np.array([[1, 0, 0, 0], [0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 1]], complex)


@dataclass(frozen=True, slots=True, eq=False)
class Gate:
    """One gate of a table.

    Attributes:
        name: One of `NAMES`, which are Qiskit's; ``multirz`` is exp(-iθ/2 Z⊗…⊗Z).
        wires: Numbers of qubits, from 0; controls first.
        angles: Columns of the table's angles, as many as the name takes.
        matrix: Of a ``unitary``, wires[0] being the least significant bit of its indices.
        label: What the user's library calls it.
    """

    name: str
    wires: tuple[int, ...]
    angles: tuple[int, ...] = ()
    matrix: np.ndarray | None = None
    label: str = ""


def gate_matrices(gate: Gate, angles: np.ndarray) -> np.ndarray:
    """The matrix of a gate for every sample, up to a phase that its angles alone determine.

    Args:
        gate: Of a table.
        angles: Of all gates of the table, of shape (n_rows, n_angles).

    Returns:
        Of shape (n_rows, 2**k, 2**k) for k wires, or (1, 2**k, 2**k) for a gate without angles;
        wires[0] is the least significant bit of the indices.
    """
    if gate.matrix is not None:
        return np.asarray(gate.matrix, complex)[None]
    own = [angles[:, column] for column in gate.angles]
    if gate.name in _OF_ANGLES:
        matrices: np.ndarray = _OF_ANGLES[gate.name](*own)
        return matrices
    if gate.name == "multirz":
        return _diagonal(-0.5 * own[0][:, None] * _signs(len(gate.wires)))
    return _fixed(gate.name)[None]


def _fixed(name: str) -> np.ndarray:
    if name in _PHASES:
        return np.array([[1, 0], [0, np.exp(1j * _PHASES[name])]])
    if name in _PAULI:
        return _PAULI[name]
    if name == "h":
        return np.array([[1, 1], [1, -1]]) * complex(np.sqrt(0.5))
    if name in ("sx", "sxdg"):
        sign = 1 if name == "sx" else -1
        same, other = (1 + sign * 1j) / 2, (1 - sign * 1j) / 2
        return np.array([[same, other], [other, same]])
    if name == "swap":
        return _SWAP
    controls = len(name) - 1  # cx, cy, cz; ccx, ccz
    whole: np.ndarray = _controlled(_PAULI[name[-1]][None], controls)[0]
    return whole


def _controlled(matrices: np.ndarray, controls: int = 1) -> np.ndarray:
    """With further wires in front, the least significant ones, that must all be 1."""
    size = 2 * 2**controls
    whole = np.zeros((len(matrices), size, size), complex)
    whole[:] = np.eye(size)
    on = [2**controls - 1, size - 1]
    whole[:, on[0], on] = matrices[:, 0]
    whole[:, on[1], on] = matrices[:, 1]
    return whole


def _diagonal(phases: np.ndarray) -> np.ndarray:
    size = phases.shape[1]
    whole = np.zeros((len(phases), size, size), complex)
    whole[:, np.arange(size), np.arange(size)] = np.exp(1j * phases)
    return whole


def _signs(wires: int) -> np.ndarray:
    """+1 or -1 by the parity of each index."""
    signs = np.ones(1)
    for _ in range(wires):
        signs = np.concatenate([signs, -signs])
    return signs


def _about(pauli: str, wires: int = 1) -> Callable[[np.ndarray], np.ndarray]:
    """exp(-iθ/2 P) for a Pauli matrix, or its product over the wires."""
    generator = _PAULI[pauli]
    for _ in range(wires - 1):
        generator = np.kron(_PAULI[pauli], generator)
    one = np.eye(len(generator))

    def matrices(angle: np.ndarray) -> np.ndarray:
        half = angle[:, None, None] / 2
        turned: np.ndarray = np.cos(half) * one - 1j * np.sin(half) * generator
        return turned

    return matrices


def _u(theta: np.ndarray, phi: np.ndarray, lam: np.ndarray) -> np.ndarray:
    cos, sin = np.cos(theta / 2), np.sin(theta / 2)
    rows = [
        [cos + 0j, -np.exp(1j * lam) * sin],
        [np.exp(1j * phi) * sin, np.exp(1j * (phi + lam)) * cos],
    ]
    return np.moveaxis(np.array(rows), -1, 0)


def _p(angle: np.ndarray) -> np.ndarray:
    return _diagonal(np.stack([0 * angle, angle], 1))


_OF_ANGLES: dict[str, Callable[..., Any]] = {
    "rx": _about("x"),
    "ry": _about("y"),
    "rz": _about("z"),
    "rxx": _about("x", 2),
    "ryy": _about("y", 2),
    "rzz": _about("z", 2),
    "p": _p,
    "u": _u,
    "cp": lambda angle: _controlled(_p(angle)),
    "crx": lambda angle: _controlled(_about("x")(angle)),
    "cry": lambda angle: _controlled(_about("y")(angle)),
    "crz": lambda angle: _controlled(_about("z")(angle)),
}
