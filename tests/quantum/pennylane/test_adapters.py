import os
import pickle
import subprocess
import sys

import numpy as np
import pennylane as qml
import pytest
from pennylane import numpy as pnp

import shoal
from shoal.quantum.pennylane.adapters import STATES, is_lightning, state_bytes
from shoal.tasks.adapters import dumps, needs_of

WIRES = 3
XS = np.linspace(0.1, 1.0, 6)


def circuit(x):
    for wire in range(WIRES):
        qml.RX(x, wire)
    return qml.expval(qml.Z(0))


used = qml.QNode(circuit, qml.device("lightning.qubit", wires=WIRES))


def calls_used(x):
    return used(x)


def sent(value):
    return pickle.loads(dumps(value))


def test_a_used_lightning_device_travels_and_leaves_its_state_behind():
    device = qml.device("lightning.qubit", wires=20)
    qml.QNode(circuit, device)(0.3)
    with pytest.raises(TypeError, match="StateVector"):
        pickle.dumps(device)
    data = dumps(device)
    assert len(data) < 10_000
    assert pickle.loads(data).wires == device.wires
    assert device._statevector is not None


@pytest.mark.parametrize("base", ["lightning.qubit", "default.qubit"])
def test_copies_of_a_simulator_draw_from_streams_of_their_own(base):
    device = qml.device(base, wires=1, seed=3)
    data = dumps(device)
    copies = [pickle.loads(data) for _ in range(2)]
    draws = {each._rng.integers(1 << 40) for each in [device, *copies]}
    assert len(draws) == 3


def test_a_qnode_travels_after_jax_has_traced_it():
    jax = pytest.importorskip("jax")
    device = qml.device("default.qubit", wires=WIRES)
    qnode = qml.QNode(circuit, device, interface="jax")
    gradient = jax.jit(jax.grad(qnode))
    x = jax.numpy.array(0.3)
    assert np.allclose(sent(gradient)(x), gradient(x))
    assert np.allclose(sent(qnode)(x), qnode(x))


def test_a_number_that_autograd_traces_arrives_as_the_number():
    seen = []

    def traced(x):
        seen.append(sent(x))
        return x * 2.0

    qml.grad(traced)(pnp.array(0.25))
    assert float(seen[0]) == 0.25
    assert not hasattr(seen[0], "_value")


def test_a_function_that_uses_a_lightning_device_is_not_given_to_threads():
    for function in (used, calls_used, lambda x: 2 * used(x)):
        with pytest.raises(ValueError, match="overwrite each other's state vector"):
            shoal.map(function, XS, executor="threads")


def test_threads_may_share_what_is_no_lightning_device():
    qnode = qml.QNode(circuit, qml.device("default.qubit", wires=WIRES))
    got = shoal.map(qnode, XS, executor="threads", max_workers=2)
    assert np.allclose(got, [qnode(x) for x in XS])


def test_states_are_counted_for_the_qubits_and_the_precision_of_a_device():
    single = qml.device("lightning.qubit", wires=20, c_dtype=np.complex64)
    double = qml.device("lightning.qubit", wires=20)
    assert needs_of(lambda: double).memory_bytes == STATES * 16 * 2**20
    assert needs_of(lambda: single).memory_bytes == STATES * 8 * 2**20
    assert needs_of(lambda: qml.device("default.qubit")).memory_bytes == 0
    assert state_bytes(None) == 0
    assert is_lightning(single)
    assert not is_lightning(qml.device("default.qubit"))


def test_a_qnode_on_the_parallel_device_is_mapped_and_runs_inline_in_the_workers():
    qnode = qml.QNode(circuit, qml.device("shoal.parallel", wires=WIRES))
    expected = [used(x) for x in XS]
    assert np.allclose([qnode(x) for x in XS], expected, rtol=0, atol=1e-12)
    assert np.allclose(shoal.map(qnode, XS), expected, rtol=0, atol=1e-12)


def variance_and_threads(qubits):
    @qml.qnode(qml.device("lightning.qubit", wires=qubits))
    def superposition():
        qml.H(0)
        return qml.var(qml.Z(0))

    return float(superposition()), len(os.listdir("/proc/self/task"))


def test_lightning_gets_one_thread_in_a_worker_although_it_asks_for_more():
    [few], [many] = (shoal.map(variance_and_threads, [qubits]) for qubits in (4, 20))
    assert many[0] == pytest.approx(1)
    assert many[1] == few[1]


USED_BEFORE = """
import numpy as np, pennylane as qml, shoal

@qml.qnode(qml.device("lightning.qubit", wires=18))
def circuit(x):
    qml.RX(x, 0)
    return qml.var(qml.Z(0)), qml.expval(qml.Z(0))

expected = [circuit(x) for x in (0.1, 0.2, 0.3)]
assert np.allclose(shoal.map(circuit, [0.1, 0.2, 0.3]), expected)
"""


@pytest.mark.slow
def test_workers_are_not_forked_from_a_process_that_has_used_lightning():
    command = [sys.executable, "-c", USED_BEFORE]
    variables = {**os.environ, "OMP_NUM_THREADS": "2"}
    subprocess.run(command, check=True, timeout=100, env=variables)


def test_a_map_over_qnodes_gives_the_serial_values():
    jax = pytest.importorskip("jax")
    expected = [used(x) for x in XS]
    assert np.allclose(shoal.map(used, XS), expected, rtol=0, atol=1e-12)
    device = qml.device("lightning.qubit", wires=WIRES)
    gradient = jax.grad(qml.QNode(circuit, device, interface="jax", diff_method="adjoint"))
    xs = [jax.numpy.array(x) for x in XS]
    expected = [gradient(x) for x in xs]
    assert np.allclose(shoal.map(gradient, xs), expected, atol=1e-6)
