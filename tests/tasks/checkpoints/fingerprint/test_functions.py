"""A function's parts: what its results depend on, each under a name of its own."""

import functools
import math
import sys
import types
from importlib.metadata import version

import numpy as np
import pytest
import scipy.integrate

from shoal.tasks.checkpoints.fingerprint import differences, function_parts

SCALE = 3.0
UNUSED = 1


def helper(x):
    return x * SCALE


def model(x, power=2, *, offset=0.5):
    return helper(x) ** power + offset + np.sin(x)


class Model:
    """Calls itself a model."""

    factor = 2

    def __init__(self, weight):
        self.weight = weight

    def __call__(self, x):
        return self.weight * x + SCALE

    def run(self, x):
        return self(x)

    @staticmethod
    def still(x):
        return helper(x)

    @classmethod
    def of(cls, x):
        return cls(x)


def names(f):
    return [part.name for part in function_parts(f)]


def texts(f):
    return {part.name: part.text for part in function_parts(f)}


def test_a_function_is_source_defaults_globals_helpers_and_libraries():
    found = texts(model)
    assert list(found) == [
        "function",
        "default power",
        "default offset",
        "function helper",
        "global SCALE",
        "version of numpy",
    ]
    assert found["function"].startswith("def model(")
    assert found["function helper"].startswith("def helper(")
    assert (found["default power"], found["default offset"]) == ("2", "0.5")
    assert (found["global SCALE"], found["version of numpy"]) == ("3.0", version("numpy"))


def test_each_call_gives_the_same_parts():
    assert function_parts(model) == function_parts(model)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda patch: patch.setitem(globals(), "SCALE", 4.0), "global SCALE: 3.0 → 4.0"),
        (lambda patch: patch.setattr(model, "__defaults__", (3,)), "default power: 2 → 3"),
        (
            lambda patch: patch.setattr(model, "__kwdefaults__", {"offset": 1.5}),
            "default offset: 0.5 → 1.5",
        ),
        (
            lambda patch: patch.setattr(helper, "__code__", (lambda x: x * SCALE + 1).__code__),
            "-    return x * SCALE",
        ),
        (lambda patch: patch.setitem(globals(), "np", math), "version of numpy: "),
    ],
)
def test_what_is_changed_is_said(monkeypatch, change, said):
    before = function_parts(model)
    change(monkeypatch)
    assert said in differences(before, function_parts(model))


def test_what_it_does_not_use_makes_no_difference(monkeypatch):
    before = function_parts(model)
    monkeypatch.setitem(globals(), "UNUSED", 2)
    assert function_parts(model) == before


def closed(scale, inner):
    return lambda x: inner(x) * scale


def test_closure_values_are_parts_by_name():
    found = texts(closed(2, helper))
    assert found["closure scale"] == "2"
    assert found["function"] == "lambda x: inner(x) * scale"
    assert "function helper" in found
    one, other = (function_parts(closed(n, lambda x: x)) for n in (2, 3))
    assert differences(one, other) == "closure scale: 2 → 3"


def test_functions_of_libraries_count_by_name_and_version():
    for f, name, library in [
        (np.sin, "numpy.sin", "numpy"),
        (np.linalg.norm, "norm", "numpy"),
        (scipy.integrate.quad, "quad", "scipy"),
        (np.float64, "numpy.float64", "numpy"),
    ]:
        found = texts(f)
        assert name in found["function"]
        assert found[f"version of {library}"] == version(library)
    assert names(math.sin) == names(len) == names(int) == names("x".join) == ["function"]
    assert function_parts(math.sin) != function_parts(math.cos)


def test_a_partial_is_its_function_and_what_it_was_given():
    found = texts(functools.partial(model, 1.5, offset=2))
    assert found["function"].startswith("def model")
    assert found["partial argument 0"] == "1.5"
    assert found["partial argument offset"] == "2"


def test_a_bound_method_is_its_function_and_its_object():
    one, other = Model(1), Model(2)
    assert texts(one.run)["function"].startswith("def run(self, x)")
    assert texts(one.run)["bound to"] == "Model(weight=1)"
    assert function_parts(one.run) == function_parts(Model(1).run)
    assert function_parts(one.run) != function_parts(other.run)


def test_an_instance_is_its_class_and_its_state():
    found = texts(Model(1))
    assert found["function"].startswith("class Model")
    assert found["global SCALE"] == "3.0"
    assert function_parts(Model(1)) == function_parts(Model(1))
    assert function_parts(Model(1)) != function_parts(Model(2))


def test_a_class_is_its_methods_and_what_they_use(monkeypatch):
    before = function_parts(Model)
    assert {"function", "global SCALE", "function helper"} <= set(texts(Model))
    monkeypatch.setattr(Model, "factor", 3)
    assert function_parts(Model) != before


def test_bases_are_parts_too():
    class Other(Model):
        pass

    assert names(Other)[:2] == ["function", "class Model"]


def test_static_and_class_methods_are_functions():
    assert "function helper" in names(Model.still)
    assert texts(Model.of)["function"].lstrip().startswith("@classmethod")


def decorate(f):
    @functools.wraps(f)
    def wrapper(*args):
        return f(*args)

    return wrapper


@decorate
def decorated(x):
    return x + SCALE


@functools.lru_cache
def cached(x):
    return x + SCALE


def test_a_decorated_function_is_the_wrapper_and_the_function():
    found = texts(decorated)
    assert "return f(*args)" in found["function"]
    assert "x + SCALE" in found["function decorated"]
    assert "global SCALE" in found


def test_a_cached_function_is_the_function():
    found = texts(cached)
    assert "x + SCALE" in found["function"]
    assert "lru_cache" in found["wrapped by"]


def test_a_compiled_function_is_the_python_function():
    numba = pytest.importorskip("numba")
    found = texts(numba.njit(helper))
    assert found["function"].startswith("def helper")
    assert found["version of numba"] == version("numba")


def test_a_vectorized_function_is_its_state():
    assert function_parts(np.vectorize(helper)) != function_parts(np.vectorize(model))


def test_what_is_read_of_a_users_module_is_a_part(monkeypatch):
    tools = types.ModuleType("users_tools")
    exec("LIMIT = 1\nUNUSED = 1\ndef clip(x): return min(x, LIMIT)\n", vars(tools))
    monkeypatch.setitem(sys.modules, "users_tools", tools)
    scope = {"tools": tools, "__name__": "users_own"}
    exec("def f(x): return tools.clip(x)", scope)
    before = function_parts(scope["f"])
    assert [part.name for part in before] == ["function", "function clip", "global LIMIT"]
    tools.UNUSED = 2
    assert function_parts(scope["f"]) == before
    tools.LIMIT = 2
    assert differences(before, function_parts(scope["f"])) == "global LIMIT: 1 → 2"


def test_modules_imported_inside_are_parts(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_tools.py").write_text("LIMIT = 1\n")

    def f(x):
        import scipy.integrate
        from own_tools import LIMIT

        return scipy.integrate.quad(x, 0, LIMIT)

    before = function_parts(f)
    assert [part.name for part in before] == ["function", "module own_tools", "version of scipy"]
    (tmp_path / "own_tools.py").write_text("LIMIT = 2\n")
    assert differences(before, function_parts(f)) == "module own_tools: LIMIT = 1 → LIMIT = 2"


def test_functions_of_one_name_keep_parts_of_their_own():
    def make(n):
        def inner(x):
            return x + n

        return inner

    one, other = make(1), make(2)

    def f(x):
        return one(x) + other(x)

    found = function_parts(f)
    assert len({part.name for part in found}) == len(found)
    assert [part.text for part in found if part.name.startswith("closure n")] == ["1", "2"]


def test_functions_that_call_each_other_end():
    scope = {"__name__": "users_own"}
    exec("def even(n): return n == 0 or odd(n - 1)\ndef odd(n): return n and even(n - 1)", scope)
    assert names(scope["even"]) == ["function", "function odd"]


def test_an_empty_cell_is_left_out():
    def make():
        def f(x):
            return later(x)

        yield f
        later = len
        yield later

    assert names(next(make())) == ["function"]
