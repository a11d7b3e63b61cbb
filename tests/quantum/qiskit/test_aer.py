"""Aer's documented options do what is documented, and all else is Aer's own."""

import copy
import pickle
import subprocess
import sys
import warnings
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest

pytest.importorskip("qiskit_aer")

import qiskit_aer
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from qiskit.providers.fake_provider import GenericBackendV2
from qiskit.quantum_info import Pauli
from qiskit_aer.jobs import AerJob
from qiskit_aer.primitives import EstimatorV2, SamplerV2

from shoal.quantum import AerSimulator, CircuitsJob
from tests.quantum.circuits import assert_same, midway, nonsense, rotations, several

pytestmark = pytest.mark.filterwarnings("ignore:executor= is a thread pool:RuntimeWarning")


class Counting(ThreadPoolExecutor):
    """Counts what it is given."""

    submitted = 0

    def submit(self, *args, **kwargs):
        self.submitted += 1
        return super().submit(*args, **kwargs)


@pytest.fixture
def counting():
    with Counting(2) as executor:
        yield executor


@pytest.fixture(scope="module")
def reference():
    return qiskit_aer.AerSimulator().run(several(), seed_simulator=4, memory=True).result()


@pytest.mark.parametrize(("size", "jobs"), [(1, 60), (2, 30), (None, 1)])
def test_sixty_circuits_make_as_many_jobs_as_the_how_to_says(counting, size, jobs):
    simulator = AerSimulator()
    simulator.set_options(executor=counting)
    simulator.set_options(max_job_size=size)
    circuits = [rotations(2, 1, seed=seed) for seed in range(60)]
    result = simulator.run(circuits, seed_simulator=1).result()
    assert counting.submitted == jobs
    assert_same(result, qiskit_aer.AerSimulator().run(circuits, seed_simulator=1).result())


def test_the_options_work_for_one_run_too(counting, reference):
    simulator = AerSimulator()
    options = {"seed_simulator": 4, "memory": True}
    job = simulator.run(several(), executor=counting, max_job_size=3, **options)
    assert isinstance(job, CircuitsJob)
    assert_same(job.result(), reference)
    assert counting.submitted == 3
    assert job.backend() is simulator
    assert isinstance(simulator.run(rotations()), AerJob)


def test_without_an_executor_everything_is_aers_own(reference):
    for options in ({}, {"max_job_size": 1}, {"max_shot_size": 10}):
        job = AerSimulator(**options).run(several(), seed_simulator=4, memory=True)
        assert isinstance(job, AerJob)
        assert_same(job.result(), reference)


@pytest.mark.parametrize("executor", ["processes", "serial"])
def test_an_executor_may_be_a_name(reference, executor):
    simulator = AerSimulator(executor=executor, max_job_size=2)
    assert_same(simulator.run(several(), seed_simulator=4, memory=True).result(), reference)


def test_an_executor_may_be_a_pool_of_processes(reference):
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        simulator = AerSimulator(executor=pool, max_job_size=3)
        assert_same(simulator.run(several(), seed_simulator=4, memory=True).result(), reference)


def test_a_pool_of_threads_is_warned_about_where_run_is_called(counting):
    with pytest.warns(RuntimeWarning, match="take turns") as caught:
        AerSimulator(executor=counting).run(rotations()).result()
    assert caught[0].filename == __file__


def test_shots_are_split_where_aer_runs_shot_by_shot(counting):
    options = {"seed_simulator": 3, "memory": True, "shots": 1000}
    simulator = AerSimulator(executor=counting, max_job_size=1, max_shot_size=300)
    result = simulator.run([midway(), rotations()], **options).result()
    plain = qiskit_aer.AerSimulator().run([midway(), rotations()], **options).result()
    assert_same(result, plain)
    assert counting.submitted == 5
    assert result.metadata["shoal"]["shots_unsplit"] == [1]


def test_a_circuit_that_fails_takes_none_with_it(counting):
    simulator = AerSimulator(executor=counting)
    result = simulator.run([rotations(), nonsense(), rotations()]).result()
    assert [each.success for each in result.results] == [True, False, True]
    assert result.status == "PARTIAL COMPLETED"
    assert counting.submitted == 1


def test_copies_keep_the_executor_and_their_own_options(counting):
    simulator = AerSimulator(executor=counting, shots=10)
    for copied in (copy.copy(simulator), copy.deepcopy(simulator)):
        assert isinstance(copied, AerSimulator)
        assert copied.options.executor is counting
    copied.set_options(shots=20)
    assert simulator.options.shots == 10
    assert copied.run(rotations()).result().results[0].shots == 20


def test_pickles_come_without_the_executor_and_with_all_else(counting):
    loaded = pickle.loads(pickle.dumps(AerSimulator(executor=counting, shots=10)))
    assert isinstance(loaded, AerSimulator)
    assert loaded.options.executor is None
    assert loaded.options.shots == 10
    assert loaded.run(rotations()).result().success


def test_options_set_between_runs_are_seen():
    simulator = AerSimulator(executor="processes", max_job_size=1)
    for shots in (10, 20):
        simulator.set_options(shots=shots)
        result = simulator.run(several(2)).result()
        assert [each.shots for each in result.results] == [shots, shots]


def test_it_is_made_from_a_backend_with_its_noise():
    fake = GenericBackendV2(3, seed=1)
    ours, aers = AerSimulator.from_backend(fake), qiskit_aer.AerSimulator.from_backend(fake)
    assert isinstance(ours, AerSimulator)
    ours.set_options(executor="processes", max_job_size=1)
    circuit = QuantumCircuit(3)
    circuit.sx(0)
    circuit.cx(0, 1)
    circuit.measure_all()
    results = [
        simulator.run([circuit] * 2, seed_simulator=6, shots=100).result()
        for simulator in (ours, aers)
    ]
    assert_same(*results)


def test_aers_primitives_run_on_it_and_give_the_same():
    angles = ParameterVector("t", 2)
    ansatz = QuantumCircuit(2)
    ansatz.ry(angles[0], 0)
    ansatz.cx(0, 1)
    ansatz.ry(angles[1], 1)
    values = np.linspace(0, 3, 16).reshape(8, 2)
    ours = AerSimulator(executor="processes", max_job_size=5)
    samples, estimates = [], []
    for backend in (qiskit_aer.AerSimulator(), ours):
        sampler = SamplerV2.from_backend(backend, seed=5)
        measured = ansatz.measure_all(inplace=False)
        samples.append(sampler.run([(measured, values)], shots=30).result()[0].data.meas)
        estimator = EstimatorV2.from_backend(backend)
        pub = (ansatz, Pauli("ZZ"), values)
        estimates.append(estimator.run([pub]).result()[0].data.evs)
    assert samples[0] == samples[1]
    assert np.array_equal(*estimates)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"executor": "x"}, ValueError, "executor='x'"),
        ({"executor": 3}, TypeError, "executor=3"),
        ({"executor": "serial", "max_job_size": 0}, ValueError, "max_job_size=0"),
        ({"executor": "serial", "max_shot_size": 0}, ValueError, "max_shot_size=0"),
        ({"executor": "serial", "shotz": 1}, TypeError, "did you mean 'shots'"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_runs(options, error, words):
    with pytest.raises(error, match=words):
        AerSimulator().run(several(2), **options)


HANGS_AFTER_FORK = """
import qiskit_aer
from qiskit import QuantumCircuit
from shoal.quantum import AerSimulator, ParallelBackend

circuit = QuantumCircuit(16)
circuit.h(range(16))
circuit.measure_all()
plain = qiskit_aer.AerSimulator(max_parallel_threads=2, seed_simulator=1)
before = [plain.run([circuit] * 4).result().get_counts(n) for n in range(4)]
ours = AerSimulator(seed_simulator=1, executor="processes", max_job_size=1)
after = ours.run([circuit] * 4).result()
assert [after.get_counts(n) for n in range(4)] == before
again = ParallelBackend(plain, executor="processes").run([circuit] * 4).result()
assert [again.get_counts(n) for n in range(4)] == before
"""


def test_workers_run_after_aer_and_its_threads_were_used_here():
    command = [sys.executable, "-c", HANGS_AFTER_FORK]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_nothing_warns_with_processes(recwarn):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        AerSimulator(executor="processes", max_job_size=1).run(several(2)).result()
