"""On Ray and on Dask circuits give what they give unsplit, through every way in."""

import numpy as np
import pytest

pytest.importorskip("qiskit_aer")

import qiskit_aer
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from qiskit.primitives import StatevectorSampler

import shoal
from shoal.quantum import AerSimulator, ParallelBackend, ParallelSampler
from tests.clusters import kept
from tests.quantum.circuits import assert_same, several, told

OPTIONS = {"seed_simulator": 4, "memory": True, "shots": 100}


@pytest.fixture(scope="module", params=["ray", "dask"])
def executor(request):
    pytest.importorskip({"ray": "ray", "dask": "distributed"}[request.param])
    kept(request.param)
    with shoal.executor(request.param, max_workers=2) as made:
        yield made


@pytest.fixture(scope="module")
def reference():
    return qiskit_aer.AerSimulator().run(several(), **OPTIONS).result()


@pytest.mark.parametrize("max_job_size", [None, 2])
def test_a_backend_gives_the_unsplit_result(executor, reference, max_job_size):
    backend = ParallelBackend(
        qiskit_aer.AerSimulator(), executor=executor, max_job_size=max_job_size
    )
    result = backend.run(several(), **OPTIONS).result()
    assert_same(result, reference)
    assert told(result)["calls_here"] == 0


def test_a_name_is_enough(executor, reference):
    backend = ParallelBackend(qiskit_aer.AerSimulator(), executor=executor.cluster.name)
    assert_same(backend.run(several(), **OPTIONS).result(), reference)


def test_aers_options_give_the_unsplit_result(executor, reference):
    simulator = AerSimulator(executor=executor, max_job_size=3)
    result = simulator.run(several(), **OPTIONS).result()
    assert_same(result, reference)
    assert told(result)["chunks"] == 3


def test_a_sampler_gives_its_own_samples(executor):
    angles = ParameterVector("t", 2)
    template = QuantumCircuit(2)
    template.ry(angles[0], 0)
    template.cx(0, 1)
    template.ry(angles[1], 1)
    template.measure_all()
    pubs = [(template, np.linspace(0, 3, 24).reshape(3, 4, 2))]
    plain = StatevectorSampler(seed=3)
    [reference] = plain.run(pubs, shots=50).result()
    [result] = ParallelSampler(plain, executor=executor).run(pubs, shots=50).result()
    assert result.data.shape == reference.data.shape
    assert result.data.meas == reference.data.meas
