"""What runs on the cluster: the function loaded once, held data shared, all faults told."""

import pickle
import sys

import numpy as np
import pytest

from shoal.tasks.clusters import there
from shoal.tasks.clusters.there import FUNCTION, MOST_FUNCTIONS, Order, inside_task, run_there
from shoal.tasks.envelope import Calling, Raised, load_reply


@pytest.fixture(autouse=True)
def nothing_loaded(monkeypatch):
    monkeypatch.setattr(there, "_functions", type(there._functions)())
    monkeypatch.setattr(sys, "path", list(sys.path))


def order(f, xs, **changes):
    fields = {
        "key": "key",
        "function": (pickle.dumps(f), []),
        "items": (pickle.dumps(((), xs)), []),
        "frozen": False,
        "calling": Calling(),
        "indices": range(len(xs)),
        "held": (),
        "path": (),
    }
    return Order(**{**fields, **changes})


def values_of(reply):
    return load_reply(reply, ()).values


def test_items_are_run_in_order():
    assert values_of(run_there(order(abs, [-1, 2, -3]))) == [1, 2, 3]


def test_the_function_is_loaded_once_for_its_key():
    run_there(order(abs, [1]))
    assert values_of(run_there(order(None, [-5], function=(b"not a pickle", [])))) == [5]


def test_only_the_last_few_functions_are_kept():
    for number in range(MOST_FUNCTIONS + 3):
        run_there(order(abs, [1], key=str(number)))
    assert len(there._functions) == MOST_FUNCTIONS


def test_a_held_function_is_taken_from_what_is_held():
    held = (pickle.dumps(abs), [])
    reply = run_there(order(None, [-5], function=None, held=(FUNCTION,)), held)
    assert values_of(reply) == [5]


def test_held_arrays_are_read_only_and_those_that_came_along_are_not():
    array = np.arange(3.0)
    for held, writable in ((True, False), (False, True)):
        buffers = []
        data = pickle.dumps(((), [array]), 5, buffer_callback=buffers.append)
        raw = np.frombuffer(buffers[0].raw(), "u1")
        parts = (data, [0 if held else raw])
        given = order(np.copy, [array], items=parts, held=(0,) if held else ())
        reply = run_there(given, *([raw] if held else []))
        assert values_of(reply)[0].tolist() == [0, 1, 2]
        flags = run_there(
            order(_writable, [array], key=str(held), items=parts, held=(0,) if held else ()),
            *([raw] if held else []),
        )
        assert values_of(flags) == [writable]


def _writable(array):
    return bool(array.flags.writeable)


def test_inputs_pickled_when_drawn_are_opened():
    frozen = [pickle.dumps(-2), pickle.dumps(3)]
    assert values_of(run_there(order(abs, frozen, frozen=True))) == [2, 3]


def test_a_function_that_cannot_be_loaded_is_told_with_its_module():
    missing = pickle.dumps(abs).replace(b"builtins", b"builtimp")
    reply = run_there(order(abs, [1], function=(missing, [])))
    assert isinstance(reply, Raised)
    assert reply.kind == "function"
    assert "builtimp" in reply.text


def test_an_input_that_cannot_be_loaded_is_told():
    reply = run_there(order(abs, [1], items=(b"nonsense", [])))
    assert isinstance(reply, Raised)
    assert reply.kind == "input"


def test_the_callers_folders_are_looked_in_where_they_exist(tmp_path):
    (tmp_path / "only_the_caller_has_this.py").write_text("def f(x):\n    return x + 40\n")
    by_name = b"\x80\x04\x8c\x18only_the_caller_has_this\x94\x8c\x01f\x94\x93\x94."
    path = (str(tmp_path), str(tmp_path / "missing"))
    reply = run_there(order(None, [2], function=(by_name, []), path=path))
    assert values_of(reply) == [42]
    assert sys.path[-1] == str(tmp_path)


def test_a_task_knows_that_it_is_one():
    assert not inside_task()
    assert values_of(run_there(order(_nested, [1]))) == [True]
    assert not inside_task()


def _nested(_):
    return inside_task()
