"""ParallelBackend: split equals unsplit, bit for bit, and what is wrong is told at the door."""

import copy
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

pytest.importorskip("qiskit_aer")

from qiskit import QuantumCircuit, transpile
from qiskit.circuit import ParameterVector
from qiskit.primitives import BackendEstimatorV2, BackendSamplerV2
from qiskit.providers.basic_provider import BasicSimulator
from qiskit.providers.fake_provider import GenericBackendV2
from qiskit.quantum_info import Pauli
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel, depolarizing_error

from shoal.quantum import ParallelBackend
from tests.quantum.circuits import (
    Awkward,
    assert_same,
    midway,
    named,
    parallel,
    rotations,
    several,
    told,
)


@pytest.mark.parametrize("max_job_size", [None, 1, 2, 3, 100])
def test_split_equals_unsplit_for_any_chunk_size(max_job_size):
    options = {"seed_simulator": 11, "memory": True, "shots": 200}
    reference = AerSimulator().run(several(), **options).result()
    backend = parallel(AerSimulator(), max_job_size=max_job_size)
    assert_same(backend.run(several(), **options).result(), reference)


@pytest.mark.parametrize("max_workers", [1, 7])
def test_split_equals_unsplit_for_any_number_of_workers(max_workers):
    reference = AerSimulator().run(several(), seed_simulator=3).result()
    backend = parallel(AerSimulator(), max_workers=max_workers)
    assert_same(backend.run(several(), seed_simulator=3).result(), reference)


@pytest.mark.parametrize("executor", [None, "serial", "processes"])
def test_split_equals_unsplit_on_any_executor(executor):
    reference = AerSimulator().run(several(), seed_simulator=3).result()
    backend = ParallelBackend(AerSimulator(), executor=executor, max_workers=2)
    assert_same(backend.run(several(), seed_simulator=3).result(), reference)


@pytest.mark.parametrize("shots", [5, 500])
def test_noisy_circuits_split_equal_unsplit(noise, shots):
    options = {"seed_simulator": 5, "shots": shots, "memory": True, "noise_model": noise}
    reference = AerSimulator().run(several(), **options).result()
    assert_same(parallel(AerSimulator()).run(several(), **options).result(), reference)


def test_a_noise_model_among_the_options_of_the_backend_travels(noise):
    backend = AerSimulator(noise_model=noise, seed_simulator=8, shots=100)
    assert_same(parallel(backend).run(several()).result(), backend.run(several()).result())


def test_states_and_expectation_values_split_equal_unsplit():
    circuits = several(measured=False)
    for circuit in circuits:
        circuit.save_statevector()
        circuit.save_expectation_value(Pauli("ZZX"), range(3))
    reference = AerSimulator().run(circuits).result()
    result = parallel(AerSimulator()).run(circuits).result()
    for one, other in zip(result.results, reference.results, strict=True):
        assert np.array_equal(one.data.statevector, other.data.statevector)
        assert one.data.expectation_value == other.data.expectation_value


@pytest.mark.parametrize("max_job_size", [None, 1, 4, 100])
def test_bindings_of_one_circuit_split_equal_unsplit(max_job_size):
    angles = ParameterVector("t", 3)
    template = QuantumCircuit(3)
    for qubit, angle in enumerate(angles):
        template.ry(2 * angle, qubit)
    template.measure_all()
    values = np.linspace(0, 1, 15)
    binds = [{}, {angle: list(values**power) for power, angle in enumerate(angles)}]
    circuits = [rotations(), template]
    options = {"parameter_binds": binds, "seed_simulator": 2, "memory": True}
    reference = AerSimulator().run(circuits, **options).result()
    backend = parallel(AerSimulator(), max_job_size=max_job_size)
    result = backend.run(circuits, **options).result()
    assert len(result.results) == 16
    assert_same(result, reference)


@pytest.mark.parametrize("executor", [None, "processes"])
def test_an_empty_list_of_bindings_is_none(executor):
    reference = AerSimulator().run(several(2), parameter_binds=[], seed_simulator=2).result()
    backend = parallel(AerSimulator(), executor=executor)
    result = backend.run(several(2), parameter_binds=[], seed_simulator=2).result()
    assert_same(result, reference)


def test_a_fake_backend_split_equals_unsplit():
    circuits = transpile(several(), GenericBackendV2(4, seed=1), seed_transpiler=1)
    reference = GenericBackendV2(4, seed=1).run(circuits, seed_simulator=9, shots=100).result()
    for executor in ("processes", None):
        backend = parallel(GenericBackendV2(4, seed=1), executor=executor)
        assert_same(backend.run(circuits, seed_simulator=9, shots=100).result(), reference)


def test_a_circuit_with_errors_of_its_own_leaves_the_others_as_they_were():
    channel = QuantumCircuit(3, name="channel")
    channel.h(0)
    channel.append(depolarizing_error(0.3, 1), [0])
    channel.measure_all()
    circuits = [rotations(), channel, midway(), rotations(seed=4)]
    reference = AerSimulator().run(circuits, seed_simulator=1, memory=True).result()
    result = parallel(AerSimulator(), max_job_size=1).run(circuits, seed_simulator=1, memory=True)
    assert_same(result.result(), reference)
    methods = [each.metadata["method"] for each in result.result().results]
    assert methods == [each.metadata["method"] for each in reference.results]


def test_circuits_with_errors_stay_together_where_the_backend_makes_noise_of_its_own():
    channel = QuantumCircuit(1)
    channel.append(depolarizing_error(0.3, 1), [0])
    channel.measure_all()
    reference = GenericBackendV2(2, seed=1).run([channel] * 2, seed_simulator=1).result()
    backend = parallel(GenericBackendV2(2, seed=1))
    result = backend.run([channel] * 2, seed_simulator=1).result()
    assert_same(result, reference)
    assert "noise" in told(result)["unsplit"]


def test_a_run_without_a_seed_can_be_repeated_from_its_metadata():
    backend = parallel(AerSimulator())
    first = backend.run(several()).result()
    again = backend.run(several(), seed_simulator=told(first)["seed_simulator"]).result()
    assert_same(again, first)
    other = backend.run(several()).result()
    assert told(other)["seed_simulator"] != told(first)["seed_simulator"]


def test_spawned_seeds_are_the_same_for_any_chunks_and_differ_between_experiments():
    circuits = [rotations()] * 5
    options = {"seed_simulator": 1, "memory": True}
    results = [
        parallel(AerSimulator(), seeds="spawn", **way).run(circuits, **options).result()
        for way in ({}, {"max_job_size": 2}, {"executor": None}, {"max_workers": 7})
    ]
    for result in results[1:]:
        assert_same(result, results[0])
    memories = [tuple(result.data.memory) for result in results[0].results]
    assert len(set(memories)) == 5
    assert told(results[0])["seeds"] == "spawn"


def test_a_backend_with_one_stream_for_all_circuits_is_not_split_under_a_seed():
    reference = BasicSimulator().run(several(), seed_simulator=4).result()
    result = parallel(BasicSimulator()).run(several(), seed_simulator=4).result()
    assert_same(result, reference)
    assert "one call" in told(result)["unsplit"]


def test_a_backend_with_one_stream_for_all_circuits_gets_spawned_seeds_without_one():
    result = parallel(BasicSimulator()).run(several()).result()
    assert (told(result)["seeds"], told(result)["chunks"]) == ("spawn", 7)
    again = parallel(BasicSimulator(), seeds="spawn", max_job_size=3)
    seed = told(result)["seed_simulator"]
    assert_same(again.run(several(), seed_simulator=seed).result(), result)


def test_an_unknown_backend_is_run_in_workers_each_circuit_with_a_seed_of_its_own():
    result = parallel(Awkward()).run(named("a", "b", "c")).result()
    assert [each.header["name"] for each in result.results] == ["a", "b", "c"]
    assert [each.data.counts for each in result.results] == [{hex(n): 10} for n in (1, 2, 3)]
    seeds = [each.seed_simulator for each in result.results]
    assert len(set(seeds)) == 3
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_a_backend_that_takes_no_seed_is_given_none():
    result = parallel(Awkward(seeded=False)).run(named("a", "b")).result()
    assert [each.seed_simulator for each in result.results] == [None, None]
    assert told(result)["seed_simulator"] is None


def test_what_is_no_backend_is_refused():
    with pytest.raises(TypeError, match="BackendV2"):
        ParallelBackend("aer")


def test_a_backend_that_cannot_be_pickled_is_refused_before_anything_runs():
    backend = Awkward()
    backend.held = (each for each in ())
    with pytest.raises(TypeError, match="cannot be sent to workers: TypeError: cannot pickle"):
        ParallelBackend(backend).run(named("a", "b"))


def test_an_executor_among_the_options_of_aer_stays_behind(noise):
    with ThreadPoolExecutor(1) as executor:
        backend = AerSimulator(executor=executor, noise_model=noise, seed_simulator=1)
        result = parallel(backend).run(several(2)).result()
    assert_same(result, AerSimulator(noise_model=noise).run(several(2), seed_simulator=1).result())


def test_options_and_target_are_those_of_the_backend():
    inner = AerSimulator()
    backend = ParallelBackend(inner)
    backend.set_options(shots=77)
    assert inner.options.shots == 77
    assert backend.options.shots == 77
    assert backend.run(rotations()).result().results[0].shots == 77
    assert set(backend.target.operation_names) == set(inner.target.operation_names)


def test_an_option_set_after_a_run_is_seen_by_workers():
    backend = parallel(AerSimulator(shots=10))
    assert backend.run(several(2)).result().results[1].shots == 10
    backend.set_options(shots=20)
    assert backend.run(several(2)).result().results[1].shots == 20


def test_an_error_added_to_a_noise_model_after_a_run_is_seen_by_workers():
    model = NoiseModel()
    model.add_all_qubit_quantum_error(depolarizing_error(0.01, 1), ["rx"])
    inner = AerSimulator(noise_model=model, seed_simulator=2)
    backend = parallel(inner)
    before = backend.run(several(2)).result()
    model.add_all_qubit_quantum_error(depolarizing_error(0.5, 2), ["cx"])
    after = backend.run(several(2)).result()
    assert_same(after, inner.run(several(2)).result())
    assert after.get_counts(0) != before.get_counts(0)


def test_a_thread_pool_is_warned_about():
    backend = ParallelBackend(AerSimulator(), executor="threads", max_job_size=1)
    with pytest.warns(RuntimeWarning, match="take turns"):
        result = backend.run(several(3), seed_simulator=1).result()
    assert_same(result, AerSimulator().run(several(3), seed_simulator=1).result())


def test_results_of_single_experiments_are_found_by_circuit_and_by_name():
    circuits = several(3)
    result = parallel(AerSimulator()).run(circuits, seed_simulator=1).result()
    assert result.get_counts(circuits[1]) == result.get_counts("rotations-1")
    assert result.results[2].header["metadata"] == {"seed": 2}
    assert result.time_taken > 0


def test_primitives_of_qiskit_give_the_same_on_it():
    angles = ParameterVector("t", 2)
    ansatz = QuantumCircuit(2)
    ansatz.ry(angles[0], 0)
    ansatz.cx(0, 1)
    ansatz.ry(angles[1], 1)
    values = np.linspace(0, 3, 12).reshape(2, 3, 2)
    estimates, samples = [], []
    for backend in (AerSimulator(), parallel(AerSimulator())):
        estimator = BackendEstimatorV2(backend=backend, options={"seed_simulator": 3})
        pub = (ansatz, [[Pauli("ZZ")], [Pauli("XI")]], values)
        estimates.append(estimator.run([pub], precision=0.05).result()[0].data.evs)
        sampler = BackendSamplerV2(backend=backend, options={"seed_simulator": 3})
        measured = ansatz.measure_all(inplace=False)
        samples.append(sampler.run([(measured, values)], shots=50).result()[0].data.meas)
    assert np.array_equal(*estimates)
    assert samples[0] == samples[1]


def test_it_can_be_pickled_and_copied():
    backend = parallel(AerSimulator(shots=10), max_job_size=2)
    backend.run(several(2)).result()
    for made in (pickle.loads(pickle.dumps(backend)), copy.deepcopy(backend)):
        result = made.run(several(3)).result()
        assert [each.shots for each in result.results] == [10, 10, 10]
        assert told(result)["max_job_size"] == 2


class Meeting(Awkward):
    """Runs circuits only where as many as the barrier wants are running at the same time."""

    def __init__(self, barrier):
        super().__init__()
        self.barrier = barrier

    def run(self, run_input, **options):
        self.barrier.wait(timeout=30)
        return super().run(run_input, **options)


@pytest.mark.filterwarnings("ignore:executor= is a thread pool:RuntimeWarning")
def test_an_executor_wider_than_this_machine_is_used_in_its_width():
    with ThreadPoolExecutor(12) as executor:
        meeting = Meeting(threading.Barrier(12))
        backend = ParallelBackend(meeting, executor=executor, max_job_size=1)
        assert backend.run(named(*"abcdefghijkl")).result().success
