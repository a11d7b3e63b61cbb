"""Uploads a program with a parallel workflow in it, runs it on three circuits, fetches the result.

Run it as ``python examples/serverless/parallel_workflow.py`` beside ``shoal serve --demo-user``, or
with ``GATEWAY_HOST`` and ``GATEWAY_TOKEN`` for another gateway. It is the notebook of Quantum
Serverless on parallel workflows with its import changed, and an exact simulation in the place of a
sampler, so that what it prints can be checked. It needs shoal with the extras ``client`` and
``qiskit``, as well as ``serve`` where the gateway is, and takes a few seconds.
"""

import os
from pathlib import Path

from qiskit.circuit.random import random_circuit

from shoal.serverless import Program, ServerlessProvider

if token := os.environ.get("GATEWAY_TOKEN"):
    credentials = {"token": token}
else:
    credentials = {
        "username": os.environ.get("GATEWAY_USER", "user"),
        "password": os.environ.get("GATEWAY_PASSWORD", "password123"),
    }
serverless = ServerlessProvider(
    host=os.environ.get("GATEWAY_HOST", "http://localhost:8000"), **credentials
)
print(serverless)

circuits = [random_circuit(2, 2, seed=seed) for seed in range(3)]
for circuit in circuits:
    circuit.measure_all()

program = Program(
    title="program-with-parallel-workflow",
    entrypoint="program_with_parallel_workflow.py",
    working_dir=Path(__file__).parent / "source_files",
)
print(serverless.upload(program))

job = serverless.run("program-with-parallel-workflow", arguments={"circuits": circuits})
print(job)
job.follow()
for circuit, distribution in zip(circuits, job.result()["results"], strict=True):
    print(dict(circuit.count_ops()), distribution)
