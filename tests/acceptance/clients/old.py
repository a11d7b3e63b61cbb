"""The flow of quantum-serverless 0.10.1; prints what it saw as JSON.

Arguments: the folder with the programs. The gateway is in the environment.
"""

import json
import os
import sys
import warnings

import numpy as np
from qiskit import QuantumCircuit
from quantum_serverless import QiskitPattern, ServerlessProvider
from waiting import until

warnings.simplefilter("ignore")
programs = sys.argv[1]
saw = {}


serverless = ServerlessProvider(token=os.environ["GATEWAY_TOKEN"], host=os.environ["GATEWAY_HOST"])
saw["provider"] = repr(serverless)
circuit = QuantumCircuit(1, 1)
circuit.h(0)
circuit.measure(0, 0)

program = QiskitPattern(title="flow", entrypoint="flow.py", working_dir=programs)
saw["uploaded"] = serverless.upload(program)
saw["programs"] = [found.title for found in serverless.get_programs()]
job = serverless.run(
    "flow", arguments={"circuits": [circuit], "number": 1 + 2j, "array": np.arange(3.0)}
)
saw["job"] = repr(job)
saw["first status"] = job.status()
until(lambda: "begun with (1+2j)" in job.logs(), "the first line, live")
with open("go.txt", "w") as target:
    target.write("go on")
saw["upload"] = serverless.file_upload("go.txt")
saw["files"] = serverless.files()
result = job.result(cadence=0.2)
saw["result"] = {
    "depths": result["depths"],
    "same circuits": result["circuits"] == [circuit],
    "number": str(result["number"]),
    "array": result["array"].tolist(),
}
saw["status"] = job.status()
serverless.file_delete("go.txt")
saw["files after"] = serverless.files()

# A program that is uploaded and run in one request.
fails = QiskitPattern(title="fails", entrypoint="fails.py", working_dir=programs)
failed = serverless.run(fails)
saw["error result"] = failed.result(cadence=0.2)
saw["error status"] = failed.status()
saw["error logs"] = failed.logs()

sleeping = serverless.run(
    QiskitPattern(title="sleeps", entrypoint="sleeps.py", working_dir=programs)
)
until(lambda: "asleep" in sleeping.logs(), "a job that sleeps")
saw["stopped"] = sleeping.stop()
until(sleeping.in_terminal_state, "the end of a stopped job")
saw["stopped status"] = sleeping.status()
saw["jobs"] = len(serverless.get_jobs())
saw["found"] = serverless.get_job_by_id(job.job_id).status()
print("saw:" + json.dumps(saw))
