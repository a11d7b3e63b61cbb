"""What each qubit of a chain looks like alone: its Bloch vector."""

from __future__ import annotations

import numpy as np

from shoal.quantum.kernels.chains.building import Chains
from shoal.quantum.kernels.chains.compressing import compress


def bloch_vectors(chains: Chains) -> np.ndarray:
    """Expectation values of X, Y and Z of every qubit, of shape (n_rows, n_qubits, 3).

    The chains are compressed on the way, without loss: their right sides become orthonormal, so
    that one sweep from the left is enough.
    """
    compress(chains, cutoff=0.0)
    found = np.empty((chains.n_rows, len(chains.sites), 3))
    left = np.ones((1, 1, chains.n_rows), complex)
    for place, site in enumerate(chains.sites):
        half = np.einsum("abn,bsrn->asrn", left, site)
        density = np.einsum("atrn,asrn->tsn", site.conj(), half)  # [t, s] is rho[s, t]
        found[:, place, 0] = 2 * density[0, 1].real
        found[:, place, 1] = 2 * density[0, 1].imag
        found[:, place, 2] = (density[0, 0] - density[1, 1]).real
        left = np.einsum("asqn,asrn->qrn", site.conj(), half)
    return found
