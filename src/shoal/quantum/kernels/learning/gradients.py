"""Derivatives of states by the angles of their gates, and of angles by what they are made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from shoal.quantum.kernels.tracing import Formulas, Gate, GateTable, gate_matrices

Local = Callable[..., Any]

# The derivative of each function, with its own value first: one for each argument.
DERIVATIVES: dict[str, tuple[Local, ...]] = {
    "absolute": (lambda _, a: np.sign(a),),
    "add": (lambda *_: 1.0, lambda *_: 1.0),
    "arccos": (lambda _, a: -1 / np.sqrt(1 - a * a),),
    "arccosh": (lambda _, a: 1 / np.sqrt(a * a - 1),),
    "arcsin": (lambda _, a: 1 / np.sqrt(1 - a * a),),
    "arcsinh": (lambda _, a: 1 / np.sqrt(a * a + 1),),
    "arctan": (lambda _, a: 1 / (1 + a * a),),
    "arctanh": (lambda _, a: 1 / (1 - a * a),),
    "cos": (lambda _, a: -np.sin(a),),
    "cosh": (lambda _, a: np.sinh(a),),
    "divide": (lambda _, _a, b: 1 / b, lambda _, a, b: -a / (b * b)),
    "exp": (lambda value, _: value,),
    "floor_divide": (lambda *_: 0.0, lambda *_: 0.0),
    "log": (lambda _, a: 1 / a,),
    "multiply": (lambda _, _a, b: b, lambda _, a, _b: a),
    "negative": (lambda *_: -1.0,),
    "power": (lambda _, a, b: b * np.power(a, b - 1), lambda value, a, _: value * np.log(a)),
    "remainder": (lambda *_: 1.0, lambda _, a, b: -np.floor_divide(a, b)),
    "sin": (lambda _, a: np.cos(a),),
    "sinh": (lambda _, a: np.cosh(a),),
    "sqrt": (lambda value, _: 0.5 / value,),
    "subtract": (lambda *_: 1.0, lambda *_: -1.0),
    "tan": (lambda value, _: 1 + value * value,),
    "tanh": (lambda value, _: 1 - value * value,),
}
WHOLE_TURNS = {"p": (0,), "cp": (0,), "u": (1, 2)}


def states_of(table: GateTable, angles: np.ndarray) -> np.ndarray:
    """The states for rows of angles, of shape (n_rows, 2**n_qubits), complex128."""
    states = np.zeros((len(angles), 2**table.n_qubits), complex)
    states[:, 0] = 1
    for gate in table.gates:
        states = _applied(gate, gate_matrices(gate, angles), states, table.n_qubits)
    return states


def by_angles(
    table: GateTable, angles: np.ndarray, states: np.ndarray, cotangents: np.ndarray
) -> np.ndarray:
    """The derivative by every angle of a number that depends on states, each row on its own.

    Runs back through the gates (the adjoint method of Jones and Gacon, arXiv 2009.02823), so that
    all angles cost about three times what the states cost.

    Args:
        angles: Of shape (n_rows, n_angles).
        states: What `states_of` has made of them.
        cotangents: λ, such that the number changes by Re⟨λ|dψ⟩, shaped like `states`.

    Returns:
        Of shape (n_rows, n_angles).
    """
    slopes = np.zeros(angles.shape)
    n_qubits = table.n_qubits
    for gate in reversed(table.gates):
        back = gate_matrices(gate, angles).conj().swapaxes(1, 2)
        states = _applied(gate, back, states, n_qubits)
        for number, column in enumerate(gate.angles):
            changed = _applied(gate, _derivative(gate, angles, number), states, n_qubits)
            slopes[:, column] += np.einsum("nk,nk->n", cotangents.conj(), changed).real
        cotangents = _applied(gate, back, cotangents, n_qubits)
    return slopes


def by_features(formulas: Formulas, rows: np.ndarray, slopes: np.ndarray) -> np.ndarray:
    """The derivative by every feature, from that by the angles; both of one row per sample."""
    values = formulas.values(rows)
    pulled: list[Any] = [0.0] * len(values)
    for column, place in enumerate(formulas.outputs):
        pulled[place] = pulled[place] + slopes[:, column]
    found = np.zeros(rows.shape)
    for place in reversed(range(len(values))):
        name, *rest = formulas.steps[place]
        if name == "feature":
            found[:, rest[0]] += pulled[place]
        elif name != "number" and np.any(pulled[place]):
            arguments = [values[each] for each in rest]
            for each, local in zip(rest, DERIVATIVES[name], strict=True):
                if formulas.steps[each][0] != "number":
                    slope = local(values[place], *arguments)
                    pulled[each] = pulled[each] + pulled[place] * slope
    return found


def _derivative(gate: Gate, angles: np.ndarray, number: int) -> np.ndarray:
    """The derivative of a gate's matrices by its angle of that number, by shifts: exact.

    Angles enter as halves (of a rotation) or as they are (of a phase), so that shifts by π or π/2
    give it (Schuld et al., Phys. Rev. A 99, 032331, 2019).
    """
    halves = number not in WHOLE_TURNS.get(gate.name, ())
    shift, share = (np.pi, 4) if halves else (np.pi / 2, 2)
    own = list(range(len(gate.angles)))
    alone = Gate(gate.name, gate.wires, tuple(own))
    forward, backward = angles[:, gate.angles].copy(), angles[:, gate.angles].copy()
    forward[:, number] += shift
    backward[:, number] -= shift
    difference: np.ndarray = gate_matrices(alone, forward) - gate_matrices(alone, backward)
    return difference / share


def _applied(gate: Gate, matrices: np.ndarray, states: np.ndarray, n_qubits: int) -> np.ndarray:
    """Matrices, one a row or one for all, on the wires of a gate."""
    n_rows, k = len(states), len(gate.wires)
    shaped = states.reshape(n_rows, *[2] * n_qubits)
    axes = [n_qubits - wire for wire in reversed(gate.wires)]
    last = list(range(n_qubits + 1 - k, n_qubits + 1))
    turned = np.moveaxis(shaped, axes, last)
    product = turned.reshape(n_rows, -1, 2**k) @ matrices.swapaxes(1, 2)
    applied: np.ndarray = np.moveaxis(product.reshape(turned.shape), last, axes)
    return applied.reshape(n_rows, -1)
