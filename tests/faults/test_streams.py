"""What workers print, log and warn appears where the serial loop's would."""

import logging
import sys
import warnings

import pytest

import shoal

pytestmark = pytest.mark.timeout(60)


def test_prints_appear_in_the_parent_s_streams(capsys):
    def task(x):
        print(f"out {x}")
        print(f"err {x}", file=sys.stderr)
        return x

    shoal.map(task, range(5), max_workers=2)
    captured = capsys.readouterr()
    assert sorted(captured.out.splitlines()) == [f"out {x}" for x in range(5)]
    assert sorted(captured.err.splitlines()) == [f"err {x}" for x in range(5)]


def test_prints_are_there_when_the_call_returns_and_in_order(capsys):
    def task(x):
        print("unfinished", end="")
        sys.stdout.write(" line\nand ")
        print(*range(x), sep=",", end="|")

    shoal.map(task, [3], max_workers=1)
    assert capsys.readouterr().out == "unfinished line\nand 0,1,2|"


def test_what_a_task_printed_before_it_killed_its_worker_is_shown(capsys):
    def task(x):
        import os

        print("last words")
        os._exit(1)

    shoal.map(task, [1], max_workers=1, worker_death_retries=0, on_error="return")
    assert capsys.readouterr().out == "last words\n"


def test_long_and_strange_prints_arrive_whole(capsys):
    def task(x):
        print("x" * 3_000_000)
        print("\N{FISH}", "y" * 20_000)

    shoal.map(task, [1], max_workers=1)
    out = capsys.readouterr().out
    assert len(out) == 3_000_000 + 1 + 2 + 20_000 + 1
    assert out == "x" * 3_000_000 + "\n\N{FISH} " + "y" * 20_000 + "\n"


def test_bytes_and_child_processes_reach_the_real_streams(run):
    out = run(
        """
        import os, subprocess, sys
        import shoal

        def task(x):
            sys.stdout.buffer.write(b"bytes\\n")
            sys.stdout.buffer.flush()
            os.write(1, b"descriptor\\n")
            subprocess.run(["echo", "child"])

        shoal.map(task, [1], max_workers=1)
        """
    )
    assert sorted(out.split()) == ["bytes", "child", "descriptor"]


def test_log_records_reach_the_parent_s_handlers(caplog):
    def task(x):
        import logging

        log = logging.getLogger("lab.sweep")
        log.info("point %d of %s", x, {"a": 1}, extra={"point": x})
        log.debug("below the level")
        try:
            1 / 0  # noqa: B018  (raises)
        except ZeroDivisionError:
            log.exception("failed")

    with caplog.at_level(logging.INFO, logger="lab"):
        shoal.map(task, range(3), max_workers=2)
    info = sorted(record.getMessage() for record in caplog.records if record.levelname == "INFO")
    assert info == [f"point {x} of {{'a': 1}}" for x in range(3)]
    assert {record.name for record in caplog.records} == {"lab.sweep"}
    assert sorted(r.point for r in caplog.records if r.levelname == "INFO") == [0, 1, 2]
    assert caplog.text.count("ZeroDivisionError: division by zero") == 3
    assert "below the level" not in caplog.text
    assert all(record.process for record in caplog.records)


def test_log_levels_are_those_of_the_parent_at_each_call(caplog):
    def task(x):
        import logging

        logging.getLogger("lab").debug("detail %s", x)

    logger = logging.getLogger("lab")
    with caplog.at_level(logging.DEBUG, logger="lab"):
        shoal.map(task, ["zero"], max_workers=1)
    caplog.handler.setLevel(logging.NOTSET)
    shoal.map(task, ["one"], max_workers=1)
    logger.setLevel(logging.DEBUG)
    shoal.map(task, ["two"], max_workers=1)
    logger.setLevel(logging.NOTSET)
    shoal.map(task, ["three"], max_workers=1)
    logger.setLevel(logging.DEBUG)
    logging.disable(logging.CRITICAL)
    try:
        shoal.map(task, ["four"], max_workers=1)
    finally:
        logging.disable(logging.NOTSET)
        logger.setLevel(logging.NOTSET)
    assert caplog.messages == ["detail zero", "detail two"]


def test_filters_and_propagation_of_the_parent_decide(caplog):
    def task(x):
        import logging

        logging.getLogger("lab.filtered").error("secret %s", x)
        logging.getLogger("lab.filtered").error("public %s", x)

    logger = logging.getLogger("lab.filtered")

    def hide(record):
        return "secret" not in record.getMessage()

    logger.addFilter(hide)
    try:
        shoal.map(task, [1], max_workers=1)
    finally:
        logger.removeFilter(hide)
    assert caplog.messages == ["public 1"]


def test_warnings_reach_the_parent(recwarn):
    def task(x):
        import warnings

        warnings.warn(f"careful {x}", RuntimeWarning, stacklevel=1)
        return x

    shoal.map(task, range(3), max_workers=2)
    assert sorted(str(each.message) for each in recwarn) == [f"careful {x}" for x in range(3)]
    assert {each.category for each in recwarn} == {RuntimeWarning}
    assert {each.filename for each in recwarn} == {__file__}


def test_a_warning_that_the_parent_makes_an_error_is_one_in_the_worker():
    def task(x):
        import numpy as np

        return np.float64(1) / np.float64(x)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = shoal.map(task, [1, 0], max_workers=2, on_error="return")
    assert got[0] == 1
    assert isinstance(got[1], RuntimeWarning)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert shoal.map(task, [1, 0], max_workers=2) == [1, float("inf")]


def test_a_warning_is_shown_as_often_as_the_loop_would_show_it():
    def task(x):
        import warnings

        warnings.warn("the same", UserWarning, stacklevel=1)

    shown = []
    for _ in range(3):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("default")
            shoal.map(task, range(6), max_workers=2)
        shown.append(len(caught))
    assert shown == [1, 1, 1]


def test_a_filter_for_a_warning_that_workers_cannot_find_yet_does_no_harm(run, tmp_path):
    (tmp_path / "later").mkdir()
    (tmp_path / "later" / "odd.py").write_text("class OddWarning(UserWarning):\n    pass\n")
    out = run(
        """
        import sys, warnings
        import shoal

        print(shoal.map(abs, [-1], max_workers=1))
        sys.path.append("later")
        import odd
        warnings.simplefilter("error", odd.OddWarning)

        def task(x):
            warnings.warn("odd", odd.OddWarning)

        print(shoal.map(task, [-1], max_workers=1, on_error="return"))
        """
    )
    assert out == "[1]\n[OddWarning('odd')]\n"


def test_numpy_error_state_is_the_parent_s():
    import numpy as np

    def task(x):
        return np.array([1.0]) / np.array([x])

    with np.errstate(all="raise"):
        got = shoal.map(task, [0.0], max_workers=1, on_error="return")
        assert isinstance(got[0], FloatingPointError)
    with np.errstate(all="ignore"):
        assert np.isinf(shoal.map(task, [0.0], max_workers=1)[0][0])


def test_prints_do_not_mix_with_a_progress_bar(run):
    out = run(
        """
        import shoal
        shoal.map(print, range(5), max_workers=2, progress=True)
        """
    )
    assert sorted(out.split()) == list("01234")
