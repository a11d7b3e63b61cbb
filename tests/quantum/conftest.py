"""What several tests of circuits need, imported by those that do."""

import pytest


@pytest.fixture(scope="module")
def noise():
    from qiskit_aer.noise import NoiseModel, depolarizing_error

    model = NoiseModel()
    model.add_all_qubit_quantum_error(depolarizing_error(0.05, 1), ["rx"])
    model.add_all_qubit_quantum_error(depolarizing_error(0.1, 2), ["cx"])
    return model
