"""Kernel matrices of the ZZ feature map: everything from the circuit and the samples to the matrix.

The map has linear entanglement and two repetitions. Entries of some samples are compared with
Qiskit's `Statevector`, to 1e-9, or 1e-3 in single precision.
"""

import time
from functools import cache
from itertools import pairwise

import numpy as np

from workloads import Workload, spread

OURS = "shoal, Qiskit circuit"
EVERYBODY = (
    OURS,
    "shoal, PennyLane function",
    "floor",
    "lightning states, one product",
    "FidelityStatevectorKernel",
    "qml.kernels, lightning",
    "qml.kernels, default.qubit",
)
COMPARED = 8


class Asked:
    """A kernel matrix to compute.

    Attributes:
        qubits: how many there are.
        dtype: precision of the states.
    """

    def __init__(self, qubits, dtype="complex128"):
        self.qubits = qubits
        self.dtype = dtype

    def feature_map(self, library):
        """Return the feature map as a library has it."""
        return _circuit(self.qubits) if library == "qiskit" else zz_feature_map

    def largest_error(self, matrix, x):
        """Return the largest difference from Qiskit's own states, among a few samples."""
        from qiskit.quantum_info import Statevector

        places = np.linspace(0, len(x) - 1, min(COMPARED, len(x))).astype(int)
        circuit = _circuit(self.qubits)
        states = np.array([Statevector(circuit.assign_parameters(x[i])).data for i in places])
        expected = np.abs(states.conj() @ states.T) ** 2
        return float(np.abs(matrix[np.ix_(places, places)] - expected).max())


@cache
def _circuit(qubits):
    from qiskit.circuit.library import zz_feature_map as of_qiskit

    return of_qiskit(qubits, reps=2, entanglement="linear")


def zz_feature_map(x):
    """Apply in PennyLane what Qiskit's circuit of that name does."""
    import pennylane as qml

    for _ in range(2):
        for wire, feature in enumerate(x):
            qml.Hadamard(wire)
            qml.PhaseShift(2 * feature, wires=wire)
        for wire, other in pairwise(range(len(x))):
            qml.CNOT(wires=[wire, other])
            qml.PhaseShift(2 * (np.pi - x[wire]) * (np.pi - x[other]), wires=other)
            qml.CNOT(wires=[wire, other])


def timed_matrix(peer, f, everything):
    """Time a matrix, of fewer samples where the peer takes few; then look at its entries."""
    from shoal.tasks import measured_peak

    x = spread(everything, peer.most_points)
    with measured_peak() as peak:
        start = time.perf_counter()
        matrix = peer.map(f, x)
        seconds = time.perf_counter() - start
    finished_at = time.monotonic()
    floor = peer.own_seconds is not None
    if floor:
        seconds = peer.own_seconds()
    pairs = len(x) * (len(x) + 1) // 2
    error = 0.0 if floor else f.largest_error(matrix, x)
    return {
        "seconds": seconds,
        "pair_seconds": seconds / pairs,
        "pairs_per_second": pairs / seconds,
        "above_result_mb": max(peak.bytes - matrix.nbytes, 0) / 1e6,
        "finished_at": finished_at,
        "error_of_entries": error,
        "same": error < (1e-3 if f.dtype == "complex64" else 1e-9),
    }


def matrices(qubits, samples, *, peers=EVERYBODY, dtype="complex128", rounds=7, patience_seconds=5):
    """Describe the matrix of so many samples of so many features."""

    def job(quick, repetition):
        count = samples // 4 if quick else samples
        x = np.random.default_rng(repetition).uniform(-1, 1, (count, qubits))
        return Asked(qubits, dtype), x

    return Workload(
        f"kernel matrix of {samples:,} samples and {qubits} qubits, {dtype}",
        job,
        peers=peers,
        repeat=timed_matrix,
        rounds=rounds,
        patience_seconds=patience_seconds,
        columns={
            "seconds": "time",
            "pair_seconds": "time a pair",
            "pairs_per_second": "pairs a second",
            "above_result_mb": "memory above the result",
        },
        references={"floor": "floor over it"},
    )


WORKLOADS = {
    "kernels": matrices(12, 1000),
    "kernels-8": matrices(8, 1000),
    "kernels-10": matrices(10, 1000),
    "kernels-16": matrices(
        16, 1000, peers=(*EVERYBODY[:3], "shoal, state vectors"), rounds=3, patience_seconds=60
    ),
    "kernels-large": matrices(
        12, 10_000, peers=(OURS, "floor"), dtype="complex64", rounds=3, patience_seconds=60
    ),
}
