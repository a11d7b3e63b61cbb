import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.quantum.kernels.chains.building import Chains
from shoal.quantum.kernels.chains.compressing import compress, decompose
from tests.quantum.kernels.chains.vectors import vectors
from tests.quantum.kernels.tables import rows_of, states, table_of

LADDER = [("h", [q]) for q in range(6)] + [
    gate
    for k in range(3)
    for q in range(5)
    for gate in (("rx", [q]), ("cp", [q, q + 1]), ("ry", [q + 1]))
]


def unprepared(table, rows):
    """Chains with all the bonds that the gates made."""
    chains = Chains.zeros(table.n_qubits, len(rows))
    angles = table.angles(rows)
    for gate in table.gates:
        chains.apply(gate, angles)
    chains.settle()
    return chains


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(1, 9),
    columns=st.integers(1, 9),
    rank=st.integers(0, 9),
    seed=st.integers(0, 1000),
)
def test_decompositions_are_singular_value_decompositions(rows, columns, rank, seed):
    rng = np.random.default_rng(seed)

    def normal(*shape):
        return rng.normal(size=shape) + 1j * rng.normal(size=shape)

    matrices = normal(3, rows, rank) @ normal(3, rank, columns)
    basis, weights, rest = decompose(matrices)
    assert np.allclose(basis @ rest, matrices, atol=1e-13 * max(1, np.abs(matrices).max()))
    expected = np.linalg.svd(matrices, compute_uv=False)
    assert np.allclose(weights, expected, atol=1e-12 * max(1, expected.max()))
    grams = basis.conj().transpose(0, 2, 1) @ basis
    present = weights > 1e-10 * weights.max(initial=1e-300)
    for gram, own in zip(grams, present, strict=True):
        assert np.allclose(gram[np.ix_(own, own)], np.eye(own.sum()), atol=1e-12)


def test_small_singular_values_keep_their_digits():
    matrices = np.diag([1.0, 1e-9, 1e-14]).astype(complex)[None]
    turned = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    assert np.allclose(decompose(turned @ matrices)[1], [[1, 1e-9, 1e-14]], rtol=1e-6)


def test_compressed_chains_are_the_same_states_with_the_bonds_they_need():
    table, rows = table_of(6, LADDER * 2), rows_of(0, 5)
    chains = unprepared(table, rows)
    wide = chains.largest_bond
    compress(chains, cutoff=1e-28)
    assert chains.largest_bond <= 8 < wide
    assert np.allclose(vectors(chains), states(table, rows), atol=1e-13)
    for site in chains.sites[1:]:
        right = np.einsum("asbn,csbn->nac", site, site.conj())
        present = np.abs(np.einsum("naa->na", right)) > 0.5
        assert np.allclose(right, present[:, :, None] * np.eye(right.shape[1]), atol=1e-12)


@pytest.mark.parametrize("max_bond", [1, 2, 3])
def test_what_is_lost_is_what_is_missing(max_bond):
    table, rows = table_of(6, LADDER), rows_of(1, 7)
    chains = unprepared(table, rows)
    compress(chains, cutoff=1e-28, max_bond=max_bond)
    assert chains.largest_bond == max_bond
    away = np.linalg.norm(vectors(chains) - states(table, rows), axis=1)
    assert np.allclose(chains.lost, away, rtol=1e-6, atol=1e-12)
    assert chains.lost.max() > 1e-3
