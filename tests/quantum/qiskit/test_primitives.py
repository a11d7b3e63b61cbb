"""Samplers and estimators give in parallel what they give alone."""

import numpy as np
import pytest

pytest.importorskip("qiskit_aer")

from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from qiskit.primitives import (
    BackendSamplerV2,
    StatevectorEstimator,
    StatevectorSampler,
)
from qiskit.quantum_info import SparsePauliOp
from qiskit_aer import AerSimulator
from qiskit_aer.primitives import EstimatorV2, SamplerV2

from shoal.quantum import ParallelEstimator, ParallelSampler
from tests.quantum.circuits import rotations

ANGLES = ParameterVector("t", 2)
VALUES = np.linspace(0, 3, 40).reshape(4, 5, 2)
OBSERVABLES = [[[SparsePauliOp(["ZZ", "XI"], [1.0, 0.5])]], [[SparsePauliOp("IZ")]]]


def ansatz(*, measured=False):
    circuit = QuantumCircuit(2, metadata={"made": "here"})
    circuit.ry(ANGLES[0], 0)
    circuit.cx(0, 1)
    circuit.ry(ANGLES[1], 1)
    if measured:
        circuit.measure_all()
    return circuit


def with_reset():
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.reset(0)
    circuit.ry(ANGLES[0], 0)
    return circuit


WAYS = pytest.mark.parametrize(
    "way",
    [{"executor": "processes"}, {"executor": "serial", "max_workers": 7}, {}],
    ids=["processes", "serial", "here"],
)


def assert_same_samples(result, reference):
    assert len(result) == len(reference)
    for one, other in zip(result, reference, strict=True):
        assert one.data.shape == other.data.shape
        assert list(one.data) == list(other.data)
        assert all(one.data[name] == other.data[name] for name in one.data)
        assert one.metadata["shots"] == other.metadata["shots"]
        assert one.metadata["circuit_metadata"] == other.metadata["circuit_metadata"]


def assert_same_values(result, reference):
    assert len(result) == len(reference)
    for one, other in zip(result, reference, strict=True):
        assert one.data.shape == other.data.shape
        assert np.array_equal(one.data.evs, other.data.evs)
        assert np.array_equal(one.data.stds, other.data.stds)
        assert one.metadata["target_precision"] == other.metadata["target_precision"]


@WAYS
@pytest.mark.parametrize("sampler", [StatevectorSampler(seed=3), SamplerV2(seed=3)])
def test_samples_are_those_of_the_sampler(sampler, way):
    two = QuantumCircuit(2, 2)
    two.h(0)
    two.measure([0, 1], [1, 0])
    pubs = [(ansatz(measured=True), VALUES), (rotations(),), (two, None, 77)]
    reference = sampler.run(pubs, shots=50).result()
    assert_same_samples(ParallelSampler(sampler, **way).run(pubs, shots=50).result(), reference)


@WAYS
@pytest.mark.parametrize("precision", [0.0, 0.1])
@pytest.mark.parametrize(
    "estimator",
    [StatevectorEstimator(seed=3), EstimatorV2(options={"run_options": {"seed_simulator": 3}})],
)
def test_values_are_those_of_the_estimator(estimator, precision, way):
    pubs = [
        (ansatz(), OBSERVABLES, VALUES),
        (ansatz(), SparsePauliOp("ZZ"), VALUES[0, 0]),
        (rotations(2, measured=False), [SparsePauliOp("ZZ"), SparsePauliOp("XX")]),
    ]
    reference = estimator.run(pubs, precision=precision).result()
    result = ParallelEstimator(estimator, **way).run(pubs, precision=precision).result()
    assert_same_values(result, reference)


def test_a_circuit_with_a_reset_draws_what_it_draws_in_the_estimator():
    pubs = [(with_reset(), SparsePauliOp("ZZ"), np.linspace(0, 1, 9)[:, None])]
    estimator = StatevectorEstimator(seed=5)
    result = ParallelEstimator(estimator, executor="processes").run(pubs, precision=0.1).result()
    assert_same_values(result, estimator.run(pubs, precision=0.1).result())


def test_defaults_are_those_of_the_primitive():
    sampler = ParallelSampler(StatevectorSampler(default_shots=33))
    assert sampler.run([rotations()]).result()[0].data.meas.num_shots == 33
    estimator = ParallelEstimator(StatevectorEstimator(default_precision=0.25, seed=1))
    result = estimator.run([(rotations(2, measured=False), SparsePauliOp("ZZ"))]).result()
    assert result[0].metadata["target_precision"] == 0.25


def test_no_bindings_give_an_empty_result():
    pubs = [(ansatz(measured=True), np.zeros((0, 2))), (rotations(),)]
    result = ParallelSampler(StatevectorSampler(seed=1)).run(pubs).result()
    assert [each.data.shape for each in result] == [(0,), ()]


def test_an_error_is_the_one_of_the_primitive():
    midway = QuantumCircuit(1, 1)
    midway.measure(0, 0)
    midway.h(0)
    midway.measure(0, 0)
    for way in ({}, {"executor": "processes"}):
        with pytest.raises(Exception, match="mid-circuit"):
            ParallelSampler(StatevectorSampler(), **way).run([rotations(), midway]).result()


def test_primitives_that_are_not_known_are_refused():
    with pytest.raises(TypeError, match="BackendSamplerV2 a ParallelBackend"):
        ParallelSampler(BackendSamplerV2(backend=AerSimulator()))
    with pytest.raises(TypeError, match="expected StatevectorEstimator"):
        ParallelEstimator(StatevectorSampler())


def test_a_generator_as_seed_is_refused():
    with pytest.raises(TypeError, match="order in which bindings are run"):
        ParallelSampler(StatevectorSampler(seed=np.random.default_rng(1)))


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"executor": 3}, TypeError, "executor=3"),
        ({"executor": "prozesses"}, ValueError, "executor='prozesses'"),
        ({"max_workers": 0}, ValueError, "max_workers=0"),
        ({"progress": "yes"}, TypeError, "progress='yes'"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(options, error, words):
    with pytest.raises(error, match=words):
        ParallelSampler(StatevectorSampler(), **options)
    with pytest.raises(error, match=words):
        ParallelEstimator(StatevectorEstimator(), **options)


def test_parameters_without_values_are_told_at_the_door():
    with pytest.raises(ValueError, match="parameter"):
        ParallelSampler(StatevectorSampler()).run([(ansatz(measured=True),)])
    with pytest.raises(ValueError, match="parameter"):
        ParallelEstimator(StatevectorEstimator()).run([(ansatz(), SparsePauliOp("ZZ"))])


def test_no_pubs_give_no_results():
    assert len(ParallelSampler(StatevectorSampler()).run([]).result()) == 0
    assert len(ParallelEstimator(StatevectorEstimator()).run([]).result()) == 0
