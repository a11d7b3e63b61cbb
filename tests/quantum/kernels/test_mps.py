import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.quantum import kernel_matrix
from shoal.quantum.kernels.mps import MPS, StatesTooEntangled
from shoal.quantum.kernels.products import Products
from shoal.quantum.kernels.tracing import LibraryStates
from tests.quantum.kernels.tables import (
    asked,
    computed,
    kernel,
    rows_of,
    table_of,
    tables,
)


def ladder(n, layers=1, gate="rzz"):
    starts = [("h", [q]) for q in range(n)]
    layer = [(turn, [q]) for q in range(n) for turn in ("ry", "rz")]
    joins = [(gate, (q, q + 1)) for q in range(n - 1)]
    return table_of(n, starts + (layer + joins) * layers + layer)


@settings(max_examples=40, deadline=None)
@given(table=tables(), seed=st.integers(0, 1000))
def test_the_kernel_is_that_of_the_state_vectors(table, seed):
    x, y = rows_of(seed, 4), rows_of(seed + 1, 3)
    assert np.allclose(computed(MPS(), table, x, y), kernel(table, x, y), rtol=0, atol=1e-12)


def test_a_deep_circuit_on_ten_qubits_is_exact_too():
    table = ladder(10, 4, "rxx")
    x = rows_of(0, 5)
    assert MPS().plan(asked(table)).bonds.max() == 16
    assert np.allclose(computed(MPS(), table, x), kernel(table, x, x), rtol=0, atol=1e-12)


def test_a_hundred_qubits_have_a_symmetric_matrix_with_unit_diagonal():
    table, x = ladder(100, 2), rows_of(1, 70) / 5
    got = computed(MPS(), table, x)
    assert np.array_equal(got, got.T)
    assert np.allclose(np.diag(got), 1, rtol=0, atol=1e-12)
    assert np.linalg.eigvalsh(got).min() > -1e-12
    order = np.random.default_rng(0).permutation(len(x))
    moved = computed(MPS(), table, x[order])
    assert np.allclose(moved, got[np.ix_(order, order)], rtol=0, atol=1e-12)


def test_without_entanglement_it_agrees_with_the_closed_form():
    table = table_of(500, [(turn, [q]) for q in range(500) for turn in ("rx", "rz", "ry")])
    x, y = rows_of(0, 5) / 20, rows_of(1, 6) / 20
    closed = computed(Products(), table, x, y)
    assert np.allclose(computed(MPS(), table, x, y), closed, rtol=1e-11, atol=0)


def test_what_truncation_loses_bounds_what_the_kernel_is_wrong_by():
    table, x = ladder(8, 3), rows_of(2, 12)
    method = MPS(max_bond=4, largest_loss=0.9)
    plan = method.plan(asked(table))
    encoded = plan.encode(x, "x")
    lost = plan.lost_weight(encoded)
    assert 1e-6 < lost < 0.9
    wrong = np.abs(plan.multiply(encoded, encoded) - kernel(table, x, x)).max()
    assert 0 < wrong <= 4 * np.sqrt(lost)
    exact = MPS().plan(asked(table))
    assert exact.lost_weight(exact.encode(x, "x")) < 1e-24


def test_a_loss_is_refused_above_what_is_allowed():
    plan = MPS(max_bond=2).plan(asked(ladder(8, 3)))
    with pytest.raises(StatesTooEntangled, match="max_bond=2.*a state loses the weight") as caught:
        plan.encode(rows_of(2, 3), "x")
    assert caught.value.lost_weight > 1e-8


def test_a_cutoff_makes_bonds_smaller_where_entanglement_is_weak():
    table = ladder(12, 2, "rxx")
    rows = rows_of(3, 6) / 1000
    exact, cut = (
        method.plan(asked(table)).encode(rows, "x") for method in (MPS(), MPS(cutoff=1e-12))
    )
    assert cut.packed.bonds.max() < exact.packed.bonds.max()
    assert 0 < cut.lost_weight < 1e-8


def test_what_it_cannot_do_is_said():
    everything = [("cp", (a, b)) for a in range(16) for b in range(a)]
    entangled = table_of(16, [("h", [0]), *everything])
    assert "bonds of dimension 256" in MPS().why_not(asked(entangled))
    assert MPS(max_bond=8).why_not(asked(entangled)) is None
    assert "noise" in MPS().why_not(asked(ladder(2), noise=object()))
    library = LibraryStates(1, 1, "Aer", "it is strange", np.asarray)
    assert MPS().why_not(asked(library)) == "the gates are known to Aer alone"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"max_bond": 0}, "max_bond=0"),
        ({"cutoff": -1e-3}, "cutoff=-0.001"),
        ({"cutoff": float("nan")}, "cutoff=nan"),
        ({"largest_loss": 1}, "largest_loss=1"),
        ({"largest_loss": "little"}, "largest_loss='little': expected a number"),
        ({"max_bond": 2.5}, "max_bond=2.5: expected an integer"),
    ],
)
def test_options_out_of_range_are_refused(options, told):
    with pytest.raises((TypeError, ValueError), match=told):
        MPS(**options)


def test_plans_and_what_they_encode_can_be_sent():
    plan = pickle.loads(pickle.dumps(MPS().plan(asked(ladder(5)))))
    encoded = pickle.loads(pickle.dumps(plan.encode(rows_of(0, 3), "x")))
    assert plan.multiply(encoded, plan.encode(rows_of(0, 3), "y")).shape == (3, 3)


def test_its_estimates_cover_what_it_holds():
    table = ladder(30, 2)
    plan = MPS().plan(asked(table))
    assert plan.encode(rows_of(0, 64), "x").packed.numbers.nbytes <= plan.encoded_bytes(64)
    assert plan.working_bytes(10, 20) > plan.encoded_bytes(10)
    assert MPS().seconds(asked(table, 10_000, 10_000)) > MPS().seconds(asked(table))


def circuit(n):
    qiskit = pytest.importorskip("qiskit")
    angles = qiskit.circuit.ParameterVector("x", n)
    made = qiskit.QuantumCircuit(n)
    for _ in range(2):
        for wire in range(n):
            made.h(wire)
            made.ry(angles[wire], wire)
        for wire in range(n - 1):
            made.rzz(angles[wire] * angles[wire + 1], wire, wire + 1)
    return made


def test_kernel_matrix_takes_it_alone_where_states_are_too_large():
    x = np.random.default_rng(0).uniform(-1, 1, (5, 60))
    matrix, report = kernel_matrix(x, feature_map=circuit(60), return_report=True)
    assert report.method == "mps"
    assert np.allclose(np.diag(matrix), 1, rtol=0, atol=1e-12)


def test_kernel_matrix_tells_the_loss_or_refuses_it():
    x = np.random.default_rng(0).uniform(-1, 1, (5, 12))
    allowed = MPS(max_bond=2, largest_loss=0.9)
    _, report = kernel_matrix(x, feature_map=circuit(12), method=allowed, return_report=True)
    assert report.lost_weight > 1e-8
    with pytest.raises(StatesTooEntangled, match="max_bond=2"):
        kernel_matrix(x, feature_map=circuit(12), method=MPS(max_bond=2))
