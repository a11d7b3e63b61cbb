"""Random tables of gates, and their states and kernels by the textbook, one sample at a time."""

import numpy as np
from hypothesis import strategies as st

from shoal.quantum.kernels.method import Asked
from shoal.quantum.kernels.tracing import NAMES, Formulas, Gate, GateTable, gate_matrices

SINGLE = ("h", "x", "y", "z", "s", "sdg", "t", "tdg", "sx", "sxdg", "rx", "ry", "rz", "p", "u")
PAIRS = ("cx", "cy", "cz", "swap", "cp", "crx", "cry", "crz", "rxx", "ryy", "rzz")
THREES = ("ccx", "ccz", "multirz")
N_FEATURES = 3


def table_of(n_qubits, gates):
    """A table from (name, wires); angles take the features in turn."""
    made, outputs = [], []
    for name, wires in gates:
        places = tuple(range(len(outputs), len(outputs) + NAMES[name]))
        outputs += [place % N_FEATURES for place in places]
        made.append(Gate(name, tuple(wires), places))
    features = tuple(("feature", column) for column in range(N_FEATURES))
    return GateTable(n_qubits, N_FEATURES, tuple(made), Formulas(features, tuple(outputs)))


@st.composite
def tables(draw, names=SINGLE + PAIRS + THREES, largest=5, most=25):
    n = draw(st.integers(1, largest))
    width = {**dict.fromkeys(PAIRS, 2), **dict.fromkeys(THREES, 3)}
    able = [name for name in names if width.get(name, 1) <= n]
    gates = []
    for name in draw(st.lists(st.sampled_from(able), min_size=1, max_size=most)):
        wires = draw(st.permutations(range(n)))
        gates.append((name, wires[: width.get(name, 1)]))
    return table_of(n, gates)


def rows_of(seed, n_rows):
    return np.random.default_rng(seed).uniform(-np.pi, np.pi, (n_rows, N_FEATURES))


def states(table, rows):
    """State vectors of shape (n_rows, 2**n); wire 0 is the least significant bit."""
    n = table.n_qubits
    found = []
    for row in np.asarray(rows):
        angles = table.angles(row[None])
        state = np.zeros((2,) * n, complex)
        state[(0,) * n] = 1
        for gate in table.gates:
            k = len(gate.wires)
            matrix = gate_matrices(gate, angles)[0].reshape((2,) * (2 * k))
            axes = [n - 1 - wire for wire in reversed(gate.wires)]
            state = np.tensordot(matrix, state, (range(k, 2 * k), axes))
            state = np.moveaxis(state, range(k), axes)
        found.append(state.ravel())
    return np.array(found)


def kernel(table, x, y):
    return np.abs(states(table, x).conj() @ states(table, y).T) ** 2


def asked(table, n_x=10, n_y=10, noise=None):
    return Asked(table, n_x, n_y, np.dtype(complex), noise)


def computed(method, table, x, y=None, noise=None):
    """The matrix in one tile; of x with itself without y."""
    plan = method.plan(asked(table, len(x), len(x if y is None else y), noise))
    left = plan.encode(x, "x")
    same = y is None and plan.symmetric
    return plan.multiply(left, left if same else plan.encode(x if y is None else y, "y"))
