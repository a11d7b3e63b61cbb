import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.quantum.kernels.noise import Noise, channel_of_kraus, take_noise, transfer_matrices
from shoal.quantum.kernels.tracing import Gate

PAULIS = {
    "I": np.eye(2),
    "X": np.array([[0, 1], [1, 0]]),
    "Y": np.array([[0, -1j], [1j, 0]]),
    "Z": np.diag([1, -1]),
}
DAMPING = [np.diag([1, np.sqrt(0.9)]), np.sqrt(0.1) * np.array([[0, 1], [0, 0]])]


def depolarising(p, qubits=1):
    """Kraus matrices of: with probability p, the state is thrown away."""
    words = [np.eye(1)]
    for _ in range(qubits):
        words = [np.kron(pauli, word) for pauli in PAULIS.values() for word in words]
    size = len(words)
    weights = np.full(size, p / size)
    weights[0] += 1 - p
    return [np.sqrt(weight) * word for weight, word in zip(weights, words, strict=True)]


@settings(max_examples=20, deadline=None)
@given(qubits=st.integers(1, 2), seed=st.integers(0, 1000))
def test_channels_change_expectation_values_as_kraus_matrices_change_states(qubits, seed):
    rng = np.random.default_rng(seed)
    size = 2**qubits
    stacked = rng.normal(size=(3 * size, size)) + 1j * rng.normal(size=(3 * size, size))
    kraus = np.linalg.qr(stacked)[0].reshape(3, size, size)
    vector = rng.normal(size=size) + 1j * rng.normal(size=size)
    density = np.outer(vector, vector.conj()) / np.linalg.norm(vector) ** 2
    after = sum(k @ density @ k.conj().T for k in kraus)
    words = [np.eye(1)]
    for _ in range(qubits):
        words = [np.kron(pauli, word) for pauli in PAULIS.values() for word in words]
    before, expected = (
        np.array([np.trace(word @ each).real for word in words]) for each in (density, after)
    )
    assert np.allclose(channel_of_kraus(kraus) @ before, expected, atol=1e-13)


def test_a_unitary_is_an_orthogonal_matrix():
    unitary = np.linalg.qr(np.random.default_rng(0).normal(size=(4, 4)))[0][None]
    [matrix] = transfer_matrices(unitary.astype(complex))
    assert np.allclose(matrix @ matrix.T, np.eye(16), atol=1e-13)


def test_depolarising_shrinks_everything_but_the_trace():
    for qubits in (1, 2):
        diagonal = np.full(4**qubits, 0.7)
        diagonal[0] = 1
        got = channel_of_kraus(depolarising(0.3, qubits))
        assert np.allclose(got, np.diag(diagonal), atol=1e-14)


def test_kraus_matrices_act_on_every_wire_of_every_gate():
    noise = take_noise(DAMPING)
    [first, second] = noise.after(Gate("cx", (3, 1)))
    assert (first[0], second[0]) == ((3,), (1,))
    assert np.array_equal(first[1], channel_of_kraus(DAMPING))


def test_a_named_gate_has_its_own_noise_and_the_rest_that_of_all():
    two = depolarising(0.1, 2)
    noise = take_noise({"cx": two, "RY": DAMPING, "s": DAMPING, "all": depolarising(0.2)})
    [(wires, channel)] = noise.after(Gate("cx", (2, 0)))
    assert wires == (2, 0)
    assert np.array_equal(channel, channel_of_kraus(two))
    damping, other = channel_of_kraus(DAMPING), channel_of_kraus(depolarising(0.2))
    for gate, expected in (
        (Gate("ry", (0,), (0,), None, "RY"), damping),
        (Gate("h", (0,), label="Hadamard"), other),
        (Gate("s", (0,)), damping),
        (Gate("sdg", (0,)), other),
    ):
        assert np.array_equal(noise.after(gate)[0][1], expected)


def test_the_inverse_of_a_gate_has_the_noise_of_its_own_name():
    noise = take_noise({"sdg": DAMPING, "rx": DAMPING})
    assert noise.after(Gate("s", (0,))) == []
    assert len(noise.after(Gate("s", (0,)), inverse=True)) == 1
    assert len(noise.after(Gate("rx", (0,), (0,)), inverse=True)) == 1


def test_readout_is_the_probability_of_a_zero():
    noise = take_noise({"readout": [[0.9, 0.1], [0.3, 0.7]]})
    assert np.allclose(noise.reading_zero(4), [1.2, 0, 0, 0.6])
    assert np.allclose(Noise().reading_zero(0), [1, 0, 0, 1])


def test_channels_of_pennylane_stand_for_their_kraus_matrices():
    qml = pytest.importorskip("pennylane")
    noise = take_noise(qml.AmplitudeDamping(0.1, wires="anywhere"))
    assert np.allclose(noise.by_gate["all"], channel_of_kraus(DAMPING), atol=1e-12)
    flips = [np.kron(PAULIS["X"], DAMPING[0]), np.kron(PAULIS["X"], DAMPING[1])]  # X on wire 1
    theirs = qml.QubitChannel([np.kron(matrix, PAULIS["X"]) for matrix in DAMPING], wires=[5, 2])
    got = take_noise({"CNOT": theirs}).by_gate["CNOT"]
    assert np.allclose(got, channel_of_kraus(flips), atol=1e-15)


def test_errors_of_aer_stand_for_their_kraus_matrices():
    errors = pytest.importorskip("qiskit_aer.noise")
    noise = take_noise({"cx": errors.depolarizing_error(0.3, 2)})
    assert np.allclose(noise.by_gate["cx"], channel_of_kraus(depolarising(0.3, 2)), atol=1e-14)


def test_noise_that_was_taken_is_taken_as_it_is():
    noise = take_noise(DAMPING)
    assert take_noise(noise) is noise


@pytest.mark.parametrize(
    ("given", "error", "told"),
    [
        (0.1, TypeError, "noise=0.1: expected Kraus"),
        ([], ValueError, r"shape \(0,\)"),
        ([np.eye(3)], ValueError, r"shape \(1, 3, 3\)"),
        ([np.eye(2), np.eye(4)], ValueError, "expected Kraus matrices"),
        ([np.eye(2) / 2], ValueError, "differs from the identity by 7.5e-01"),
        ([np.eye(2) * np.nan], ValueError, "differs from the identity by nan"),
        ({"cnto": DAMPING}, ValueError, "noise['cnto']: no gate of that name"),
        ({3: DAMPING}, TypeError, "3 names no gate"),
        ({"cx": [np.eye(2) * 2]}, ValueError, "noise['cx']: the sum"),
        ({"readout": [[0.5, 0.4], [0, 1]]}, ValueError, "adding up to 1"),
        ({"readout": [0.5, 0.5]}, ValueError, "adding up to 1"),
    ],
)
def test_what_is_no_noise_is_refused(given, error, told):
    with pytest.raises(error) as caught:
        take_noise(given)
    assert told.replace("\\", "") in str(caught.value)


def test_a_channel_of_another_width_than_its_gate_is_refused():
    noise = take_noise({"all": depolarising(0.1, 2)})
    with pytest.raises(ValueError, match="after 'rx' is of 2 qubits, and the gate acts on 1"):
        noise.after(Gate("rx", (0,), (0,)))
