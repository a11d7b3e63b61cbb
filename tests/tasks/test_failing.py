"""An error names the input that failed, keeps its type, and brings the worker's traceback."""

import copyreg
import traceback
from dataclasses import dataclass

import pytest

import shoal
from shoal import errors
from shoal.tasks import Task, run
from shoal.tasks.dispatch import Death
from shoal.tasks.envelope import Calling, Raised, capture
from shoal.tasks.failing import Blame
from shoal.tasks.inputs import Frozen, Inputs


def blame(function=abs, style="one", labels=None, seed=None):
    return Blame(function, Calling(style, seed), labels or {})


def notes(error):
    return "\n".join(error.__notes__)


def caught(error):
    """The error as it is when it has been raised."""
    try:
        raise error
    except BaseException as raised:  # noqa: BLE001
        return raised


@dataclass(frozen=True)
class FrozenError(Exception):
    """Allows no attribute to be set, notes and causes included."""

    code: int = 0


class TwoArguments(Exception):
    """Pickles, but does not unpickle."""

    def __init__(self, first, second):
        super().__init__(f"{first} and {second}")


def raise_frozen(code):
    raise FrozenError(code)


@pytest.mark.parametrize(
    ("style", "item", "described"),
    [
        ("one", 7, "input 7\n"),
        ("one", (1, 2), "input (1, 2)\n"),
        ("star", (1, "b"), "input (1, 'b')\n"),
        ("task", ((1,), {"base": 2}), "input (1, base=2)\n"),
        ("one", Frozen(__import__("pickle").dumps([4])), "input [4]\n"),
    ],
)
def test_the_note_names_the_task_and_its_input(style, item, described):
    raised = capture(caught(ValueError("bad")), crossing=True)
    error = blame(style=style).raised(5, item, raised, 1, "host:1")
    assert isinstance(error, ValueError)
    assert str(error) == "bad"
    assert f"shoal: task 5 failed on {described}" in notes(error) + "\n"
    assert "shoal.failure(error).replay()" in notes(error)


def test_a_label_stands_for_the_input():
    raised = capture(caught(ValueError()), crossing=True)
    error = blame(labels={5: "the fifth"}).raised(5, 7, raised, 1, "")
    assert "task 5 failed on input 'the fifth'" in notes(error)
    assert shoal.failure(error).label == "the fifth"


def test_the_failure_holds_all_that_is_known():
    raised = capture(caught(ValueError("bad")), crossing=True)
    error = blame(divmod, "star").raised(5, (7, 0), raised, 3, "host:12")
    failure = shoal.failure(error)
    assert failure.function is divmod
    assert (failure.args, failure.kwargs, failure.index) == ((7, 0), {}, 5)
    assert (failure.attempts, failure.worker) == (3, "host:12")
    assert "ValueError: bad" in failure.traceback


def test_the_cause_is_the_workers_traceback():
    def deep(x):
        return 1 / x

    [error] = shoal.map(deep, [0], on_error="return")
    assert isinstance(error.__cause__, errors.WorkerTraceback)
    assert "in deep" in str(error.__cause__)
    assert "return 1 / x" in str(error.__cause__)
    assert "envelope.py" not in str(error.__cause__), "shoal's own frames are not the user's"
    shown = "".join(traceback.format_exception(error))
    assert shown.index("in deep") < shown.index("task 0 failed on input 0")


def test_without_a_process_boundary_the_traceback_is_the_exceptions_own():
    raised = capture(caught(ValueError("bad")), crossing=False)
    error = blame().raised(0, 1, raised, 1, "")
    assert error is raised.exception
    assert error.__traceback__ is not None
    assert error.__cause__ is None


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), StopIteration(1)])
def test_what_must_not_be_raised_again_is_a_task_error_with_the_original_text(error):
    made = blame().raised(2, 7, capture(caught(error), crossing=True), 1, "")
    assert type(made) is errors.TaskRaised
    assert made.exception_type == type(error).__name__
    assert str(error) in str(made)
    assert made.index == 2


def test_an_exception_that_does_not_load_is_a_task_error_with_its_type_and_text(monkeypatch):
    # Dask, once it is imported, has the exceptions it then finds travel by another way.
    monkeypatch.delitem(copyreg.dispatch_table, TwoArguments, raising=False)
    made = blame().raised(0, 7, capture(caught(TwoArguments(1, 2)), crossing=True), 1, "")
    assert type(made) is errors.TaskRaised
    assert made.exception_type.endswith("TwoArguments")
    assert "1 and 2" in str(made)
    assert isinstance(made.__cause__, errors.WorkerTraceback)


def test_an_input_and_a_result_that_cannot_travel_are_told_apart():
    for kind, expected in (("input", errors.InputNotSent), ("result", errors.ResultNotReturned)):
        raised = capture(caught(TypeError("a lock")), crossing=True, kind=kind)
        error = blame().raised(4, 7, raised, 1, "")
        assert type(error) is expected
        assert kind in str(error)
        assert "TypeError: a lock" in str(error)
        assert error.index == 4


@pytest.mark.parametrize("executor", ["serial", "threads", "processes"])
def test_an_exception_that_takes_no_attributes_costs_its_own_task_only(executor):
    def some(x):
        if x == 1:
            raise FrozenError(x)
        return x

    results = shoal.map(some, range(4), executor=executor, on_error="return")
    assert [results[0], *results[2:]] == [0, 2, 3]
    assert isinstance(results[1], FrozenError | errors.TaskRaised)
    assert "1" in str(results[1].code if isinstance(results[1], FrozenError) else results[1])


def test_a_timeout_says_how_long_was_allowed():
    error = blame().timeout(3, 7, 0.25, 2, "host:1")
    assert isinstance(error, TimeoutError)
    assert "timeout_seconds=0.25" in str(error)
    assert error.index == 3
    assert shoal.failure(error).attempts == 2


def test_a_death_says_what_ended_the_worker_and_how_often():
    death = Death(
        0, "the worker was killed by signal 11 (SIGSEGV)", signal=11, trace="stack", worker="h:5"
    )
    error = blame().died(3, 7, death, 3)
    assert "SIGSEGV" in str(error)
    assert "3 attempts" in str(error)
    assert (error.signal, error.exit_code, error.attempts, error.index) == (11, None, 3, 3)
    assert "stack" in str(error.__cause__)
    assert shoal.failure(error).worker == "h:5"
    assert "task 3 failed on input 7" in notes(error)


def test_a_function_that_cannot_be_loaded_is_named():
    raised = capture(caught(ModuleNotFoundError("No module named 'gone'")), crossing=True)
    error = blame(divmod).function_not_loaded(raised)
    assert type(error) is errors.FunctionNotSent
    assert "divmod" in str(error)
    assert "No module named 'gone'" in str(error)
    assert isinstance(error.__cause__, errors.WorkerTraceback)


def test_a_function_that_kills_workers_as_it_loads_is_named():
    death = Death(None, "the worker exited with status 4", exit_code=4, at_function=True)
    error = blame(divmod).function_kills(death, 3)
    assert "divmod" in str(error)
    assert "while it loaded the function" in str(error)
    assert (error.exit_code, error.attempts) == (4, 3)


def test_text_of_an_enormous_message_is_kept_in_part():
    def shouting(x):
        raise ValueError("x" * 10**6)

    [error] = shoal.map(shouting, [0], on_error="return")
    assert type(error) is errors.TaskRaised
    assert error.exception_type == "ValueError"
    assert 1000 < len(str(error)) < 10**5


def test_arguments_are_those_of_the_call():
    assert blame(style="one").arguments((1, 2)) == (((1, 2),), {})
    assert blame(style="star").arguments((1, 2)) == ((1, 2), {})
    assert blame(style="task").arguments(((1,), {"a": 2})) == ((1,), {"a": 2})


def test_a_task_whose_arguments_are_no_tuple_is_refused_when_it_is_made():
    with pytest.raises(TypeError, match=r"args=5"):
        list(run(abs, [Task(5)], executor="serial"))


def test_the_input_in_the_note_is_the_one_that_was_drawn():
    inputs = Inputs([iter([[1]])])
    inputs.freeze()
    [item] = inputs.draw(1)
    error = blame().raised(0, item, Raised("E", "text", ""), 1, "")
    assert "input [1]" in notes(error)


def test_an_exception_object_raised_by_two_tasks_names_each_of_their_inputs():
    shared = ValueError("one object")

    def raises(x):
        raise shared

    errors_ = shoal.map(raises, ["first", "second"], executor="serial", on_error="return")
    for index, (error, value) in enumerate(zip(errors_, ["first", "second"], strict=True)):
        assert shoal.failure(error).index == index
        assert f"task {index} failed on input '{value}'" in notes(error)


def test_it_does_so_where_copies_of_exceptions_share_their_attributes(monkeypatch):
    def reduced(error):  # as tblib does, once Dask is imported
        return restored, (type(error), error.args, error.__dict__)

    def restored(kind, args, attributes):
        made = kind(*args)
        made.__dict__ = attributes
        return made

    monkeypatch.setitem(copyreg.dispatch_table, ValueError, reduced)
    test_an_exception_object_raised_by_two_tasks_names_each_of_their_inputs()


@pytest.mark.parametrize("executor", ["serial", "threads", "processes"])
def test_an_error_of_a_call_inside_a_task_names_both_inputs(executor):
    def outer(x):
        return shoal.map(lambda y: x // y, [2, 1, 0], executor="serial")

    with pytest.raises(ZeroDivisionError) as caught:
        shoal.map(outer, [70], executor=executor)
    assert "task 2 failed on input 0" in notes(caught.value)
    assert "task 0 failed on input 70" in notes(caught.value)
    assert shoal.failure(caught.value).args == (70,)


@pytest.mark.parametrize("executor", ["serial", "threads", "processes"])
def test_notes_of_the_users_own_are_kept(executor):
    def fails(x):
        error = ValueError(x)
        error.add_note(f"a note of {x}")
        raise error

    found = shoal.map(fails, [1, 2], executor=executor, on_error="return")
    for error, x in zip(found, [1, 2], strict=True):
        assert error.__notes__[0] == f"a note of {x}"
        assert f"failed on input {x}" in notes(error)


def test_notes_on_an_exception_object_raised_by_two_tasks_are_kept():
    shared = ValueError("one object")
    shared.add_note("a note of its own")

    def raises(_):
        raise shared

    for error in shoal.map(raises, [1, 2], executor="serial", on_error="return"):
        assert "a note of its own" in notes(error)
        assert notes(error).count("failed on input") == 1


class NoText(Exception):
    """Takes no attributes and has no text either."""

    def __setattr__(self, name, value):
        raise AttributeError(name)

    def __str__(self):
        raise ValueError("no text")


@pytest.mark.parametrize("executor", ["serial", "threads", "processes"])
def test_an_exception_that_allows_nothing_costs_its_own_task_only(executor):
    def some(x):
        if x == 1:
            raise NoText
        return x

    results = shoal.map(some, range(3), executor=executor, on_error="return")
    assert isinstance(results[1], errors.TaskRaised)
    assert results[1].exception_type.endswith("NoText")
    assert [results[0], results[2]] == [0, 2]
