import subprocess
import sys
import textwrap

import jax
import numpy as np
import pennylane as qml
import pytest

from shoal.quantum import vmap_in_blocks
from shoal.quantum.jax_blocks import working_bytes

QUBITS = 3
STATE_BYTES = 8 * 2**QUBITS


@qml.qnode(qml.device("default.qubit", wires=QUBITS), interface="jax")
def circuit(x):
    for wire in range(QUBITS):
        qml.RX(x[wire], wire)
        qml.CNOT([wire, (wire + 1) % QUBITS])
    return qml.expval(qml.Z(0)), qml.probs(wires=[1])


def energy(x):
    return circuit(x)[0]


XS = np.random.default_rng(0).random((37, QUBITS)).astype(np.float32)


@pytest.mark.parametrize("memory_bytes", [1, 20 * STATE_BYTES, 1 << 30])
def test_blocks_give_what_vmap_gives(memory_bytes):
    got = vmap_in_blocks(circuit, memory_bytes=memory_bytes)(XS)
    for each, expected in zip(got, jax.jit(jax.vmap(circuit))(XS), strict=True):
        assert np.allclose(each, expected, rtol=0, atol=1e-6)
        assert each.dtype == expected.dtype


def test_gradients_and_several_nested_arguments_work():
    def cost(x, parts):
        return energy(x + parts["shift"])

    gradient = jax.grad(cost)
    parts = {"shift": np.ones((len(XS), QUBITS), np.float32)}
    got = vmap_in_blocks(gradient, memory_bytes=100 * STATE_BYTES)(XS, parts)
    assert np.allclose(got, jax.jit(jax.vmap(gradient))(XS, parts), atol=1e-6)


def test_a_function_is_compiled_once_however_many_blocks_and_calls_there_are():
    traced = []

    def watched(x):
        traced.append(1)
        return energy(x)

    blocks = vmap_in_blocks(watched, memory_bytes=20 * STATE_BYTES)
    blocks(XS)
    once = len(traced)
    blocks(XS[::-1])
    assert len(traced) == once
    [(size, _)] = blocks._compiled.values()
    assert 1 < size < len(XS) // 2


def test_what_a_function_needs_is_estimated_close_to_what_xla_says():
    for function in (energy, jax.grad(energy)):
        many = jax.jit(jax.vmap(function))
        traced = jax.make_jaxpr(many)(XS)
        compiled = many.lower(XS).compile()
        ratio = working_bytes(traced.jaxpr) / compiled.memory_analysis().temp_size_in_bytes
        assert 0.7 < ratio < 2


def test_no_input_gives_an_empty_result():
    assert vmap_in_blocks(energy)(XS[:0]).shape == (0,)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((XS, XS[:3]), r"lengths \[3, 37\]"),
        ((XS, 1.0), "numbers"),
    ],
)
def test_arguments_of_different_lengths_are_refused(arguments, told):
    with pytest.raises(ValueError, match=told):
        vmap_in_blocks(lambda x, y: energy(x) + y, memory_bytes=10**6)(*arguments)


def test_bad_options_are_refused_before_anything_is_traced():
    with pytest.raises(TypeError, match="f=3 is not callable"):
        vmap_in_blocks(3)
    with pytest.raises(ValueError, match="memory_bytes=0"):
        vmap_in_blocks(energy, memory_bytes=0)


PEAK = """
    import jax, numpy as np, pennylane as qml
    from shoal.quantum import vmap_in_blocks
    from shoal.tasks import measured_peak

    matrix = np.random.default_rng(0).normal(size=(256, 256)).astype(np.float32) / 16

    @qml.qnode(qml.device("default.qubit", wires=12), interface="jax")
    def circuit(x):
        for wire in range(12):
            qml.RX(x, wire)
        return qml.expval(qml.Z(0) @ qml.Z(11))

    def products(x):
        product = jax.numpy.eye(256) * x
        for _ in range(3):
            product = product @ (matrix + product)
        return product.sum()

    xs = np.linspace(0, 1, COUNT, dtype=np.float32)
    blocks = vmap_in_blocks(FUNCTION, memory_bytes=BUDGET)
    blocks._for_shapes([xs], jax.tree_util.tree_structure((0,)), len(xs))
    with measured_peak() as peak:
        blocks(xs)
    print(peak.bytes)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("function", "count"), [("circuit", 8000), ("products", 500)])
def test_the_peak_of_memory_stays_within_the_budget_once_compiled(function, count):
    budget = 256 << 20  # at once it would be two to three times that
    program = PEAK.replace("BUDGET", str(budget)).replace("COUNT", str(count))
    done = subprocess.run(
        [
            sys.executable,
            "-W",
            "ignore",
            "-c",
            textwrap.dedent(program.replace("FUNCTION", function)),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=200,
    )
    assert budget / 8 < int(done.stdout) < 1.1 * budget


def matrices(size):
    a = np.ones((size, size), np.float32)
    return jax.make_jaxpr(jax.vmap(lambda x: (x * a) @ a))(XS[:, 0]).jaxpr


def test_products_of_large_matrices_count_with_what_is_copied_for_them():
    small, large = working_bytes(matrices(16)), working_bytes(matrices(64))
    assert small == 2 * len(XS) * 16**2 * 4
    assert large > 3 * len(XS) * 64**2 * 4
