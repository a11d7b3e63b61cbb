"""Noise after gates and in the readout, in one form, from Kraus matrices or a model of Aer's.

Channels are real matrices here, by which they multiply the expectation values of Pauli operators
(Pauli transfer matrices). Those of several qubits count in base 4, I, X, Y, Z being the digits; the
first wire is the least significant one.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from shoal.quantum.kernels.tracing import NAMES, Gate
from shoal.tasks import shorten

ALL, READOUT = "all", "readout"
TOLERANCE = 1e-8
WHAT = (
    "expected Kraus matrices of one qubit, a dict from names of gates to Kraus matrices, or a "
    "NoiseModel of qiskit_aer"
)
INVERSES = {"s": "sdg", "sdg": "s", "t": "tdg", "tdg": "t", "sx": "sxdg", "sxdg": "sx"}
_PAULIS = np.array(
    [
        [[1, 0], [0, 1]],
        [[0, 1], [1, 0]],
        [[0, -1j], [1j, 0]],
        [[1, 0], [0, -1]],
    ]
)


@dataclass(frozen=True)
class Noise:
    """What happens besides the gates.

    Attributes:
        by_gate: Channels by name of the gate after which they act, or ``"all"`` for gates that are
            not named. Those of one qubit act on each of the gate's wires.
        by_place: As `by_gate`, by name and wires, before which they come.
        readout: For each wire, or None for wires not listed, the probabilities of reading 0 and 1
            (columns) in 0 and 1 (rows).
    """

    by_gate: Mapping[str, np.ndarray] = field(default_factory=dict)
    by_place: Mapping[tuple[str, tuple[int, ...]], np.ndarray] = field(default_factory=dict)
    readout: Mapping[int | None, np.ndarray] = field(default_factory=dict)

    def after(
        self, gate: Gate, *, inverse: bool = False
    ) -> list[tuple[tuple[int, ...], np.ndarray]]:
        """The channels after a gate, or after its inverse: wires, and a matrix for each.

        Raises:
            ValueError: If the channel is of several qubits, and not of as many as the gate.
        """
        name = INVERSES.get(gate.name, gate.name) if inverse else gate.name
        channel = self.by_place.get((name, gate.wires))
        for key in (name, gate.label, ALL):
            if channel is None:
                channel = self.by_gate.get(key)
        if channel is None:
            return []
        if len(channel) == 4 ** len(gate.wires):
            return [(gate.wires, channel)]
        if len(channel) == 4:
            return [((wire,), channel) for wire in gate.wires]
        raise ValueError(
            f"noise: the channel after {gate.name!r} is of {_qubits(channel)} qubits, and the gate "
            f"acts on {len(gate.wires)}"
        )

    def reading_zero(self, wire: int) -> np.ndarray:
        """Expectation values (of I, X, Y and Z) of the operator that a reading of 0 measures."""
        table = self.readout.get(wire, self.readout.get(None, np.eye(2)))
        return np.array([table[0, 0] + table[1, 0], 0, 0, table[0, 0] - table[1, 0]])


def take_noise(given: Any) -> Noise:
    """Noise in the form that is computed with, from what a user may give.

    Args:
        given: Kraus matrices of one qubit, an array or sequence of shape (n, 2, 2), which act after
            every gate on each of its wires; or a dict from names of gates (Qiskit's, or PennyLane's
            for a feature map of PennyLane), or ``"all"`` for the others, to Kraus matrices of one
            qubit or of as many as the gate has wires, the first being the least significant; under
            ``"readout"`` a matrix of the probabilities of reading 0 and 1 (columns) in 0 and 1
            (rows). In place of Kraus matrices, a channel of PennyLane, whose own wires do not
            matter, or a quantum error of Aer. Or a `qiskit_aer.noise.NoiseModel`.

    Raises:
        TypeError: If it is something else.
        ValueError: If Kraus matrices do not preserve the trace, or a name is not that of a gate.
    """
    if isinstance(given, Noise):
        return given
    if isinstance(given, Mapping):
        return _of_mapping(given)
    aer = sys.modules.get("qiskit_aer.noise")
    if aer is not None and isinstance(given, aer.NoiseModel):
        return _of_aer(given)
    if isinstance(given, np.ndarray | list | tuple) or _is_channel(given):
        return Noise({ALL: _channel(given, "noise")})
    raise TypeError(f"noise={shorten(given)}: {WHAT}")


def _of_mapping(given: Mapping[Any, Any]) -> Noise:
    readout: dict[int | None, np.ndarray] = {}
    by_gate = {}
    for key, value in given.items():
        if not isinstance(key, str):
            raise TypeError(f"noise: {shorten(key)} names no gate; {WHAT}")
        if key == READOUT:
            readout[None] = _probabilities(value)
            continue
        if key != ALL and key not in NAMES and not key[:1].isupper():
            raise ValueError(f"noise[{key!r}]: no gate of that name; known: {', '.join(NAMES)}")
        by_gate[key] = _channel(value, f"noise[{key!r}]")
    return Noise(by_gate, {}, readout)


def _is_channel(given: Any) -> bool:
    return hasattr(given, "to_quantumchannel") or hasattr(given, "kraus_matrices")


def _channel(given: Any, what: str) -> np.ndarray:
    """The matrix of Kraus matrices, of a channel of PennyLane, or of an error of Aer."""
    if hasattr(given, "to_quantumchannel"):
        return _of_error(given)
    if not hasattr(given, "kraus_matrices"):
        return channel_of_kraus(given, what)
    kraus = np.asarray(given.kraus_matrices(), complex)
    wires = len(given.wires)
    bits = list(range(wires, 0, -1))  # PennyLane's first wire is the most significant
    turned = kraus.reshape(-1, *(2,) * (2 * wires))
    turned = turned.transpose(0, *bits, *(wires + bit for bit in bits))
    return channel_of_kraus(turned.reshape(kraus.shape), what)


def _of_error(error: Any) -> np.ndarray:
    from qiskit.quantum_info import PTM

    return np.ascontiguousarray(np.real(PTM(error.to_quantumchannel()).data))


def _probabilities(given: Any) -> np.ndarray:
    table = np.asarray(given, float)
    if table.shape != (2, 2) or (table < 0).any() or not np.allclose(table.sum(1), 1):
        raise ValueError(
            f"noise['readout']={shorten(given)}: expected probabilities of reading 0 and 1 in 0, "
            "and in 1, [[p00, p01], [p10, p11]], each row adding up to 1"
        )
    return table


def _of_aer(model: Any) -> Noise:
    """What a noise model of Aer holds; its public `to_dict` is not enough for all errors."""
    if getattr(model, "_custom_noise_passes", None):
        raise ValueError("noise: noise passes, such as relaxation during delays, are not supported")

    by_gate = {name: _of_error(error) for name, error in model._default_quantum_errors.items()}  # noqa: SLF001
    by_place = {
        (name, tuple(wires)): _of_error(error)
        for name, errors in model._local_quantum_errors.items()  # noqa: SLF001
        for wires, error in errors.items()
    }
    readout: dict[int | None, np.ndarray] = {}
    errors = {None: model._default_readout_error, **model._local_readout_errors}  # noqa: SLF001
    for wires, error in errors.items():
        if error is None:
            continue
        if error.number_of_qubits != 1:
            raise ValueError(f"noise: the readout error of qubits {wires} is not of one qubit")
        readout[wires if wires is None else wires[0]] = np.asarray(error.probabilities)
    return Noise(by_gate, by_place, readout)


def channel_of_kraus(given: Any, what: str = "kraus") -> np.ndarray:
    """The matrix of a channel, of shape (4**k, 4**k), from its Kraus matrices of k qubits.

    Raises:
        ValueError: If they are not matrices of the same 2**k rows and columns, k up to 3, or do not
            preserve the trace: the sum of K†K is the identity, to 1e-8.
    """
    try:
        kraus = np.asarray(given, complex)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{what}={shorten(given)}: expected Kraus matrices: {error}") from None
    if kraus.ndim != 3 or not len(kraus) or kraus.shape[1:] not in {(2, 2), (4, 4), (8, 8)}:
        raise ValueError(
            f"{what}: an array of shape {kraus.shape}: expected Kraus matrices of shape (n, 2, 2), "
            "or (n, 2**k, 2**k) for a gate on k wires"
        )
    whole = np.einsum("nba,nbc->ac", kraus.conj(), kraus)
    off = np.abs(whole - np.eye(len(whole))).max()
    if not off <= TOLERANCE:
        raise ValueError(
            f"{what}: the sum of K†K differs from the identity by {off:.1e}: expected Kraus "
            "matrices that preserve the trace"
        )
    channel: np.ndarray = transfer_matrices(kraus).sum(axis=0)
    return channel


def transfer_matrices(matrices: np.ndarray) -> np.ndarray:
    """How D → KDK†, of density matrices, changes expectation values of Paulis; for many K.

    Args:
        matrices: Of shape (n, 2**k, 2**k); the first wire is the least significant.

    Returns:
        Of shape (n, 4**k, 4**k), float64: 2**-k Tr[P_i K P_j K†].
    """
    size = matrices.shape[1]
    paulis = _paulis(size.bit_length() - 1)
    turned = matrices[:, None] @ paulis @ matrices.conj().transpose(0, 2, 1)[:, None]
    changed: np.ndarray = np.einsum("iab,njba->nij", paulis, turned).real / size
    return changed


def _paulis(qubits: int) -> np.ndarray:
    found = np.ones((1, 1, 1), complex)
    for _ in range(qubits):
        found = np.einsum("iab,jcd->ijacbd", _PAULIS, found).reshape(
            4 * len(found), 2 * found.shape[1], -1
        )
    return found


def _qubits(channel: np.ndarray) -> int:
    return (len(channel).bit_length() - 1) // 2
