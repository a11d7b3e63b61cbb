"""What cannot be run is refused at the door, with its name, its place and its value."""

import pytest

pytest.importorskip("qiskit_aer")

from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from qiskit.providers.basic_provider import BasicSimulator
from qiskit_aer import AerSimulator

from shoal.quantum import ParallelBackend
from tests.quantum.circuits import rotations, several

angle = ParameterVector("angle", 1)
template = QuantumCircuit(1, name="template")
template.rx(angle[0], 0)


@pytest.mark.parametrize(
    ("circuits", "options", "error", "words"),
    [
        ([], {}, ValueError, "at least one circuit"),
        ([rotations(), "x"], {}, TypeError, "circuit 1 is 'x'"),
        (7, {}, TypeError, "circuits=7"),
        (several(2), {"shotz": 3}, TypeError, "did you mean 'shots'"),
        (several(2), {"shots": 0}, ValueError, "shots=0"),
        (several(2), {"seed_simulator": "x"}, TypeError, "seed_simulator='x'"),
        ([rotations(), template], {}, ValueError, r"circuit 1 \(template\).*angle\[0\]"),
        ([template], {"parameter_binds": [{}]}, ValueError, r"circuit 0.*angle\[0\]"),
        ([template], {"parameter_binds": [{angle[0]: 1.0}]}, TypeError, "expected a list"),
        ([template], {"parameter_binds": [{angle[0]: []}]}, ValueError, "at least one"),
        ([template], {"parameter_binds": [{}, {}]}, ValueError, "2 entries for 1 circuits"),
    ],
)
def test_what_cannot_be_run_is_refused_before_anything_runs(circuits, options, error, words):
    with pytest.raises(error, match=words):
        ParallelBackend(AerSimulator()).run(circuits, **options)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"max_job_size": 0}, ValueError, "max_job_size=0"),
        ({"max_job_size": 1.5}, TypeError, "max_job_size=1.5"),
        ({"max_shot_size": -1}, ValueError, "max_shot_size=-1"),
        ({"max_workers": 0}, ValueError, "max_workers=0"),
        ({"executor": 3}, TypeError, "executor=3"),
        ({"executor": "prozesses"}, ValueError, "executor='prozesses'"),
        ({"seeds": "same"}, ValueError, "seeds='same'"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(options, error, words):
    with pytest.raises(error, match=words):
        ParallelBackend(AerSimulator(), **options)


def test_bindings_for_a_backend_that_takes_none_are_refused():
    with pytest.raises(TypeError, match="assign_parameters"):
        ParallelBackend(BasicSimulator()).run([template], parameter_binds=[{angle[0]: [1.0]}])
