import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.quantum import kernel_matrix
from shoal.quantum.kernels.densities import Densities, applied
from shoal.quantum.kernels.tracing import LibraryStates, trace
from tests.quantum.kernels.tables import asked, computed, kernel, rows_of, table_of, tables
from tests.quantum.kernels.test_noise import DAMPING, depolarising

IDENTITY = [np.eye(2)]
READOUT = [[0.97, 0.03], [0.08, 0.92]]


@settings(max_examples=40, deadline=None)
@given(table=tables(largest=4, most=15), seed=st.integers(0, 1000))
def test_without_noise_the_kernel_is_that_of_the_state_vectors(table, seed):
    x, y = rows_of(seed, 3), rows_of(seed + 1, 2)
    got = computed(Densities(), table, x, y, IDENTITY)
    assert np.allclose(got, kernel(table, x, y), rtol=0, atol=1e-12)


def test_a_product_of_rotations_with_damping_is_a_product_of_kernels():
    one, three = (table_of(n, [("rx", [q]) for q in range(n)]) for n in (1, 3))
    x, y = rows_of(0, 4), rows_of(1, 5)
    got = computed(Densities(), three, x, y, DAMPING)
    parts = [
        computed(Densities(), one, x[:, [q, q, q]], y[:, [q, q, q]], DAMPING) for q in range(3)
    ]
    assert np.allclose(got, np.prod(parts, axis=0), rtol=0, atol=1e-14)


@pytest.mark.parametrize("p", [0.0, 0.2, 1.0])
def test_depolarising_at_the_end_mixes_the_kernel_with_chance(p):
    n = 2
    start = [("ry", [0]), ("rz", [1]), ("rx", [1])]
    table = table_of(n, [*start, ("cx", (0, 1))])
    x, y = rows_of(0, 4), rows_of(1, 5)
    got = computed(Densities(), table, x, y, {"cx": depolarising(p, n)})
    left = (1 - p) ** 2  # after U(x), and after the first gate of the inverse of U(y)
    exact = kernel(table, x, y)
    assert np.allclose(got, left * exact + (1 - left) / 2**n, rtol=0, atol=1e-14)


def test_errors_of_the_readout_mix_the_outcomes_that_are_read_as_zero():
    table = table_of(1, [("ry", [0])])
    x, y = rows_of(0, 4), rows_of(1, 5)
    exact = kernel(table, x, y)
    got = computed(Densities(), table, x, y, {"readout": READOUT})
    assert np.allclose(got, 0.97 * exact + 0.08 * (1 - exact), rtol=0, atol=1e-14)


def test_noise_makes_the_kernel_unsymmetric_and_its_diagonal_less_than_one():
    table = table_of(2, [("ry", [0]), ("cx", (0, 1)), ("rx", [0]), ("rz", [1])])
    x = rows_of(3, 6)
    got = computed(Densities(), table, x, noise=DAMPING)
    assert np.abs(got - got.T).max() > 1e-3
    assert np.diag(got).max() < 0.99
    assert got.min() >= 0


def test_it_is_what_pennylane_measures_pair_by_pair():
    qml = pytest.importorskip("pennylane")
    n = 3

    def embed(x):
        for wire in range(n):
            qml.Hadamard(wire)
            qml.RZ(x[wire], wire)
            qml.RY(x[wire], wire)
        qml.CNOT([0, 1])
        qml.IsingXX(x[0], [2, 1])
        qml.S(1)

    def noisy(gates):
        for gate in gates:
            qml.apply(gate)
            for wire in gate.wires:
                qml.AmplitudeDamping(0.1, wire)

    @qml.qnode(qml.device("default.mixed", wires=n))
    def by_pairs(x1, x2):
        with qml.QueuingManager.stop_recording():
            first, second = (qml.tape.make_qscript(embed)(x).operations for x in (x1, x2))
            inverse = [qml.adjoint(gate, lazy=False) for gate in reversed(second)]
        noisy(first)
        noisy(inverse)
        return qml.probs(wires=range(n))

    x, y = rows_of(0, 3), rows_of(1, 2)
    table = trace(embed, n)
    expected = [[by_pairs(one, two)[0] for two in y] for one in x]
    got = computed(Densities(), table, x, y, qml.AmplitudeDamping.compute_kraus_matrices(0.1))
    assert np.allclose(got, expected, rtol=0, atol=1e-12)


def aer_model():
    noise = pytest.importorskip("qiskit_aer.noise")
    model = noise.NoiseModel()
    model.add_all_qubit_quantum_error(noise.depolarizing_error(0.04, 1), ["ry", "h"])
    model.add_all_qubit_quantum_error(noise.amplitude_damping_error(0.1), ["s"])
    model.add_all_qubit_quantum_error(noise.phase_damping_error(0.2), ["sdg"])
    two = noise.amplitude_damping_error(0.05).tensor(noise.pauli_error([("X", 0.1), ("I", 0.9)]))
    model.add_all_qubit_quantum_error(two, ["cx"])
    model.add_quantum_error(noise.depolarizing_error(0.1, 2), ["cx"], [1, 2])
    model.add_quantum_error(noise.thermal_relaxation_error(50, 70, 10), ["ry"], [1])
    model.add_all_qubit_readout_error(noise.ReadoutError(READOUT))
    model.add_readout_error(noise.ReadoutError([[0.9, 0.1], [0.2, 0.8]]), [2])
    return model


def test_it_is_what_aer_measures_with_the_same_noise_model():
    qiskit = pytest.importorskip("qiskit")
    aer = pytest.importorskip("qiskit_aer")
    n, model = 3, aer_model()
    parameters = qiskit.circuit.ParameterVector("x", n)
    circuit = qiskit.QuantumCircuit(n)
    for wire in range(n):
        circuit.h(wire)
        circuit.ry(parameters[wire], wire)
    circuit.cx(0, 1)
    circuit.cx(1, 2)
    circuit.s(1)
    circuit.ry(parameters[0], 2)
    simulator = aer.AerSimulator(method="density_matrix", noise_model=model)
    x, y = rows_of(0, 3), rows_of(1, 2)
    tests = []
    for one in x:
        for two in y:
            whole = circuit.assign_parameters(one)
            whole = whole.compose(circuit.assign_parameters(two).inverse())
            whole.save_density_matrix()
            tests.append(whole)
    result = simulator.run(tests).result()
    densities = [np.asarray(result.data(i)["density_matrix"]) for i in range(len(tests))]
    zero = np.ones(1)
    for table in (READOUT, READOUT, [[0.9, 0.1], [0.2, 0.8]]):
        zero = np.kron(np.array(table)[:, 0], zero)
    expected = [np.diag(density).real @ zero for density in densities]
    got = computed(Densities(), trace(circuit, n), x, y, model)
    assert np.allclose(got.ravel(), expected, rtol=0, atol=1e-12)


def test_models_with_what_is_not_of_one_gate_or_one_qubit_are_refused():
    noise = pytest.importorskip("qiskit_aer.noise")
    model = noise.NoiseModel()
    model.add_readout_error(noise.ReadoutError(np.eye(4)[::-1]), [0, 1])
    table = table_of(1, [("rx", [0])])
    with pytest.raises(ValueError, match=r"qubits \(0, 1\) is not of one qubit"):
        Densities().plan(asked(table, noise=model))


@settings(max_examples=20, deadline=None)
@given(wires=st.permutations(range(4)), width=st.integers(1, 3), seed=st.integers(0, 99))
def test_a_matrix_acts_on_the_digits_of_its_wires(wires, width, seed):
    rng = np.random.default_rng(seed)
    wires = wires[:width]
    matrix, vector = rng.normal(size=(4**width, 4**width)), rng.normal(size=4**4)
    got = applied(vector[None], matrix[None], wires)[0]
    expected = np.zeros_like(vector)
    for place in range(4**4):
        digits = [place // 4**wire % 4 for wire in wires]
        row = sum(digit * 4**k for k, digit in enumerate(digits))
        rest = place - sum(digit * 4**wire for digit, wire in zip(digits, wires, strict=True))
        for column in range(4**width):
            source = rest + sum(column // 4**k % 4 * 4**wire for k, wire in enumerate(wires))
            expected[place] += matrix[row, column] * vector[source]
    assert np.allclose(got, expected, atol=1e-12)


def test_what_it_cannot_do_is_said():
    small = table_of(1, [("rx", [0])])
    assert Densities().why_not(asked(small)) == "no noise was given"
    large = table_of(11, [("rx", [0])])
    assert "11 qubits are too large" in Densities().why_not(asked(large, noise=DAMPING))
    wide = table_of(4, [("multirz", (0, 1, 2, 3))])
    assert "4 wires at once" in Densities().why_not(asked(wide, noise=DAMPING))
    library = LibraryStates(1, 1, "Aer", "it is strange", np.asarray)
    assert "known to Aer alone" in Densities().why_not(asked(library, noise=DAMPING))


def test_its_estimates_cover_what_it_holds():
    table = table_of(3, [("rx", [0])])
    plan = Densities().plan(asked(table, noise=DAMPING))
    assert plan.encode(rows_of(0, 10), "x").nbytes == plan.encoded_bytes(10)
    assert plan.working_bytes(10, 20) > plan.encoded_bytes(20)
    small, many = asked(table, noise=DAMPING), asked(table, 10_000, 10_000, DAMPING)
    assert Densities().seconds(many) > Densities().seconds(small)


def test_kernel_matrix_computes_both_triangles_of_a_noisy_kernel():
    qiskit = pytest.importorskip("qiskit")
    angles = qiskit.circuit.ParameterVector("x", 3)
    circuit = qiskit.QuantumCircuit(3)
    for wire in range(3):
        circuit.ry(angles[wire], wire)
    circuit.cx(0, 2)
    circuit.rz(angles[1], 2)
    x = rows_of(0, 7)
    got, report = kernel_matrix(x, feature_map=circuit, noise=DAMPING, return_report=True)
    assert report.method == "densities"
    expected = computed(Densities(), trace(circuit, 3), x, noise=DAMPING)
    assert np.allclose(got, expected, rtol=0, atol=1e-15)
    assert np.array_equal(got, kernel_matrix(x, x, feature_map=circuit, noise=DAMPING))
    with pytest.raises(ValueError, match="noise was given"):
        kernel_matrix(x, feature_map=circuit, noise=DAMPING, method="mps")
