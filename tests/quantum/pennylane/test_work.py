import pickle

import numpy as np
import pennylane as qml
import pytest
from pennylane.devices import ExecutionConfig

from shoal.quantum.pennylane import work as working
from shoal.quantum.pennylane.templates import Pattern
from shoal.quantum.pennylane.work import EXECUTE, PREPARE, Bench, Plan, run_tape, seeded


def recipe(base="lightning.qubit", **options):
    return pickle.dumps((base, {"wires": 2, **options}))


def plan(method=EXECUTE, config=None, **changes):
    others = dict.fromkeys(("prepare", "to_numpy", "expand", "tracked"), False)
    return Plan(method, config or ExecutionConfig(), **{**others, **changes})


def sampled(shots=40):
    return qml.tape.QuantumScript([qml.H(0), qml.H(1)], [qml.sample(wires=[0, 1])], shots=shots)


def test_a_configuration_leaves_behind_what_neither_travels_nor_matters():
    options = {"rng": np.random.default_rng(0), "batch_obs": True, PREPARE: "as_is"}
    config = ExecutionConfig(
        gradient_method=qml.gradients.param_shift,
        gradient_keyword_arguments={"h": 1},
        use_device_jacobian_product=True,
        device_options=options,
    )
    sent = pickle.loads(plan(config=config).packed())
    assert sent.config.gradient_method is None
    assert dict(sent.config.device_options) == {"batch_obs": True}
    assert not sent.config.use_device_jacobian_product
    adjoint = ExecutionConfig(gradient_method="adjoint", use_device_jacobian_product=True)
    sent = pickle.loads(plan("compute_vjp", adjoint).packed())
    assert sent.config.gradient_method == "adjoint"
    assert sent.config.use_device_jacobian_product


def test_devices_and_plans_are_built_once_and_few_are_kept():
    bench = Bench()
    first = bench.device(recipe())
    assert bench.device(recipe()) is first
    job = (recipe(), plan(prepare=True).packed())
    assert bench.prepared(first, job) is bench.prepared(first, job)
    others = [bench.device(recipe(batch_obs=bool(at))) for at in range(2)]
    assert bench.device(recipe()) is not first
    assert len(bench._devices) == working.MOST_DEVICES
    assert len({id(each) for each in others}) == 2


@pytest.mark.parametrize("base", ["lightning.qubit", "default.qubit"])
def test_a_stream_depends_on_its_seed_and_not_on_what_ran_before(base):
    device = working.build(recipe(base))

    def samples(seed):
        return run_tape(device, (plan(), None), (sampled(), None, seed)).value.tolist()

    first = samples((7, 0))
    assert samples((7, 1)) != first
    assert samples((7, 0)) == first


def test_a_device_without_a_generator_draws_from_numpys_which_is_put_back():
    class Legacy:
        pass

    def state():
        return np.random.get_state()[1].copy()  # noqa: NPY002  (what is tested)

    before, draws = state(), []
    for _ in range(2):
        with seeded(Legacy(), (1, 2)):
            draws.append(np.random.random())  # noqa: NPY002  (as above)
    assert draws[0] == draws[1]
    assert np.array_equal(state(), before)


def test_transforms_are_applied_where_the_tape_is_run():
    device = working.build(recipe())
    tape = qml.tape.QuantumScript(
        [qml.RX(np.array([0.1, 0.2]), 0), qml.QFT([0, 1])], [qml.probs(wires=[0])]
    )
    how = working.prepared(device, plan(prepare=True))
    value = run_tape(device, how, (tape, None, None)).value
    expected = qml.execute([tape], qml.device("default.qubit", wires=2))[0]
    assert np.allclose(value, expected)


def test_equal_plans_are_equal_bytes_by_which_templates_are_found_again():
    rng = np.random.default_rng(0)
    configs = [
        ExecutionConfig(gradient_method=method, device_options={"rng": rng, "batch_obs": True})
        for method in (qml.gradients.param_shift, None)
    ]
    assert len({plan(config=config).packed() for config in configs}) == 1


def calls_with(**changes):
    """What runs circuits of a template on a bench, by a plan with changes."""
    tape = qml.tape.QuantumScript([qml.RX(0.1, 0)], [qml.expval(qml.Z(0))])
    pattern = Pattern(tape)
    job = (recipe(), plan(**changes).packed())
    bench = Bench()
    return [bench.calls(job, pattern.packed(tape), pattern.angles(tape)) for _ in range(2)]


def test_the_calls_of_a_template_are_found_once():
    first, second = calls_with(prepare=True)
    assert first is second is not None


def test_what_the_device_tells_or_keeps_besides_results_takes_the_device_itself():
    adjoint = ExecutionConfig(gradient_method="adjoint", use_device_jacobian_product=True)
    assert calls_with(tracked=True) == [None, None]
    assert calls_with(method="compute_derivatives", config=adjoint) == [None, None]
    device = working.build(recipe())
    assert working.may_call(plan(), device)
    assert not working.may_call(plan(config=adjoint), device)
    with qml.Tracker(device):
        assert not working.may_call(plan(), device)


def test_a_device_that_is_laid_on_the_bench_is_not_built_again():
    bench, device = Bench(), working.build(recipe())
    bench.lay(recipe(), device)
    assert bench.device(recipe()) is device
