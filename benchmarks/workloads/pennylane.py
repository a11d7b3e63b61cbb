"""Circuits in PennyLane: those of its forum's benchmark, gradients, and training data.

"Parallelization of circuit executions" asked how to run circuits that return the variance of every
qubit on all cores. Each input is a number, from which angles are drawn; what comes back is rounded,
because lightning adds up by another number of threads at 18 qubits and more.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import pennylane as qml
from peers import Peer, loop
from pennylane import numpy as pnp

from workloads import Workload, spread, timed_map

PARALLEL = "shoal.parallel"
POOLS = ("multiprocessing.Pool", "ProcessPoolExecutor", "threads", "qml.concurrency, mp_pool")
REFERENCES = {"serial": "speed-up over serial", "ceiling": "share of the ceiling"}
MOST_ON_DEFAULT = 1  # It starts two processes for each batch of circuits, which takes ten seconds.


def layers(angles):
    """Rotate every qubit twice and entangle it with the next; angles of shape (2, qubits)."""
    qubits = len(angles[0])
    for wire in range(qubits):
        qml.RX(angles[0][wire], wires=wire)
        qml.RY(angles[1][wire], wires=wire)
        qml.CNOT(wires=[wire, (wire + 1) % qubits])


def variances(angles):
    layers(angles)
    return [qml.var(qml.PauliZ(wire)) for wire in range(len(angles[0]))]


def magnetisation(angles):
    layers(angles)
    return qml.expval(qml.PauliZ(0) @ qml.PauliZ(1))


@cache
def device(name, qubits, **options):
    made = qml.device(name, wires=qubits, **options)
    if name == PARALLEL:
        made.warm_up()
    return made


@cache
def node(f, name, qubits, method):
    return qml.QNode(f, device(name, qubits), diff_method=method)


def rounded(values):
    return np.round(np.ravel(values).astype(float), 9) + 0.0


class Asked:
    """One circuit, or its gradient, for each number; called, it runs on a device in this process.

    Attributes:
        qubits: how many there are.
        method: how gradients are computed; None asks for variances.
    """

    def __init__(self, qubits, method=None):
        self.qubits = qubits
        self.method = method

    def angles(self, number):
        drawn = np.random.default_rng(number).random((2, self.qubits))
        return pnp.array(drawn, requires_grad=self.method is not None)

    def tape(self, number):
        qnode = node(variances, "lightning.qubit", self.qubits, None)
        return qml.workflow.construct_tape(qnode)(self.angles(number))

    def on(self, name, number):
        if self.method is None:
            return node(variances, name, self.qubits, None)(self.angles(number))
        return qml.grad(node(magnetisation, name, self.qubits, self.method))(self.angles(number))

    def __call__(self, number):
        return rounded(self.on("lightning.qubit", number))


def shoal_parallel(_workers, _chunk):
    """Hand circuits to the device as one batch, and gradients one after the other."""

    def run(f, numbers):
        if f.method is not None:
            return [rounded(f.on(PARALLEL, number)) for number in numbers]
        tapes = [f.tape(number) for number in numbers]
        return [rounded(each) for each in qml.execute(tapes, device(PARALLEL, f.qubits))]

    return Peer(map=run)


def shoal_parallel_cold(_workers, _chunk):
    """Hand circuits to a new device, in whose process no worker was ever started."""

    def run(f, numbers):
        made = qml.device(PARALLEL, wires=f.qubits)
        return [rounded(each) for each in qml.execute([f.tape(n) for n in numbers], made)]

    return Peer(map=run)


def one_batch(_workers, _chunk):
    """Hand circuits to lightning itself as one batch."""

    def run(f, numbers):
        tapes = [f.tape(number) for number in numbers]
        return [rounded(each) for each in qml.execute(tapes, device("lightning.qubit", f.qubits))]

    return Peer(map=run)


def threads(workers, _chunk):
    """Map over threads, each of which has a device of its own: one that is shared is wrong."""
    import threading

    local = threading.local()

    def own(f, number):
        if not hasattr(local, "qnode"):
            made = qml.device("lightning.qubit", wires=f.qubits)
            local.qnode = qml.QNode(variances, made, diff_method=None)
        return rounded(local.qnode(f.angles(number)))

    pool = ThreadPoolExecutor(workers)

    def run(f, numbers):
        return list(pool.map(lambda number: own(f, number), numbers))

    return Peer(map=run, close=pool.shutdown)


def mp_pool(workers, _chunk):
    """Map by PennyLane's own executor, asked to keep its processes."""
    from pennylane.concurrency.executors import create_executor

    executor = create_executor("mp_pool", max_workers=workers, persist=True)
    return Peer(
        map=lambda f, numbers: executor.starmap(f, [(number,) for number in numbers]),
        close=executor.shutdown,
    )


def default_qubit(workers, _chunk, *, max_workers=None):
    """Run gradients on PennyLane's own simulator in Python."""

    def run(f, numbers):
        made = device("default.qubit", f.qubits, max_workers=max_workers and workers)
        qnode = qml.QNode(magnetisation, made, diff_method=f.method)
        return [rounded(qml.grad(qnode)(f.angles(number))) for number in numbers]

    return Peer(map=run, most_points=MOST_ON_DEFAULT if max_workers else None)


def default_qubit_workers(workers, chunk):
    return default_qubit(workers, chunk, max_workers=True)


PEERS = {
    PARALLEL: ("shoal.quantum", shoal_parallel),
    "shoal.parallel, cold": ("shoal.quantum", shoal_parallel_cold),
    "lightning, one batch": ("pennylane", one_batch),
    "threads": ("concurrent.futures.thread", threads),
    "qml.concurrency, mp_pool": ("pennylane.concurrency.executors", mp_pool),
    "default.qubit": ("pennylane", default_qubit),
    "default.qubit, max_workers": ("pennylane", default_qubit_workers),
}


def circuits(qubits, count):
    def job(quick, repetition):
        first = repetition * count
        return Asked(qubits), list(range(first, first + (max(count // 10, 4) if quick else count)))

    return job


def gradients(method, qubits, count):
    def job(quick, repetition):
        first = repetition * count
        small = qubits if not quick else 6
        return Asked(small, method), list(range(first, first + (2 if quick else count)))

    return job


def timed_gradients(peer, f, inputs):
    """Time gradients; those of the slowest peer are compared with a loop over the same ones."""
    few = spread(inputs, peer.most_points)
    if len(few) == len(inputs):
        return timed_map(peer, f, inputs)
    start = time.perf_counter()
    results = peer.map(f, few)
    seconds = time.perf_counter() - start
    same = np.allclose(results, loop(f, few), rtol=0, atol=1e-8)
    return {
        "seconds": seconds,
        "task_seconds": seconds / len(few),
        "tasks": len(few),
        "finished_at": time.monotonic(),
        "same": bool(same),
    }


def forum(title, qubits, count, *, rounds=7, peers=POOLS):
    return Workload(
        title,
        circuits(qubits, count),
        peers=("serial", "ceiling", PARALLEL, "shoal", "lightning, one batch", *peers),
        rounds=rounds,
        contenders=("serial", "ceiling", PARALLEL, "shoal"),
        more_rounds=8,
        columns={"seconds": "time", "task_seconds": "time a circuit"},
        references=REFERENCES,
    )


WORKLOADS = {
    "pennylane": forum("20 circuits of the forum's benchmark, 12 qubits, warm", 12, 20),
    "pennylane-16": forum("The same, 16 qubits", 16, 20),
    "pennylane-20": forum("The same, 20 qubits", 20, 20, rounds=3),
    "pennylane-small": Workload(
        "200 of them of 4 qubits",
        circuits(4, 200),
        peers=("serial", "ceiling", PARALLEL, "shoal", "lightning, one batch", *POOLS),
        contenders=("serial", PARALLEL, "lightning, one batch"),
        more_rounds=8,
        references=REFERENCES,
    ),
    "pennylane-cold": Workload(
        "The 20 circuits of 12 qubits in a fresh interpreter, PennyLane imported",
        circuits(12, 20),
        peers=("serial", "lightning, one batch", "shoal.parallel, cold", "shoal"),
        warm=False,
        columns={"call_seconds": "call → result", "import_seconds": "import → result"},
        references={"serial": "speed-up over serial"},
    ),
    "pennylane-gradient": Workload(
        "4 parameter-shift gradients of 24 angles, 12 qubits, warm",
        gradients("parameter-shift", 12, 4),
        peers=("serial", "ceiling", PARALLEL, "default.qubit", "default.qubit, max_workers"),
        repeat=timed_gradients,
        contenders=("serial", "ceiling", PARALLEL),
        more_rounds=8,
        columns={"task_seconds": "time a gradient", "tasks": "gradients", "seconds": "time"},
        references=REFERENCES,
    ),
    "pennylane-adjoint": Workload(
        "Adjoint gradients of 64 inputs, 12 qubits, warm",
        gradients("adjoint", 12, 64),
        peers=("serial", "ceiling", "shoal", *POOLS[:2], "qml.concurrency, mp_pool"),
        contenders=("serial", "ceiling", "shoal", POOLS[0]),
        more_rounds=8,
        columns={"task_seconds": "time a gradient", "seconds": "time"},
        references=REFERENCES,
    ),
}
