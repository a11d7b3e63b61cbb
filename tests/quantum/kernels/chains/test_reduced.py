import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.quantum.kernels.chains import bloch_vectors, prepare_chains
from tests.quantum.kernels.tables import rows_of, states, tables


@settings(max_examples=40, deadline=None)
@given(table=tables(), seed=st.integers(0, 1000), n_rows=st.integers(1, 3))
def test_bloch_vectors_are_expectation_values(table, seed, n_rows):
    rows = rows_of(seed, n_rows)
    found = bloch_vectors(prepare_chains(table, rows))
    assert found.shape == (n_rows, table.n_qubits, 3)
    for state, own in zip(states(table, rows), found, strict=True):
        for wire, vector in enumerate(own):
            low, high = np.moveaxis(state.reshape(-1, 2, 2**wire), 1, 0)
            x, y = 2 * np.vdot(low, high).real, 2 * np.vdot(low, high).imag
            z = np.linalg.norm(low) ** 2 - np.linalg.norm(high) ** 2
            assert np.allclose(vector, [x, y, z], atol=1e-12)
