"""Processes of an attempt are found by what they inherited, wherever they went."""

import os
import subprocess
import sys

from shoal.serverless.runner.leftovers import MARK, end_leftovers
from tests.faults.watching import alive, until

FAMILY = """
import os, subprocess, sys
child = subprocess.Popen(["setsid", "sleep", "600"])
print(child.pid, flush=True)
os.read(0, 1)
"""


def start(attempt):
    return subprocess.Popen(
        [sys.executable, "-c", FAMILY],
        env={**os.environ, MARK: attempt},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )


def test_all_of_an_attempt_and_nobody_else_is_killed():
    with start("a.1") as mine, start("a.11") as other:
        daemons = [int(each.stdout.readline()) for each in (mine, other)]
        assert end_leftovers("a.1")
        assert mine.wait() == -9
        until(lambda: not alive(daemons[0]))
        assert alive(other.pid)
        assert alive(daemons[1])
        assert end_leftovers("a.11")
        until(lambda: not alive(daemons[1]))
    assert end_leftovers("a.1")
