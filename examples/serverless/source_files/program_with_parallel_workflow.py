"""The exact distribution of each circuit that it is given, all circuits in parallel."""

from qiskit import QuantumCircuit
from qiskit.quantum_info import Statevector

from shoal.serverless import distribute_task, get, get_arguments, save_result


@distribute_task()
def distribution(circuit: QuantumCircuit) -> dict[str, float]:
    """The probability of each bit string that is not impossible, the last qubit first."""
    unmeasured = circuit.remove_final_measurements(inplace=False)
    return {
        bits: float(each) for bits, each in Statevector(unmeasured).probabilities_dict().items()
    }


circuits = get_arguments()["circuits"]
print(f"{len(circuits)} circuits")
references = [distribution(circuit) for circuit in circuits]  # all of them start now
save_result({"results": get(references)})
