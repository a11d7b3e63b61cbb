"""Calls travel as what they are, fail by the circuit, and come back in order."""

import pickle

import pytest

pytest.importorskip("qiskit_aer")

from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from qiskit_aer import AerSimulator
from qiskit_aer.noise import depolarizing_error

from shoal.quantum.qiskit.simulation import (
    Packed,
    Simulation,
    calls_of,
    may_be_merged,
    merged_shots,
)
from shoal.quantum.qiskit.traits import is_plain
from shoal.quantum.splitting import Layout, Part, Seeding
from tests.quantum.circuits import Awkward, assert_same_data, midway, named, rotations, several


def calls(circuits, *parts, binds=None, counts=None, by_name=True):
    layout = Layout(counts or (1,) * len(circuits))
    return calls_of(parts, layout, circuits, binds, Seeding("strided", 5), by_name=by_name)


def simulation(backend, **options):
    return Simulation(backend, options, lambda: Packed(backend))


@pytest.mark.parametrize("by_name", [True, False])
def test_circuits_arrive_as_they_were_sent(by_name):
    circuits = [*several(3), midway()]
    [call] = calls(circuits, Part(1, 4), by_name=by_name)
    arrived = pickle.loads(pickle.dumps(call))
    assert list(arrived.circuits) == circuits[1:]
    assert [each.metadata for each in arrived.circuits] == [each.metadata for each in circuits[1:]]
    assert [each.name for each in arrived.circuits] == [each.name for each in circuits[1:]]
    assert (arrived.part, arrived.numbers) == (Part(1, 4), [1, 2, 3])


def test_circuits_that_qpy_would_change_are_pickled():
    saving, noisy, odd = rotations(measured=False), QuantumCircuit(1), rotations()
    saving.save_statevector()
    noisy.append(depolarizing_error(0.1, 1), [0])
    odd.metadata = {"a": (1, 2)}
    assert is_plain(rotations())
    assert not any(map(is_plain, (saving, noisy, odd)))
    [call] = calls([saving, noisy, odd], Part(0, 3))
    arrived = pickle.loads(pickle.dumps(call))
    assert arrived.circuits[2].metadata == {"a": (1, 2)}
    result = AerSimulator().run(list(arrived.circuits[:1])).result()
    assert "statevector" in result.data(0)


def test_bindings_are_cut_with_their_circuit():
    angle = ParameterVector("t", 1)[0]
    template = QuantumCircuit(1)
    template.rx(angle, 0)
    binds = [{angle: [0.0, 1.0, 2.0]}, {}]
    circuits = [template, rotations()]
    first, second = calls(circuits, Part(1, 2), Part(2, 4), binds=binds, counts=(3, 1))
    assert first.binds == [{angle: [1.0]}]
    assert second.binds == [{angle: [2.0]}, {}]
    assert second.sizes == [1, 1]
    left, right = second.halves()
    assert (left.part, right.part) == (Part(2, 3), Part(3, 4))
    [whole] = calls(circuits[:1], Part(0, 3), binds=binds[:1], counts=(3,))
    left, right = whole.halves()
    assert (left.binds, right.binds) == ([{angle: [0.0]}], [{angle: [1.0, 2.0]}])


def test_what_fails_is_found_among_the_others():
    backend = Awkward()
    circuits = named("a", "raise", "c", "d", "raise")
    returned = simulation(backend)(calls(circuits, Part(0, 5)))
    experiments = [each for one in returned for each in one.experiments]
    assert [each.success for each in experiments] == [True, False, True, True, False]
    assert experiments[4].status == "ERROR: circuit 4 (raise): ZeroDivisionError: as asked"
    assert [each.seed_simulator for each in experiments if each.success] == [5, 4231, 6344]


def test_a_simulation_travels_with_its_backend_and_is_loaded_once():
    sent = pickle.dumps(simulation(AerSimulator(), shots=7))
    one, other = pickle.loads(sent), pickle.loads(sent)
    assert one.backend is other.backend
    assert one.options == {"shots": 7}
    [returned] = one(calls([rotations()], Part(0, 1)))
    assert returned.experiments[0].shots == 7


def test_packed_backends_notice_changes():
    backend = AerSimulator(shots=3)
    packed = Packed(backend)
    assert packed.still_holds(backend)
    backend.set_options(shots=4)
    assert not packed.still_holds(backend)


def test_pieces_of_shots_merge_into_what_all_shots_would_be():
    options = {"memory": True, "seed_simulator": 5}
    whole = AerSimulator().run(midway(), shots=100, **options).result().results[0]
    parts = Part(0, 1, 0, 60), Part(0, 1, 60, 40)
    returned = simulation(AerSimulator(), memory=True)(calls([midway()], *parts))
    pieces = [each.experiments[0] for each in returned]
    assert may_be_merged(pieces)
    merged = merged_shots(pieces)
    assert (merged.shots, merged.seed_simulator) == (100, 5)
    assert_same_data(merged.data.to_dict(), whole.data.to_dict())


def test_pieces_that_were_sampled_at_once_may_not_be_merged():
    returned = simulation(AerSimulator())(calls([rotations()], Part(0, 1, 0, 9), Part(0, 1, 9, 9)))
    assert not may_be_merged([each.experiments[0] for each in returned])
