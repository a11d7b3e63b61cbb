"""Workers see the parent's directory, path, environment and filters; prints and logs come home."""

import logging
import os
import pickle
import sys
import threading
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import shoal
from shoal.tasks.processes import channel
from shoal.tasks.processes.limits import THREAD_VARIABLES
from shoal.tasks.processes.surroundings import (
    STDERR,
    STDOUT,
    _Stream,
    current,
    packed_current,
    show_message,
)


class MyWarning(UserWarning):
    """A warning of the user's own."""


def ask(function, *inputs):
    """What the function says in one worker."""
    return shoal.map(function, inputs or [None], max_workers=1)


# In.


def test_workers_are_in_the_directory_the_caller_is_in_now(tmp_path, monkeypatch):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        assert ask(lambda _: Path.cwd()) == [tmp_path / name]


def test_a_directory_that_was_removed_keeps_no_task_from_running(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert ask(abs, -1) == [1]


def test_workers_have_the_callers_module_path(tmp_path, monkeypatch):
    (tmp_path / "only_here_and_there.py").write_text("value = 7")
    monkeypatch.syspath_prepend(str(tmp_path))

    def imported(_):
        import only_here_and_there

        return only_here_and_there.value

    assert ask(imported) == [7]
    assert ask(lambda _: list(sys.path)) == [sys.path]


def test_a_module_path_with_other_things_than_text_starts_workers_too(monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path, Path("/somewhere"), b"/bytes"])
    with shoal.executor("processes", max_workers=1) as executor:
        assert executor.submit(abs, -1).result(30) == 1
    assert ask(abs, -1) == [1]


def test_environment_variables_follow_the_callers_except_for_numbers_of_threads(monkeypatch):
    def look(name):
        return os.environ.get(name)

    monkeypatch.setenv("SHOAL_TEST_VARIABLE", "here é")
    assert ask(look, "SHOAL_TEST_VARIABLE") == ["here é"]
    monkeypatch.delenv("SHOAL_TEST_VARIABLE")
    assert ask(look, "SHOAL_TEST_VARIABLE") == [None]
    for name in THREAD_VARIABLES:
        monkeypatch.setenv(name, "5")
    assert ask(look, *THREAD_VARIABLES) == ["1"] * len(THREAD_VARIABLES)


def test_the_programs_arguments_are_those_of_the_caller():
    assert ask(lambda _: list(sys.argv)) == [sys.argv]


def test_a_warning_that_is_an_error_here_is_an_error_in_a_worker():
    def warns(_):
        warnings.warn("careful", MyWarning, stacklevel=1)

    with warnings.catch_warnings():
        warnings.simplefilter("error", MyWarning)
        with pytest.raises(MyWarning, match="careful"):
            ask(warns)


def test_a_filter_that_is_lifted_here_is_lifted_in_the_workers():
    def warns(_):
        warnings.warn("careful", MyWarning, stacklevel=1)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ask(warns)
    with warnings.catch_warnings(record=True) as caught:
        warnings.resetwarnings()
        ask(warns)
    assert [each.category for each in caught] == [MyWarning]


def test_numpys_error_state_is_the_callers():
    def divide(x):
        return float(np.float64(1) / np.float64(x))

    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        ask(divide, 0)
    with np.errstate(divide="ignore"):
        assert ask(divide, 0) == [np.inf]


def test_the_levels_of_loggers_are_the_callers(caplog):
    logger = logging.getLogger("shoal.test.levels")

    def level(_):
        return logging.getLogger("shoal.test.levels").getEffectiveLevel()

    logger.setLevel(logging.DEBUG)
    assert ask(level) == [logging.DEBUG]
    logger.setLevel(logging.ERROR)
    assert ask(level) == [logging.ERROR]


def test_a_level_taken_back_here_is_taken_back_in_the_workers():
    logger = logging.getLogger("shoal.test.taken")

    def level(_):
        return logging.getLogger("shoal.test.taken").getEffectiveLevel()

    logger.setLevel(5)
    ask(level)
    logger.setLevel(logging.NOTSET)
    assert ask(level) == [logger.getEffectiveLevel()]


def test_unchanged_surroundings_are_the_same_bytes(monkeypatch):
    first = packed_current()
    assert packed_current() is first
    monkeypatch.setenv("SHOAL_TEST_VARIABLE", "new")
    assert packed_current() != first
    rest, filters = map(pickle.loads, packed_current())
    assert replace(rest, filters=filters) == current()


def test_a_filter_for_a_warning_class_that_cannot_be_sent_keeps_no_task_from_running():
    class Unsendable(Warning):
        lock = threading.Lock()

    with warnings.catch_warnings():
        warnings.simplefilter("error", Unsendable)
        assert ask(abs, -1) == [1]


def test_random_states_of_two_workers_differ():
    import random

    def draw(_):
        return os.getpid(), random.random(), float(np.random.random())  # noqa: NPY002

    with shoal.executor("processes", max_workers=2) as executor:
        drawn = shoal.map(draw, range(20), executor=executor, batch_size=1)
    assert len({each[1] for each in drawn}) == 20
    assert len({each[2] for each in drawn}) == 20


# Out.


def test_prints_of_workers_reach_the_callers_streams_whole_and_in_order(capsys):
    def talk(x):
        print("out", x)
        print("err", x, file=sys.stderr)

    ask(talk, *range(20))
    captured = capsys.readouterr()
    assert captured.out == "".join(f"out {x}\n" for x in range(20))
    assert captured.err == "".join(f"err {x}\n" for x in range(20))


def test_lines_of_several_workers_are_not_mixed(capsys):
    shoal.map(lambda x: print(str(x) * 300), range(10), max_workers=2, batch_size=1)
    lines = capsys.readouterr().out.splitlines()
    assert sorted(lines) == sorted(str(x) * 300 for x in range(10))


@pytest.mark.parametrize("text", ["no end of line", "é ∫ 😀", "x" * 100_000, "é" * 20_000, "a\nb"])
def test_any_text_arrives(capsys, text):
    ask(lambda _: print(text, end=""))
    assert capsys.readouterr().out == text


def test_prints_have_arrived_when_the_result_has(capsys):
    for x in range(30):
        ask(print, x)
        assert capsys.readouterr().out == f"{x}\n"


def test_what_a_task_printed_before_it_failed_arrives(capsys):
    def fails(_):
        print("last words", end="")
        raise LookupError

    with pytest.raises(LookupError):
        ask(fails)
    assert capsys.readouterr().out == "last words"


def test_prints_of_threads_in_a_worker_arrive(capsys):
    def threaded(_):
        # One piece each: print gives the end of a line by itself, and another may come between.
        threads = [threading.Thread(target=sys.stdout.write, args=(f"{x}\n",)) for x in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    ask(threaded)
    assert sorted(capsys.readouterr().out.split()) == list("01234")


def test_bytes_and_descriptors_of_a_workers_streams_are_those_of_a_file():
    def look(_):
        sys.stdout.buffer.flush()
        return (
            sys.stdout.fileno(),
            sys.stderr.fileno(),
            sys.stdout.isatty(),
            sys.stdout.encoding,
            sys.stdout.writable(),
        )

    assert ask(look) == [(1, 2, False, "utf-8", True)]


def test_log_records_of_workers_reach_the_callers_handlers(caplog):
    def log(x):
        logging.getLogger("shoal.test.worker").warning("number %d of %s", x, "many")

    with caplog.at_level(logging.INFO):
        ask(log, 3)
    [record] = [each for each in caplog.records if each.name == "shoal.test.worker"]
    assert record.getMessage() == "number 3 of many"
    assert record.levelno == logging.WARNING
    assert record.process != os.getpid()
    assert record.funcName == "log"


def test_an_exception_is_logged_with_its_traceback(caplog):
    def log(_):
        try:
            1 / 0  # noqa: B018
        except ZeroDivisionError:
            logging.getLogger("shoal.test.worker").exception("it failed")

    ask(log)
    assert "ZeroDivisionError" in caplog.text
    assert "in log" in caplog.text


def test_fields_of_a_record_that_cannot_be_pickled_arrive_as_text(caplog):
    def log(_):
        logging.getLogger("shoal.test.worker").error(
            "with %r", threading.Lock(), extra={"lock": threading.Lock(), "number": 5}
        )

    ask(log)
    [record] = [each for each in caplog.records if each.name == "shoal.test.worker"]
    assert "lock" in record.getMessage()
    assert "lock" in record.lock
    assert record.number == 5


def test_what_the_callers_levels_leave_out_is_not_logged(caplog):
    def log(_):
        logging.getLogger("shoal.test.quiet").info("nobody asked")

    with caplog.at_level(logging.WARNING):
        ask(log)
    assert "nobody asked" not in caplog.text


def test_logging_that_is_disabled_here_is_disabled_in_the_workers(caplog):
    def log(_):
        logging.getLogger("shoal.test.disabled").error("not to be seen")

    logging.disable(logging.CRITICAL)
    try:
        ask(log)
    finally:
        logging.disable(logging.NOTSET)
    assert "not to be seen" not in caplog.text


def test_warnings_of_workers_are_warnings_here_with_their_place():
    def warns(x):
        warnings.warn(f"careful {x}", MyWarning, stacklevel=1)

    with pytest.warns(MyWarning, match="careful 5") as caught:
        ask(warns, 5)
    assert caught[0].filename == __file__


def test_a_warning_that_is_ignored_here_is_not_shown(recwarn):
    def warns(_):
        warnings.warn("quiet", MyWarning, stacklevel=1)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MyWarning)
        ask(warns)
    assert not [each for each in recwarn if each.category is MyWarning]


def test_a_warning_that_cannot_be_pickled_is_printed(capsys):
    def warns(_):
        class Unsendable(UserWarning):
            def __reduce__(self):
                raise TypeError

        warnings.warn(Unsendable("odd warning"), stacklevel=1)

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        ask(warns)
    assert "odd warning" in capsys.readouterr().err


# The stream itself.


@pytest.fixture
def stream():
    sent = []
    made = _Stream(lambda *message: sent.append(message), STDOUT, sys.__stdout__)
    made.sent = sent
    return made


def test_a_stream_sends_when_a_line_is_complete(stream):
    assert stream.write("begin") == 5
    assert stream.sent == []
    stream.write(" end\nnext")
    assert stream.sent == [(channel.PRINTED, STDOUT, [b"begin end\nnext"])]


def test_a_stream_sends_the_rest_when_it_is_flushed(stream):
    stream.write("rest")
    stream.flush()
    stream.flush()
    assert stream.sent == [(channel.PRINTED, STDOUT, [b"rest"])]


def test_a_stream_drops_what_nobody_is_there_to_read():
    def send(*_):
        raise BrokenPipeError

    gone = _Stream(send, STDERR, sys.__stderr__)
    assert gone.write("last words\n") == 11
    gone.flush()


def test_a_stream_does_not_keep_a_line_that_never_ends(stream):
    for _ in range(100):
        stream.write("x" * 1000)
    stream.flush()
    assert len(stream.sent) > 5
    assert b"".join(parts[0] for _, _, parts in stream.sent) == b"x" * 100_000


def test_a_stream_refuses_what_is_no_text(stream):
    with pytest.raises(TypeError, match="must be str, not bytes"):
        stream.write(b"bytes")


def test_without_a_stream_here_nothing_is_shown(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    show_message(channel.PRINTED, STDERR, b"nobody")
