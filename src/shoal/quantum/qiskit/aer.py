"""AerSimulator: Aer's own, with `executor`, `max_job_size` and `max_shot_size` doing their work."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from qiskit_aer import AerSimulator as AersOwn

from shoal.quantum.qiskit.backend import Sent, start
from shoal.quantum.qiskit.checks import Ways
from shoal.quantum.qiskit.job import CircuitsJob
from shoal.quantum.qiskit.simulation import without_executor

if TYPE_CHECKING:
    from qiskit import QuantumCircuit
    from qiskit_aer.jobs import AerJob

SPLITTING = ("executor", "max_job_size", "max_shot_size")


class AerSimulator(AersOwn):  # type: ignore[misc]  # Aer has no types
    """Aer's simulator, whose options to run circuits on an executor do what Aer documents.

    Aer itself accepts them and, since 0.15, passes over them. Here circuits go to the `executor`,
    split where `max_job_size` is given too. Without an executor everything is Aer's own.

    Example:
        >>> from shoal.quantum import AerSimulator
        >>> simulator = AerSimulator(executor="processes", max_job_size=1)
    """

    _sent: Sent | None = None

    def run(
        self,
        circuits: QuantumCircuit | Sequence[QuantumCircuit],
        parameter_binds: Sequence[Mapping[Any, Any]] | None = None,
        **run_options: Any,
    ) -> AerJob | CircuitsJob:
        """Runs circuits, as Aer's `run`.

        Args:
            circuits: A circuit, or a list of circuits.
            parameter_binds: A dict for each circuit, from parameter to a list of values.
            run_options: Aer's options for this run. With an ``executor`` (a
                `concurrent.futures.Executor`, a Dask client, or a name as for `shoal.map`) these
                matter too. ``max_job_size``: circuits to a job of the executor; None: all in one.
                ``max_shot_size``: shots to a circuit, where they can be split exactly.

        Returns:
            Aer's own job where there is no executor, else a `shoal.quantum.CircuitsJob`.

        Raises:
            TypeError: For an executor that is none, or an option Aer does not have.
            ValueError: For an empty list, unbound parameters, or a size below 1.
        """
        given = {name: run_options.pop(name, None) for name in SPLITTING}
        for name, value in given.items():
            given[name] = self.options.get(name) if value is None else value
        executor = given["executor"]
        if executor is None:
            return super().run(circuits, parameter_binds=parameter_binds, **run_options)
        ways = Ways(**given, engine_batches=False)
        if self._sent is None:
            self._sent = Sent()
        return start(
            self,
            without_executor(self, *SPLITTING),
            circuits,
            parameter_binds,
            run_options,
            ways=ways,
            sent=self._sent,
        )

    def __copy__(self) -> AerSimulator:
        """A copy with the same options, executor included."""
        made = type(self).__new__(type(self))
        made.__dict__.update(vars(self))
        made.__dict__.pop("_sent", None)
        return made

    def __deepcopy__(self, memo: dict[int, Any]) -> AerSimulator:
        """A copy of everything but the executor, which the copy uses too."""
        executor = self.options.get("executor")
        if executor is not None:
            memo[id(executor)] = executor
        made = memo[id(self)] = type(self).__new__(type(self))
        state = {key: value for key, value in vars(self).items() if key != "_sent"}
        made.__dict__.update(copy.deepcopy(state, memo))
        return made

    def __getstate__(self) -> dict[str, Any]:
        """Pickles without the executor: pools cannot travel."""
        plain = without_executor(self)
        return {key: value for key, value in vars(plain).items() if key != "_sent"}
