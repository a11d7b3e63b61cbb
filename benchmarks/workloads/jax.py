"""JAX: a circuit over many inputs at once, and in blocks that fit into memory."""

import ctypes
import gc
import time

import jax
import numpy as np
import pennylane as qml

from workloads import Workload
from workloads.memory import forget_peak, resident_mb

BUDGET_MB = 64


class Vectorised:
    """A function of one input that JAX traces, and the memory that its blocks may take."""

    def __init__(self, function, memory_bytes):
        self.function = function
        self.memory_bytes = memory_bytes


def circuit(qubits):
    @qml.qnode(qml.device("default.qubit", wires=qubits), interface="jax")
    def run(x):
        for wire in range(qubits):
            qml.RX(x[wire], wires=wire)
            qml.RY(x[wire] / 2, wires=wire)
        for wire in range(qubits):
            qml.CNOT(wires=[wire, (wire + 1) % qubits])
        return qml.expval(qml.PauliZ(0) @ qml.PauliZ(1))

    return run


def rows(qubits, count, *, gradient=False, budget_mb=BUDGET_MB):
    """Return a job: a circuit, or its gradient, at so many rows of angles."""

    def job(quick, repetition):
        few, some = (6, 40) if quick else (qubits, count)
        function = jax.grad(circuit(few)) if gradient else circuit(few)
        asked = jobs.setdefault(quick, Vectorised(function, budget_mb << 20))
        xs = np.random.default_rng(repetition).random((some, few)).astype(np.float32)
        return asked, xs

    jobs = {}  # One function for all repetitions, so that it is compiled once.
    return job


def timed_peak(peer, f, inputs):
    """Time an evaluation, and the growth of the process meanwhile, after one to compile it.

    What that one has left is given back to the system before. Some results are compared with those
    of single inputs.
    """
    if not peer.has_run:
        peer.map(f, inputs)
        peer.has_run = True
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    forget_peak()
    before = resident_mb("VmRSS")
    start = time.perf_counter()
    results = peer.map(f, inputs)
    seconds = time.perf_counter() - start
    record = {"seconds": seconds, "finished_at": time.monotonic()}
    record["growth_mb"] = resident_mb("VmHWM") - before
    some = range(0, len(inputs), len(inputs) // 4)
    expected = [f.function(inputs[each]) for each in some]
    same = np.allclose([results[each] for each in some], expected, rtol=0, atol=1e-4)
    return {**record, "same": bool(same)}


def evaluated(title, job, *, peers):
    return Workload(
        title,
        job,
        peers=peers,
        repeat=timed_peak,
        rounds=5,
        contenders=peers[:2],
        more_rounds=6,
        columns={"seconds": "time", "growth_mb": "the process grew by"},
        references={"vmap": "time of vmap over its own"},
    )


PEERS = ("vmap", "vmap_in_blocks", "lax.map, blocks of 64", "jit, one by one")

WORKLOADS = {
    "jax": evaluated(
        "2,000 inputs of a circuit of 12 qubits in JAX; blocks of 64 MiB, warm",
        rows(12, 2000),
        peers=PEERS,
    ),
    "jax-gradient": evaluated(
        "400 gradients of a circuit of 10 qubits in JAX; blocks of 64 MiB, warm",
        rows(10, 400, gradient=True),
        peers=PEERS[:3],
    ),
    "jax-large": evaluated(
        "1,000 inputs of a circuit of 14 qubits in JAX; blocks of 64 MiB, warm",
        rows(14, 1000),
        peers=PEERS[:3],
    ),
}
