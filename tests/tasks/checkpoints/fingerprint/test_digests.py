"""Digests are equal for equal values in every process, and differ for others."""

import cmath
import collections
import copy
import enum
import functools
import json
import math
import operator
import os
import pickle
import subprocess
import sys
import threading
import types
import unittest.mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.tasks.checkpoints.fingerprint.digests import digest

atoms = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.complex_numbers()
    | st.text()
    | st.binary()
)
keys = st.integers() | st.text() | st.booleans() | st.tuples(st.text(), st.integers())
values = st.recursive(
    atoms | st.frozensets(keys),
    lambda inner: st.lists(inner) | st.dictionaries(keys, inner) | st.tuples(inner, inner),
    max_leaves=20,
)


@given(values)
def test_a_copy_has_the_same_digest(value):
    assert digest(pickle.loads(pickle.dumps(value))) == digest(value)


@given(st.dictionaries(keys, values, max_size=5), st.randoms())
@settings(max_examples=40)
def test_order_in_dicts_and_sets_makes_no_difference(value, random):
    items = list(value.items())
    random.shuffle(items)
    assert digest(dict(items)) == digest(value)
    assert digest({key for key, _ in items}) == digest(set(value))


@given(values, values)
def test_values_that_are_shown_differently_have_different_digests(one, other):
    # What differs in its representation differs, but for the order of dicts and sets.
    if json.dumps(canonical(one)) != json.dumps(canonical(other)):
        assert digest(one) != digest(other)


def canonical(value):
    if isinstance(value, dict):
        pairs = [[canonical(key), canonical(item)] for key, item in value.items()]
        return ["dict", sorted(pairs, key=json.dumps)]
    if isinstance(value, frozenset):
        return ["set", sorted(map(canonical, value), key=json.dumps)]
    if isinstance(value, list | tuple):
        return [type(value).__name__, *map(canonical, value)]
    if isinstance(value, float) and math.isnan(value):
        return "nan"  # of which there are many
    if isinstance(value, complex) and cmath.isnan(value) and not cmath.isinf(value):
        return "nan"
    return [type(value).__name__, repr(value)]


EQUAL_PROGRAM = """
import collections, dataclasses, datetime, decimal, enum, fractions, functools, operator, pathlib
import re, sys
import numpy as np
import pandas as pd
import xarray as xr
from shoal.tasks.checkpoints.fingerprint.digests import digest

fresh = len(sys.argv) > 1  # strings made anew, so that pickle would not see one object twice
word = "".join(["wo", "rd"]) if fresh else "word"

@dataclasses.dataclass
class Model:
    name: str
    weights: dict = dataclasses.field(default_factory=dict)
    def call(self, x):
        return helper(x) + len({"a", "b", "c"})

class Colour(enum.Enum):
    RED = 1
    BLUE = {"x", "y"}

class Slotted:
    __slots__ = ("a", "b")
    def __init__(self):
        self.a, self.b = word, {word}

def helper(x):
    return x if x in {"p", "q", "r"} else TABLE

TABLE = {"one": {"x", "y", "z"}, "two": helper}
Pair = collections.namedtuple("Pair", "left right")
def closure(n):
    def inner(x):
        return x + n
    return inner
circle = [word]
circle.append(circle)
frame = pd.DataFrame({"a": [1.0, 2.0], "b": ["x", word], "c": pd.Categorical(["u", "v"])})
values = [
    {"x", "y", "z", word}, frozenset("abcdefg"), {w: {w, "k"} for w in "qwertz"},
    [word, word, "word"], Model(word, {word: {1, 2}}), Model, Colour.RED, Colour, Slotted(),
    Pair(word, "word"), helper, closure(3), [closure(1), closure(2)],
    functools.partial(helper, word), Model(word).call, operator.itemgetter(word),
    functools.lru_cache(helper), np.sin, len, "x".join,
    np.arange(3.0), np.array([word, "a"]), np.array([{word}, None], object), np.float32(2),
    np.random.default_rng(7), np.random.SeedSequence(7), frame, frame["b"], frame.index,
    xr.Dataset({"t": ("x", [1.0, 2.0])}, {"x": [word, "b"]}, {"unit": word}),
    xr.DataArray([1, 2], dims="x", name=word),
    pathlib.PurePath(word), decimal.Decimal("1.5"), fractions.Fraction(1, 3), re.compile(word),
    datetime.datetime(2026, 1, 2), collections.OrderedDict(a=1, b=2), collections.Counter("hello"),
    collections.defaultdict(list, a=[1]), collections.deque([1, word], 5), range(3), slice(1, 2),
    circle, object(), lambda x: x in {"s", "t", "u", "v"}, np.vectorize(helper), type(None), np,
    10**6000, "\\ud800", memoryview(b"abc"), bytearray(b"abc"), np.poly1d([1, 2]),
    np.ma.masked_array([1, 2], [True, False]), np.dtype("f8"), np.float64, property(helper),
]
for value in values:
    print(digest(value))
"""


def test_digests_are_the_same_in_every_process_and_with_every_hash_seed(tmp_path):
    program = tmp_path / "values.py"
    program.write_text(EQUAL_PROGRAM)
    printed = [
        subprocess.run(
            [sys.executable, program, *arguments],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        for seed, arguments in (("0", []), ("4242", ["fresh"]))
    ]
    assert printed[0] == printed[1]
    assert len(set(printed[0])) == len(printed[0]) > 50


class Plain:
    def __init__(self, **state):
        vars(self).update(state)

    def call(self):
        return 1


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


def adder(n, m=0, *, k=0):
    return lambda x: x + n


pairs = [
    (1, 1.0),
    (1, True),
    (0.0, -0.0),
    ("a", b"a"),
    ([1], (1,)),
    ({1}, frozenset({1})),
    ([[1], 2], [1, [2]]),
    (["a", "b"], ["ab"]),
    ({"a": 1}, {"a": 2}),
    ({"a": 1}, {"b": 1}),
    (collections.OrderedDict(a=1, b=2), collections.OrderedDict(b=2, a=1)),
    (Plain(a=1), Plain(a=2)),
    (Plain(a=1), types.SimpleNamespace(a=1)),
    (Colour.RED, Colour.BLUE),
    (adder(1), adder(2)),
    ([adder(1), adder(2)], [adder(2), adder(1)]),
    (functools.partial(adder, 1), functools.partial(adder, 2)),
    (functools.partial(adder, 1), functools.partial(adder, n=1)),
    (Plain(a=1).call, Plain(a=2).call),
    (operator.itemgetter(1), operator.itemgetter(2)),
    (np.sin, np.cos),
    (math.sin, math.cos),
    ("a".join, "b".join),
    (np.float64(1), np.float32(1)),
    (np.float64(1), 1.0),
    (np.random.default_rng(1), np.random.default_rng(2)),
    (lambda x: x + 1, lambda x: x + 2),
    (lambda x: x, lambda x, y=1: x),
    (lambda x=1: x, lambda x=2: x),
    (lambda *, x=1: x, lambda *, x=2: x),
]


@pytest.mark.parametrize(("one", "other"), pairs)
def test_what_differs_has_different_digests(one, other):
    assert digest(one) != digest(other)
    assert digest(one) == digest(one)
    assert digest(other) == digest(other)


def test_what_is_one_object_twice_is_as_two_equal_ones():
    inner = [1, 2]
    assert digest([inner, inner]) == digest([[1, 2], [1, 2]])


def test_circles_have_digests():
    def circle(n):
        one = {"n": n}
        one["self"] = [one]
        return one

    assert digest(circle(1)) == digest(circle(1)) != digest(circle(2))
    assert digest(copy.deepcopy(circle(1))) == digest(circle(1))


class Hostile:
    def __reduce_ex__(self, protocol):
        raise KeyError("no")

    def __getattr__(self, name):
        raise RuntimeError("no")

    def __repr__(self):
        raise ValueError("no")


@pytest.mark.parametrize(
    "make",
    [
        threading.Lock,
        lambda: (number for number in range(3)),
        Hostile,
        lambda: functools.reduce(lambda inner, _: [inner], range(100_000), []),
        lambda: sys.stdin,
        sys._getframe,
        lambda: (lambda: 0).__code__,
        lambda: iter([1]),
        unittest.mock.Mock,
    ],
)
def test_what_cannot_be_looked_into_has_a_digest_all_the_same(make):
    assert digest(make()) == digest(make())


def test_a_function_counts_with_what_it_reads_and_calls_but_not_with_the_rest_of_its_module():
    module = types.ModuleType("users")
    source = """
SCALE, OTHER = 1, 2
def inner(x): return x * SCALE
def outer(x): return inner(x)
class Model:
    def call(self): return inner(1)
unrelated = 1
"""
    exec(source, vars(module))

    def digests():
        return [digest(value) for value in (module.outer, [module.outer], module.Model)]

    before = digests()
    module.unrelated = module.OTHER = 9
    assert digests() == before
    module.SCALE = 5
    assert all(now != then for now, then in zip(digests(), before, strict=True))


def test_functions_that_know_each_other_in_circles_are_no_burden():
    module = types.ModuleType("users")
    names = [f"f{number}" for number in range(40)]
    for name in names:
        exec(f"def {name}(x): return {', '.join(names)}", vars(module))
    assert digest(module.f0) == digest(module.f0) != digest(len)


def test_what_pickling_leaves_on_a_class_changes_no_digest():
    class Place:
        __slots__ = ("at",)

        def __init__(self):
            self.at = 1

    before = digest(Place())
    Place().__reduce_ex__(4)
    assert "__slotnames__" in vars(Place)
    assert digest(Place()) == before
