"""Circuits: lists, a sweep, a first call and large states, on Aer as it comes and through shoal.

Qiskit is imported where it is used: the first call imports it within the time, and workers import
this file. "serial" is Aer's `run`, or Qiskit's sampler, as it comes.
"""

import gc
import os
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from statistics import median

from workloads import Workload, digest, timed_again, timed_map

SHOTS = 1000
SEED = 11
STRIDE = 2113  # Aer gives circuit i of a list the seed `SEED + 2113 * i`.
STATE_QUBITS = 20
TURNS, RUNS = 9, 5
FEW = {"one": 1, "five": 5, "twenty": 20, "fifty": 50}  # Circuits in a short run.


@cache
def simulator(**options):
    """Make Aer's simulator, which may use every core by itself, as it does by default."""
    os.environ["OMP_NUM_THREADS"] = str(len(os.sched_getaffinity(0)))
    from qiskit_aer import AerSimulator

    return AerSimulator(**options)


def sample(circuits, first=0, **options):
    """Run circuits as those from number `first` on in a list; return the counts of each."""
    seed = SEED + STRIDE * first
    return counts(simulator(**options).run(circuits, shots=SHOTS, seed_simulator=seed).result())


class Counts:
    """The counts of a circuit as they are in Aer's result; sorted only where they are compared."""

    def __init__(self, found):
        self.found = found

    def __repr__(self):
        return repr(sorted(self.found.items()))


def counts(result):
    return [Counts(each.data.counts) for each in result.results]


def sample_pub(pub):
    """Sample a circuit with a grid of values on Qiskit's own sampler; return the bits."""
    from qiskit.primitives import StatevectorSampler

    return StatevectorSampler(seed=SEED).run([pub], shots=SHOTS).result()[0].data.meas.array


def layered(qubits, layers, seed):
    """Make a circuit: layers of random rotations and a chain of CNOTs, measured."""
    import numpy as np
    from qiskit import QuantumCircuit

    angles = np.random.default_rng(seed).uniform(0, 2 * np.pi, (layers, qubits))
    circuit = QuantumCircuit(qubits)
    for layer in angles:
        for qubit, angle in enumerate(layer):
            circuit.rx(angle, qubit)
        for qubit in range(qubits - 1):
            circuit.cx(qubit, qubit + 1)
    circuit.measure_all()
    return circuit


@cache
def several(count, qubits, layers):
    return [layered(qubits, layers, seed) for seed in range(count)]


def two_hundred(quick, _repetition):
    return sample, [several(20 if quick else 200, 15, 4)]


def two_thousand_tiny(quick, _repetition):
    return sample, [several(200 if quick else 2000, 3, 2)]


def large(quick, _repetition):
    return sample, [several(4 if quick else 8, STATE_QUBITS, 2)]


def few(_quick, _repetition):
    return sample, several(max(FEW.values()), 3, 2)


@cache
def ansatz(qubits):
    from qiskit.circuit.library import efficient_su2

    circuit = efficient_su2(qubits, reps=2)
    circuit.measure_all()
    return circuit


def grid(quick, _repetition):
    import numpy as np

    circuit = ansatz(6 if quick else 10)
    shape = (4, 5 if quick else 50, circuit.num_parameters)
    return sample_pub, [(circuit, np.random.default_rng(1).uniform(0, 3, shape))]


COLD = """
from qiskit import QuantumCircuit
from qiskit_aer import AerSimulator
{imports}
circuits = []
for number in range({count}):
    circuit = QuantumCircuit(10)
    for qubit in range(10):
        circuit.rx(0.1 * (number + qubit), qubit)
    for qubit in range(9):
        circuit.cx(qubit, qubit + 1)
    circuit.measure_all()
    circuits.append(circuit)
result = {backend}.run(circuits, shots=1000, seed_simulator=11).result()
print([sorted(each.items()) for each in result.get_counts()])
"""


def script(imports, backend, count):
    """Run a script in an interpreter of its own; return what it prints."""
    environment = dict(os.environ)
    environment.pop("OMP_NUM_THREADS", None)
    text = COLD.format(imports=imports, backend=backend, count=count)
    return subprocess.run(
        [sys.executable, "-c", text], env=environment, stdout=subprocess.PIPE, check=True
    ).stdout


def plain_script(count):
    return script("", "AerSimulator()", count)


def twenty(_quick, _repetition):
    return plain_script, [20]


def timed_few(peer, f, circuits):
    """Time short runs beside Aer's own, by turns in the same process.

    A turn is several runs, and its first does not count: OpenMP has threads of its own for each
    thread that calls it, which go on spinning for a moment where another one takes over.
    """
    record = {}
    for name, count in FEW.items():
        plain, ours = [], []
        for turn in range(1 + TURNS):
            for own in (turn % 2, 1 - turn % 2):
                times = ours if own else plain
                for run in range(1 + RUNS):
                    start = time.perf_counter()
                    found = peer.map(f, [circuits[:count]]) if own else [f(circuits[:count])]
                    if turn and run:
                        times.append(time.perf_counter() - start)
        record[f"{name}_percent"] = 100 * (median(ours) / median(plain) - 1)
        record[f"{name}_seconds"] = median(ours)
    return {**record, "same": digest(found) == digest([f(circuits)])}


def timed_large(peer, f, inputs):
    """Measure how much this process and those it has started grow, each at its most.

    What came before are small circuits, enough of them that every worker has run some.
    """
    peer.map(f, [several(100, 8, 4)])
    gc.collect()
    before = {pid: resident_mb(pid, "VmRSS") for pid in ours()}
    for pid in before:
        Path(f"/proc/{pid}/clear_refs").write_text("5")  # Forgets the peak.
    record = timed_map(peer, f, inputs)
    grown = [resident_mb(pid, "VmHWM") - before.get(pid, 0.0) for pid in ours()]
    state_mb = 16 * 2**STATE_QUBITS / 1e6
    return {**record, "growth_mb": sum(grown), "states": sum(grown) / state_mb}


def ours():
    """Return the numbers of this process and of all that descend from it."""
    import psutil

    process = psutil.Process()
    return [process.pid, *(child.pid for child in process.children(recursive=True))]


def resident_mb(pid, field):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1000
    return 0.0


AER = (
    "serial",
    "Aer, max_parallel_experiments=0",
    "ceiling, circuits",
    "ProcessPoolExecutor, chunked, circuits",
    "ParallelBackend",
    "ParallelBackend, processes",
    "AerSimulator of shoal, processes",
)
OURS = ("ceiling, circuits", "ParallelBackend", "ParallelBackend, processes")
REFERENCES = {"serial": "speed-up over Aer's run", "ceiling, circuits": "share of the ceiling"}

WORKLOADS = {
    "circuits": Workload(
        "200 circuits of 15 qubits on Aer, 116 gates each, warm",
        two_hundred,
        peers=AER,
        repeat=timed_again,
        chunk=10,
        rounds=5,
        contenders=OURS,
        more_rounds=6,
        references=REFERENCES,
    ),
    "circuits-tiny": Workload(
        "2,000 circuits of 3 qubits on Aer, warm",
        two_thousand_tiny,
        peers=AER,
        repeat=timed_again,
        chunk=100,
        rounds=5,
        contenders=OURS,
        more_rounds=6,
        references=REFERENCES,
    ),
    "circuits-few": Workload(
        "1, 5, 20 and 50 circuits of 3 qubits, beside Aer's run by turns, warm",
        few,
        peers=("ParallelBackend, short runs", "AerSimulator of shoal, no executor"),
        repeat=timed_few,
        rounds=5,
        columns={
            "one_percent": "1 circuit costs",
            "five_percent": "5",
            "twenty_percent": "20",
            "fifty_percent": "50",
            "one_seconds": "time of 1",
        },
    ),
    "circuits-sweep": Workload(
        "A sweep of 4 by 50 bindings of 10 qubits through Qiskit's StatevectorSampler, warm",
        grid,
        peers=("serial", "ProcessPoolExecutor, chunked, pub", "ParallelSampler"),
        repeat=timed_again,
        chunk=10,
        rounds=5,
        references={"serial": "speed-up over Qiskit's"},
    ),
    "circuits-cold": Workload(
        "A script that imports and runs 20 circuits of 10 qubits, once",
        twenty,
        peers=("serial", "ParallelBackend, script"),
        rounds=7,
        references={"serial": "Aer's time over its own"},
    ),
    "circuits-memory": Workload(
        "8 circuits of 20 qubits, a state of 16.8 MB each: what all processes grow by",
        large,
        peers=("serial", "Aer, max_parallel_experiments=0", "ParallelBackend, processes"),
        repeat=timed_large,
        rounds=3,
        warm=False,
        columns={"growth_mb": "grew by", "states": "in states", "seconds": "time"},
    ),
}
