"""Circuits in PennyLane: those of its forum's benchmark, gradients, and training data.

"Parallelization of circuit executions" asked how to run circuits that return the variance of every
qubit on all cores. Each input is a number, from which angles are drawn; what comes back is rounded,
because lightning adds up by another number of threads at 18 qubits and more.
"""

from functools import cache

import numpy as np
import pennylane as qml
from pennylane import numpy as pnp

from workloads import Workload, timed_again, timed_map

PARALLEL = "shoal.parallel"
POOLS = ("multiprocessing.Pool", "ProcessPoolExecutor", "qml.concurrency, mp_pool", "threads")
BATCHES = ("lightning, one batch", "ceiling, one batch")
REFERENCES = {"serial": "speed-up over serial", "ceiling": "share of the ceiling"}
IN_BATCHES = {**REFERENCES, "ceiling, one batch": "share of the ceiling in batches"}
PER_TASK = {"seconds": "time", "task_seconds": "time a circuit"}


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


def correlation(angles):
    layers(angles)
    return qml.expval(qml.PauliZ(0) @ qml.PauliZ(1))


def new_device(name, qubits, **options):
    return qml.device(name, wires=qubits, **options)


@cache
def device(name, qubits, **options):
    made = new_device(name, qubits, **options)
    if name == PARALLEL:
        made.warm_up()
    return made


@cache
def node(f, name, qubits, method, **options):
    return qml.QNode(f, device(name, qubits, **options), diff_method=method)


def rounded(values):
    return np.round(np.ravel(values).astype(float), 9) + 0.0


class Asked:
    """One circuit for each number, or its gradient; called, it runs on lightning in this process.

    Attributes:
        qubits: how many there are.
        method: how gradients are computed; None asks for variances.
    """

    def __init__(self, qubits, method=None):
        self.qubits = qubits
        self.method = method

    def angles(self, number):
        """Draw two angles for each qubit, of shape (2, qubits)."""
        drawn = np.random.default_rng(number).random((2, self.qubits))
        return drawn if self.method is None else pnp.array(drawn, requires_grad=True)

    def by(self, qnode, number):
        """Run the circuit by a QNode, or compute its gradient."""
        run = qnode if self.method is None else qml.grad(qnode)
        return rounded(run(self.angles(number)))

    def on(self, name, number, **options):
        """Do so on a device that this process keeps."""
        f = variances if self.method is None else correlation
        return self.by(node(f, name, self.qubits, self.method, **options), number)

    def on_new(self, name):
        """Return a function of a number that does so on a device of its own."""
        f = variances if self.method is None else correlation
        qnode = qml.QNode(f, new_device(name, self.qubits), diff_method=self.method)
        return lambda number: self.by(qnode, number)

    def tapes(self, numbers):
        """Build the circuits of several numbers."""
        qnode = node(variances, "lightning.qubit", self.qubits, None)
        return [qml.workflow.construct_tape(qnode)(self.angles(number)) for number in numbers]

    def executed(self, tapes, name, *, new=False):
        """Run circuits as one batch; no gradients."""
        on = (new_device if new else device)(name, self.qubits)
        return [rounded(values) for values in qml.execute(tapes, on)]

    def together(self, name, numbers, *, new=False):
        """Build the circuits of several numbers and run them as one batch."""
        return self.executed(self.tapes(numbers), name, new=new)

    def __call__(self, number):
        """Do what is asked for one number."""
        return self.on("lightning.qubit", number)


def asked(qubits, count, *, method=None, quick_qubits=6, quick_count=4):
    def job(quick, repetition):
        number = quick_count if quick else count
        first = repetition * number
        few = min(qubits, quick_qubits) if quick else qubits
        return Asked(few, method), list(range(first, first + number))

    return job


def timed_warm(peer, f, numbers):
    """Time a map by a peer that has done it before; a peer that takes minutes has not."""
    return (timed_again if peer.most_points is None else timed_map)(peer, f, numbers)


def forum(title, qubits, count, *, rounds=7, peers=(POOLS[0], "threads")):
    return Workload(
        title,
        asked(qubits, count),
        peers=("serial", "ceiling", PARALLEL, "shoal", *peers, *BATCHES),
        repeat=timed_warm,
        rounds=rounds,
        contenders=("serial", "ceiling", PARALLEL, "shoal", *BATCHES),
        more_rounds=8,
        columns=PER_TASK,
        references=IN_BATCHES,
    )


def built(title, qubits):
    """Measure what a device itself does: the circuits are built before the clock starts."""
    peers = ("ceiling, tapes", "shoal.parallel, tapes", "lightning, tapes")
    return Workload(
        title,
        asked(qubits, 20),
        peers=("serial", *peers),
        repeat=timed_warm,
        contenders=peers,
        more_rounds=8,
        columns=PER_TASK,
        references={"ceiling, tapes": "share of the ceiling"},
    )


def gradients(title, count, method, *, peers, contenders):
    return Workload(
        title,
        asked(12, count, method=method, quick_count=2),
        peers=("serial", "ceiling", *peers),
        repeat=timed_warm,
        contenders=("serial", "ceiling", *contenders),
        more_rounds=8,
        columns={"task_seconds": "time a gradient", "tasks": "gradients", "seconds": "time"},
        references=REFERENCES,
    )


WORKLOADS = {
    "pennylane": forum(
        "20 circuits of the forum's benchmark, 12 qubits, warm", 12, 20, peers=POOLS
    ),
    "pennylane-16": forum("20 circuits of the forum's benchmark, 16 qubits, warm", 16, 20),
    "pennylane-20": forum(
        "20 circuits of the forum's benchmark, 20 qubits, warm", 20, 20, rounds=3
    ),
    "pennylane-tapes": built("The same circuits of 12 qubits, built before, warm", 12),
    "pennylane-tapes-16": built("The same circuits of 16 qubits, built before, warm", 16),
    "pennylane-small": forum("100 circuits of the forum's benchmark, 4 qubits, warm", 4, 100),
    "pennylane-cold": Workload(
        "20 circuits of the forum's benchmark, 12 qubits, in a fresh interpreter",
        asked(12, 20),
        peers=("serial", "lightning, one batch", "shoal.parallel, cold", "shoal"),
        warm=False,
        columns={"call_seconds": "call → result", "import_seconds": "import → result"},
        references={
            "serial": "speed-up over serial",
            "lightning, one batch": "speed-up over one batch",
        },
    ),
    "pennylane-gradient": gradients(
        "4 parameter-shift gradients by 24 angles, 12 qubits, warm",
        4,
        "parameter-shift",
        peers=("shoal.parallel, gradients", "default.qubit", "default.qubit, max_workers"),
        contenders=("shoal.parallel, gradients",),
    ),
    "pennylane-adjoint": gradients(
        "Adjoint gradients of 64 inputs, 12 qubits, warm",
        64,
        "adjoint",
        peers=("shoal", *POOLS[:3]),
        contenders=("shoal", POOLS[0]),
    ),
}
