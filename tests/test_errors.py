"""The errors are one tree, the one that is drawn, and each of them travels."""

import copy
import inspect
import pickle
import re
import traceback

import pytest

from shoal import errors

classes = [getattr(errors, name) for name in errors.__all__]
LINE = re.compile(r"^( *)((?:[│ ]   )*)(?:[├└]── )?(\w+)", re.MULTILINE)


def drawn_tree():
    """Each error of the drawing with the one it hangs on."""
    drawing = errors.__doc__.split("::\n\n")[1].split("\n\n")[0]
    parents, above = {}, []
    for line in drawing.splitlines():
        name = re.search(r"[A-Z]\w+", line)
        depth = (name.start() - 4) // 4
        above[depth:] = [name[0]]
        parents[name[0]] = above[depth - 1] if depth else None
    return parents


def test_the_drawing_is_the_tree():
    drawn = drawn_tree()
    actual = {
        kind.__name__: kind.__mro__[1].__name__
        for kind in classes
        if issubclass(kind, errors.ShoalError)
    }
    actual["ShoalError"] = None
    assert drawn == actual


def test_every_error_that_is_defined_is_public():
    defined = {
        name
        for name, kind in vars(errors).items()
        if inspect.isclass(kind) and kind.__module__ == errors.__name__
    }
    assert defined == set(errors.__all__)


@pytest.mark.parametrize(
    ("kind", "familiar"),
    [
        (errors.TaskTimeout, TimeoutError),
        (errors.ExecutorClosed, RuntimeError),
        (errors.MissingExtra, ImportError),
    ],
)
def test_an_error_that_has_a_familiar_kind_is_of_it_too(kind, familiar):
    assert issubclass(kind, familiar)
    assert issubclass(kind, errors.ShoalError)
    assert str(kind("what happened")) == "what happened"


@pytest.mark.parametrize("kind", classes)
def test_every_error_travels_with_its_attributes(kind):
    error = kind("what happened")
    error.add_note("a note")
    error.index = 7
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(other) is kind
        assert other.args == ("what happened",)
        assert str(other) == str(error)
        assert (other.index, other.__notes__) == (7, ["a note"])


@pytest.mark.parametrize("kind", classes)
def test_every_error_says_what_it_is_for(kind):
    assert len(kind.__doc__.split()) > 3


def test_what_is_not_known_is_none_until_it_is():
    assert errors.TaskError("x").index is None
    died = errors.WorkerDied("x")
    assert (died.signal, died.exit_code, died.attempts) == (None, None, 1)
    assert errors.TaskRaised("x").exception_type == ""


def test_a_workers_traceback_is_shown_above_the_error_it_caused():
    error = ValueError("bad")
    error.__cause__ = errors.WorkerTraceback("Traceback: line 1\nline 2")
    shown = "".join(traceback.format_exception(error))
    assert shown.index("line 2") < shown.index("ValueError: bad")
    assert '"""\nTraceback: line 1' in shown
