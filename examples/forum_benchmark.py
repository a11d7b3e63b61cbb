"""The circuits of a question in PennyLane's forum: one, all in a loop, and all in worker processes.

Run it as ``python examples/forum_benchmark.py --qubits 12 16 20``; ``--help`` lists the options.
"Parallelization of circuit executions" asked how to run twenty circuits of 20 qubits on every core
without rewriting the program. Here they run on ``lightning.qubit`` in a loop, on the device
``shoal.parallel`` as one batch, and as a mapped QNode. It needs shoal with the extra ``pennylane``.
"""

import argparse
from time import perf_counter

import numpy as np
import pennylane as qml

import shoal


def main(arguments=None):
    """Times the ways of running the circuits, and compares their results.

    Args:
        arguments: The command line's words; those of this process when not given.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--qubits", type=int, nargs="+", default=[12], help="12 16 20, say (12)")
    parser.add_argument("--circuits", type=int, default=20, help="how many circuits (20)")
    options = parser.parse_args(arguments)

    print(f"{options.circuits} circuits; seconds for")
    print("  qubits   one circuit   a loop   shoal.parallel   shoal.map")
    for qubits in options.qubits:
        compare(qubits, options.circuits)


def compare(qubits, count):
    """Runs the circuits in each way and prints the seconds.

    Args:
        qubits: How many qubits, from 2.
        count: How many circuits.
    """
    serial = qml.device("lightning.qubit", wires=qubits)
    parallel = qml.device("shoal.parallel", wires=qubits, base="lightning.qubit")
    parallel.warm_up()  # not necessary: without it, the first seconds run as in the loop
    angles = np.random.default_rng(0).random((count, 2, qubits))

    def circuit(x, y):
        for wire in range(qubits):
            qml.RX(x[wire], wires=wire)
            qml.RY(y[wire], wires=wire)
            qml.CNOT(wires=[wire, (wire + 1) % qubits])
        return [qml.var(qml.PauliZ(wire)) for wire in range(qubits)]

    qnode = qml.QNode(circuit, serial)
    tapes = [qml.workflow.construct_tape(qnode)(x, y) for x, y in angles]
    shoal.map(qnode, *np.moveaxis(angles[:2], 1, 0))  # starts its workers

    seconds = []
    for run in (
        lambda: [qnode(*angles[0])],
        lambda: [qnode(x, y) for x, y in angles],
        lambda: qml.execute(tapes, parallel),
        lambda: shoal.map(qnode, angles[:, 0], angles[:, 1]),
    ):
        begun = perf_counter()
        results = np.array(run())
        seconds.append(perf_counter() - begun)
        if len(seconds) == 2:
            expected = results
        elif len(seconds) > 2:
            assert np.allclose(results, expected, rtol=0, atol=1e-12)
    print("  {:6} {:13.3f} {:8.3f} {:16.3f} {:11.3f}".format(qubits, *seconds))


if __name__ == "__main__":
    main()
