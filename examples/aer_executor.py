"""Aer's how-to on executors, with one import changed, so that its executor is really used.

Run it as ``python examples/aer_executor.py``; ``--help`` lists the options. Aer documents that
``executor`` and ``max_job_size`` split a list of circuits into jobs of an executor, and since 0.15
passes over both. With `shoal.quantum.AerSimulator` they do what is documented: this counts the
jobs, and compares the results with those of Aer. It needs shoal with the extra ``qiskit``, and
takes a few seconds.
"""

import argparse
import warnings
from concurrent.futures import ThreadPoolExecutor
from math import pi

import qiskit
import qiskit_aer

from shoal.quantum import AerSimulator  # the how-to has: from qiskit_aer import AerSimulator


class CountingExecutor(ThreadPoolExecutor):
    """A thread pool that counts the jobs it is given."""

    def __init__(self, max_workers):
        super().__init__(max_workers)
        self.jobs = 0

    def submit(self, *args, **kwargs):
        """Counts, and submits.

        Args:
            args: As for `concurrent.futures.Executor.submit`.
            kwargs: The same.
        """
        self.jobs += 1
        return super().submit(*args, **kwargs)


def entangled():
    """The how-to's circuit: three of its fifteen qubits are used."""
    circuit = qiskit.QuantumCircuit(15, 15)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.cx(1, 2)
    circuit.p(pi / 2, 2)
    circuit.measure([0, 1, 2], [0, 1, 2])
    return circuit


def main(arguments=None):
    """Runs the how-to's circuits in three ways and prints what became of them.

    Args:
        arguments: The command line's words; those of this process when not given.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--circuits", type=int, default=60, help="how many circuits (60)")
    options = parser.parse_args(arguments)
    circuits = [entangled() for _ in range(options.circuits)]
    plain = qiskit_aer.AerSimulator().run(circuits, seed_simulator=1).result()

    for max_job_size in (1, 2):
        backend = AerSimulator()
        executor = CountingExecutor(max_workers=2)
        backend.set_options(executor=executor)
        backend.set_options(max_job_size=max_job_size)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # threads take turns: see below
            result = backend.run(circuits, seed_simulator=1).result()
        report(f"threads, max_job_size={max_job_size}", f"{executor.jobs} jobs", result, plain)

    # Aer holds Python's global lock while it runs: only processes run circuits at the same time.
    backend = AerSimulator(executor="processes", max_job_size=10)
    result = backend.run(circuits, seed_simulator=1).result()
    report(
        "processes, max_job_size=10", f"{result.metadata['shoal']['chunks']} jobs", result, plain
    )


def report(way, jobs, result, plain):
    """Prints one line about a result.

    Args:
        way: How it was computed.
        jobs: How many jobs there were.
        result: What came out.
        plain: What Aer itself gives, for comparison.
    """
    same = result.get_counts() == plain.get_counts()
    print(f"{way:<28} {jobs:<8} counts equal to Aer's: {same}")


if __name__ == "__main__":
    main()
