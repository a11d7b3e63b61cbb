"""The flow of a published qiskit-serverless client, from 0.28 on; prints what it saw as JSON.

Arguments: the folder with the programs. The gateway is in the environment.
"""

import json
import os
import sys
import warnings
from datetime import UTC, datetime, timedelta

import numpy as np
from qiskit import QuantumCircuit
from qiskit_serverless import QiskitFunction, ServerlessClient
from waiting import until

warnings.simplefilter("ignore")
programs = sys.argv[1]
saw = {}


def error_of(call, *arguments, **options):
    """The text of the exception that a call raises, with its type."""
    try:
        call(*arguments, **options)
    except Exception as error:  # noqa: BLE001 - any of the client's own kinds
        return f"{type(error).__name__}: {error}"
    return "no error"


def bell():
    """A circuit with a measurement."""
    made = QuantumCircuit(2, 2)
    made.h(0)
    made.cx(0, 1)
    made.measure([0, 1], [0, 1])
    return made


client = ServerlessClient(
    host=os.environ["GATEWAY_HOST"], token=os.environ["GATEWAY_TOKEN"], instance="anything"
)
saw["wrong token"] = error_of(
    ServerlessClient, host=os.environ["GATEWAY_HOST"], token="wrong", instance="anything"
)

# --- upload, run with circuits, live logs, files, result ---------------------------------------
flow = client.upload(QiskitFunction(title="flow", entrypoint="flow.py", working_dir=programs))
saw["uploaded"] = flow.title
saw["functions"] = [function.title for function in client.functions()]
began = datetime.now(UTC) - timedelta(seconds=5)
circuits = [bell(), bell()]
job = flow.run(circuits=circuits, number=1 + 2j, array=np.arange(3.0))
saw["job"] = repr(job)
saw["first status"] = job.status()
until(lambda: "begun with (1+2j)" in job.logs(), "the first line, live")
saw["sub-status"] = until(lambda: job.status() if "MAPPING" in job.status() else "", "MAPPING")
with open("go.txt", "w") as target:
    target.write("go on")
client.file_upload("go.txt", flow)
saw["files"] = client.files(flow)
result = job.result(cadence=0.2)
saw["result"] = {
    "depths": result["depths"],
    "same circuits": result["circuits"] == circuits,
    "number": str(result["number"]),
    "array": result["array"].tolist(),
}
saw["status"] = job.status()
saw["logs"] = job.logs()
saw["filtered logs"] = job.filtered_logs(include="went")
client.file_download("go.txt", flow, target_name="back.txt")
with open("back.txt") as source:
    saw["downloaded"] = source.read()
client.file_delete("go.txt", flow)
saw["files after"] = client.files(flow)

# --- an error with its traceback -----------------------------------------------------------------
fails = client.upload(QiskitFunction(title="fails", entrypoint="fails.py", working_dir=programs))
failed = fails.run()
saw["error"] = error_of(failed.result, cadence=0.2)
saw["error status"] = failed.status()
saw["error logs"] = failed.logs()
if hasattr(failed, "events"):
    reports = QiskitFunction(title="reports", entrypoint="reports.py", working_dir=programs)
    reported = client.upload(reports).run()
    saw["reported"] = error_of(reported.result, cadence=0.2)
    [event] = reported.events(type="ERROR")
    saw["event"] = [event.event_type, event.data]
    saw["statuses"] = [event.event_type for event in job.events()]

# --- stop -----------------------------------------------------------------------------------------
sleeps = client.upload(QiskitFunction(title="sleeps", entrypoint="sleeps.py", working_dir=programs))
sleeping = sleeps.run()
until(lambda: "asleep" in sleeping.logs(), "a job that sleeps")
# With no service given, these clients first ask IBM's for one.
saw["stopped"] = sleeping.stop(service="none")
until(sleeping.in_terminal_state, "the end of a stopped job")
saw["stopped status"] = sleeping.status()
saw["stopped again"] = sleeping.stop(service="none")

# --- filters, paging, arguments -------------------------------------------------------------------
saw["jobs"] = [each.job_id for each in client.jobs(limit=2)] == [
    each.job_id for each in client.jobs(limit=10)
][:2]
saw["all jobs"] = len(client.jobs(limit=100))
saw["done"] = [each.job_id == job.job_id for each in client.jobs(status="DONE")]
saw["of flow"] = [each.job_id == job.job_id for each in client.jobs(function=flow)]
saw["later"] = len(client.jobs(created_after=datetime.now(UTC) + timedelta(days=1)))
saw["since"] = len(client.jobs(created_after=began, limit=100)) == saw["all jobs"]
saw["found"] = client.job(job.job_id).status()
saw["unknown program"] = error_of(client.run, "no-such-program")
saw["unknown job"] = error_of(client.job, "00000000-0000-7000-8000-000000000000")
if hasattr(client, "validate_arguments"):
    schema = {"type": "object", "required": ["x"], "properties": {"x": {"type": "number"}}}
    strict = QiskitFunction(
        title="strict", entrypoint="fails.py", working_dir=programs, arguments_schema=schema
    )
    client.upload(strict)
    saw["valid"] = client.validate_arguments("strict", {"x": 1})
    saw["invalid"] = error_of(client.validate_arguments, "strict", {"x": "one"})
    saw["refused"] = error_of(client.run, "strict", {"y": 1})
print("saw:" + json.dumps(saw))
