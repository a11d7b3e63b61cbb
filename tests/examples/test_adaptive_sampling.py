"""The example of adaptive sampling finds the line that the grid misses."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("adaptive")

EXAMPLE = Path(__file__).parents[2] / "examples" / "adaptive_sampling.py"


def test_the_learner_finds_the_line_that_the_grid_misses(tmp_path):
    command = [sys.executable, EXAMPLE, "--max-workers", "2"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    found = {
        way: (int(points), float(error))
        for way, points, error in re.findall(
            r"^ +(grid|learner) +(\d+) points.*largest error ([\d.]+)$", done.stdout, re.MULTILINE
        )
    }
    assert found["grid"][0] == 0
    assert found["grid"][1] > 0.9
    assert found["learner"][0] > 10
    assert found["learner"][1] < 0.1
