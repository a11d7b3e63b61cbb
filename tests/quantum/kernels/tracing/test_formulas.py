import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.quantum.kernels.tracing.formulas import Angle, Recorder

SAMPLE = (0.3, -0.7, 0.9)
UNARY = ("sin", "cos", "tan", "exp", "arctan", "sinh", "cosh", "tanh", "arcsin", "arccos")

expressions = {
    "sum": lambda x: x[0] + x[1] + 1,
    "swapped": lambda x: 1 - x[0] + 2 / x[1] - 3 * x[2],
    "power": lambda x: x[2] ** 2 + 2 ** x[0],
    "remainder": lambda x: x[0] % 0.25 + x[2] // 0.4,
    "signs": lambda x: -abs(x[1]) + (+x[0]),
    "numpy of one": lambda x: np.sin(x[0]) * np.sqrt(x[2]) + np.exp(-x[1]),
    "numpy of all": lambda x: np.sum(np.cos(x) ** 2),
    "arrays": lambda x: (np.array([[1.0, 2.0, 3.0]]) @ x)[0] + np.pi * x[1],
    "products": lambda x: np.prod(np.pi - x),
    "numpy numbers": lambda x: np.float64(2.0) * x[0] + x[1] * np.float32(0.5),
    "list": lambda x: np.array([x[0], 2 * x[1]])[1],
    "square": lambda x: np.square(x[0]) + np.negative(x[1]),
}


@pytest.mark.parametrize("name", expressions)
def test_arithmetic_is_recorded_and_repeated_for_other_samples(name):
    recorder = Recorder()
    angle = expressions[name](recorder.features(SAMPLE))
    rows = np.random.default_rng(0).uniform(0.1, 0.9, (5, 3))
    computed = recorder.formulas([angle])(rows)[:, 0]
    expected = [float(expressions[name](row)) for row in rows]
    np.testing.assert_allclose(computed, expected, rtol=1e-14)
    assert not recorder.looked_at
    assert angle.value == pytest.approx(float(expressions[name](np.array(SAMPLE))))


@given(st.sampled_from(UNARY), st.floats(-0.99, 0.99))
def test_functions_of_numpy_are_recorded(name, value):
    recorder = Recorder()
    [x] = recorder.features([0.5])
    formula = recorder.formulas([getattr(np, name)(x)])
    assert formula(np.array([[value]]))[0, 0] == getattr(np, name)(value)


@pytest.mark.parametrize(
    "look", [float, int, bool, math.sin, round, lambda x: x > 0, lambda x: x == 1, np.sign]
)
def test_whatever_looks_at_the_value_is_noticed(look):
    recorder = Recorder()
    [x] = recorder.features([0.5])
    look(x)
    assert recorder.looked_at


def test_an_array_made_of_plain_floats_is_noticed():
    recorder = Recorder()
    np.array(recorder.features([0.5, 1.5]), dtype=float)
    assert recorder.looked_at


def test_equal_steps_are_there_once():
    recorder = Recorder()
    x = recorder.features([0.5, 0.25])
    first, again = x[0] * x[1] + 1, x[0] * x[1] + 1
    assert first.place == again.place


def test_constants_are_told_from_features():
    recorder = Recorder()
    x = recorder.features([0.5])
    formulas = recorder.formulas([x[0] + 1, 2.5, 0 * x[0]])
    assert formulas.constant.tolist() == [False, True, False]


def test_formulas_travel():
    recorder = Recorder()
    x = recorder.features(SAMPLE)
    formulas = recorder.formulas([np.sin(x[0]) * x[1]])
    rows = np.array([SAMPLE])
    assert pickle.loads(pickle.dumps(formulas))(rows) == formulas(rows)


def test_complex_numbers_and_texts_are_refused_as_python_does():
    [x] = Recorder().features([0.5])
    for other in (1j, "a"):
        with pytest.raises(TypeError):
            x * other


def test_a_recorded_number_shows_its_value():
    [x] = Recorder().features([0.5])
    assert repr(x) == "Angle(0.5)"
    assert isinstance(x.conjugate(), Angle)


@settings(max_examples=30)
@given(st.lists(st.floats(-3, 3), min_size=2, max_size=2))
def test_values_follow_the_sample_that_is_traced(sample):
    x = Recorder().features(sample)
    assert ((np.pi - x[0]) * (np.pi - x[1])).value == (np.pi - sample[0]) * (np.pi - sample[1])
