"""Chains as state vectors."""

import numpy as np


def vectors(chains):
    """Amplitudes of shape (n_rows, 2**n); wire 0 is the least significant bit."""
    whole = np.ones((1, 1, chains.n_rows), complex)
    for site in chains.sites:
        spread = np.broadcast_to(site, (*site.shape[:3], chains.n_rows))
        whole = np.einsum("kan,asbn->skbn", whole, spread)
        whole = whole.reshape(-1, site.shape[2], chains.n_rows)
    return whole[:, 0].T
