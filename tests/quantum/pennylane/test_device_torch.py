"""The parallel device within PyTorch; skipped where that is not installed."""

import numpy as np
import pennylane as qml
import pytest

from shoal.quantum import ParallelDevice
from shoal.quantum.pennylane import batch as batching

torch = pytest.importorskip("torch")

WIRES = 4


@pytest.fixture(autouse=True)
def everything_is_worth_sending(monkeypatch):
    monkeypatch.setattr(batching, "worth_sending", lambda *_, **__: True)


def pair(base="lightning.qubit"):
    parallel = ParallelDevice(wires=WIRES, base=base)
    parallel.warm_up()
    return qml.device(base, wires=WIRES), parallel


def circuit(x):
    for wire in range(WIRES):
        qml.RX(x[..., wire], wire)
        qml.RY(x[..., wire] / 2, wire)
        qml.CNOT([wire, (wire + 1) % WIRES])
    return qml.expval(qml.Z(0) @ qml.Z(1)), qml.expval(qml.Z(2))


def result_and_gradient(device, method, x):
    x = torch.tensor(x, requires_grad=True)
    values = qml.QNode(circuit, device, interface="torch", diff_method=method)(x)
    sum(value.sum() for value in values).backward()
    return [*(value.detach().numpy() for value in values), x.grad.numpy()]


@pytest.mark.parametrize("base", ["lightning.qubit", "default.qubit"])
@pytest.mark.parametrize("method", ["best", "adjoint", "parameter-shift", "finite-diff"])
def test_results_and_gradients_are_those_of_the_base_device(base, method):
    x = np.linspace(0.1, 1, WIRES)
    expected, got = (result_and_gradient(device, method, x) for device in pair(base))
    tolerance = 1e-6 if method == "finite-diff" else 1e-12
    for each, other in zip(got, expected, strict=True):
        assert np.allclose(each, other, rtol=0, atol=tolerance)


def test_a_batch_of_inputs_is_spread_and_comes_back_as_tensors():
    xs = torch.tensor(np.random.default_rng(0).random((6, WIRES)))
    serial, device = pair()
    expected = qml.QNode(circuit, serial, interface="torch")(xs)
    got = qml.QNode(circuit, device, interface="torch")(xs)
    for each, other in zip(got, expected, strict=True):
        assert isinstance(each, torch.Tensor)
        assert torch.allclose(each, other, rtol=0, atol=1e-12)


def test_a_layer_of_a_network_trains():
    _, device = pair()

    @qml.qnode(device, interface="torch", diff_method="parameter-shift")
    def node(inputs, weights):
        qml.AngleEmbedding(inputs, range(WIRES))
        qml.BasicEntanglerLayers(weights, range(WIRES))
        return [qml.expval(qml.Z(wire)) for wire in range(2)]

    torch.manual_seed(0)
    layer = qml.qnn.TorchLayer(node, {"weights": (1, WIRES)})
    inputs = torch.rand(5, WIRES, dtype=torch.float64)
    optimiser = torch.optim.SGD(layer.parameters(), lr=0.1)
    losses = []
    for _ in range(3):
        optimiser.zero_grad()
        loss = layer(inputs).pow(2).sum()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0]
