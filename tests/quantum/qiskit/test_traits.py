"""What is assumed of backends and circuits is so."""

import pytest

pytest.importorskip("qiskit_aer")

from qiskit import QuantumCircuit
from qiskit.providers.basic_provider import BasicSimulator
from qiskit.providers.fake_provider import GenericBackendV2
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel, depolarizing_error

from shoal.quantum.qiskit.traits import (
    known_options,
    runs_shot_by_shot,
    seconds_of,
    state_bytes,
    traits_of,
)
from tests.quantum.circuits import Awkward, midway, rotations


def with_reset():
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.reset(0)
    circuit.measure_all()
    return circuit


def test_backends_are_told_apart_by_what_runs_their_circuits():
    aer, generic = traits_of(AerSimulator()), traits_of(GenericBackendV2(2))
    assert aer.is_aer
    assert generic.is_aer
    assert (aer.rule, generic.rule, traits_of(BasicSimulator()).rule) == (
        "strided",
        "strided",
        "none",
    )
    unknown = traits_of(Awkward())
    assert not any((unknown.trusted, unknown.takes_binds, unknown.is_aer))
    assert {"shots", "target_gpus"} <= known_options(AerSimulator(), aer)
    assert "method" not in known_options(BasicSimulator(), traits_of(BasicSimulator()))


@pytest.mark.parametrize(
    ("circuit", "shots"), [(midway(), 100), (with_reset(), 100), (rotations(), 100)]
)
def test_aer_runs_shot_by_shot_where_it_is_expected_to(circuit, shots):
    expected = runs_shot_by_shot(circuit, AerSimulator(), {}, 50, shots)
    result = AerSimulator().run(circuit, shots=shots).result()
    assert result.results[0].metadata["measure_sampling"] is not expected


@pytest.mark.parametrize("method", ["automatic", "statevector", "density_matrix"])
@pytest.mark.parametrize("shots", [6, 200])
def test_aer_runs_noisy_circuits_shot_by_shot_where_it_is_expected_to(method, shots):
    noise = NoiseModel()
    noise.add_all_qubit_quantum_error(depolarizing_error(0.1, 1), ["rx"])
    backend = AerSimulator(noise_model=noise, method=method)
    expected = runs_shot_by_shot(rotations(), backend, {}, shots - 1, shots)
    result = backend.run(rotations(), shots=shots).result()
    assert result.results[0].metadata["measure_sampling"] is not expected


def test_circuits_that_save_something_keep_their_shots_together():
    circuit = midway()
    circuit.save_statevector(pershot=True)
    assert not runs_shot_by_shot(circuit, AerSimulator(), {}, 5, 10)


def test_memory_and_time_go_by_the_state_that_is_held():
    wide = rotations(20)
    assert state_bytes([rotations(), wide], "automatic") == 16 * 2**20
    assert state_bytes([rotations(10)], "density_matrix") == 16 * 2**20
    assert state_bytes([wide], "matrix_product_state") == 16
    clifford = QuantumCircuit(30)
    clifford.h(range(30))
    clifford.measure_all()
    assert state_bytes([clifford], None) == 16
    assert seconds_of(wide, None) > 100 * seconds_of(rotations(10), None)
    assert seconds_of(clifford, None) < 0.01
