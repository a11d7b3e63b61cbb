"""A bar is shown where somebody looks, or where it was asked for, and it arrives at the end."""

import io
import os
import pty
import subprocess
import sys
import termios

import pytest

from shoal.tasks.progress import Progress

# Longer and much shorter than the half second after which a bar appears by itself.
LONG = "shoal.map(lambda x: time.sleep(0.015), range(40), max_workers=1{options})"
SHORT = "shoal.map(abs, range(40), executor='serial'{options})"


def program(call, **options):
    given = "".join(f", {name}={value!r}" for name, value in options.items())
    return f"import shoal, time\n{call.format(options=given)}\n"


def shown_in_a_terminal(text):
    """What a program writes to standard error when that is a real terminal."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    with subprocess.Popen([sys.executable, "-c", text], stderr=theirs) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                data = os.read(ours, 4096)
            except OSError:  # how Linux says that nobody writes to a terminal any more
                break
            if not data:
                break
            shown += data
    os.close(ours)
    assert process.returncode == 0, shown
    return shown.decode()


def shown_in_a_pipe(text):
    done = subprocess.run(
        [sys.executable, "-c", text], stderr=subprocess.PIPE, text=True, check=True
    )
    return done.stderr


@pytest.mark.parametrize("executor", ["serial", "threads", "processes"])
def test_in_a_terminal_a_long_call_shows_a_bar_that_finishes(executor):
    shown = shown_in_a_terminal(program(LONG, executor=executor))
    assert "%|" in shown
    assert "100%|" in shown
    assert "40/40" in shown
    assert shown.endswith("\n")


def test_in_a_terminal_a_short_call_and_one_whose_bar_is_refused_show_nothing():
    assert shown_in_a_terminal(program(SHORT) + program(LONG, progress=False)) == ""


def test_without_a_terminal_nothing_is_shown():
    assert shown_in_a_pipe(program(LONG)) == ""


def test_a_bar_that_was_asked_for_is_shown_anywhere_and_at_once_with_the_function_s_name():
    shown = shown_in_a_pipe(program(SHORT, progress=True))
    assert "0/40" in shown
    assert "40/40" in shown
    assert "abs" in shown


def test_imap_counts_what_was_read_of_an_endless_input():
    text = (
        "import shoal, itertools\n"
        "results = shoal.imap(abs, itertools.count(), executor='serial', progress=True)\n"
        "print(next(results)); results.close()\n"
    )
    shown = shown_in_a_pipe(text)
    assert "task" in shown
    assert "%|" not in shown


def test_failed_tasks_are_counted_too():
    call = "shoal.map(float, ['x', '1'], on_error='return'{options})"
    assert "2/2" in shown_in_a_pipe(program(call, progress=True))


def test_prints_of_workers_do_not_break_the_bar():
    call = "shoal.map(lambda x: time.sleep(0.01) or print('line', x), range(20){options})"
    ours = program(call, progress=True, max_workers=2)
    done = subprocess.run([sys.executable, "-c", ours], capture_output=True, text=True, check=True)
    assert sorted(done.stdout.split("\n")) == sorted([""] + [f"line {x}" for x in range(20)])
    assert "20/20" in done.stderr


def test_without_standard_error_nothing_is_shown(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    bar = Progress(None, 3, "f")
    bar.add(3)
    bar.close()


class Watched(io.StringIO):
    def isatty(self):
        return True


def test_a_bar_that_is_closed_early_stays_where_it_was(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Watched())
    bar = Progress(True, 10, "f")
    bar.add(4)
    bar.close()
    bar.close()
    assert "4/10" in sys.stderr.getvalue()


def test_a_total_that_is_not_known_is_only_counted(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Watched())
    bar = Progress(True, None, "f")
    bar.add(7)
    bar.close()
    assert "7task" in sys.stderr.getvalue()
