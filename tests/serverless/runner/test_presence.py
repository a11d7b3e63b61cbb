"""A runner counts as alive as long as its process is."""

import subprocess
import sys

from shoal.serverless.runner.presence import Presence

STAYS = """
import os, pathlib, sys
from shoal.serverless.runner.presence import Presence
print(Presence(pathlib.Path(sys.argv[1])).name, flush=True)
os.read(0, 1)
"""


def test_a_runner_is_alive_until_its_process_ends(tmp_path):
    mine = Presence(tmp_path)
    command = [sys.executable, "-c", STAYS, tmp_path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        name = other.stdout.readline().decode().strip()
        assert mine.is_alive(name)
        mine.clear()
        assert mine.is_alive(name)
        other.kill()
    assert not mine.is_alive(name)
    mine.clear()
    assert [path.name for path in tmp_path.iterdir()] == [mine.name]
    assert mine.is_alive(mine.name)
    mine.close()
    mine.close()
    assert list(tmp_path.iterdir()) == []


def test_nobody_is_not_alive(tmp_path):
    mine = Presence(tmp_path)
    assert not mine.is_alive(None)
    assert not mine.is_alive("somebody")
    mine.close()


def test_no_two_have_one_name_and_it_fits_its_column(tmp_path):
    made = [Presence(tmp_path) for _ in range(5)]
    assert len({each.name for each in made}) == 5
    assert all(len(each.name) <= 64 for each in made)
    for each in made:
        each.close()
