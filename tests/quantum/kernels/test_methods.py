import numpy as np
import pytest
from qiskit.circuit.library import zz_feature_map

from shoal.quantum import MPS, Densities, Products, Projected, StateVectors
from shoal.quantum.kernels.method import Asked
from shoal.quantum.kernels.methods import NAMES, check_shots, checked_method, choose
from shoal.quantum.kernels.noise import take_noise
from shoal.quantum.kernels.tracing import trace
from tests.quantum.kernels.tables import table_of

KRAUS = [np.eye(2) * np.sqrt(0.9), np.array([[0, 1], [1, 0]]) * np.sqrt(0.1)]


def asked(table, noise=None, count=100):
    return Asked(table, count, count, np.dtype(complex), noise)


def product(n=3):
    return table_of(n, [("rx", [wire]) for wire in range(n)])


@pytest.mark.parametrize(
    "method", [StateVectors(), Products(), MPS(), Densities(), Projected()], ids=lambda m: m.name
)
def test_every_method_has_a_name_by_which_it_is_found(method):
    assert checked_method(method.name) == method
    assert checked_method(method) is method
    assert method.name in NAMES


def test_no_method_is_named_by_auto():
    assert checked_method("auto") is None


def test_unknown_methods_are_refused():
    with pytest.raises(ValueError, match="method='fast': expected one of 'auto'"):
        checked_method("fast")
    for wrong in (3, StateVectors):
        with pytest.raises(TypeError, match="expected a name, or a method such as MPS"):
            checked_method(wrong)


def test_structure_chooses():
    assert choose(None, asked(product(40)))[0] == Products()
    assert choose(None, asked(trace(zz_feature_map(6), 6)))[0] == StateVectors()
    chain = [("h", [wire]) for wire in range(40)] + [("crz", [w, w + 1]) for w in range(39)]
    chain += [("ry", [wire]) for wire in range(40)]
    method, why = choose(None, asked(table_of(40, chain)))
    assert method == MPS()
    assert "estimated at" in why
    noise = take_noise(KRAUS)
    assert choose(None, asked(trace(zz_feature_map(2), 2), noise))[0] == Densities()


def test_state_vectors_are_taken_where_estimates_nearly_tie():
    chain = [("rx", [w]) for w in range(8)] + [("cx", [w, w + 1]) for w in range(7)]
    table = asked(table_of(8, chain + [("ry", [w]) for w in range(8)]), count=1000)
    seconds = {each: each.seconds(table) for each in (StateVectors(), MPS())}
    assert seconds[StateVectors()] <= 3 * seconds[MPS()]
    assert choose(None, table)[0] == StateVectors()


def test_what_no_method_can_do_is_refused_with_the_reasons():
    entangled = [("h", [w]) for w in range(40)]
    entangled += [("crx", [i, j]) for i in range(40) for j in range(40) if i != j]
    with pytest.raises(ValueError, match=r"no method can .*statevectors: .*products: .*mps: "):
        choose(None, asked(table_of(40, entangled + [("ry", [w]) for w in range(40)])))


def test_noise_on_too_many_qubits_is_refused_with_a_way_out():
    with pytest.raises(ValueError, match="11 qubits are too large: 10 at most; a function k"):
        choose(None, asked(product(11), take_noise(KRAUS)))


def test_a_method_that_does_not_apply_is_refused():
    table = trace(zz_feature_map(3), 3)
    with pytest.raises(ValueError, match="'products' does not apply, because cx entangles"):
        choose(Products(), asked(table))
    assert choose(StateVectors(), asked(table)) == (StateVectors(), "it was asked for")


def test_shots_need_probabilities():
    check_shots(Projected(), None)
    check_shots(StateVectors(), 100)
    with pytest.raises(ValueError, match="shots=100 with method='projected'"):
        check_shots(Projected(), 100)
