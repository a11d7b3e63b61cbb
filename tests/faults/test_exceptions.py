"""Whatever a task raises is the failure of that task, named, and the pool goes on."""

import asyncio
import dataclasses
import sys
import threading

import pytest

import shoal
from shoal.errors import InputNotSent, ResultNotReturned, TaskRaised
from shoal.tasks import Task, run

pytestmark = pytest.mark.timeout(60)
BAD = 0.7390851
TWELVE = [0.1, 0.2, 0.3, BAD, *range(4, 12)]
PROCESSES = ("processes", "loky")
EXECUTORS = ("serial", "threads", *PROCESSES)


class TwoArguments(Exception):
    """Pickles, and does not unpickle: the classic."""

    def __init__(self, code, text):
        super().__init__(f"{code}: {text}")


class Unreducible(Exception):
    def __reduce__(self):
        raise TypeError("this exception is not for pickling")


class HoldsLock(Exception):
    def __init__(self, text):
        super().__init__(text)
        self.lock = threading.Lock()


class LoadsBadly(Exception):
    def __reduce__(self):
        return _raise, (RuntimeError("cannot be loaded"),)


class LeavesWhenLoaded(Exception):
    def __reduce__(self):
        return sys.exit, (3,)


class Unprintable(Exception):
    def __str__(self):
        raise RuntimeError("no text")

    __repr__ = __str__


@dataclasses.dataclass(frozen=True)
class Frozen(Exception):
    """Refuses new attributes, and with them notes and causes."""

    code: int


class NotesAreTaken(Exception):
    """Uses the name of the notes for something else."""

    def __init__(self, text):
        super().__init__(text)
        self.__notes__ = "not a list"


def _raise(error):
    raise error


def failing(make):
    def task(x):
        if x == BAD:
            raise make()
        return x

    return task


def the_bad_one(got):
    """The error among twelve results; the others must be right."""
    error = got[3]
    assert got[:3] + got[4:] == [x for x in TWELVE if x != BAD]
    assert isinstance(error, Exception)
    return error


@pytest.fixture(params=[1, 12, "auto"])
def batch_size(request):
    return request.param


@pytest.fixture(scope="module")
def loky():
    """One loky for all these faults: what costs only its own task leaves it usable."""
    with shoal.executor("loky", max_workers=2) as made:
        yield made


@pytest.fixture(params=EXECUTORS)
def name(request):
    return request.param


@pytest.fixture
def executor(name, request):
    return request.getfixturevalue("loky") if name == "loky" else name


def still_works(pool, pids):
    assert shoal.map(abs, [-1, -2, -3], executor=pool) == [1, 2, 3]
    assert set(pool.supervisor.pids()) >= set(pids)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: TwoArguments(7, "two"), "7: two"),
        (lambda: Unreducible("unreducible"), "unreducible"),
        (lambda: HoldsLock("with a lock"), "with a lock"),
        (lambda: LoadsBadly("loads badly"), "loads badly"),
    ],
    ids=["two-arguments", "reduce-raises", "holds-a-lock", "loads-badly"],
)
def test_an_exception_that_cannot_travel_keeps_its_text(pool, batch_size, make, text):
    """E06: only that point fails, the original text and traceback are kept, the pool lives."""
    shoal.map(abs, range(4), executor=pool, batch_size=1)
    pids = pool.supervisor.pids()
    got = shoal.map(failing(make), TWELVE, executor=pool, batch_size=batch_size, on_error="return")
    error = the_bad_one(got)
    assert isinstance(error, TaskRaised)
    assert error.exception_type.endswith(type(make()).__name__)
    assert text in str(error)
    assert str(BAD) in "".join(error.__notes__)
    assert "raise make()" in str(error.__cause__)
    assert error.index == 3
    still_works(pool, pids)


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda: Unprintable("x"), "Unprintable"),
        (lambda: Frozen(3), "Frozen"),
        (lambda: NotesAreTaken("taken"), "NotesAreTaken"),
        (lambda: LeavesWhenLoaded("x"), "LeavesWhenLoaded"),
    ],
    ids=["unprintable", "frozen", "notes-taken", "leaves-when-loaded"],
)
def test_an_exception_with_a_will_of_its_own_costs_its_own_task(executor, make, kind):
    """E06: exceptions that refuse text, attributes, notes or loading are failures like others."""
    got = shoal.map(failing(make), TWELVE, executor=executor, max_workers=2, on_error="return")
    error = the_bad_one(got)
    assert kind in (type(error).__name__, getattr(error, "exception_type", "").split(".")[-1])


def test_an_exception_that_kills_whoever_loads_it_costs_its_own_task(pool):
    """E06: neither the worker's other tasks nor the caller's process end with it."""
    got = shoal.map(
        failing(lambda: LeavesWhenLoaded("x")),
        TWELVE,
        executor=pool,
        batch_size=12,
        on_error="return",
    )
    the_bad_one(got)


def test_an_exception_that_refers_to_itself_arrives(executor):
    """E06: circular."""

    def circular():
        error = ValueError("circular")
        error.me = [error]
        error.__context__ = error.__cause__ = KeyError("another")
        return error

    got = shoal.map(failing(circular), TWELVE, executor=executor, max_workers=2, on_error="return")
    error = the_bad_one(got)
    assert isinstance(error, ValueError)
    assert error.me[0] is error


@pytest.mark.parametrize(
    "make",
    [
        lambda: SystemExit(3),
        SystemExit,
        lambda: BaseExceptionGroup("many", [SystemExit(1), ValueError("x")]),
        lambda: StopIteration("stop"),
        lambda: StopAsyncIteration("stop"),
        lambda: GeneratorExit("leave"),
        lambda: asyncio.CancelledError("cancelled"),
        lambda: KeyboardInterrupt("ctrl-c"),
    ],
    ids=lambda make: type(make()).__name__,
)
def test_an_exception_that_would_confuse_the_caller_is_named_instead(executor, batch_size, make):
    """E07: everything that is not an ordinary Exception, and StopIteration, is TaskRaised."""
    kind = type(make())
    if executor == "serial" and kind is KeyboardInterrupt:
        pytest.skip("in the caller's own process, Ctrl-C is the caller's")
    got = shoal.map(
        failing(make),
        TWELVE,
        executor=executor,
        max_workers=2,
        batch_size=batch_size,
        on_error="return",
    )
    error = the_bad_one(got)
    assert isinstance(error, TaskRaised)
    assert error.exception_type.split(".")[-1] == kind.__name__
    assert str(make()) in str(error)
    assert str(BAD) in "".join(error.__notes__)
    with pytest.raises(TaskRaised, match=kind.__name__):
        shoal.map(failing(make), TWELVE, executor=executor, max_workers=2)


def test_ctrl_c_in_the_serial_loop_is_the_caller_s():
    """E07: executor="serial" is the loop itself."""
    with pytest.raises(KeyboardInterrupt):
        shoal.map(failing(KeyboardInterrupt), TWELVE, executor="serial", on_error="return")


def test_endless_recursion_is_a_recursion_error(executor):
    """E07: and costs no worker."""

    def recurse(x):
        return recurse(x) if x == BAD else x

    got = shoal.map(recurse, TWELVE, executor=executor, max_workers=2, on_error="return")
    error = the_bad_one(got)
    assert isinstance(error, RecursionError)
    assert shoal.failure(error).args == (BAD,)


def test_endless_recursion_is_one_where_dask_was_imported_too():
    """Dask brings tblib, which pickles an exception together with every frame it came through."""

    def recurse(x):
        import distributed  # noqa: F401  (in the worker)

        def again(x):
            return again(x) if x == BAD else x

        return again(x)

    with shoal.executor("processes", max_workers=1) as executor:
        got = shoal.map(recurse, TWELVE, executor=executor, on_error="return")
    assert isinstance(the_bad_one(got), RecursionError)


def test_an_exception_group_keeps_its_members(executor):
    """E07: an ordinary group is an ordinary exception."""

    def group():
        return ExceptionGroup("many", [ValueError("a"), KeyError("b")])

    got = shoal.map(failing(group), TWELVE, executor=executor, max_workers=2, on_error="return")
    error = the_bad_one(got)
    assert isinstance(error, ExceptionGroup)
    assert [type(each) for each in error.exceptions] == [ValueError, KeyError]


@pytest.mark.parametrize("name", PROCESSES)
def test_a_message_of_10_mb_is_cut_to_64_kib(executor, batch_size):
    """E07: the start and the end of it are kept, and how much is missing is said."""

    def enormous():
        return ValueError("start " + "x" * 10_000_000 + " end")

    got = shoal.map(
        failing(enormous),
        TWELVE,
        executor=executor,
        max_workers=2,
        batch_size=batch_size,
        on_error="return",
    )
    error = the_bad_one(got)
    assert isinstance(error, TaskRaised)
    assert error.exception_type == "ValueError"
    assert len(str(error)) <= 64 * 1024 + 100
    assert "start x" in str(error)
    assert str(error).endswith("x end")
    assert "characters" in str(error)
    assert len(str(error.__cause__)) <= 64 * 1024 + 100


class LoadsNot:
    """Pickles in the parent, fails in the worker."""

    def __reduce__(self):
        return _raise, (OSError("not here"),)


@pytest.mark.parametrize("lazy", [False, True], ids=["list", "generator"])
@pytest.mark.parametrize("name", PROCESSES)
def test_an_input_that_cannot_be_pickled_costs_its_own_task(executor, lazy, batch_size):
    """E06: a lock, named as the input of its task."""
    inputs = [*range(3), threading.Lock(), *range(4, 12)]
    got = shoal.map(
        lambda x: x,
        (x for x in inputs) if lazy else inputs,
        executor=executor,
        max_workers=2,
        batch_size=batch_size,
        on_error="return",
    )
    error = got.pop(3)
    assert got == [x for x in range(12) if x != 3]
    assert isinstance(error, InputNotSent)
    assert "cannot pickle '_thread.lock' object" in str(error)
    assert "task 3" in error.__notes__[0]


@pytest.mark.parametrize("lazy", [False, True], ids=["list", "generator"])
@pytest.mark.parametrize("name", PROCESSES)
def test_an_input_that_cannot_be_unpickled_costs_its_own_task(executor, lazy, batch_size):
    """E06: found out in the worker, named in the parent."""
    inputs = [*range(3), LoadsNot(), *range(4, 12)]
    got = shoal.map(
        lambda x: x,
        (x for x in inputs) if lazy else inputs,
        executor=executor,
        max_workers=2,
        batch_size=batch_size,
        on_error="return",
    )
    error = got.pop(3)
    assert got == [x for x in range(12) if x != 3]
    assert isinstance(error, InputNotSent)
    assert "OSError: not here" in str(error)


@pytest.mark.parametrize("name", PROCESSES)
def test_a_result_that_cannot_be_pickled_costs_its_own_task(executor, batch_size):
    """E06: a lock as a result; MaybeEncodingError it is not."""

    def task(x):
        return threading.Lock() if x == BAD else x

    got = shoal.map(
        task, TWELVE, executor=executor, max_workers=2, batch_size=batch_size, on_error="return"
    )
    error = the_bad_one(got)
    assert isinstance(error, ResultNotReturned)
    assert "cannot pickle '_thread.lock' object" in str(error)
    assert str(BAD) in "".join(error.__notes__)


@pytest.mark.parametrize("name", PROCESSES)
def test_a_result_that_cannot_be_unpickled_costs_its_own_task(executor, batch_size):
    """E06: found out in the parent."""

    def task(x):
        return LoadsNot() if x == BAD else x

    got = shoal.map(
        task, TWELVE, executor=executor, max_workers=2, batch_size=batch_size, on_error="return"
    )
    error = the_bad_one(got)
    assert isinstance(error, ResultNotReturned)
    assert "OSError: not here" in str(error)


class Leaves:
    """A value whose unpickling ends the process that does it."""

    def __reduce__(self):
        return sys.exit, (3,)


@pytest.mark.parametrize("name", PROCESSES)
def test_a_result_that_ends_whoever_loads_it_costs_its_own_task(executor, batch_size):
    """E06: the user's session is not ended by a result."""

    def task(x):
        return Leaves() if x == BAD else x

    try:
        got = shoal.map(
            task, TWELVE, executor=executor, max_workers=2, batch_size=batch_size, on_error="return"
        )
    except SystemExit:
        pytest.fail("a result ended the caller's process")
    assert isinstance(the_bad_one(got), ResultNotReturned)


def test_a_submitted_result_that_ends_whoever_loads_it_is_that_call_s_failure(pool):
    """E06: the executor goes on for the others."""
    assert isinstance(pool.submit(Leaves).exception(10), ResultNotReturned)
    assert pool.submit(abs, -3).result(10) == 3


def test_a_callback_that_leaves_does_not_end_the_executor(pool, caplog):
    """E07: SystemExit out of a callback, too."""
    future = pool.submit(abs, -1)
    future.add_done_callback(lambda done: sys.exit(3))
    assert future.result(10) == 1
    assert pool.submit(abs, -3).result(10) == 3


@pytest.mark.parametrize("name", PROCESSES)
def test_lambdas_and_closures_are_results_like_others(executor):
    """E06: what only cloudpickle can send arrives too."""
    shift = 5
    adders = shoal.map(
        lambda x: lambda y: x + y + shift, range(3), executor=executor, max_workers=2
    )
    assert [adder(10) for adder in adders] == [15, 16, 17]


def test_a_circular_value_arrives(pool):
    """E06: as input and as result."""
    circle = [1]
    circle.append(circle)
    [got] = shoal.map(lambda x: x, [circle], executor=pool)
    assert got[0] == 1
    assert got[1] is got


def test_every_ordinary_exception_comes_back_as_itself_and_names_its_input(executor):
    """E06: the type, the message, the attributes, the input, the worker's traceback, the replay."""

    class Custom(ValueError):
        def __init__(self, text):
            super().__init__(text)
            self.detail = {"text": text}

    def task(x, power):
        if x == BAD:
            raise Custom("this one")
        return x**power

    with pytest.raises(Custom, match="this one") as caught:
        shoal.map(task, TWELVE, [2] * 12, executor=executor, max_workers=2)
    error = caught.value
    assert error.detail == {"text": "this one"}
    assert f"task 3 failed on input ({BAD}, 2)" in error.__notes__[0]
    failure = shoal.failure(error)
    assert (failure.index, failure.args, dict(failure.kwargs)) == (3, (BAD, 2), {})
    assert 'raise Custom("this one")' in failure.traceback
    with pytest.raises(Custom, match="this one"):
        failure.replay()


def test_a_label_names_the_failed_task(executor):
    """E06: where the caller has given a name, the error uses it."""
    [outcome] = run(int, [Task(("no number",), label="row 17")], executor=executor, max_workers=2)
    assert isinstance(outcome.error, ValueError)
    assert "row 17" in outcome.error.__notes__[0]


def test_the_error_raised_is_the_first_in_input_order_even_if_a_later_one_fails_earlier(
    pool, tmp_path
):
    """E07: as the serial loop, which never sees the later one."""
    later = tmp_path / "later"

    def task(x):
        if x == 0:
            while not later.exists():
                pass
            raise KeyError("first in the input")
        later.touch()
        raise ValueError("first in time")

    with pytest.raises(KeyError, match="first in the input"):
        shoal.map(task, [0, 1], executor=pool, batch_size=1)


def test_a_death_before_an_error_is_still_settled_first(pool, tmp_path):
    """E02: a task that is tried again after a death keeps its place in the order of errors."""
    mark, later = tmp_path / "mark", tmp_path / "later"

    def task(x):
        import os

        if x == 0 and not mark.exists():
            mark.touch()
            while not later.exists():
                pass
            os._exit(1)
        if x == 0:
            raise KeyError("first in the input")
        later.touch()
        raise ValueError("first in time")

    with pytest.raises(KeyError, match="first in the input"):
        shoal.map(task, range(8), executor=pool, batch_size=1)
