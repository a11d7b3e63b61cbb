"""Whatever a program does with what it imports has one defined outcome."""

import json

import pytest

from shoal.serverless.encoding import decode, encode
from tests.faults.watching import until
from tests.serverless.making import submit, upload

IMPORTS = "from qiskit_serverless import *\nimport os, sys\n"

OUTCOMES = {
    "never saves": ("pass", "SUCCEEDED", "", None, ""),
    "saves": ("save_result({'a': 1j})", "SUCCEEDED", "", {"a": 1j}, ""),
    "saves nothing": ("save_result(None)", "SUCCEEDED", "", {}, ""),
    "saves twice": ("save_result(1)\nsave_result(2)", "SUCCEEDED", "", 2, ""),
    "saves what is not JSON": (
        "save_result({'a': [object()]})",
        "FAILED",
        "EXIT_1",
        None,
        "TypeError: value['a'][0] cannot be written as JSON: it is of type object\n",
    ),
    "saves, then what is not JSON, and goes on": (
        "save_result(1)\ntry: save_result({1, object()})\nexcept TypeError: print('so be it')",
        "SUCCEEDED",
        "",
        1,
        "so be it\n",
    ),
    "exits with 3": ("save_result(1)\nsys.exit(3)", "FAILED", "EXIT_3", None, ""),
    "is killed": ("save_result(1)\nos.kill(os.getpid(), 9)", "FAILED", "SIGNAL_9", None, ""),
    "fails to import": (
        "import no_such_module",
        "FAILED",
        "EXIT_1",
        None,
        "ModuleNotFoundError: No module named 'no_such_module'\n",
    ),
    "fails in a task": (
        "@distribute_task()\ndef f(x): raise ValueError('no')\nget(f(7))",
        "FAILED",
        "EXIT_1",
        None,
        "failed on input 7",
    ),
    "raises on purpose": (
        "raise ServerlessError('E7', 'bad input', {'x': 1})",
        "FAILED",
        "EXIT_1",
        None,
        "[E7] bad input\n{'x': 1}\n",
    ),
    "is no Python": ("x = (", "FAILED", "EXIT_1", None, "SyntaxError: '(' was never closed\n"),
    "gives back a reference": (
        "save_result(put(1))",
        "FAILED",
        "EXIT_1",
        None,
        "value cannot be written as JSON: it is of type Reference\n",
    ),
    "loses a task's process": (
        "@distribute_task()\ndef f(): os._exit(5)\nget(f())",
        "FAILED",
        "EXIT_1",
        None,
        "WorkerDied",
    ),
}


@pytest.fixture(params=[False, True], ids=["anew", "forked"])
def started(request, service, runner_of):
    """A service whose jobs start in either way."""
    imports = ("shoal.serverless.runtime",)
    chosen = service.with_settings(fast_start=request.param, job_imports=imports)
    launcher = runner_of(chosen)._launcher
    until(lambda: launcher.template is None or launcher.template.is_ready, what="the template")
    return chosen


def test_each_thing_a_program_may_do_has_one_outcome(started):
    ids = {name: started.run(IMPORTS + source) for name, (source, *_) in OUTCOMES.items()}
    for name, (_, status, reason, result, said) in OUTCOMES.items():
        job = started.until(ids[name])
        log = started.log(ids[name])
        assert (name, job.status, job.reason) == (name, status, reason), log
        text = started.result(ids[name])
        assert (None if text is None else decode(text)) == result
        assert said in log


GUIDE = """
from quantum_serverless import get_arguments, save_result, distribute_task, get

import os
from qiskit import QuantumCircuit
from qiskit.primitives import StatevectorSampler


@distribute_task()
def distributed_sample(circuit: QuantumCircuit):
    open(f"met/{os.getpid()}", "w").close()
    while len(os.listdir("met")) < len(os.sched_getaffinity(0)):  # all work at the same time
        os.stat(".")
    return StatevectorSampler(seed=1).run([circuit]).result()[0].data.meas.get_counts()


os.mkdir("met")
circuits = get_arguments().get("circuits")
results = get([distributed_sample(circuit) for circuit in circuits])
save_result({"results": results})
"""


@pytest.mark.slow
def test_circuits_are_sampled_on_all_cores_of_a_job_as_directly(service, runner):
    from qiskit import QuantumCircuit
    from qiskit.primitives import StatevectorSampler

    circuits = []
    for angle in range(40):
        circuit = QuantumCircuit(2)
        circuit.rx(angle / 10, 0)
        circuit.cx(0, 1)
        circuit.measure_all()
        circuits.append(circuit)
    direct = [
        StatevectorSampler(seed=1).run([circuit]).result()[0].data.meas.get_counts()
        for circuit in circuits
    ]
    job_id = service.run(GUIDE, arguments=encode({"circuits": circuits}))
    assert service.until(job_id).status == "SUCCEEDED", service.log(job_id)
    assert json.loads(service.result(job_id)) == {"results": direct}


def test_the_executor_of_a_job_is_the_one_its_program_asks_for(service, runner):
    source = IMPORTS + "save_result([get(distribute_task()(os.getpid)()), os.getpid()])"
    upload(service.store, service.user, source, "asks", env_vars={"SHOAL_EXECUTOR": "serial"})
    job_id = submit(service.store, service.user, "asks").id
    assert service.until(job_id).status == "SUCCEEDED", service.log(job_id)
    there, here = json.loads(service.result(job_id))
    assert there == here
