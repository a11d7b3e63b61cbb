"""The peers that compute quantum kernel matrices, and the floor: the matrix product alone.

`KERNELS` is like `PEERS`. A peer's map gets a `workloads.kernels.Asked`, which has the feature map
in both libraries, and samples; it returns their kernel matrix. Peers that compute pair by pair get
few samples. "floor" multiplies random states by as many threads as there are cores.
"""

from functools import partial

from peers import Peer

FEW_SAMPLES = 12
SAMPLES_BY_STATES = 1000


def shoal(_workers, _chunk, *, library, method="auto"):
    from shoal.quantum import kernel_matrix

    def run(f, x):
        feature_map = f.feature_map(library)
        return kernel_matrix(x, feature_map=feature_map, method=method, dtype=f.dtype)

    return Peer(map=run)


def floor(workers, _chunk):
    """Multiply states by scipy's herk; making them is not timed."""
    import time

    import numpy as np
    from scipy.linalg.blas import cherk, zherk
    from threadpoolctl import threadpool_limits

    seconds = []
    states = {}

    def run(f, x):
        size = (len(x), 2**f.qubits)
        if size not in states:
            rng = np.random.default_rng(0)
            states[size] = np.empty(size, f.dtype)
            for row in states[size]:
                row[:] = rng.standard_normal(size[1]) + 1j * rng.standard_normal(size[1])
        herk = zherk if f.dtype == "complex128" else cherk
        with threadpool_limits(workers, user_api="blas"):
            begun = time.perf_counter()
            product = herk(1.0, states[size].T, trans=2)
            seconds.append(time.perf_counter() - begun)
        return product

    return Peer(map=run, own_seconds=lambda: seconds[-1])


def fidelity_statevector_kernel(_workers, _chunk):
    """qiskit-machine-learning's kernel by states; its cache is emptied before each matrix."""
    from qiskit_machine_learning.kernels import FidelityStatevectorKernel

    def run(f, x):
        return FidelityStatevectorKernel(feature_map=f.feature_map("qiskit")).evaluate(x)

    return Peer(map=run, most_points=SAMPLES_BY_STATES)


def pennylane_kernel_matrix(_workers, _chunk, *, name):
    """PennyLane's kernel_matrix, one circuit for each pair."""
    import pennylane as qml

    def run(f, x):
        feature_map = f.feature_map("pennylane")

        @qml.qnode(qml.device(name, wires=f.qubits))
        def circuit(a, b):
            feature_map(a)
            qml.adjoint(feature_map)(b)
            return qml.probs(wires=range(f.qubits))

        return qml.kernels.square_kernel_matrix(x, lambda a, b: circuit(a, b)[0])

    return Peer(map=run, most_points=FEW_SAMPLES)


def lightning_states(workers, _chunk):
    """States by lightning, one circuit each, and one product of numpy's by all cores."""
    import numpy as np
    import pennylane as qml
    from threadpoolctl import threadpool_limits

    def run(f, x):
        feature_map = f.feature_map("pennylane")

        @qml.qnode(qml.device("lightning.qubit", wires=f.qubits))
        def state(row):
            feature_map(row)
            return qml.state()

        states = np.array([state(row) for row in x], f.dtype)
        with threadpool_limits(workers, user_api="blas"):
            return np.abs(states.conj() @ states.T) ** 2

    return Peer(map=run, most_points=SAMPLES_BY_STATES)


KERNELS = {
    "shoal, Qiskit circuit": ("shoal.quantum", partial(shoal, library="qiskit")),
    "shoal, PennyLane function": ("shoal.quantum", partial(shoal, library="pennylane")),
    "shoal, state vectors": (
        "shoal.quantum",
        partial(shoal, library="qiskit", method="statevectors"),
    ),
    "floor": ("scipy.linalg.blas", floor),
    "FidelityStatevectorKernel": ("qiskit_machine_learning.kernels", fidelity_statevector_kernel),
    "qml.kernels, lightning": (
        "pennylane",
        partial(pennylane_kernel_matrix, name="lightning.qubit"),
    ),
    "qml.kernels, default.qubit": (
        "pennylane",
        partial(pennylane_kernel_matrix, name="default.qubit"),
    ),
    "lightning states, one product": ("pennylane", lightning_states),
}
