"""Circuits, backends and comparisons for the tests of circuits."""

import ctypes
import os
import signal
from pathlib import Path

import numpy as np
from qiskit import QuantumCircuit
from qiskit.providers import BackendV2, JobStatus, JobV1, Options
from qiskit.result import Result
from qiskit.transpiler import Target

from shoal.quantum import ParallelBackend


def parallel(backend, **options):
    return ParallelBackend(backend, **{"executor": "processes", "max_workers": 2, **options})


def told(result):
    return result.metadata["shoal"]


def rotations(qubits=3, layers=2, *, seed=0, measured=True):
    """Layers of random rotations and a chain of CNOT."""
    rng = np.random.default_rng(seed)
    circuit = QuantumCircuit(qubits, name=f"rotations-{seed}", metadata={"seed": seed})
    for _ in range(layers):
        for qubit in range(qubits):
            circuit.rx(rng.uniform(0, 2 * np.pi), qubit)
        for qubit in range(qubits - 1):
            circuit.cx(qubit, qubit + 1)
    if measured:
        circuit.measure_all()
    return circuit


def several(count=7, **options):
    return [rotations(seed=seed, **options) for seed in range(count)]


def midway(seed=0):
    """A circuit that measures in the middle, so that Aer runs it shot by shot."""
    circuit = QuantumCircuit(2, 2, name="midway")
    circuit.ry(0.3 + seed, 0)
    circuit.measure(0, 0)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure([0, 1], [0, 1])
    return circuit


def nonsense():
    """A circuit with an instruction that no simulator knows."""
    circuit = QuantumCircuit(2, name="nonsense")
    circuit.append(QuantumCircuit(2, name="inner").to_instruction(), [0, 1])
    circuit.data[0].operation.definition = None
    circuit.measure_all()
    return circuit


def assert_same(result, reference):
    """Two results agree in everything but when and by whom they were made."""
    assert result.success == reference.success
    assert result.status == reference.status
    assert result.backend_name == reference.backend_name
    assert len(result.results) == len(reference.results)
    for one, other in zip(result.results, reference.results, strict=True):
        left, right = one.to_dict(), other.to_dict()
        assert set(left) == set(right)
        for key in set(left) - {"data", "metadata", "time_taken"}:
            assert left[key] == right[key], key
        assert_same_data(left["data"], right["data"])


def assert_same_data(left, right):
    assert set(left) == set(right)
    for key, value in left.items():
        if key in ("counts", "memory"):
            assert value == right[key]
        else:
            assert np.array_equal(np.asarray(value), np.asarray(right[key])), key


class Ended(JobV1):
    """A job that is over."""

    def __init__(self, backend, result):
        super().__init__(backend, "ended")
        self._result = result

    def submit(self):
        pass

    def result(self):
        return self._result

    def status(self):
        return JobStatus.DONE


class Awkward(BackendV2):
    """A backend that nobody knows. Circuits do what they are named for.

    ``"die"`` kills its process, always; ``"die once"`` where the file `once` is not there yet;
    ``"crash"`` reads where nothing is; ``"raise"`` raises; ``"wait"`` waits until the named pipe
    `once` was open for writing. Others return their number of qubits as counts, and their seed.
    """

    def __init__(self, once=None, *, seeded=True):
        super().__init__(name="awkward")
        self.once = once
        if seeded:
            self._options.update_options(seed_simulator=None)

    @property
    def target(self):
        return Target(num_qubits=5)

    @property
    def max_circuits(self):
        return None

    @classmethod
    def _default_options(cls):
        return Options(shots=10)

    def run(self, run_input, **options):
        return Ended(self, self._result(run_input, options))

    def _result(self, circuits, options):
        results = [self._experiment(circuit, options) for circuit in circuits]
        return Result.from_dict(
            {"backend_name": "awkward", "backend_version": "1", "job_id": "", "success": True}
            | {"results": results}
        )

    def _experiment(self, circuit, options):
        if circuit.name == "raise":
            raise ZeroDivisionError("as asked")
        if circuit.name == "crash":
            ctypes.string_at(0)
        if circuit.name == "wait":
            Path(self.once).read_text()
        once = circuit.name == "die once" and not Path(self.once).exists()
        if once:
            Path(self.once).touch()
        if once or circuit.name == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        counts = {hex(circuit.num_qubits): options.get("shots", 10)}
        seed = options.get("seed_simulator")
        return {
            "shots": 10,
            "success": True,
            "data": {"counts": counts, "pid": os.getpid()},
            "seed_simulator": seed,
            "header": {"name": circuit.name},
        }


def named(*names):
    return [QuantumCircuit(1 + number, name=name) for number, name in enumerate(names)]
