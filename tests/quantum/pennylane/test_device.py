import os
import signal
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pennylane as qml
import pytest
from pennylane import numpy as pnp

from shoal.errors import InputNotSent, WorkerDied
from shoal.quantum import ParallelDevice
from shoal.quantum.pennylane import batch as batching
from shoal.quantum.pennylane.lightning import same_bits

WIRES = 4
worth_sending = batching.worth_sending
XS = np.linspace(0.1, 1.1, 9)
BASES = ("lightning.qubit", "default.qubit")
REFUSED = (qml.exceptions.DeviceError, qml.exceptions.QuantumFunctionError)
METHODS = ("best", "adjoint", "parameter-shift", "finite-diff")


@pytest.fixture(autouse=True)
def everything_is_worth_sending(monkeypatch):
    monkeypatch.setattr(batching, "worth_sending", lambda *_, **__: True)


def pair(base, **options):
    """A base device, and the parallel one over it with its workers ready."""
    return qml.device(base, wires=WIRES, **options), parallel(base, **options)


def parallel(base="lightning.qubit", **options):
    device = ParallelDevice(wires=WIRES, base=base, **options)
    device.warm_up()
    return device


def layers(x, y=0.2):
    for wire in range(WIRES):
        qml.RX(x, wire)
        qml.RY(y, wire)
        qml.CNOT([wire, (wire + 1) % WIRES])


def tape_of(x, shots=None, measurements=None):
    with qml.queuing.AnnotatedQueue() as queue:
        layers(x)
        for measure in measurements or [lambda: qml.var(qml.Z(0)), lambda: qml.probs(wires=[1, 2])]:
            measure()
    return qml.tape.QuantumScript.from_queue(queue, shots=shots)


def entangled(weights):
    qml.StronglyEntanglingLayers(weights, wires=range(WIRES))
    return qml.expval(qml.Z(0) @ qml.Z(1))


def alike(got, expected, tolerance=1e-12):
    """Whether nested results have one structure and nearly the same numbers."""
    if isinstance(expected, tuple | list):
        assert len(got) == len(expected)
        return all(alike(*each, tolerance) for each in zip(got, expected, strict=True))
    assert np.shape(got) == np.shape(expected)
    return bool(np.allclose(got, expected, rtol=0, atol=tolerance))


@pytest.mark.parametrize("base", BASES)
def test_a_batch_of_circuits_gives_what_the_base_device_gives(base):
    serial, device = pair(base)
    tapes = [tape_of(x) for x in XS]
    assert alike(qml.execute(tapes, device), qml.execute(tapes, serial))
    assert alike(device.execute(tapes), serial.execute(tapes))
    assert alike(device.execute(tapes[0]), serial.execute(tapes[0]))


def test_no_circuits_give_no_results():
    device = parallel()
    assert device.execute([]) == ()
    assert device.execute_and_compute_derivatives([]) == ((), ())


def test_what_is_worth_it_runs_in_workers_and_none_of_it_here(monkeypatch):
    device = parallel()
    monkeypatch.setattr(device.base, "execute", None)
    tapes = [tape_of(x) for x in XS]
    assert alike(device.execute(tapes), qml.device("lightning.qubit", wires=WIRES).execute(tapes))


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("method", METHODS)
def test_gradients_are_those_of_the_base_device(base, method):
    serial, device = pair(base)
    weights = pnp.array(np.random.default_rng(1).random((1, WIRES, 3)))
    expected = qml.grad(qml.QNode(entangled, serial, diff_method=method))(weights)
    got = qml.grad(qml.QNode(entangled, device, diff_method=method))(weights)
    assert alike(got, expected, 1e-6 if method == "finite-diff" else 1e-12)


@pytest.mark.parametrize("base", BASES)
def test_vector_jacobian_products_are_those_of_the_base_device(base):
    serial, device = pair(base)
    weights = pnp.array(np.random.default_rng(2).random((1, WIRES, 3)))
    expected = qml.grad(qml.QNode(entangled, serial, diff_method="adjoint", device_vjp=True))
    got = qml.grad(qml.QNode(entangled, device, diff_method="adjoint", device_vjp=True))
    assert alike(got(weights), expected(weights))


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("method", ["compute_derivatives", "execute_and_compute_derivatives"])
def test_adjoint_jacobians_of_many_circuits_run_in_workers(base, method):
    serial, device = pair(base)
    tapes = [tape_of(x, measurements=[lambda: qml.expval(qml.Z(0))]) for x in XS]
    config = qml.devices.ExecutionConfig(gradient_method="adjoint")
    assert alike(getattr(device, method)(tapes, config), getattr(serial, method)(tapes, config))
    cotangents = [0.5] * len(tapes)
    got = device.compute_vjp(tapes, cotangents, config)
    assert alike(got, serial.compute_vjp(tapes, cotangents, config))


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("count", [2, 9])
def test_a_batch_dimension_is_spread_over_workers(base, count):
    serial, device = pair(base)

    def circuit(x):
        layers(x)
        return qml.var(qml.Z(0)), qml.probs(wires=[1, 2])

    xs = XS[:count]
    assert alike(qml.QNode(circuit, device)(xs), qml.QNode(circuit, serial)(xs))


def test_jax_hands_over_a_vectorised_batch_in_one_call_and_differentiates_it():
    jax = pytest.importorskip("jax")
    serial, device = pair("lightning.qubit")

    def circuit(x):
        layers(x)
        return qml.expval(qml.Z(1))

    def made(on):
        return qml.QNode(circuit, on, interface="jax", diff_method="parameter-shift")

    xs = jax.numpy.asarray(XS)
    expected = np.array([made(serial)(x) for x in XS])
    with qml.Tracker(device) as tracker:
        got = jax.jit(jax.vmap(made(device)))(xs)
    assert tracker.totals["batches"] == 1
    assert alike(got, expected, 1e-6)
    x = xs[3]
    expected = jax.grad(made(serial))(x)
    assert alike(jax.jit(jax.grad(made(device)))(x), expected, 1e-6)
    assert alike(jax.grad(made(device))(x), expected, 1e-6)


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("shots", [20, (10, 5)])
def test_seeded_shots_are_the_same_for_any_number_of_workers_and_size_of_jobs(base, shots):
    measurements = [lambda: qml.sample(wires=[0, 1]), lambda: qml.expval(qml.Z(0))]
    tapes = [tape_of(x, shots, measurements) for x in XS]
    ways = [{"max_workers": 1}, {"max_workers": 2}, {"max_workers": 2, "max_job_size": 2}]
    runs = [parallel(base, seed=3, **way) for way in ways]
    first, *others = [device.execute(tapes) for device in runs]
    assert all(alike(each, first) for each in others)
    assert not alike(runs[0].execute(tapes), first)
    assert not alike(parallel(base, seed=4, max_workers=1).execute(tapes), first)


@pytest.mark.parametrize("base", BASES)
def test_no_two_circuits_share_a_random_stream(base):
    device = parallel(base, seed=5)
    tapes = [tape_of(0.7, 60, [lambda: qml.sample(wires=[0, 1, 2])])] * 6
    samples = device.execute(tapes)
    assert len({each.tobytes() for each in samples}) == len(tapes)


@pytest.mark.parametrize("base", BASES)
def test_shots_with_a_batch_dimension_do_not_depend_on_the_workers(base):
    def results(workers):
        device = parallel(base, seed=6, max_workers=workers)

        @qml.set_shots(50)
        @qml.qnode(device)
        def circuit(x):
            layers(x)
            return qml.counts(wires=[0])

        return list(circuit(XS))

    expected = results(1)
    assert [dict(each) for each in results(2)] == [dict(each) for each in expected]
    assert len(expected) == len(XS)


@pytest.mark.parametrize("base", BASES)
def test_measurements_in_the_middle_of_a_circuit_work_with_and_without_shots(base):
    serial, device = pair(base, seed=7)

    def made(on, shots):
        @qml.set_shots(shots)
        @qml.qnode(on)
        def circuit(x):
            qml.RX(x, 0)
            measured = qml.measure(0)
            qml.cond(measured, qml.X)(1)
            return qml.expval(qml.Z(1)), qml.probs(op=measured)

        return circuit

    exact = made(serial, None)(1.1)
    assert alike(made(device, None)(1.1), exact)
    assert alike(made(device, 2000)(1.1), exact, 0.1)


@pytest.mark.parametrize("base", BASES)
def test_the_tracker_counts_what_the_base_device_would_have_counted(base):
    devices = pair(base)
    weights = pnp.array(np.random.default_rng(3).random((1, WIRES, 3)))
    tapes = [tape_of(x) for x in XS]
    seen = []
    for device in devices:
        with qml.Tracker(device) as tracker:
            qml.execute(tapes, device)
            for method in ("adjoint", "parameter-shift"):
                qml.grad(qml.QNode(entangled, device, diff_method=method))(weights)
        history = {name: list(values) for name, values in tracker.history.items()}
        history.pop("results")
        seen.append((list(tracker.totals), history))
    assert seen[0] == seen[1]


class Deadly(qml.RX):
    """Kills the process that unpickles it: once, or always where there is no file to mark it."""

    def __reduce__(self):
        marker = getattr(self, "marker", None)
        return _revived, (marker, os.getpid(), float(self.data[0]), self.wires[0])


def _revived(marker, parent, angle, wire):
    if os.getpid() != parent and (marker is None or not os.path.exists(marker)):
        if marker is not None:
            os.close(os.open(marker, os.O_CREAT))
        os.kill(os.getpid(), signal.SIGKILL)
    return qml.RX(angle, wire)


def with_deadly(tapes, place, marker=None):
    deadly = Deadly(tapes[place].operations[0].data[0], 0)
    deadly.marker = marker
    operations = [deadly, *tapes[place].operations[1:]]
    changed = qml.tape.QuantumScript(operations, tapes[place].measurements)
    return [*tapes[:place], changed, *tapes[place + 1 :]]


@pytest.mark.slow
def test_a_worker_that_is_killed_costs_nothing(tmp_path):
    marker = str(tmp_path / "killed")
    tapes = [tape_of(x) for x in XS]
    expected = qml.device("lightning.qubit", wires=WIRES).execute(tapes)
    assert alike(parallel().execute(with_deadly(tapes, 4, marker)), expected)
    assert os.path.exists(marker)


def test_a_worker_that_is_killed_in_a_gradient_changes_no_number(tmp_path):
    """E01: the shifted circuits that it took along are run again."""
    serial, device = pair("lightning.qubit")
    marker = str(tmp_path / "killed")

    def made(on, kind):
        @qml.qnode(on, diff_method="parameter-shift")
        def circuit(angles):
            gate = kind(0.4, 0)
            gate._name, gate.marker = "RX", marker
            for wire, angle in enumerate(angles):
                qml.RY(angle, wire)
                qml.CNOT([wire, (wire + 1) % WIRES])
            return qml.expval(qml.Z(0))

        return circuit

    angles = pnp.array(XS[:WIRES])
    expected = qml.grad(made(serial, qml.RX))(angles)
    assert alike(qml.grad(made(device, Deadly))(angles), expected)
    assert os.path.exists(marker)


@pytest.mark.slow
def test_a_circuit_that_always_kills_its_worker_is_named():
    tapes = with_deadly([tape_of(x) for x in XS[:3]], 1)
    with pytest.raises(WorkerDied) as caught:
        parallel().execute(tapes)
    assert "tape 1: <QuantumScript" in "".join(caught.value.__notes__)


class Stuck(qml.RX):
    def __reduce__(self):
        raise TypeError("stays where it is")


def test_an_operation_that_does_not_travel_is_named_with_its_tape():
    tapes = [tape_of(x) for x in XS[:3]]
    tapes[2] = qml.tape.QuantumScript([qml.RY(0.1, 1), Stuck(0.2, 0)], tapes[2].measurements)
    with pytest.raises(InputNotSent) as caught:
        parallel().execute(tapes)
    notes = "".join(caught.value.__notes__)
    assert "operation 1, RX(0.2, wires=[0])" in notes.replace("Stuck", "RX")
    assert "stays where it is" in notes
    assert "tape 2" in notes


@pytest.mark.parametrize(
    ("shots", "measure", "told"),
    [
        (None, lambda: qml.sample(wires=[0]), "sample.*not accepted for analytic simulation"),
        (10, qml.state, "state.*not accepted with finite shots"),
        (10, lambda: qml.expval(qml.Z(0)), "does not support adjoint with requested circuit"),
    ],
)
def test_shots_where_the_base_refuses_them_are_refused_as_by_the_base_device(shots, measure, told):
    for device in pair("lightning.qubit"):
        circuit = qml.QNode(
            lambda x, measure=measure: (layers(x), measure())[1],
            device,
            shots=shots,
            diff_method="adjoint" if "adjoint" in told else "best",
        )
        with pytest.raises(REFUSED, match=told):
            circuit(0.3)


def test_wires_that_the_device_does_not_have_are_named_as_by_the_base_device():
    serial, device = pair("lightning.qubit")

    def circuit(x):
        qml.RX(x, WIRES + 3)
        return qml.expval(qml.Z(0))

    for on in (serial, device):
        with pytest.raises(qml.wires.WireError, match=r"\[7\]|7"):
            qml.QNode(circuit, on)(XS)


@pytest.mark.parametrize(
    ("arguments", "error", "told"),
    [
        ({"base": "no.such"}, qml.exceptions.DeviceError, "base='no.such'"),
        ({"base": "shoal.parallel"}, ValueError, "runs circuits itself"),
        ({"base": 3}, TypeError, "base=3"),
        ({"colour": "red"}, qml.exceptions.DeviceError, "colour"),
        ({"executor": 3}, TypeError, "executor=3"),
        ({"executor": "thread"}, ValueError, "executor='thread'"),
        ({"executor": "threads"}, ValueError, "threads would only be slower"),
        ({"max_workers": 0}, ValueError, "max_workers=0"),
        ({"shots": -1}, ValueError, "base='lightning.qubit' with .*'shots': -1"),
        ({"max_job_size": 0}, ValueError, "max_job_size=0"),
        ({"max_job_size": "2"}, TypeError, "max_job_size='2'"),
    ],
)
def test_bad_arguments_are_refused_at_the_door(arguments, error, told):
    with pytest.raises(error, match=told):
        ParallelDevice(wires=2, **arguments)


def test_backpropagation_is_not_offered():
    device = ParallelDevice(wires=2, base="default.qubit")
    with pytest.raises(qml.exceptions.QuantumFunctionError, match="does not support backprop"):
        qml.QNode(entangled, device, diff_method="backprop")


def test_the_plugin_is_found_by_its_name():
    found = qml.device("shoal.parallel", wires=2, base="default.qubit", max_workers=1)
    assert isinstance(found, ParallelDevice)
    assert found.base.name == "default.qubit"
    assert list(found.wires) == [0, 1]


def test_threads_may_share_the_device():
    device = parallel()
    expected = qml.device("lightning.qubit", wires=WIRES).execute([tape_of(x) for x in XS])
    with ThreadPoolExecutor(4) as threads:
        got = list(threads.map(lambda x: device.execute(tape_of(x)), XS))
    assert alike(got, list(expected))


def test_a_process_that_has_no_workers_yet_runs_circuits_itself(monkeypatch):
    monkeypatch.setattr(batching, "worth_sending", worth_sending)
    device = ParallelDevice(wires=WIRES, max_workers=100)
    assert alike(
        device.execute([tape_of(x) for x in XS]),
        device.base.execute([tape_of(x) for x in XS]),
    )
    assert not device._crew._loading


def expectations(x):
    measured = [qml.expval(qml.Z(0) @ qml.Z(1)), *(qml.var(qml.X(wire)) for wire in range(WIRES))]
    return qml.tape.QuantumScript(tape_of(x).operations, measured)


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("count", [1, 4, 20])
def test_results_have_the_bits_of_the_base_device_wherever_and_however_often_they_run(
    there, count, monkeypatch
):
    monkeypatch.setattr(batching, "worth_sending", lambda *_, **__: there)
    serial, device = pair("lightning.qubit")
    for shift in (0.0, 1.0, 2.0):
        tapes = [expectations(shift + x) for x in np.linspace(0, 1, count)]
        assert same_bits(device.execute(tapes), serial.execute(tapes))
        assert same_bits(qml.execute(tapes, device), qml.execute(tapes, serial))


@pytest.mark.parametrize("there", [True, False])
def test_gradients_have_the_bits_of_the_base_device_wherever_they_run(there, monkeypatch):
    monkeypatch.setattr(batching, "worth_sending", lambda *_, **__: there)
    weights = pnp.linspace(0, 1, 2 * WIRES * 3, requires_grad=True).reshape(2, WIRES, 3)
    serial, device = pair("lightning.qubit")
    ours, theirs = (
        qml.grad(qml.QNode(entangled, on, diff_method="parameter-shift")) for on in (device, serial)
    )
    for scale in (1.0, 0.5, 0.25):
        assert same_bits(np.array(ours(scale * weights)), np.array(theirs(scale * weights)))
    assert any(device._bench._calls.values())


def test_who_watches_the_base_device_sees_every_circuit(monkeypatch):
    monkeypatch.setattr(batching, "worth_sending", lambda *_, **__: False)
    serial, device = pair("lightning.qubit")
    tapes = [expectations(x) for x in np.linspace(0, 1, 20)]
    device.execute(tapes)
    with qml.Tracker(device.base) as tracker, qml.Tracker(serial) as expected:
        device.execute(tapes)
        serial.execute(tapes)
    assert tracker.totals == expected.totals


def test_circuits_of_many_structures_one_after_the_other_stay_right(monkeypatch):
    monkeypatch.setattr(batching, "worth_sending", lambda *_, **__: False)
    serial, device = pair("lightning.qubit")
    for number in range(100):
        operations = [qml.RX(0.1 * number, wire % WIRES) for wire in range(number % 40 + 1)]
        tape = qml.tape.QuantumScript(operations, [qml.expval(qml.Z(number % WIRES))])
        assert same_bits(device.execute([tape] * 4), serial.execute([tape] * 4))
    assert len(device._bench._calls) <= 64
